package clientmetrics

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// An Attribute is added to the resource that metrics are of.
type Attribute struct{ Name, Value string }

// maxDepth bounds how values nest, which only those of attributes do.
const maxDepth = 32

// Fields of the messages that are taken apart, by OTLP's definition.
const (
	fieldResourceMetrics = 1 // of MetricsData, and of the request that exports them
	fieldResource        = 1 // of ResourceMetrics
	fieldScopeMetrics    = 2 // of ResourceMetrics
	fieldAttributes      = 1 // of Resource
	fieldKey             = 1 // of KeyValue
	fieldValue           = 2 // of KeyValue
	fieldStringValue     = 1 // of AnyValue
)

// reserved are the names of attributes that only the broker gives.
var reserved = map[string]bool{
	string(attributeInstance): true, string(attributeClientID): true, string(attributeSoftwareName): true, string(attributeSoftwareVersion): true,
	string(attributeAddress): true, string(attributePort): true, "principal": true, "broker_id": true, "cluster_id": true,
}

var metricsData = otlp.File_opentelemetry_proto_metrics_v1_metrics_proto.Messages().ByName("MetricsData")

// Stamp checks that b is an encoded MetricsData and returns it with the attributes in each of its resources, in
// place of those that have such names; at most limit bytes of it. Encoded messages of that kind may be joined, and are what a
// request to export has.
//
// The Java client describes itself anew with each metric. Neighbours that describe the same become one.
func Stamp(b []byte, attributes []Attribute, limit int) ([]byte, error) {
	if err := check(b, metricsData, 0); err != nil {
		return nil, err
	}
	s := stamper{limit: limit}
	for _, a := range attributes {
		s.extra = appendAttribute(s.extra, a)
	}
	var now described
	eachField(b, func(number protowire.Number, value, _ []byte) {
		if number != fieldResourceMetrics {
			return // nothing that a collector knows
		}
		now.reset()
		eachField(value, func(number protowire.Number, value, field []byte) {
			switch number {
			case fieldResource:
				now.resource = appendForeign(now.resource, value) // a message that comes twice is the two joined
			case fieldScopeMetrics:
				now.scopes = append(now.scopes, field...)
			default:
				now.rest = append(now.rest, field...)
			}
		})
		s.add(&now)
	})
	s.flush()
	if s.over {
		return nil, fmt.Errorf("%w: bytes=%d limit_bytes=%d with attributes", ErrTooLarge, len(b), limit)
	}
	return s.out, nil
}

// described is one ResourceMetrics, taken apart: what its resource says, its metrics, and what is left of it.
type described struct{ resource, scopes, rest []byte }

func (d *described) reset() { d.resource, d.scopes, d.rest = d.resource[:0], d.scopes[:0], d.rest[:0] }

// stamper joins neighbours with the same resource.
type stamper struct {
	out     []byte
	extra   []byte // the broker's attributes
	limit   int
	over    bool // more would have come out than the limit
	begun   bool
	pending described
}

func (s *stamper) add(d *described) {
	if s.begun && bytes.Equal(d.resource, s.pending.resource) && bytes.Equal(d.rest, s.pending.rest) {
		s.pending.scopes = append(s.pending.scopes, d.scopes...)
		return
	}
	s.flush()
	s.begun = true
	s.pending.reset()
	s.pending.resource = append(s.pending.resource, d.resource...)
	s.pending.scopes = append(s.pending.scopes, d.scopes...)
	s.pending.rest = append(s.pending.rest, d.rest...)
}

// flush writes what is pending.
func (s *stamper) flush() {
	if !s.begun || s.over {
		return
	}
	s.begun = false
	d := &s.pending
	resource := protowire.SizeTag(fieldResource) + protowire.SizeBytes(len(d.resource)+len(s.extra))
	size := resource + len(d.scopes) + len(d.rest)
	if s.over = len(s.out)+size > s.limit; s.over {
		return
	}
	s.out = protowire.AppendTag(s.out, fieldResourceMetrics, protowire.BytesType)
	s.out = protowire.AppendVarint(s.out, uint64(size))
	s.out = protowire.AppendTag(s.out, fieldResource, protowire.BytesType)
	s.out = protowire.AppendVarint(s.out, uint64(len(d.resource)+len(s.extra)))
	s.out = append(s.out, d.resource...)
	s.out = append(s.out, s.extra...)
	s.out = append(s.out, d.scopes...)
	s.out = append(s.out, d.rest...)
}

// appendForeign appends a Resource without the attributes that only the broker gives.
func appendForeign(dst, resource []byte) []byte {
	eachField(resource, func(number protowire.Number, value, field []byte) {
		if number != fieldAttributes || !reserved[keyOf(value)] {
			dst = append(dst, field...)
		}
	})
	return dst
}

func appendAttribute(b []byte, a Attribute) []byte {
	value := protowire.AppendTag(nil, fieldStringValue, protowire.BytesType)
	value = protowire.AppendString(value, strings.ToValidUTF8(a.Value, "\uFFFD"))
	pair := protowire.AppendTag(nil, fieldKey, protowire.BytesType)
	pair = protowire.AppendString(pair, a.Name)
	pair = protowire.AppendTag(pair, fieldValue, protowire.BytesType)
	pair = protowire.AppendBytes(pair, value)
	b = protowire.AppendTag(b, fieldAttributes, protowire.BytesType)
	return protowire.AppendBytes(b, pair)
}

// keyOf is the key of an encoded KeyValue.
func keyOf(pair []byte) (key string) {
	eachField(pair, func(number protowire.Number, value, _ []byte) {
		if number == fieldKey {
			key = string(value)
		}
	})
	return key
}

// eachField calls f with each field of a message that was checked: its value, where that has a length, and all of it.
func eachField(b []byte, f func(number protowire.Number, value, field []byte)) {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		size := protowire.ConsumeFieldValue(number, kind, b[n:])
		var value []byte
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(b[n:])
		}
		f(number, value, b[:n+size])
		b = b[n+size:]
	}
}

// check walks a message and all that it contains. It takes no memory but the stack's: maxDepth frames.
func check(b []byte, message protoreflect.MessageDescriptor, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: values nest deeper than %d", ErrMalformed, maxDepth)
	}
	fields := message.Fields()
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 || number > protowire.MaxValidNumber || kind == protowire.StartGroupType || kind == protowire.EndGroupType {
			return malformed(message, "bad tag")
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(number, kind, b)
		if size < 0 {
			return malformed(message, "field cut short")
		}
		if field := fields.ByNumber(number); field != nil {
			if err := checkField(b[:size], field, kind, depth); err != nil {
				return err
			}
		}
		b = b[size:]
	}
	return nil
}

func malformed(message protoreflect.MessageDescriptor, why string) error {
	return fmt.Errorf("%w: %s message=%s", ErrMalformed, why, message.Name())
}

// checkField checks the value of a field, which has the length that it claims.
func checkField(b []byte, field protoreflect.FieldDescriptor, kind protowire.Type, depth int) error {
	want := wireType(field.Kind())
	if kind != want && !(kind == protowire.BytesType && field.IsList()) {
		return malformed(field.ContainingMessage(), "wrong type of field="+string(field.Name()))
	}
	if kind != protowire.BytesType {
		return nil
	}
	value, _ := protowire.ConsumeBytes(b)
	switch {
	case field.Message() != nil:
		return check(value, field.Message(), depth+1)
	case field.Kind() == protoreflect.StringKind && !utf8.Valid(value):
		return malformed(field.ContainingMessage(), "not UTF-8 in field="+string(field.Name()))
	case want == protowire.Fixed64Type && len(value)%8 != 0, want == protowire.Fixed32Type && len(value)%4 != 0:
		return malformed(field.ContainingMessage(), "list cut short field="+string(field.Name()))
	case want == protowire.VarintType:
		for len(value) > 0 {
			_, n := protowire.ConsumeVarint(value)
			if n < 0 {
				return malformed(field.ContainingMessage(), "list cut short field="+string(field.Name()))
			}
			value = value[n:]
		}
	}
	return nil
}

// wireType is how a single value of a kind is encoded. Lists of numbers may have a length instead.
func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.MessageKind, protoreflect.StringKind, protoreflect.BytesKind:
		return protowire.BytesType
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	}
	return protowire.VarintType
}
