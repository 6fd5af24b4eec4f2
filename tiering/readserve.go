package tiering

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

const (
	firstWindow = 2 * segment.DefaultBlockBytes
	maxSlots    = 256 // per stream, whatever the window: sections of bundles may have tiny blocks
	maxAttempts = 4   // of one Read at one block, when others' fills that it joined were given up
)

// position makes the stream stand at the request's offset.
func (r *Reader) position(ctx context.Context, st *stream, req *ReadRequest) error {
	if st.tail != nil && !r.replaced(ctx, st) {
		return nil
	}
	s, had, err := r.section(ctx, st.id, req.Offset, req.Segment)
	if err == nil {
		if !had {
			st.readIndex(s)
		}
		st.begin(s, s.idx.FindOffset(req.Offset), r.metrics)
	}
	return err
}

// replaced reports whether compaction replaced a segment that the stream stands in or has read ahead since. The old object
// could be read on, but what else is said of its range, above all which transactions were aborted, is said of the new one.
// While the ledger does not change there is nothing to look at.
func (r *Reader) replaced(ctx context.Context, st *stream) bool {
	generation, ok := r.opts.Locator.Generation(st.id.topic, st.id.partition)
	if !ok || st.current && generation == st.generation {
		return false
	}
	outdated, sure := r.outdated(ctx, st)
	// What a look-up under way finds may be of an older ledger.
	st.current, st.generation = sure && st.look == nil, generation
	return outdated
}

// outdated looks at each segment that the stream has. It is not sure where one could not be located.
func (r *Reader) outdated(ctx context.Context, st *stream) (outdated, sure bool) {
	sure = true
	stale := func(s *section, offset int64) bool {
		now, err := r.opts.Locator.Locate(ctx, st.id.topic, st.id.partition, offset)
		sure = sure && err == nil
		return err == nil && now != s.seg
	}
	var before *section
	for i := range st.slots {
		if s := st.slots[i].s; s != before {
			if stale(s, max(st.next, s.seg.Base)) {
				return true, true
			}
			before = s
		}
	}
	if st.tail != before && st.tail.seg.End > st.next && stale(st.tail, max(st.next, st.tail.seg.Base)) {
		return true, true
	}
	for _, s := range st.later {
		if stale(s, s.seg.Base) {
			return true, true
		}
	}
	return false, sure
}

// serve fills a chunk from the stream.
func (r *Reader) serve(ctx context.Context, st *stream, req *ReadRequest) (*Chunk, error) {
	chunk := &Chunk{NextOffset: req.Offset}
	if req.Offset >= req.limit() {
		return chunk, nil
	}
	if err := r.position(ctx, st, req); err != nil {
		return nil, err
	}
	more, err := r.first(ctx, st, chunk, req.limit())
	if err != nil {
		return nil, err
	}
	if !more {
		return chunk, nil
	}
	for len(st.slots) > 0 {
		s := &st.slots[0]
		if chunk.Bytes > 0 && (chunk.Bytes >= req.MaxBytes || !s.claim.Ready()) {
			break
		}
		buf, err := s.claim.Wait(ctx)
		if err != nil {
			if chunk.Bytes > 0 {
				break // the next Read meets it again, as its first block
			}
			return nil, err
		}
		before, at := chunk.Bytes, st.pos
		whole, err := fill(chunk, s, buf, &st.pos, req)
		if err != nil {
			chunk.Release()
			return nil, err
		}
		if chunk.Bytes > before {
			st.used(s, at)
		}
		if !whole {
			break
		}
		st.pop(r.metrics)
	}
	r.readAhead(st)
	chunk.Stats = st.stats
	return chunk, nil
}

// first makes slots[0] the block at chunk.NextOffset and waits for it. It is false when there is no more before limit or
// before the end of what is tiered; chunk.NextOffset is then where that is.
func (r *Reader) first(ctx context.Context, st *stream, chunk *Chunk, limit int64) (bool, error) {
	relocated, stalled := false, false
	for attempt := 1; ; attempt++ {
		if len(st.slots) == 0 {
			if more, err := r.claimFirst(ctx, st, chunk, limit); err != nil || !more {
				return false, err
			}
		}
		r.readAhead(st)
		s := &st.slots[0]
		stale := s.claim.Ready() // if it failed, it did while nobody waited for it
		if !stale {
			st.stats.Waited = st.stats.Waited || s.from != fromDisk
			s.claim.Hurry()
			if st.sequential > 0 && !stalled {
				stalled = true
				st.window = min(2*max(st.window, firstWindow/2), r.opts.MaxReadAhead)
				r.metrics.stalls.Inc()
				r.readAhead(st)
			}
		}
		err := r.wait(ctx, st)
		if err == nil {
			return true, nil
		}
		s = &st.slots[0]
		sect, block := s.s, s.block
		switch {
		case ctx.Err() != nil:
			return false, err
		case (errors.Is(err, errDropped) || stale) && attempt < maxAttempts && r.ctx.Err() == nil:
			st.narrow()
			st.begin(sect, block, r.metrics)
		case errors.Is(err, errDropped):
			return false, fmt.Errorf("%w: fills were given up attempts=%d", cache.ErrBusy, attempt)
		case isMissing(err) && !relocated:
			relocated = true
			now, err := r.relocate(ctx, st.id, chunk.NextOffset, &sect.seg, err)
			if err != nil {
				return false, err
			}
			st.begin(now, now.idx.FindOffset(chunk.NextOffset), r.metrics)
		case isMissing(err):
			return false, unreadable(st.id, &sect.seg, err)
		default:
			return false, err
		}
	}
}

// wait waits for slots[0], and gives up the others when somebody needs their memory.
func (r *Reader) wait(ctx context.Context, st *stream) error {
	if claim := &st.slots[0].claim; !claim.Ready() {
		r.streams.asks(st)
		defer r.streams.asked(st)
		for waiting := true; waiting; {
			select {
			case <-claim.Done():
				waiting = false
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-st.squeeze:
				st.keepFirst(r.metrics)
				claim = &st.slots[0].claim
			}
		}
	}
	_, err := st.slots[0].claim.Wait(ctx)
	return err
}

// claimFirst claims the first block at or behind chunk.NextOffset, stepping over sections in which compaction left nothing.
func (r *Reader) claimFirst(ctx context.Context, st *stream, chunk *Chunk, limit int64) (bool, error) {
	for st.tailNext == len(st.tail.idx.Blocks) {
		end := st.tail.seg.End
		if end > chunk.NextOffset {
			chunk.NextOffset = end
		}
		if end >= limit {
			return false, nil
		}
		ok, err := r.nextSection(ctx, st)
		if errors.Is(err, manifest.ErrNotTiered) && chunk.NextOffset > st.next {
			return false, nil // the consumer moves on to what is not tiered
		}
		if err != nil {
			return false, err
		}
		if !ok {
			return false, fmt.Errorf("%w: no section follows offset=%d", segment.ErrCorrupt, end)
		}
	}
	r.claimNext(st)
	return true, nil
}

// claimNext claims the next block, urgently, and with it what read-ahead may have.
func (r *Reader) claimNext(st *stream) {
	run := 1
	if st.sequential > 0 {
		run = max(run, r.runLength(st, r.share(st)))
	}
	r.claim(st, run, true)
	st.slots[0].claim.Hurry()
}

// nextSection moves the tail to the next section, waiting for it.
func (r *Reader) nextSection(ctx context.Context, st *stream) (bool, error) {
	for fresh := false; ; {
		if r.stepSection(st) {
			return true, nil
		}
		if st.look == nil {
			st.look, fresh = r.lookAhead(st.id, st.tail.seg.End, 1), true
		}
		l := st.look
		select {
		case <-l.done:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		if len(l.found) > 0 {
			continue
		}
		st.look = nil
		if fresh {
			return false, l.err
		}
		// That answer is from before: the ledger grows, and errors pass.
	}
}

// stepSection moves the tail to the next section if it is known already.
func (r *Reader) stepSection(st *stream) bool {
	if len(st.later) == 0 && st.look != nil {
		select {
		case <-st.look.done:
			if st.later = st.look.found; len(st.later) > 0 {
				st.look = nil
			}
		default:
		}
	}
	if len(st.later) == 0 {
		return false
	}
	// A segment that took the place of several may begin far below where the one before ended.
	end := st.tail.seg.End
	st.tail = st.later[0]
	st.tailNext = st.tail.idx.FindOffset(end)
	st.later = st.later[1:]
	return true
}

// share is the window that a stream may have now: what it asked for, and no more than its part of half of the budget.
func (r *Reader) share(st *stream) int64 {
	return min(st.window, r.opts.ReadBytes/2/(int64(r.streams.readers())+max(r.reads.Load(), 1)))
}

// readAhead claims blocks until the window is full. It waits for nothing.
func (r *Reader) readAhead(st *stream) {
	if st.sequential == 0 || r.ctx.Err() != nil {
		return
	}
	if st.window < r.opts.RangeBytes {
		st.window = max(st.window, firstWindow, min(2*st.read, r.opts.RangeBytes))
	}
	window := r.share(st)
	for len(st.slots) < maxSlots {
		if st.tailNext == len(st.tail.idx.Blocks) && !r.stepSection(st) {
			break
		}
		room := window - st.ahead
		run := r.runLength(st, room)
		if run == 0 || !r.worthwhile(st, run, window) || !r.claim(st, run, false) {
			break
		}
	}
	// The next section must be known before this one is used up.
	if st.look == nil && len(st.later) == 0 && unclaimed(st.tail, st.tailNext) < window {
		st.look = r.lookAhead(st.id, st.tail.seg.End, window)
	}
}

// unclaimed is how many raw bytes of a section lie behind block i.
func unclaimed(s *section, i int) (n int64) {
	for ; i < len(s.idx.Blocks); i++ {
		n += int64(s.idx.Blocks[i].Raw)
	}
	return n
}

// runLength is how many blocks from the tail on fit in room and in one GET.
func (r *Reader) runLength(st *stream, room int64) (n int) {
	room = min(room, r.opts.RangeBytes)
	for _, k := range st.tail.idx.Blocks[st.tailNext:] {
		if room -= int64(k.Raw); room < 0 || len(st.slots)+n == maxSlots {
			break
		}
		n++
	}
	return n
}

// worthwhile keeps read-ahead from dribbling: a run should be half of the window, or as much as one GET may be, or all that
// is left of the section.
func (r *Reader) worthwhile(st *stream, run int, window int64) bool {
	if st.tailNext+run == len(st.tail.idx.Blocks) {
		return true
	}
	raw := int64(0)
	for _, k := range st.tail.idx.Blocks[st.tailNext : st.tailNext+run] {
		raw += int64(k.Raw)
	}
	return raw >= min(window, r.opts.RangeBytes)/2
}

// claim claims the next run blocks and starts the fills that nobody else has under way. Those that are adjacent make one GET.
// It is false when read-ahead should stop for now.
func (r *Reader) claim(st *stream, run int, urgent bool) bool {
	ok := true
	var get *job
	flush := func() {
		if get != nil {
			st.asks(urgent)
			ok = r.submit(get, urgent) && ok
			get = nil
		}
	}
	for range run {
		i := st.tailNext
		raw := int64(st.tail.idx.Blocks[i].Raw)
		claim, flight := r.blocks.Claim(st.tail.key(i))
		st.slots = append(st.slots, slot{s: st.tail, block: i, raw: raw, claim: claim, ours: flight != nil && !(urgent && len(st.slots) == 0), from: st.origin(&claim, flight), turn: st.turn})
		this := &st.slots[len(st.slots)-1]
		st.ahead += raw
		st.tailNext++
		if flight == nil {
			flush()
			continue
		}
		if r.disk != nil {
			if size, there := r.disk.Has(flight.Key()); there && int64(size) == raw {
				this.from = fromDisk
				flush()
				ok = r.submit(&job{r: r, s: st.tail, first: i, flights: []*cache.Flight{flight}, onDisk: true}, urgent) && ok
				continue
			}
		}
		if get == nil {
			get = &job{r: r, s: st.tail, first: i, caller: st.caller}
		}
		get.flights = append(get.flights, flight)
	}
	flush()
	return ok
}

// fill adds the batches of a block from *pos on to the chunk, as the request allows, and moves *pos and chunk.NextOffset. It
// is true when the block is used up.
func fill(chunk *Chunk, s *slot, buf *cache.Buffer, pos *int, req *ReadRequest) (bool, error) {
	raw, k := buf.Bytes(), &s.s.idx.Blocks[s.block]
	limit := req.limit()
	start := -1 // of what goes into the chunk
	at := *pos
	for at < len(raw) {
		b, _, err := record.Next(raw[at:])
		if err != nil {
			return false, &CorruptError{
				Topic: s.s.id.topic, Partition: s.s.id.partition, Base: k.First, End: k.End, Position: s.s.seg.Position + k.Position,
				Key: objstore.DataKey(s.s.seg.Object), Err: fmt.Errorf("%w: block does not end in a whole batch: %w", segment.ErrCorrupt, err),
			}
		}
		if start < 0 && b.NextOffset() <= chunk.NextOffset {
			at += len(b)
			*pos = at
			continue
		}
		start = *pos
		if k.End <= limit && chunk.Bytes+len(raw)-start <= req.MaxBytes {
			at = len(raw) // all of the rest, without looking at each
			chunk.NextOffset = k.End
			break
		}
		first := chunk.Bytes == 0 && at == start
		if b.NextOffset() > limit || chunk.Bytes+at-start+len(b) > req.MaxBytes && !(first && req.AtLeastOne) {
			break
		}
		at += len(b)
		chunk.NextOffset = b.NextOffset()
	}
	if start >= 0 && at > start {
		chunk.add(buf, raw[start:at:at])
	}
	*pos = at
	return at == len(raw), nil
}
