package record_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

type stamp struct{ offset, timestamp int64 }

func timesOf(b record.Batch, maxBytes int) (out []stamp, err error) {
	err = b.Times(maxBytes, func(offset, timestamp int64) bool {
		out = append(out, stamp{offset, timestamp})
		return true
	})
	return out, err
}

// TestTimes: the times are those that the records have.
func TestTimes(t *testing.T) {
	for _, codec := range codecs {
		w := record.NewBuilder(record.Options{Codec: codec, ProducerID: -1})
		for i := range 50 {
			r := record.Record{Timestamp: 1e12 + int64(i*i%17), Value: []byte("v"), Headers: []record.Header{{Key: []byte("h")}}}
			if err := w.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		batch := w.Build()
		var want []stamp
		for r, err := range batch.Records(1 << 20) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, stamp{r.Offset, r.Timestamp})
		}
		got, err := timesOf(batch, 1<<20)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %v %v", codec, got, err)
		}
		n := 0
		if err := batch.Times(1<<20, func(int64, int64) bool { n++; return n < 3 }); err != nil || n != 3 {
			t.Errorf("%v: stopped after %d: %v", codec, n, err)
		}
		if codec != record.None {
			if _, err := timesOf(batch, 10); !errors.Is(err, record.ErrTooLarge) {
				t.Errorf("%v: beyond the bound: %v", codec, err)
			}
		}
	}
	if _, err := timesOf(record.Batch("short"), 1); !errors.Is(err, record.ErrShort) {
		t.Error(err)
	}
	torn := slices.Clone(sized(t, record.None, 1<<10, 100))
	torn[record.HeaderSize+1] ^= 0x40
	torn[record.HeaderSize] = 0x7f
	if _, err := timesOf(torn, 1<<20); !errors.Is(err, record.ErrCorrupt) {
		t.Errorf("torn: %v", err)
	}
}
