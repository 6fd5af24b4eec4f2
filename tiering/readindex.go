package tiering

import (
	"context"
	"fmt"

	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

const (
	// indexGuess is how much of the end of a section is read before the size of its index is known: 600 blocks.
	indexGuess = 64 << 10
	// wholeSection is the size up to which a section is read as a whole, so that the small sections of bundles cost one GET.
	wholeSection = 256 << 10
)

type partitionID struct {
	topic     [16]byte
	partition int32
}

// indexKey names a section, and what the ledger says about it, so that the check against it is made once.
type indexKey struct {
	id  partitionID
	seg manifest.Segment
}

// section is a segment with its index. It is shared and never changed.
type section struct {
	id  partitionID
	seg manifest.Segment
	idx *segment.Index
}

// key names block i in the cache.
func (s *section) key(i int) cache.Key {
	return cache.Key{Object: s.seg.Object, Position: s.seg.Position + s.idx.Blocks[i].Position}
}

// section returns the segment at an offset with its index. When its object is gone the ledger is asked once more: merge or
// compaction may have replaced it. had: nothing was read for it.
func (r *Reader) section(ctx context.Context, id partitionID, offset int64, known *manifest.Segment) (s *section, had bool, err error) {
	var seg manifest.Segment
	if known != nil && known.Base <= offset && offset < known.End {
		seg = *known
	} else if seg, err = r.opts.Locator.Locate(ctx, id.topic, id.partition, offset); err != nil {
		return nil, false, err
	}
	s, had, err = r.indexes.Find(ctx, indexKey{id, seg})
	if isMissing(err) {
		s, err = r.relocate(ctx, id, offset, &seg, err)
		return s, false, err
	}
	return s, had, err
}

// relocate asks the ledger again after the object of seg was not found.
func (r *Reader) relocate(ctx context.Context, id partitionID, offset int64, seg *manifest.Segment, cause error) (*section, error) {
	r.metrics.relocated.Inc()
	now, err := r.opts.Locator.Locate(ctx, id.topic, id.partition, offset)
	if err != nil {
		return nil, err
	}
	if now.Object == seg.Object && now.Position == seg.Position {
		err := unreadable(id, seg, cause)
		r.opts.Logger.ErrorContext(ctx, "the object store lost an object", "error", err)
		return nil, err
	}
	s, err := r.indexes.Get(ctx, indexKey{id, now})
	if isMissing(err) {
		err = unreadable(id, &now, err)
		r.opts.Logger.ErrorContext(ctx, "the object store lost an object", "error", err)
	}
	return s, err
}

// loadIndex reads and checks a section index.
func (r *Reader) loadIndex(ctx context.Context, k indexKey) (*section, int64, error) {
	s, err := r.readIndex(ctx, k)
	if err != nil && damaged(err) {
		s, err = r.readIndex(ctx, k) // the bytes may have been damaged on the way
	}
	if err != nil {
		if damaged(err) {
			err = unreadable(k.id, &k.seg, err)
			r.opts.Logger.ErrorContext(ctx, "section index is damaged", "error", err)
		}
		return nil, 0, fmt.Errorf("read section index: %w", err)
	}
	return s, s.idx.MemoryBytes(), nil
}

func (r *Reader) readIndex(ctx context.Context, k indexKey) (*section, error) {
	seg := &k.seg
	want := min(seg.Size, indexGuess)
	if seg.Size <= wholeSection {
		want = seg.Size
	}
	for {
		tail, err := r.readTail(ctx, seg, want)
		if err != nil {
			return nil, err
		}
		n, err := segment.IndexSize(tail.Bytes())
		if err == nil && n > want && n <= seg.Size {
			tail.Release()
			want = n
			continue
		}
		s, err := parseSection(k, tail.Bytes())
		if err == nil && want == seg.Size && r.opts.CacheBytes > 0 {
			r.seed(s, tail.Bytes())
		}
		tail.Release()
		return s, err
	}
}

// readTail reads the last n bytes of a section into memory of the budget.
func (r *Reader) readTail(ctx context.Context, seg *manifest.Segment, n int64) (*cache.Buffer, error) {
	wait, cancel := context.WithTimeout(ctx, r.opts.BudgetWait)
	defer cancel()
	bufs, err := r.pool.Alloc(wait, int(n))
	if err != nil {
		return nil, err
	}
	tail := bufs[0]
	r.metrics.gets.index.Inc()
	if _, err := objstore.ReadRange(ctx, r.opts.Store, objstore.DataKey(seg.Object), seg.Position+seg.Size-n, tail.Bytes()); err != nil {
		tail.Release()
		return nil, err
	}
	r.metrics.fetched.Add(float64(n))
	return tail, nil
}

// parseSection decodes an index and checks that it is the one that the ledger means.
func parseSection(k indexKey, tail []byte) (*section, error) {
	idx, err := segment.ParseIndex(tail, k.seg.Size)
	if err != nil {
		return nil, err
	}
	if got := manifest.Segment(idx.Segment(k.seg.Object, k.seg.Position)); idx.Topic != k.id.topic || idx.Partition != k.id.partition ||
		got.CRC != k.seg.CRC || got.Base != k.seg.Base || got.End != k.seg.End || got.Chain != k.seg.Chain {
		return nil, fmt.Errorf("%w: the section is not the one of the ledger crc=%08x want=%08x base=%d end=%d", segment.ErrCorrupt, got.CRC, k.seg.CRC, got.Base, got.End)
	}
	return &section{k.id, k.seg, idx}, nil
}

// seed puts the blocks of a small section, which came with its index, into the cache. It is best effort: what does not work
// out is fetched when it is needed.
func (r *Reader) seed(s *section, whole []byte) {
	for i := range s.idx.Blocks {
		k := &s.idx.Blocks[i]
		bufs, ok := r.pool.TryAlloc(int(k.Raw))
		if !ok {
			return
		}
		claim, flight := r.blocks.Claim(s.key(i))
		if flight == nil {
			bufs[0].Release()
			claim.Release()
			continue
		}
		if err := decodeInto(bufs[0], k, whole[k.Position:k.Position+int64(k.Stored)]); err != nil {
			bufs[0].Release()
			flight.Complete(nil, errDropped)
		} else {
			flight.Complete(bufs[0], nil)
		}
		claim.Release()
	}
}

// decodeInto checks stored bytes and leaves their batches in buf, whose length is k.Raw.
func decodeInto(buf *cache.Buffer, k *segment.Block, stored []byte) error {
	raw, err := k.Decode(buf.Bytes(), stored, 0)
	if err == nil && k.Codec == segment.Raw {
		copy(buf.Bytes(), raw)
	}
	return err
}
