package record_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

const fuzzBound = 1 << 20

// FuzzBatch feeds arbitrary bytes through all readers, once as they are and once
// with a fitting checksum. Batches that validate must read back as many records
// as they claim, and survive a rebuild.
func FuzzBatch(f *testing.F) {
	for codec := range goldenCodecs {
		f.Add(readHex(f, goldenPath(codec)))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		for b, err := range record.All(in) {
			if err != nil {
				if !errors.Is(err, record.ErrShort) && !errors.Is(err, record.ErrMagic) && !errors.Is(err, record.ErrCorrupt) {
					t.Fatal(err)
				}
				break
			}
			readAll(t, b)
			readAll(t, reseal(bytes.Clone(b)))
		}
	})
}

func readAll(t *testing.T, b record.Batch) {
	summary, invalid := b.ValidateProduced(fuzzBound)
	var got []record.Record
	for r, err := range b.Records(fuzzBound) {
		if err != nil {
			if invalid == nil {
				t.Fatalf("valid batch, but %v", err)
			}
			return
		}
		got = append(got, r)
	}
	at := 0
	times := b.Times(fuzzBound, func(offset, timestamp int64) bool {
		if at < len(got) && (got[at].Offset != offset || got[at].Timestamp != timestamp) {
			t.Fatalf("record %d has offset=%d timestamp=%d, among the times offset=%d timestamp=%d", at, got[at].Offset, got[at].Timestamp, offset, timestamp)
		}
		at++
		return true
	})
	if times != nil || at != len(got) {
		t.Fatalf("%d times of %d records: %v", at, len(got), times)
	}
	if invalid != nil {
		return
	}
	if len(got) != int(b.Count()) || summary.Bytes > fuzzBound {
		t.Fatalf("%d records of %d, %+v", len(got), b.Count(), summary)
	}
	w := record.NewBuilder(record.Options{ProducerID: -1})
	for _, r := range got {
		if err := w.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	again := w.Build()
	if _, err := again.ValidateProduced(fuzzBound * 4); err != nil {
		t.Fatal(err)
	}
	wantRecords(t, again, got)
	for c := record.None; c <= record.Zstd; c++ {
		other, of, err := b.Recompress(record.Compression{Codec: c, Level: record.UsualLevel}, fuzzBound)
		if err != nil || of != summary || other.Codec() != c || other.Validate() != nil {
			t.Fatalf("in %v: %+v of %+v, %v, %v", c, of, summary, err, other.Validate())
		}
		wantRecords(t, other, got)
	}
}

// FuzzDecompress looks for panics and for outputs beyond the bound.
func FuzzDecompress(f *testing.F) {
	for _, codec := range codecs {
		small, err := codec.Compress(nil, bytes.Repeat([]byte("tide"), 100))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(int8(codec), small)
	}
	f.Fuzz(func(t *testing.T, codec int8, in []byte) {
		out, err := record.Codec(codec).Decompress(nil, in, fuzzBound)
		if len(out) > fuzzBound {
			t.Fatalf("%d bytes", len(out))
		}
		if err != nil && !errors.Is(err, record.ErrTooLarge) && !errors.Is(err, record.ErrCorrupt) && !errors.Is(err, record.ErrCodec) {
			t.Fatal(err)
		}
	})
}

// FuzzRoundTrip compresses and restores arbitrary bytes.
func FuzzRoundTrip(f *testing.F) {
	f.Add(int8(2), []byte("tide"))
	f.Fuzz(func(t *testing.T, codec int8, in []byte) {
		c := record.Codec(uint8(codec) % 5)
		small, err := c.Compress([]byte("head"), in)
		if err != nil || string(small[:4]) != "head" {
			t.Fatal(err)
		}
		if out, err := c.Decompress(nil, small[4:], len(in)); err != nil || !bytes.Equal(out, in) {
			t.Fatalf("%v: %v", c, err)
		}
	})
}
