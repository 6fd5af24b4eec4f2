package tiering

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// A hundred consumers ask for one block while its GET is under way: one GET. Those who leave change nothing.
func TestConsumersShareOneGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, small)
		slow := faultstore.New(h.store, 1, faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Slow, Delay: time.Second})
		r := h.reader(t, slow, nil)
		before := h.store.Counts().Get
		leaving, leave := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for i := range 100 {
			group.Go(func() {
				ctx := t.Context()
				if i%2 == 0 {
					ctx = leaving
				}
				c, err := r.Read(ctx, h.request(5, 5000))
				if i%2 == 0 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("left with %v", err)
					}
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				c.Release()
			})
		}
		<-time.After(1500 * time.Millisecond) // virtual: the index is there, the block is on its way
		leave()
		group.Wait()
		if got := h.store.Counts().Get - before; got != 2 {
			t.Errorf("GETs: %d, want one of the index and one of the block", got)
		}
	})
}

func TestFaultsOnTheWay(t *testing.T) {
	data := faultstore.Get
	for _, tc := range []struct {
		name  string
		rules []faultstore.Rule
		want  error
	}{
		{"short body once", []faultstore.Rule{{Ops: data, Fault: faultstore.ShortBody, Skip: 1, Count: 1}}, nil},
		{"damaged body once", []faultstore.Rule{{Ops: data, Fault: faultstore.CorruptBody, Skip: 1, Count: 1}}, nil},
		{"damaged index once", []faultstore.Rule{{Ops: data, Fault: faultstore.CorruptBody, Count: 1}}, nil},
		{"a tenth of bodies short or damaged", []faultstore.Rule{
			{Ops: data, Fault: faultstore.ShortBody, Probability: 0.1}, {Ops: data, Fault: faultstore.CorruptBody, Probability: 0.1},
		}, nil},
		{"always damaged", []faultstore.Rule{{Ops: data, Fault: faultstore.CorruptBody, Skip: 1}}, segment.ErrCorrupt},
		{"always short", []faultstore.Rule{{Ops: data, Fault: faultstore.ShortBody, Skip: 1}}, objstore.ErrUnavailable},
		{"down", []faultstore.Rule{{Ops: data, Fault: faultstore.Unavailable, Skip: 3}}, objstore.ErrUnavailable},
		{"denied", []faultstore.Rule{{Ops: data, Fault: faultstore.Denied}}, objstore.ErrDenied},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHistory(t, small)
			r := h.reader(t, faultstore.New(h.store, 3, tc.rules...), nil)
			var got []byte
			var err error
			for range 20 { // a consumer asks again after an error that may pass
				var more []byte
				more, err = h.replay(t.Context(), r, offsetAfter(t, got), 50_000)
				got = append(got, more...)
				if err == nil {
					break
				}
			}
			if !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if !bytes.Equal(got, h.bytes[:len(got)]) || tc.want == nil && len(got) != len(h.bytes) {
				t.Fatal("wrong bytes were served")
			}
			var corrupt *CorruptError
			if tc.want == segment.ErrCorrupt && (!errors.As(err, &corrupt) || corrupt.Key == "" || corrupt.End <= corrupt.Base) {
				t.Fatalf("error does not name what is lost: %v", err)
			}
		})
	}
}

// offsetAfter is the offset that follows whole batches.
func offsetAfter(t *testing.T, b []byte) (next int64) {
	for b, err := range segment.Batches(b) {
		if err != nil {
			t.Fatal(err)
		}
		next = b.NextOffset()
	}
	return next
}

// A GET that hangs costs its timeout, not more, and the next Read goes on.
func TestStalledGetTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHistory(t, small)
		r := h.reader(t, faultstore.New(h.store, 1, faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.StalledBody, Skip: 1, Count: 1}), nil)
		start := time.Now()
		if _, err := r.Read(t.Context(), h.request(0, 1000)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 30*time.Second || took > 31*time.Second {
			t.Fatal(took)
		}
		h.mustReplay(t, r, 1<<20)
	})
}

// Bytes that changed at rest are found, whichever they are, and never served.
func TestDamageAtRest(t *testing.T) {
	h := newHistory(t, historyOptions{segments: 1, batches: 30, records: 2, value: 200, block: 4 << 10, random: true})
	key := objstore.DataKey(h.segs[0].Object)
	whole, _, err := objstore.ReadAll(t.Context(), h.store, key, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(9, 9))
	for range 40 {
		at := rng.Int64N(h.segs[0].Size)
		bad := bytes.Clone(whole)
		bad[at] ^= 1 << rng.IntN(8)
		if _, err := h.store.Put(t.Context(), key, objstore.BytesBody(bad), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		r := h.reader(t, h.store, nil)
		got, err := h.replay(t.Context(), r, 0, 3000)
		if !errors.Is(err, segment.ErrCorrupt) || !bytes.Equal(got, h.bytes[:len(got)]) {
			t.Fatalf("byte %d of %d: served %d bytes, %v", at, len(whole), len(got), err)
		}
	}
}

func TestReplacedAndLostObjects(t *testing.T) {
	h := newHistory(t, small)
	r := h.reader(t, h.store, func(o *ReaderOptions) { o.CacheBytes = 0 })
	c, err := r.Read(t.Context(), h.request(0, 1000)) // the index of the first segment is cached now
	if err != nil {
		t.Fatal(err)
	}
	c.Release()

	// Merge the first two segments, and delete them.
	run := h.bytes[:h.segs[0].LogBytes+h.segs[1].LogBytes]
	start := segment.SectionStart{Topic: h.id.topic, Partition: h.id.partition}
	merged := h.upload(t, [16]byte{0xab}, start, segment.SectionEnd{}, small.block, run)
	gone := []string{objstore.DataKey(h.segs[0].Object), objstore.DataKey(h.segs[1].Object)}
	h.mu.Lock()
	h.segs = append([]manifest.Segment{merged}, h.segs[2:]...)
	h.mu.Unlock()
	if _, err := h.store.Delete(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{4, 100, 300} {
		got, err := h.replay(t.Context(), r, offset, 20_000)
		if err != nil || !bytes.HasSuffix(h.bytes, got) {
			t.Fatalf("after the merge from %d: %v", offset, err)
		}
	}

	// And now lose one that the ledger still names.
	lost := h.segs[2]
	if _, err := h.store.Delete(t.Context(), []string{objstore.DataKey(lost.Object)}); err != nil {
		t.Fatal(err)
	}
	fresh := h.reader(t, h.store, nil)
	for _, reader := range []*Reader{r, fresh} {
		_, err = h.replay(t.Context(), reader, lost.Base, 1000)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !errors.Is(err, segment.ErrCorrupt) || !errors.Is(err, objstore.ErrNotFound) ||
			corrupt.Key != objstore.DataKey(lost.Object) || corrupt.Base != lost.Base || corrupt.End != lost.End {
			t.Fatal(err)
		}
	}
}
