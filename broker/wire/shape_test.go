package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// eachShape calls f for every key and version that has a shape.
func eachShape(t *testing.T, f func(t *testing.T, key, version int16)) {
	for key := range MaxKey + 1 {
		least, greatest, ok := ShapeVersions(key)
		if !ok {
			continue
		}
		for version := least; version <= greatest; version++ {
			t.Run(fmt.Sprintf("%s/v%d", KeyName(key), version), func(t *testing.T) { f(t, key, version) })
		}
	}
}

// newRequest is an empty request in one version.
func newRequest(key, version int16) kmsg.Request {
	k := kmsg.RequestForKey(key)
	k.SetVersion(version)
	return k
}

// randomRequest fills a request by reflection: every field gets random data.
func randomRequest(r *rand.Rand, key, version int16, elements int) kmsg.Request {
	k := newRequest(key, version)
	fill(r, reflect.ValueOf(k).Elem(), elements)
	k.SetVersion(version)
	return k
}

func fill(r *rand.Rand, v reflect.Value, elements int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	case reflect.Uint16:
		v.SetUint(uint64(r.IntN(1 << 16)))
	case reflect.String:
		n := r.IntN(20)
		if r.IntN(30) == 0 {
			n = r.IntN(math.MaxInt16 + 1)
		}
		v.SetString(strings.Repeat("s", n))
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(r.IntN(256)))
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), elements)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(bytes.Repeat([]byte{7}, r.IntN(300)))
			return
		}
		if n := r.IntN(elements + 2); n <= elements { // else null, or empty where null is not allowed
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(r, v.Index(i), elements)
			}
		}
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			for n := max(0, r.IntN(12)-8); n > 0; n-- {
				tags.Set(r.Uint32()>>r.IntN(32), bytes.Repeat([]byte{9}, r.IntN(40)))
			}
			return
		}
		for i := range v.NumField() {
			fill(r, v.Field(i), elements)
		}
	default:
		panic("no random value of kind " + v.Kind().String())
	}
}

// TestShapeAcceptsWhatClientsSend: whatever kmsg encodes is accepted, to the last
// byte, and needs no more memory than the estimate.
func TestShapeAcceptsWhatClientsSend(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 1))
	eachShape(t, func(t *testing.T, key, version int16) {
		for range 40 {
			body := randomRequest(r, key, version, r.IntN(6)).AppendTo(nil)
			s, err := CheckRequest(key, version, body)
			if err != nil {
				t.Fatalf("refused: %v\n%x", err, body)
			}
			if s.Size != len(body) {
				t.Fatalf("size=%d of %d bytes\n%x", s.Size, len(body), body)
			}
			withoutTags(t, key, version, body, s)
			// What follows is not the shape's concern.
			if again, err := CheckRequest(key, version, append(body, 1, 2, 3)); err != nil || again != s {
				t.Fatalf("with bytes behind: %+v, before %+v: %v", again, s, err)
			}
			for n := range 20 {
				cut := r.IntN(len(body) + 1)
				if n == 0 {
					cut = max(0, len(body)-1)
				}
				if s, err := CheckRequest(key, version, body[:cut:cut]); cut < len(body) && (err == nil || !errors.Is(err, ErrMalformed)) {
					t.Fatalf("accepted %d of %d bytes: %+v %v\n%x", cut, len(body), s, err, body)
				}
			}
		}
	})
}

// TestShapeMutations changes single bytes. What is accepted must decode, to the
// same number of elements, in time and memory that the shape foretold.
func TestShapeMutations(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 1))
	eachShape(t, func(t *testing.T, key, version int16) {
		for range 10 {
			body := randomRequest(r, key, version, 3).AppendTo(nil)
			for range 60 {
				if len(body) == 0 {
					break
				}
				at, was := r.IntN(min(len(body), 300)), byte(0)
				was, body[at] = body[at], byte(r.Uint32())
				decodeAccepted(t, key, version, body)
				body[at] = was
			}
		}
	})
}

// decodeAccepted decodes body with kmsg if it has a shape.
func decodeAccepted(t *testing.T, key, version int16, body []byte) {
	t.Helper()
	s, err := CheckRequest(key, version, body)
	if err != nil {
		if !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		return
	}
	if s.Size > len(body) || s.Elements > MaxElements || s.Elements > len(body) {
		t.Fatalf("impossible shape %+v of %d bytes", s, len(body))
	}
	if s.Tags > 0 {
		withoutTags(t, key, version, body, s)
	}
	k := newRequest(key, version)
	start := time.Now()
	if err := k.ReadFrom(body[:s.Size]); err != nil {
		t.Fatalf("accepted, but does not decode: %v\n%x", err, body)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Fatalf("decoding %d bytes took %v\n%x", len(body), took, body)
	}
	if n := countElements(reflect.ValueOf(k).Elem()); n != s.Elements {
		t.Fatalf("decoded elements=%d, shape has %d\n%x", n, s.Elements, body)
	}
	if n := len(k.AppendTo(nil)); n > s.Size {
		t.Fatalf("encodes to %d bytes, from %d\n%x", n, s.Size, body)
	}
}

// countElements counts array elements and tags of a decoded request.
func countElements(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n = countElements(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return 0
		}
		n = v.Len()
		for i := range v.Len() {
			n += countElements(v.Index(i))
		}
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			return tags.Len()
		}
		for i := range v.NumField() {
			n += countElements(v.Field(i))
		}
	default:
	}
	return n
}

// TestShapeRefuses has the bodies that the shape is there for.
func TestShapeRefuses(t *testing.T) {
	i16 := func(v int16) []byte { return appendInt16(nil, v) }
	i32 := func(v int32) []byte { return appendInt32(nil, v) }
	uv := func(v uint64) []byte { return binary.AppendUvarint(nil, v) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		key, version int16
		body         []byte
		why          string
	}{
		"no schema":              {KeyProduce, 9, nil, "no schema"},
		"version of the future":  {3, 14, nil, "no schema"},
		"version of the past":    {2, 0, nil, "no schema"},
		"unknown key":            {200, 0, nil, "no schema"},
		"2^32-1 tags":            {18, 3, join(uv(2), []byte("a"), uv(2), []byte("b"), uv(math.MaxUint32)), whyShort},
		"tags out of order":      {18, 3, join(uv(2), []byte("a"), uv(2), []byte("b"), []byte{2, 5, 0, 4, 0}), whyTags},
		"tag twice":              {18, 3, join(uv(2), []byte("a"), uv(2), []byte("b"), []byte{2, 5, 0, 5, 0}), whyTags},
		"tag beyond the end":     {18, 3, join(uv(2), []byte("a"), uv(2), []byte("b"), []byte{1, 5, 9, 0}), whyShort},
		"varint of six bytes":    {18, 3, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}, whyLength},
		"varint of 33 bits":      {18, 3, []byte{0xff, 0xff, 0xff, 0xff, 0x1f}, whyLength},
		"compact length 2^31":    {18, 3, join(uv(math.MaxInt32+1), []byte("a")), whyLength},
		"null name":              {18, 3, join(uv(0), uv(2), []byte("b"), uv(0)), whyNull},
		"string of 32 KiB":       {18, 3, join(uv(math.MaxInt16+2), make([]byte, math.MaxInt16+1), uv(1), uv(0)), whyLong},
		"negative string length": {12, 0, join(i16(-2), i32(1), i16(0)), whyNull},
		"negative count":         {42, 0, i32(-1), whyNull},
		"most negative count":    {42, 0, i32(math.MinInt32), whyNull},
		"greatest count":         {42, 0, i32(math.MaxInt32), whyShort},
		"count one too great":    {42, 0, join(i32(2), i16(0)), whyShort},
		"nested count":           {47, 0, join(i16(0), i32(1), i16(0), i32(3), i32(1), i32(2)), whyShort},
		"more elements than may": {35, 1, join(i32(1), i16(0), i32(MaxElements), make([]byte, 4*MaxElements)), whyElements},
		"more tags than may": {60, 0, join([]byte{1}, uv(MaxElements+1), func() (b []byte) {
			for i := range uint64(MaxElements + 1) {
				b = append(binary.AppendUvarint(b, i), 0)
			}
			return b
		}()), whyElements},
		"cursor that is neither": {75, 0, join(uv(1), i32(5), []byte{2}, uv(2), []byte("t"), i32(0), []byte{0, 0}), whyMarker},
	} {
		if s, err := CheckRequest(c.key, c.version, c.body); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %+v, %v; want: %s", name, s, err, c.why)
		}
	}
	for name, c := range map[string]struct {
		key, version int16
		body         []byte
	}{
		"null topics":             {3, 1, i32(-1)},
		"null by another number":  {3, 1, i32(-7)},
		"as many elements as may": {35, 1, join(i32(1), i16(0), i32(MaxElements-1), make([]byte, 4*(MaxElements-1)))},
		"null cursor":             {75, 0, join(uv(1), i32(5), []byte{0xff}, uv(0))},
		"cursor":                  {75, 0, join(uv(1), i32(5), []byte{1}, uv(2), []byte("t"), i32(0), []byte{0, 0})},
	} {
		if s, err := CheckRequest(c.key, c.version, c.body); err != nil || s.Size != len(c.body) {
			t.Errorf("%s: %+v of %d bytes, %v", name, s, len(c.body), err)
		}
	}
}

func BenchmarkCheckRequest(b *testing.B) {
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.MemberID = 9, "group", "consumer-1-4ff81a4c-3c06-4e54-9b06-7f6e9a5a9e1d"
	for _, name := range []string{"orders", "payments"} {
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic = name
		for i := range int32(3) {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Metadata = i, kmsg.StringPtr("")
			topic.Partitions = append(topic.Partitions, p)
		}
		commit.Topics = append(commit.Topics, topic)
	}
	heartbeat := kmsg.NewPtrHeartbeatRequest()
	heartbeat.Version, heartbeat.Group, heartbeat.MemberID = 4, "group", commit.MemberID
	for _, c := range []struct {
		name         string
		key, version int16
		body         []byte
	}{
		{"heartbeat", 12, 4, heartbeat.AppendTo(nil)},
		{"offset_commit_6", 8, 9, commit.AppendTo(nil)},
		{"describe_log_dirs_100000", 35, 1, append(append(appendInt32(nil, 1), 0, 0), append(appendInt32(nil, 100_000), make([]byte, 400_000)...)...)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(c.body)))
			for b.Loop() {
				if _, err := CheckRequest(c.key, c.version, c.body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// withoutTags checks that a body without its tagged fields is the same but for them.
func withoutTags(t *testing.T, key, version int16, body []byte, s Shape) {
	t.Helper()
	bare := WithoutTags(key, version, body)
	shape, err := CheckRequest(key, version, bare)
	if err != nil || shape.Size != len(bare) || shape.Tags != 0 || shape.Elements != s.Elements-s.Tags {
		t.Fatalf("without tags: %+v, with them %+v: %v\n%x\n%x", shape, s, err, bare, body)
	}
	whole, without := newRequest(key, version), newRequest(key, version)
	if err := whole.ReadFrom(body[:s.Size]); err != nil {
		t.Fatal(err)
	}
	if err := without.ReadFrom(bare); err != nil {
		t.Fatal(err)
	}
	clearTags(reflect.ValueOf(whole).Elem())
	if !reflect.DeepEqual(whole, without) {
		t.Fatalf("without tags it says something else\n%+v\n%+v", whole, without)
	}
}

// clearTags forgets the tagged fields of a request.
func clearTags(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			clearTags(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			clearTags(v.Index(i))
		}
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			*tags = kmsg.Tags{}
			return
		}
		for i := range v.NumField() {
			clearTags(v.Field(i))
		}
	default: // has none
	}
}
