package hostile

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
)

// api is one key in one version.
type api struct{ key, version int16 }

// served returns what the broker says that it serves.
func (n *node) served(t *testing.T) (apis []api) {
	t.Helper()
	c := n.dial(t)
	defer c.close()
	req := kmsg.NewPtrApiVersionsRequest()
	for _, k := range call[*kmsg.ApiVersionsResponse](t, c, req).ApiKeys {
		least := k.MinVersion
		if k.ApiKey == wire.KeyProduce {
			least = wire.MinProduceVersion // versions below are advertised for librdkafka's sake
		}
		for v := least; v <= k.MaxVersion; v++ {
			apis = append(apis, api{k.ApiKey, v})
		}
	}
	if len(apis) < 100 {
		t.Fatalf("only %d versions are served", len(apis))
	}
	return apis
}

// sample is a request that is well-formed: every array has one element, every
// string is topicName, every number 1.
func sample(a api, topicName string, elements int) kmsg.Request {
	req := kmsg.RequestForKey(a.key)
	fill(reflect.ValueOf(req).Elem(), topicName, elements)
	req.SetVersion(a.version)
	return req
}

func fill(v reflect.Value, text string, elements int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(false)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.String:
		v.SetString(text)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, elements)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), elements, elements))
		for i := range elements {
			fill(v.Index(i), text, elements)
		}
	case reflect.Struct:
		if _, tags := v.Addr().Interface().(*kmsg.Tags); tags {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text, elements)
		}
	default: // topic ids stay zero, records are bytes like others
	}
}

// lengthField is where the length of an array, a string or bytes lies in a body.
type lengthField struct {
	name     string
	at, size int
	nullable bool // may be null in some version
	array    bool // of elements, not of bytes
}

// lengths finds the length fields of an API's sample: it makes each array and
// string longer in turn and looks where the encoding changes first.
func lengths(a api) (fields []lengthField) {
	base := sample(a, "t", 1).AppendTo(nil)
	flexible := wire.Flexible(a.key, a.version)
	var visit func(root, v reflect.Value, name string, encode func() []byte)
	visit = func(root, v reflect.Value, name string, encode func() []byte) {
		note := func(width int, nullable, array bool) {
			changed := encode()
			at := 0
			for at < min(len(base), len(changed)) && base[at] == changed[at] {
				at++
			}
			if len(changed) == len(base) {
				return // not in this version
			}
			if flexible {
				width = 1
			}
			fields = append(fields, lengthField{name: name, at: at - width + 1, size: width, nullable: nullable, array: array})
		}
		switch v.Kind() {
		case reflect.String:
			v.SetString("tt")
			note(2, false, false)
			v.SetString("t")
		case reflect.Pointer:
			if v.Elem().Kind() == reflect.String {
				v.Elem().SetString("tt")
				note(2, true, false)
				v.Elem().SetString("t")
				return
			}
			visit(root, v.Elem(), name, encode)
		case reflect.Slice:
			was := v.Interface()
			v.Set(reflect.Append(v, v.Index(0)))
			note(4, true, v.Type().Elem().Kind() != reflect.Uint8)
			v.Set(reflect.ValueOf(was))
			if v.Type().Elem().Kind() != reflect.Uint8 {
				visit(root, v.Index(0), name, encode)
			}
		case reflect.Struct:
			if _, tags := v.Addr().Interface().(*kmsg.Tags); tags {
				return
			}
			for i := range v.NumField() {
				visit(root, v.Field(i), name+"."+v.Type().Field(i).Name, encode)
			}
		default:
		}
	}
	req := sample(a, "t", 1)
	root := reflect.ValueOf(req).Elem()
	visit(root, root, "", func() []byte { return req.AppendTo(nil) })
	return fields
}

// with returns body with another length.
func (f *lengthField) with(body []byte, length int64) []byte {
	out := append([]byte{}, body[:f.at]...)
	switch f.size {
	case 1:
		out = binary.AppendUvarint(out, uint64(length+1))
	case 2:
		out = binary.BigEndian.AppendUint16(out, uint16(length))
	default:
		out = binary.BigEndian.AppendUint32(out, uint32(length))
	}
	return append(out, body[f.at+f.size:]...)
}

// TestLengths gives every array, string and byte string of every request lengths
// that are not its own.
func TestLengths(t *testing.T) {
	n := start(t)
	for _, a := range n.served(t) {
		base := sample(a, "t", 1).AppendTo(nil)
		found := lengths(a)
		for _, f := range found {
			name := wire.KeyName(a.key) + f.name
			// More than any body can hold. A string of a fixed-width length has two bytes.
			over := []int64{1 << 20, math.MaxInt32, math.MaxUint32 - 1}
			if f.size == 2 {
				over = []int64{math.MaxInt16, 1 << 8}
			}
			if f.size == 4 {
				over = []int64{1 << 20, math.MaxInt32}
			}
			for _, length := range over {
				n.mustClose(t, fmt.Sprintf("length %d of %s", length, name), a.key, a.version, f.with(base, length))
			}
			if !f.nullable {
				n.mustClose(t, "null "+name, a.key, a.version, f.with(base, -1))
			}
			// These may be null, or shift what follows into something else that is
			// valid: a reply or the end, but neither silence nor rubbish.
			others := []int64{-1, 0, 2, 3}
			if f.size > 1 {
				others = append(others, -2, math.MinInt16)
			}
			for _, length := range others {
				n.tolerates(t, a, f.with(base, length))
			}
		}
		if len(base) > 4 && len(found) == 0 && !slices.Contains(plainKeys, a.key) {
			t.Errorf("%s v%d: no length found in %x", wire.KeyName(a.key), a.version, base)
		}
	}
	n.wellAfter(t, "false lengths")
}

// plainKeys have bodies without a string, an array, or anything else of a length: ApiVersions,
// DescribeCluster, UnregisterBroker.
var plainKeys = []int16{wire.KeyApiVersions, 60, 64}

// tolerates sends a body of which it does not matter how it is answered.
func (n *node) tolerates(t *testing.T, a api, body []byte) {
	t.Helper()
	if a.key == wire.KeyProduce && noAcks(a, body) {
		return // gets no answer
	}
	c := n.dial(t)
	defer c.close()
	c.exchange(t, a.key, a.version, body)
}

// noAcks reports whether a produce request asks for no reply.
func noAcks(a api, body []byte) bool {
	p := wire.AcquireProduceRequest()
	defer p.Release()
	return p.Parse(a.version, body) == nil && p.Acks == 0
}

// TestTruncated cuts every request at every byte, and adds bytes behind it.
func TestTruncated(t *testing.T) {
	n := start(t)
	for _, a := range n.served(t) {
		body := sample(a, "t", 1).AppendTo(nil)
		for cut := range body {
			n.mustClose(t, fmt.Sprintf("the first %d of %d bytes", cut, len(body)), a.key, a.version, body[:cut])
		}
		// Apache Kafka does not look at what follows the body.
		c := n.dial(t)
		if _, ok := c.exchange(t, a.key, a.version, append(body, 0xde, 0xad, 0xbe, 0xef)); !ok {
			t.Errorf("%s v%d: closed because of bytes after the body", wire.KeyName(a.key), a.version)
		}
		c.close()
	}
	n.wellAfter(t, "cut requests")
}

// mutations is how many times each version of each key is sent with a few bytes
// changed at random; HOSTILE_MUTATIONS makes it a campaign.
const mutations = 25

// TestMutated changes bytes at random.
func TestMutated(t *testing.T) {
	times := mutations
	if s := os.Getenv("HOSTILE_MUTATIONS"); s != "" {
		var err error
		if times, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	seed := rand.Uint64()
	t.Logf("seed=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	n := start(t)
	n.createTopic(t, "victim", 2)
	for _, a := range n.served(t) {
		base := sample(a, "victim", 1).AppendTo(nil)
		first := 0
		if a.key == wire.KeyFetch {
			first = 8 // the time that it may wait is in the first bytes
		}
		c := n.dial(t)
		for range times {
			if len(base) <= first {
				break
			}
			body := append([]byte{}, base...)
			for range 1 + r.IntN(3) {
				at := first + r.IntN(len(body)-first)
				switch r.IntN(3) {
				case 0:
					body[at] = byte(r.Uint32())
				case 1:
					body[at] ^= 1 << r.IntN(8)
				case 2:
					body[at] = []byte{0, 0xff, 0x7f, 0x80}[r.IntN(4)]
				}
			}
			if a.key == wire.KeyProduce && noAcks(a, body) {
				continue
			}
			if _, ok := c.exchange(t, a.key, a.version, body); !ok {
				c.close()
				c = n.dial(t)
			}
		}
		c.close()
	}
	n.wellAfter(t, "changed bytes")
}
