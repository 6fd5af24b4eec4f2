package record_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/internal/record"
)

var codecs = []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}

func collect(t testing.TB, b record.Batch) []record.Record {
	t.Helper()
	var got []record.Record
	for r, err := range b.Records(64 << 20) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	return got
}

func wantRecords(t testing.TB, b record.Batch, want []record.Record) {
	t.Helper()
	got := collect(t, b)
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("record %d\n got %#v\nwant %#v", i, got[i], want[i])
		}
	}
}

func randomBytes(r *rand.Rand, max int) []byte {
	switch r.IntN(4) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, r.IntN(max))
	for i := range b {
		b[i] = "tideline"[r.IntN(8)]
	}
	return b
}

func randomRecords(r *rand.Rand, n int, base int64) []record.Record {
	out := make([]record.Record, n)
	for i := range out {
		out[i] = record.Record{Offset: base + int64(i), Timestamp: 1e12 + r.Int64N(1e9) - 5e8, Key: randomBytes(r, 40), Value: randomBytes(r, 3000)}
		for range r.IntN(4) {
			k := randomBytes(r, 10)
			if k == nil {
				k = []byte{}
			}
			out[i].Headers = append(out[i].Headers, record.Header{Key: k, Value: randomBytes(r, 20)})
		}
	}
	return out
}

func build(t testing.TB, o record.Options, records []record.Record) record.Batch {
	t.Helper()
	w := record.NewBuilder(o)
	for _, r := range records {
		bound := w.SizeWith(r)
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
		if w.Size() > bound {
			t.Fatalf("size %d above its bound %d", w.Size(), bound)
		}
	}
	return w.Build()
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, codec := range codecs {
		for n := range 40 {
			base := r.Int64N(1 << 40)
			records := randomRecords(r, 1+n, base)
			o := record.Options{Codec: codec, BaseOffset: base, LeaderEpoch: 7, ProducerID: 9, ProducerEpoch: 3, Sequence: 100, Transactional: n%2 == 0}
			b := build(t, o, records)
			if err := b.Validate(); err != nil {
				t.Fatalf("%v: %v", codec, err)
			}
			wantRecords(t, b, records)
			if b.LastOffset() != base+int64(n) || b.NextOffset() != base+int64(n)+1 || b.Count() != int32(n+1) || b.LeaderEpoch() != 7 ||
				b.ProducerID() != 9 || b.ProducerEpoch() != 3 || b.BaseSequence() != 100 || b.LastSequence() != int32(100+n) ||
				b.Transactional() != (n%2 == 0) || b.Control() || b.LogAppendTime() || b.Size() != len(b) {
				t.Fatalf("header fields of %x", b[:record.HeaderSize])
			}
		}
	}
}

// TestPatch shows that base offset and leader epoch lie outside the checksum.
func TestPatch(t *testing.T) {
	b := build(t, record.Options{ProducerID: -1}, goldenRecords())
	b.SetBaseOffset(1 << 40)
	b.SetLeaderEpoch(12)
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, b); got[2].Offset != 1<<40+2 {
		t.Fatalf("offset %d", got[2].Offset)
	}
	b.SetAppendTime(42)
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := collect(t, b); got[3].Timestamp != 42 || b.MaxTimestamp() != 42 || !b.LogAppendTime() {
		t.Fatal("append time does not reach the records")
	}
	b.SetCreateTime(77)
	if got := collect(t, b); got[3].Timestamp == 42 || b.MaxTimestamp() != 77 || b.LogAppendTime() || b.Validate() != nil {
		t.Fatal("create time does not come back")
	}
}

func TestSequenceWraps(t *testing.T) {
	if got := record.AddSequence(math.MaxInt32, 1); got != 0 {
		t.Fatal(got)
	}
	if got := record.AddSequence(math.MaxInt32-1, 4); got != 2 {
		t.Fatal(got)
	}
}

func TestCompacted(t *testing.T) {
	w := record.NewBuilder(record.Options{Codec: record.Zstd, BaseOffset: 100, ProducerID: -1, DeleteHorizon: 5000})
	records := []record.Record{{Offset: 103, Timestamp: 10, Key: []byte("a")}, {Offset: 110, Timestamp: 12, Key: []byte("b"), Value: []byte("v")}}
	for _, r := range records {
		if err := w.AddAt(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.AddAt(record.Record{Offset: 110}); !errors.Is(err, record.ErrInvalid) {
		t.Fatal(err)
	}
	if err := w.SetLastOffset(120); err != nil {
		t.Fatal(err)
	}
	b := w.Build()
	if err := errors.Join(b.ValidateHeader(), b.ValidateCRC()); err != nil {
		t.Fatal(err)
	}
	if err := b.Validate(); !errors.Is(err, record.ErrInvalid) {
		t.Fatalf("a batch with gaps passed as dense: %v", err)
	}
	if b.LastOffset() != 120 || !b.DeleteHorizon() || b.FirstTimestamp() != 5000 || b.MaxTimestamp() != 12 {
		t.Fatalf("header %x", b[:record.HeaderSize])
	}
	wantRecords(t, b, records)

	w.Reset(record.Options{BaseOffset: 7, ProducerID: 3, Sequence: 1})
	if w.Build() != nil {
		t.Fatal("a batch out of nothing")
	}
	if err := w.SetLastOffset(9); err != nil {
		t.Fatal(err)
	}
	if b = w.Build(); b.Count() != 0 || b.NextOffset() != 10 || len(b) != record.HeaderSize || b.ValidateHeader() != nil || len(collect(t, b)) != 0 {
		t.Fatalf("emptied batch %x", b)
	}
}

func TestControl(t *testing.T) {
	b := build(t, record.Options{ProducerID: 5, Sequence: record.NoSequence, Transactional: true, Control: true},
		[]record.Record{record.ControlRecord(record.Commit, 8, 1234)})
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ValidateProduced(1 << 20); !errors.Is(err, record.ErrInvalid) {
		t.Fatalf("a producer's control batch passed: %v", err)
	}
	kind, epoch, err := record.ParseControl(collect(t, b)[0])
	if err != nil || kind != record.Commit || epoch != 8 || !b.Control() {
		t.Fatal(kind, epoch, err)
	}
	if _, _, err := record.ParseControl(record.Record{Key: []byte{0}}); !errors.Is(err, record.ErrCorrupt) {
		t.Fatal(err)
	}
}

func TestNext(t *testing.T) {
	one := build(t, record.Options{ProducerID: -1}, goldenRecords())
	two := append(bytes.Clone(one), one...)
	n := 0
	for b, err := range record.All(two) {
		if err != nil || !bytes.Equal(b, one) {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Fatal(n)
	}
	for cut := range len(one) {
		if _, _, err := record.Next(one[:cut]); !errors.Is(err, record.ErrShort) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	with := func(at int, v byte) []byte { c := bytes.Clone(one); c[at] = v; return c }
	for name, c := range map[string]struct {
		b   []byte
		err error
	}{
		"magic 1":         {with(16, 1), record.ErrMagic},
		"magic 0 short":   {append(make([]byte, 16), 0, 1, 2), record.ErrMagic},
		"negative length": {with(8, 0xff), record.ErrCorrupt},
		"short length":    {append(binary.BigEndian.AppendUint32(make([]byte, 8), 48), one[12:]...), record.ErrCorrupt},
		"huge length":     {with(8, 0x7f), record.ErrShort},
		"empty":           {nil, record.ErrShort},
	} {
		if _, _, err := record.Next(c.b); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
	if _, err := record.Parse(two); !errors.Is(err, record.ErrCorrupt) {
		t.Fatal(err)
	}
}

// reseal stores the CRC that fits, so that a test reaches what lies behind it.
func reseal(b []byte) record.Batch {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return record.Batch(b)
}

func TestValidateRefuses(t *testing.T) {
	body := func(hex ...byte) func([]byte) []byte {
		return func(b []byte) []byte {
			b = append(b[:record.HeaderSize], hex...)
			binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
			return b
		}
	}
	put := func(at int, v ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], v); return b }
	}
	ok := []byte{16, 0, 0, 0, 2, 'k', 2, 'v', 0} // one record: length 8, k, v, no headers
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		err    error
	}{
		{"nothing", body(ok...), nil},
		{"codec 5", put(21, 0, 5), record.ErrCodec},
		{"count 0", put(57, 0, 0, 0, 0), record.ErrInvalid},
		{"count -1", put(57, 255, 255, 255, 255), record.ErrInvalid},
		{"count 2 of delta 0", put(57, 0, 0, 0, 2), record.ErrInvalid},
		{"delta 1 of count 1", put(23, 0, 0, 0, 1), record.ErrInvalid},
		{"negative delta", put(23, 255, 0, 0, 0), record.ErrInvalid},
		{"count above the records", put(23, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 2), record.ErrCorrupt},
		{"transactional without producer", put(21, 0, 16), record.ErrInvalid},
		{"producer without epoch", put(43, 0, 0, 0, 0, 0, 0, 0, 9), record.ErrInvalid},
		{"producer without sequence", put(43, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0), record.ErrInvalid},
		{"producer id -2", put(50, 254), record.ErrInvalid},
		{"control", put(21, 0, 32), record.ErrInvalid},
		{"delete horizon", put(21, 0, 64), record.ErrInvalid},
		{"base offset 1", put(7, 1), record.ErrInvalid},
		{"base offset negative", put(0, 128), record.ErrInvalid},
		{"first offset delta 1", body(16, 0, 0, 2, 2, 'k', 2, 'v', 0), record.ErrInvalid},
		{"no body", body(), record.ErrCorrupt},
		{"trailing byte", body(append(bytes.Clone(ok), 0)...), record.ErrCorrupt},
		{"length too long", body(18, 0, 0, 0, 2, 'k', 2, 'v', 0), record.ErrCorrupt},
		{"length too short", body(14, 0, 0, 0, 2, 'k', 2, 'v', 0), record.ErrCorrupt},
		{"negative length", body(1, 0, 0, 0, 2, 'k', 2, 'v', 0), record.ErrCorrupt},
		{"key length -2", body(16, 0, 0, 0, 3, 'k', 2, 'v', 0), record.ErrCorrupt},
		{"key beyond the end", body(16, 0, 0, 0, 80, 'k', 2, 'v', 0), record.ErrCorrupt},
		{"value beyond the end", body(16, 0, 0, 0, 2, 'k', 80, 'v', 0), record.ErrCorrupt},
		{"header count -1", body(16, 0, 0, 0, 2, 'k', 2, 'v', 1), record.ErrCorrupt},
		{"header count 5", body(16, 0, 0, 0, 2, 'k', 2, 'v', 10), record.ErrCorrupt},
		{"null header key", body(20, 0, 0, 0, 2, 'k', 2, 'v', 2, 1, 1), record.ErrCorrupt},
		{"varint of 11 bytes", body(36, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 2, 'k', 2, 'v', 0), record.ErrCorrupt},
		{"length of 33 bits", body(0x90, 0x80, 0x80, 0x80, 0x20, 0, 0, 0, 2, 'k', 2, 'v', 0), record.ErrCorrupt},
		{"bytes are not gzip", put(21, 0, 1), record.ErrCorrupt},
		{"bytes are not snappy", put(21, 0, 2), record.ErrCorrupt},
		{"bytes are not lz4", put(21, 0, 3), record.ErrCorrupt},
		{"bytes are not zstd", put(21, 0, 4), record.ErrCorrupt},
	} {
		b := build(t, record.Options{ProducerID: -1}, []record.Record{{Key: []byte("k"), Value: []byte("v")}})
		bad := reseal(c.change(b))
		_, err := bad.ValidateProduced(1 << 20)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
	}
	b := build(t, record.Options{ProducerID: -1}, goldenRecords())
	b[len(b)-1] ^= 1
	if err := b.Validate(); !errors.Is(err, record.ErrChecksum) || !errors.Is(err, record.ErrCorrupt) {
		t.Fatal(err)
	}
}

// TestBomb shows that a small batch which inflates beyond the bound costs little.
func TestBomb(t *testing.T) {
	zeros := make([]byte, 8<<20)
	for _, codec := range codecs[1:] {
		small, err := codec.Compress(nil, zeros)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := codec.Decompress(nil, small, len(zeros)-1); !errors.Is(err, record.ErrTooLarge) {
				t.Fatalf("%v: %v", codec, err)
			}
		}
		got, err := codec.Decompress([]byte("kept"), small, len(zeros))
		if err != nil || len(got) != 4+len(zeros) || string(got[:4]) != "kept" {
			t.Fatalf("%v at its exact size: %v", codec, err)
		}
		for cut := 1; cut < len(small); cut += 1 + len(small)/50 {
			if out, err := codec.Decompress(nil, small[:cut], 1<<20); err == nil && len(out) > 1<<20 {
				t.Fatalf("%v cut at %d: bytes=%d", codec, cut, len(out))
			}
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const runs = 5
		for range runs {
			if _, err := codec.Decompress(nil, small, 1<<20); !errors.Is(err, record.ErrTooLarge) {
				t.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / runs; n > 4<<20 {
			t.Errorf("%v: %d bytes allocated under a bound of 1 MiB", codec, n)
		}
	}
}

// TestForeignCodecs exchanges compressed bytes with franz-go in both directions;
// its snappy is one raw block, ours is Java's framing.
func TestForeignCodecs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	undo := kgo.DefaultDecompressor()
	for codec, foreign := range goldenCodecs {
		if codec == record.None {
			continue
		}
		do, err := kgo.DefaultCompressor(foreign)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 100, 32 << 10, 200_000} {
			src := make([]byte, n)
			for i := range src {
				src[i] = "abcdefgh"[r.IntN(8)]
			}
			theirs, _ := do.Compress(new(bytes.Buffer), src)
			if got, err := codec.Decompress(nil, theirs, n); err != nil || !bytes.Equal(got, src) {
				t.Fatalf("%v of %d bytes from franz-go: %v", codec, n, err)
			}
			ours, err := codec.Compress(nil, src)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := undo.Decompress(ours, kgo.CompressionCodecType(codec)); err != nil || !bytes.Equal(got, src) {
				t.Fatalf("%v of %d bytes to franz-go: %v", codec, n, err)
			}
		}
	}
}

func TestCodecNames(t *testing.T) {
	for _, c := range codecs {
		if got, err := record.ParseCodec(c.String()); err != nil || got != c {
			t.Fatal(got, err)
		}
	}
	if _, err := record.ParseCodec("brotli"); !errors.Is(err, record.ErrCodec) {
		t.Fatal(err)
	}
	if s := fmt.Sprint(record.Codec(6)); s != "codec(6)" {
		t.Fatal(s)
	}
	if _, err := record.Codec(6).Compress(nil, nil); !errors.Is(err, record.ErrCodec) {
		t.Fatal(err)
	}
	if _, err := record.Codec(-1).Decompress(nil, nil, 1); !errors.Is(err, record.ErrCodec) {
		t.Fatal(err)
	}
}
