package api

import (
	"reflect"
	"strings"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
)

// maxCountedCodes bounds the error codes of one answer that are looked at: an answer about a hundred thousand partitions must not
// cost more for being counted than for being made.
const maxCountedCodes = 10_000

// erred counts an error code of an answer; 0, no error, is none.
func (m *metrics) erred(key, code int16) {
	if code == 0 {
		return
	}
	// A code without a name is UNKNOWN_SERVER_ERROR, so that there are as many labels as names.
	m.errors.WithLabelValues(wire.KeyName(key), kerr.TypedErrorForCode(code).Message).Inc()
}

// answered counts the error codes of an answer, wherever in it they are.
func (m *metrics) answered(resp kmsg.Response) {
	v := reflect.ValueOf(resp)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	left := maxCountedCodes
	codesOf(v.Elem().Type()).visit(v.Elem(), &left, func(code int16) { m.erred(resp.Key(), code) })
}

// codeFields are the fields of a structure that are error codes, and those that have some inside.
type codeFields struct {
	codes  []int
	inside []insideField
}

type insideField struct {
	index  int
	fields *codeFields
}

// knownCodes has the codeFields of types; as many as there are structures in Kafka's answers.
var knownCodes sync.Map // reflect.Type → *codeFields

func codesOf(t reflect.Type) *codeFields {
	if known, ok := knownCodes.Load(t); ok {
		return known.(*codeFields)
	}
	out := new(codeFields)
	for i := range t.NumField() {
		f := t.Field(i)
		inner := f.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		switch {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Int16 && strings.HasSuffix(f.Name, "ErrorCode"):
			out.codes = append(out.codes, i)
		case inner.Kind() == reflect.Struct:
			if fields := codesOf(inner); len(fields.codes)+len(fields.inside) > 0 {
				out.inside = append(out.inside, insideField{i, fields})
			}
		}
	}
	knownCodes.Store(t, out)
	return out
}

// visit calls fn with the codes in a structure, as long as left lasts.
func (c *codeFields) visit(v reflect.Value, left *int, fn func(code int16)) {
	for _, i := range c.codes {
		if *left <= 0 {
			return
		}
		*left--
		fn(int16(v.Field(i).Int()))
	}
	for _, in := range c.inside {
		in.fields.visitAll(v.Field(in.index), left, fn)
	}
}

// visitAll calls fn with the codes in a structure, or in those of a slice or behind a pointer.
func (c *codeFields) visitAll(v reflect.Value, left *int, fn func(code int16)) {
	switch v.Kind() {
	case reflect.Slice:
		for i := 0; i < v.Len() && *left > 0; i++ {
			c.visitAll(v.Index(i), left, fn)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			c.visitAll(v.Elem(), left, fn)
		}
	default:
		c.visit(v, left, fn)
	}
}
