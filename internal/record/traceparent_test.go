package record_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/tidelinehq/tideline/internal/record"
)

const (
	someTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	someSpan   = "00f067aa0ba902b7"
	someParent = "00-" + someTrace + "-" + someSpan + "-01"
)

func header(key, value string) record.Header {
	return record.Header{Key: []byte(key), Value: []byte(value)}
}

// buildOf makes a batch without a producer.
func buildOf(t testing.TB, codec record.Codec, records ...record.Record) record.Batch {
	return build(t, record.Options{Codec: codec, ProducerID: record.NoProducerID}, records)
}

// parent is what TraceParent found, as text.
func parent(b record.Batch, inflate int) string {
	id, span, flags, ok := record.TraceParent(b, inflate)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%x-%x-%02x", id, span, flags)
}

func TestTraceParentValues(t *testing.T) {
	for value, want := range map[string]string{
		someParent: someTrace + "-" + someSpan + "-01",
		"00-" + someTrace + "-" + someSpan + "-00":                            someTrace + "-" + someSpan + "-00",
		"00-" + someTrace + "-" + someSpan + "-03":                            someTrace + "-" + someSpan + "-03",
		"cc-" + someTrace + "-" + someSpan + "-ff":                            someTrace + "-" + someSpan + "-01",
		"cc-" + someTrace + "-" + someSpan + "-01-what":                       someTrace + "-" + someSpan + "-01",
		"cc-" + someTrace + "-" + someSpan + "-01.what":                       "",
		"cc-" + someTrace + "-" + someSpan + "-01what":                        "",
		"00-" + someTrace + "-" + someSpan + "-01-":                           "",
		"00-" + someTrace + "-" + someSpan + "-1":                             "",
		"ff-" + someTrace + "-" + someSpan + "-01":                            "",
		"0x-" + someTrace + "-" + someSpan + "-01":                            "",
		"00-" + strings.Repeat("0", 32) + "-" + someSpan + "-01":              "",
		"00-" + someTrace + "-0000000000000000-01":                            "",
		"00-" + strings.ToUpper(someTrace) + "-" + someSpan + "-01":           "",
		"00-" + someTrace + "-" + strings.ToUpper("00f067aa0ba902bF") + "-01": "",
		"00-" + someTrace + "-" + someSpan + "-0G":                            "",
		"00_" + someTrace + "-" + someSpan + "-01":                            "",
		"00-" + someTrace + "_" + someSpan + "-01":                            "",
		"00-" + someTrace + "-" + someSpan + "_01":                            "",
		"": "",
	} {
		if got := parent(buildOf(t, record.None, record.Record{Headers: []record.Header{header("traceparent", value)}}), 0); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

// TestTraceParentPlaces: it is found on any of the first records, in any codec, among other headers.
func TestTraceParentPlaces(t *testing.T) {
	want := someTrace + "-" + someSpan + "-01"
	traced := record.Record{Key: []byte("k"), Value: bytes.Repeat([]byte("v"), 700), Headers: []record.Header{
		header("a", "b"), {Key: []byte("null")}, header("traceparent", "nonsense"), header("traceparent", someParent),
	}}
	other := record.Record{Value: bytes.Repeat([]byte("w"), 700), Headers: []record.Header{header("tracestate", someParent)}}
	for codec := record.None; codec <= record.Zstd; codec++ {
		for at := range 8 {
			records := make([]record.Record, 20)
			for i := range records {
				records[i] = other
			}
			records[at] = traced
			b := buildOf(t, codec, records...)
			if got := parent(b, 16<<10); got != want {
				t.Errorf("%v, record %d: %q", codec, at, got)
			}
			// Records that do not follow it, or are cut off, do not matter.
			if got := parent(b[:len(b)-1], 16<<10); codec == record.None && got != want {
				t.Errorf("%v, record %d, cut short: %q", codec, at, got)
			}
			if got := parent(b, 0); (got == want) != (codec == record.None) {
				t.Errorf("%v, record %d, nothing may be inflated: %q", codec, at, got)
			}
		}
		far := make([]record.Record, 9)
		far[8] = traced
		if got := parent(buildOf(t, codec, far...), 16<<10); got != "" {
			t.Errorf("%v: found on the ninth record", codec)
		}
	}
	many := record.Record{}
	for range 64 {
		many.Headers = append(many.Headers, header("a", "b"))
	}
	many.Headers = append(many.Headers, header("traceparent", someParent))
	if got := parent(buildOf(t, record.None, many), 0); got != "" {
		t.Error("found behind 64 other headers")
	}
	if got := parent(buildOf(t, record.None), 0); got != "" {
		t.Error("found in an empty batch")
	}
	if got := parent(make(record.Batch, 10), 0); got != "" {
		t.Error("found in no batch")
	}
}

// TestTraceParentInflatesNoMore: what lies behind the bound is not found, whatever is asked for.
func TestTraceParentInflatesNoMore(t *testing.T) {
	for codec := record.Gzip; codec <= record.Zstd; codec++ {
		for _, size := range []int{1 << 10, 30 << 10, 200 << 10} {
			noise := make([]byte, size)
			r := rand.New(rand.NewPCG(1, uint64(size)))
			for i := range noise {
				noise[i] = "ab"[r.IntN(2)]
			}
			b := buildOf(t, codec, record.Record{Value: noise, Headers: []record.Header{header("traceparent", someParent)}})
			for _, inflate := range []int{2 << 10, 16 << 10, 1 << 30} {
				found := parent(b, inflate) != ""
				if within := size < min(inflate, record.MaxTraceInflate); found != within {
					t.Errorf("%v: value of %d bytes, inflate %d: found=%t", codec, size, inflate, found)
				}
			}
		}
	}
}

// TestTraceParentOfRawSnappy: clients outside of Java make one block of all records.
func TestTraceParentOfRawSnappy(t *testing.T) {
	records := []record.Record{{Value: bytes.Repeat([]byte("tide"), 500), Headers: []record.Header{header("traceparent", someParent)}}}
	for range 1000 {
		records = append(records, record.Record{Value: []byte("another record, and another")})
	}
	plain := buildOf(t, record.None, records...)
	b := append(bytes.Clone(plain[:record.HeaderSize]), s2.EncodeSnappy(nil, plain[record.HeaderSize:])...)
	b[22] |= byte(record.Snappy)
	if got := parent(b, 4<<10); got != someTrace+"-"+someSpan+"-01" {
		t.Error(got)
	}
}

// reference finds the header the slow way.
func reference(t testing.TB, b record.Batch) string {
	headers := 64
	n := 0
	for r, err := range b.Records(fuzzBound) {
		if err != nil || n == 8 {
			break
		}
		n++
		for _, h := range r.Headers {
			if headers == 0 {
				return ""
			}
			headers--
			if string(h.Key) != "traceparent" {
				continue
			}
			id, span, flags, ok := record.TraceParent(buildOf(t, record.None, record.Record{Headers: []record.Header{h}}), 0)
			if ok {
				return fmt.Sprintf("%x-%x-%02x", id, span, flags)
			}
		}
	}
	return ""
}

// FuzzTraceParent feeds arbitrary bytes to it, and compares what it finds in valid batches with the slow way.
func FuzzTraceParent(f *testing.F) {
	for codec := range goldenCodecs {
		f.Add(readHex(f, goldenPath(codec)))
	}
	for codec := record.None; codec <= record.Zstd; codec++ {
		f.Add([]byte(buildOf(f, codec, record.Record{Value: []byte("v"), Headers: []record.Header{header("x", "y"), header("traceparent", someParent)}})))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got := parent(in, record.MaxTraceInflate)
		if len(in) < record.HeaderSize {
			return
		}
		b := reseal(bytes.Clone(in))
		summary, err := b.ValidateProduced(fuzzBound)
		if err != nil || summary.Bytes > record.MaxTraceInflate && b.Codec() != record.None {
			return
		}
		if want := reference(t, b); got != want {
			t.Fatalf("found %q, want %q", got, want)
		}
	})
}

// FuzzBegin compares the beginning of what each codec inflates with the whole of it.
func FuzzBegin(f *testing.F) {
	for codec := record.Gzip; codec <= record.Zstd; codec++ {
		small, err := codec.Compress(nil, bytes.Repeat([]byte("tide"), 100))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(int8(codec), 50, small)
	}
	f.Add(int8(record.Snappy), 50, s2.EncodeSnappy(nil, bytes.Repeat([]byte("tideline"), 100)))
	f.Fuzz(func(t *testing.T, codec int8, room int, in []byte) {
		if room < 0 || room > 1<<16 {
			return
		}
		head := []byte("head")
		begun := record.Begin(record.Codec(codec), append(make([]byte, 0, len(head)+room), head...), in)
		if len(begun) > len(head)+room || !bytes.HasPrefix(begun, head) {
			t.Fatalf("%d bytes of %d", len(begun), room)
		}
		whole, err := record.Codec(codec).Decompress(nil, in, fuzzBound)
		if err != nil || record.Codec(codec) == record.None {
			return
		}
		want := whole[:min(len(whole), room)]
		if record.Codec(codec) == record.Zstd && bytes.HasPrefix(want, begun[len(head):]) {
			return // its window may be too large
		}
		if !bytes.Equal(begun[len(head):], want) {
			t.Fatalf("%v begins with %s, want %s", record.Codec(codec), hex.EncodeToString(begun[len(head):]), hex.EncodeToString(want))
		}
	})
}
