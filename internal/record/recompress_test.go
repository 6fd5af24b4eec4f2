package record

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
)

// TestRecompress: whatever comes in goes out in another codec, with the same records under the
// same header.
func TestRecompress(t *testing.T) {
	var targets []Compression
	for c := None; c <= Zstd; c++ {
		targets = append(targets, Compression{Codec: c, Level: UsualLevel})
	}
	for _, level := range []int{-1, 1, 6, 9} {
		targets = append(targets, Compression{Gzip, level})
	}
	for _, level := range []int{1, 8, 9, 10, 17} {
		targets = append(targets, Compression{LZ4, level})
	}
	for _, level := range []int{-131072, -1, 0, 1, 3, 7, 22} {
		targets = append(targets, Compression{Zstd, level})
	}
	for from := None; from <= Zstd; from++ {
		b := NewBuilder(Options{Codec: from, ProducerID: 7, ProducerEpoch: 3, Sequence: 11, Transactional: true})
		for i := range 50 {
			if err := b.Add(Record{Key: []byte{byte(i)}, Value: bytes.Repeat([]byte("tide"), 30), Timestamp: int64(1000 + i%7), Headers: []Header{{Key: []byte("h")}}}); err != nil {
				t.Fatal(err)
			}
		}
		in := b.Build()
		before := bytes.Clone(in)
		for _, to := range targets {
			t.Run(fmt.Sprintf("%v to %v at %d", from, to.Codec, to.Level), func(t *testing.T) {
				out, summary, err := in.Recompress(to, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if err := out.Validate(); err != nil {
					t.Fatal(err)
				}
				if out.Codec() != to.Codec || out.Count() != 50 || out.ProducerID() != 7 || out.BaseSequence() != 11 || !out.Transactional() || summary.MaxTimestamp != 1006 {
					t.Errorf("codec=%v count=%d producer=%d sequence=%d summary=%+v", out.Codec(), out.Count(), out.ProducerID(), out.BaseSequence(), summary)
				}
				if !bytes.Equal(in, before) {
					t.Error("the batch that came in was changed")
				}
				back, _, err := out.Recompress(Compression{Codec: None, Level: UsualLevel}, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				plain, _, err := in.Recompress(Compression{Codec: None, Level: UsualLevel}, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(back, plain) {
					t.Error("other records")
				}
			})
		}
	}
}

// TestRecompressIsBounded: a batch that inflates a thousandfold costs no more than the bound.
func TestRecompressIsBounded(t *testing.T) {
	for _, codec := range []Codec{Gzip, LZ4, Zstd} { // one byte of snappy never becomes more than 22
		b := NewBuilder(Options{Codec: codec, ProducerID: NoProducerID})
		if err := b.Add(Record{Value: make([]byte, 16<<20)}); err != nil {
			t.Fatal(err)
		}
		bomb := b.Build()
		if codec != LZ4 && len(bomb)*900 > 16<<20 {
			t.Fatalf("%v: %d bytes are no bomb", codec, len(bomb))
		}
		if _, _, err := bomb.Recompress(Compression{Codec: None, Level: UsualLevel}, 1<<20); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: %v", codec, err)
		}
		if out, _, err := bomb.Recompress(Compression{Codec: Zstd, Level: 3}, math.MaxInt32); err != nil || len(out) > 1<<20 {
			t.Errorf("%v: %d bytes, %v", codec, len(out), err)
		}
	}
}
