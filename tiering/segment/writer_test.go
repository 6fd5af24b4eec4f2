package segment

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

// However the batches are handed over, the bytes are the same.
func TestWriterIsDeterministic(t *testing.T) {
	all, _ := log(0, 300, 3, 700, rand.New(rand.NewPCG(5, 5)))
	start := SectionStart{Topic: [16]byte{1}, Base: 0}
	opts := WriterOptions{BlockBytes: 16 << 10}
	whole, _ := write(t, opts, part{start: start, batches: [][]byte{all}})
	var single [][]byte
	for b := range Batches(all) {
		single = append(single, b)
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for range 20 {
		var runs [][]byte
		for i := 0; i < len(single); {
			n := min(1+rng.IntN(40), len(single)-i)
			runs = append(runs, slices.Concat(single[i:i+n]...))
			i += n
		}
		if got, _ := write(t, opts, part{start: start, batches: runs}); !bytes.Equal(got, whole) {
			t.Fatal("other bytes for another split of the appends")
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	good, end := log(10, 2, 2, 100, nil)
	damaged := bytes.Clone(good)
	damaged[len(damaged)-1]++
	for _, tc := range []struct {
		name string
		do   func(w *Writer) error
		want error
	}{
		{"append outside", func(w *Writer) error { return w.Append(good) }, ErrOrder},
		{"damaged batch", func(w *Writer) error { return errors.Join(w.Begin(SectionStart{Base: 10}), w.Append(damaged)) }, record.ErrCorrupt},
		{"cut batch", func(w *Writer) error {
			return errors.Join(w.Begin(SectionStart{Base: 10}), w.Append(good[:len(good)-1]))
		}, record.ErrShort},
		{"gap", func(w *Writer) error { return errors.Join(w.Begin(SectionStart{Base: 9}), w.Append(good)) }, ErrOrder},
		{"overlap", func(w *Writer) error {
			return errors.Join(w.Begin(SectionStart{Base: 10}), w.Append(good), w.Append(good))
		}, ErrOrder},
		{"sparse overlap", func(w *Writer) error {
			return errors.Join(w.Begin(SectionStart{Base: 11, Sparse: true}), w.Append(good))
		}, ErrOrder},
		{"nested begin", func(w *Writer) error { return errors.Join(w.Begin(SectionStart{}), w.Begin(SectionStart{})) }, ErrOrder},
		{"finish in a section", func(w *Writer) error {
			_, err := w.Finish()
			return errors.Join(w.Begin(SectionStart{}), err, second(w.Finish()))
		}, ErrOrder},
		{"end beyond the batches", func(w *Writer) error {
			return errors.Join(w.Begin(SectionStart{Base: 10}), w.Append(good), second(w.End(SectionEnd{End: end + 1})))
		}, ErrOrder},
		{"aborted outside", func(w *Writer) error {
			return errors.Join(w.Begin(SectionStart{Base: 10}), w.Append(good), second(w.End(SectionEnd{Aborted: []AbortedTxn{{1, 98, 99, 1}}})))
		}, ErrCorrupt},
		{"use after close", func(w *Writer) error { w.Close(); return w.Begin(SectionStart{}) }, ErrOrder},
	} {
		w, err := NewWriter(io.Discard, WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := tc.do(w); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
		if second(w.Finish()) == nil {
			t.Errorf("%s: the writer went on after its error", tc.name)
		}
	}
	if _, err := NewWriter(io.Discard, WriterOptions{BlockBytes: 1}); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

type failingWriter struct{ left int }

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}

func TestWriterKeepsTheFirstError(t *testing.T) {
	all, _ := log(0, 100, 10, 1000, rand.New(rand.NewPCG(1, 1)))
	w, err := NewWriter(&failingWriter{left: 100 << 10}, WriterOptions{BlockBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(SectionStart{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Append(all); !errors.Is(err, io.ErrClosedPipe) {
			t.Fatal(err)
		}
	}
	if _, err := w.End(SectionEnd{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Fatal(err)
	}
	w.Close()
}

// Memory of a Writer does not depend on what it writes.
func TestWriterMemoryIsBounded(t *testing.T) {
	w, err := NewWriter(io.Discard, WriterOptions{BlockBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Begin(SectionStart{}); err != nil {
		t.Fatal(err)
	}
	next := int64(0)
	for range 50 {
		var all []byte
		all, next = log(next, 30, 10, 1000, nil)
		if err := w.Append(all); err != nil {
			t.Fatal(err)
		}
		if held := cap(w.block) + cap(w.packed); held > 4*64<<10 {
			t.Fatalf("writer holds %d bytes", held)
		}
	}
	if _, err := w.End(SectionEnd{}); err != nil {
		t.Fatal(err)
	}
}
