package tiering

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// FindTime finds in a segment the first data batch that ends above from and has a MaxTimestamp of at least ts (ms). The
// chunk, which the caller must release, holds that batch alone, and base is its base offset; chunk is nil when the segment has
// none. It reads one block, or none when the segment's or the index's maxima answer. Errors as Read's.
func (r *Reader) FindTime(ctx context.Context, topic [16]byte, partition int32, seg manifest.Segment, from, ts int64) (base int64, chunk *Chunk, err error) {
	if seg.MaxTimestampOffset < 0 || seg.MaxTimestamp < ts {
		return 0, nil, nil
	}
	if err := r.enter(); err != nil {
		return 0, nil, err
	}
	defer r.leave()
	id := partitionID{topic, partition}
	from = max(from, seg.Base)
	s, _, err := r.section(ctx, id, from, &seg)
	if err != nil {
		return 0, nil, err
	}
	base, chunk, err = r.findTime(ctx, s, from, ts)
	if isMissing(err) {
		if s, err = r.relocate(ctx, id, from, &s.seg, err); err != nil {
			return 0, nil, err
		}
		if base, chunk, err = r.findTime(ctx, s, from, ts); isMissing(err) {
			err = unreadable(id, &s.seg, err)
		}
	}
	return base, chunk, err
}

func (r *Reader) findTime(ctx context.Context, s *section, from, ts int64) (int64, *Chunk, error) {
	for i := max(s.idx.FindTimestamp(ts), s.idx.FindOffset(from)); i < len(s.idx.Blocks); i++ {
		if k := &s.idx.Blocks[i]; k.MaxTimestampOffset < 0 || k.MaxTimestamp < ts {
			continue
		}
		base, chunk, err := r.findInBlock(ctx, s, i, from, ts)
		if err != nil || chunk != nil {
			return base, chunk, err
		}
	}
	return 0, nil, nil
}

func (r *Reader) findInBlock(ctx context.Context, s *section, i int, from, ts int64) (int64, *Chunk, error) {
	claim, buf, err := r.block(ctx, s, i)
	defer claim.Release()
	if err != nil {
		return 0, nil, err
	}
	for b, err := range segment.Batches(buf.Bytes()) {
		if err != nil {
			return 0, nil, err
		}
		if b.NextOffset() > from && !b.Control() && b.MaxTimestamp() >= ts {
			chunk := &Chunk{NextOffset: b.NextOffset()}
			chunk.add(buf, b)
			return b.BaseOffset(), chunk, nil
		}
	}
	return 0, nil, nil
}

// block waits for one block that is no part of a stream. The claim must be released in any case.
func (r *Reader) block(ctx context.Context, s *section, i int) (claim cache.Claim, buf *cache.Buffer, err error) {
	for range maxAttempts {
		st := stream{tail: s, tailNext: i}
		r.claim(&st, 1, true)
		claim = st.slots[0].claim
		claim.Hurry()
		if buf, err = claim.Wait(ctx); !errors.Is(err, errDropped) {
			return claim, buf, err
		}
		claim.Release()
	}
	return claim, nil, fmt.Errorf("%w: fills were given up attempts=%d", cache.ErrBusy, maxAttempts)
}

// Aborted returns the aborted transactions that overlap the offsets [from, to), by their last offset: all whose markers
// lie below until. seg is the segment of from. Those of later segments are looked at for as long as a transaction of the range
// may have been open when the segment before was written; until is the greatest offset when none is. It is less when that led to
// the end of what is tiered: the rest is known to the leader's own state alone. Only section indexes are read, and
// those are cached.
func (r *Reader) Aborted(ctx context.Context, topic [16]byte, partition int32, seg manifest.Segment, from, to int64) (txns []segment.AbortedTxn, until int64, err error) {
	if err := r.enter(); err != nil {
		return nil, 0, err
	}
	defer r.leave()
	id := partitionID{topic, partition}
	known := &seg
	for offset := from; ; known = nil {
		s, _, err := r.section(ctx, id, offset, known)
		if errors.Is(err, manifest.ErrNotTiered) && known == nil {
			return txns, offset, nil
		}
		if err != nil {
			return nil, 0, err
		}
		found := len(txns)
		for _, a := range s.idx.AbortedIn(nil, from, to) {
			if !contains(txns[:found], a) { // a transaction that spans segments is in the list of each
				txns = append(txns, a)
			}
		}
		offset = s.seg.End
		// Later segments matter for what lies in them, and for transactions that were undecided here.
		if offset >= to && s.idx.StableOffset >= to {
			return txns, math.MaxInt64, nil
		}
	}
}

func contains(txns []segment.AbortedTxn, a segment.AbortedTxn) bool {
	for _, b := range txns {
		if a.ProducerID == b.ProducerID && a.FirstOffset == b.FirstOffset {
			return true
		}
	}
	return false
}
