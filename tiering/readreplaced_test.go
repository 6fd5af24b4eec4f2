package tiering

import (
	"context"
	"io"
	"sync"
	"testing"

	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// asked is a store that remembers which objects were read.
type asked struct {
	objstore.Store
	mu   sync.Mutex
	keys map[string]int
}

func (a *asked) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	a.mu.Lock()
	a.keys[key]++
	a.mu.Unlock()
	return a.Store.Get(ctx, key, off, n)
}

func (a *asked) times(object [16]byte) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keys[objstore.DataKey(object)]
}

// counted is a locator that counts look-ups.
type counted struct {
	*history
	lookups int
}

func (c *counted) Locate(ctx context.Context, topic [16]byte, partition int32, offset int64) (manifest.Segment, error) {
	c.mu.Lock()
	c.lookups++
	c.mu.Unlock()
	return c.history.Locate(ctx, topic, partition, offset)
}

// A reader that has been served from a segment goes on in the one that took its place, although the old object is still there; and
// while the ledger does not change, it does not look.
func TestReplacedSegmentsAreLeft(t *testing.T) {
	large := small
	large.batches = 600
	h := newHistory(t, large)
	store, where := &asked{Store: h.store, keys: map[string]int{}}, &counted{history: h}
	// Nothing is read ahead, or looked for, beyond the first segment.
	r := h.reader(t, store, func(o *ReaderOptions) { o.Locator, o.MaxReadAhead = where, 64<<10 })
	offset := int64(0)
	read := func() {
		t.Helper()
		c, err := r.Read(t.Context(), h.request(offset, 5000))
		if err != nil || c.NextOffset <= offset {
			t.Fatalf("read at offset=%d: %v", offset, err)
		}
		offset = c.NextOffset
		c.Release()
	}
	for range 4 {
		read()
	}
	where.mu.Lock()
	before := where.lookups
	where.mu.Unlock()
	for range 4 {
		read()
	}
	where.mu.Lock()
	if where.lookups != before {
		t.Errorf("look-ups while nothing changed: %d", where.lookups-before)
	}
	where.mu.Unlock()

	run := h.bytes[:h.segs[0].LogBytes+h.segs[1].LogBytes]
	start := segment.SectionStart{Topic: h.id.topic, Partition: h.id.partition}
	merged := h.upload(t, [16]byte{0xab}, start, segment.SectionEnd{}, small.block, run)
	h.mu.Lock()
	h.segs = append([]manifest.Segment{merged}, h.segs[2:]...)
	h.mu.Unlock()
	if read(); store.times(merged.Object) == 0 {
		t.Error("read on in an object that was replaced")
	}
}
