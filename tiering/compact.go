package tiering

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering/compact"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

const (
	// compactSegments is how many segments one round looks at: it bounds the memory of their entries to 10 MB. What lies
	// beyond waits until there are fewer, which compaction itself sees to.
	compactSegments = 1 << 16
	// compactInputs is how many segments make one new one at most: it bounds the command to some 100 KB.
	compactInputs = 1000
	// compactAborted bounds the aborted transactions of one round to 32 MiB.
	compactAborted = 1 << 20
)

// errEnough ends a read early.
var errEnough = errors.New("enough")

// compaction is one round over one partition.
//
//	segments of the ledger        ┌─ group ──────────┐┌─ group ─┐
//	before      [ s ][ s ][ s ][ s ][ b ][ b ][ b ][ b ]          s: compacted before; b: a bundle's section
//	            └──── clean ─────┘└───── dirty ──────┘
//	after       [       new      ][   new   ]                     each put and then replaced, one command for each group
//
// It reads the dirty range for its keys, then all from the log start, and writes what stays. Nothing is held meanwhile:
// uploads, spills and retention go on, and the ledger refuses a replacement whose segments are not there any more. The round
// ends then, and begins anew.
type compaction struct {
	e        *Engine
	l        *Lease
	settings Settings
	epoch    int32
	view     manifest.Ledger
	plan     *compact.Plan

	keys    *compact.Keys
	aborted []segment.AbortedTxn
	end     int64 // all below is clean after this round
	filter  *compact.Filter

	stored, raw, out []byte // reused
}

// compactPartition runs one round. started: there was something to do; else next is when there may be.
func (e *Engine) compactPartition(ctx context.Context, l *Lease, settings Settings) (started bool, next time.Time, err error) {
	view, ok := e.o.Ledger.View(l.id.Topic, l.id.Partition)
	if !ok || view.Segments == 0 {
		return false, time.Time{}, nil
	}
	c := &compaction{e: e, l: l, settings: settings, epoch: l.src.Status().LeaderEpoch, view: view}
	bound, err := c.bound(ctx)
	if err != nil {
		return false, time.Time{}, err
	}
	if c.plan, err = e.planCompaction(ctx, l.id, &view, &settings, bound); err != nil || !c.plan.Due {
		if c.plan != nil {
			next = c.plan.Next
		}
		return false, next, err
	}
	// Its requests to the object store are no part of the trace: there are as many as the partition has blocks.
	_, span := e.o.Tracer.Start(ctx, "tiering.compact", trace.WithAttributes(partitionOf(l.id)))
	defer span.End()
	start := e.o.Now()
	err = c.run(ctx)
	switch {
	case errors.Is(err, errCompactStopped):
		return false, time.Time{}, nil
	case errors.Is(err, manifest.ErrChanged): // retention was faster
		e.o.Logger.InfoContext(ctx, "compaction begins anew", "partition", l.id, "error", err)
		return true, time.Time{}, nil
	case err != nil:
		return true, time.Time{}, err
	}
	span.SetAttributes(attribute.Int64("tideline.compact.dirty_bytes", c.plan.Dirty),
		attribute.Int64("tideline.compact.records_read", c.filter.Stats.RecordsRead), attribute.Int64("tideline.compact.records_kept", c.filter.Stats.RecordsKept))
	e.m.compactRounds.Inc()
	e.m.compactSeconds.Observe(e.o.Now().Sub(start).Seconds())
	s := &c.filter.Stats
	e.m.compactRemoved.Add(float64(s.RecordsRead - s.RecordsKept))
	e.o.Logger.InfoContext(ctx, "partition compacted", "partition", l.id, "from", c.plan.From, "to", c.end, "records_read", s.RecordsRead, "records_kept", s.RecordsKept)
	return true, time.Time{}, nil
}

// bound is what must not be cleaned because a transaction may be open there: the last stable offset when the newest section
// was written. The lists of the sections have all that was aborted below it.
func (c *compaction) bound(ctx context.Context) (int64, error) {
	var newest manifest.Segment
	if n := len(c.view.Hot); n > 0 {
		newest = c.view.Hot[n-1]
	} else {
		for s, err := range c.e.o.Locator.Walk(ctx, c.l.id, &c.view, c.view.Tiered-1) {
			if err != nil {
				return 0, err
			}
			newest = s
		}
	}
	x, err := c.open(ctx, &newest)
	if err != nil {
		return 0, err
	}
	return min(x.StableOffset, c.view.Tiered), nil
}

// run is the round.
func (c *compaction) run(ctx context.Context) error {
	segs, records, err := c.survey(ctx)
	if err != nil {
		return err
	}
	c.keys = compact.NewKeys(records, c.e.tuned.Load().CompactKeyBytes, c.e.tuned.Load().CompactKeyLoad)
	c.e.m.compactKeyBytes.Set(float64(c.keys.Bytes()))
	defer func() {
		c.keys.Free()
		c.e.m.compactKeyBytes.Set(0)
	}()
	if err := c.index(ctx, segs); err != nil {
		return err
	}
	c.filter = &compact.Filter{
		Keys: c.keys, End: c.end, Txns: compact.NewTxns(c.aborted, segs[0].Base), Producers: c.l.src.Producers(),
		Now: c.e.o.Now().UnixMilli(), Retention: c.settings.DeleteRetentionMs,
	}
	c.aborted = nil
	for len(segs) > 0 && segs[0].Base < c.end {
		n := group(segs, c.end, min(c.settings.SegmentBytes, c.e.o.MaxSegmentBytes))
		if err := c.rewrite(ctx, segs[:n]); err != nil {
			return err
		}
		segs = segs[n:]
	}
	horizon := c.filter.Stats.Horizon
	if horizon <= c.filter.Now {
		horizon = 0 // kept for another reason; the next round that has something to do sees to it
	}
	return c.command(ctx, "cleaned", func() error {
		return c.e.o.Ledger.SetCleaned(ctx, Cleaned{ID: c.l.id, LeaderEpoch: c.epoch, Offset: c.end, Horizon: horizon})
	})
}

// group is how many of the segments, oldest first, make one new one.
func group(segs []manifest.Segment, end, maxBytes int64) int {
	n, bytes := 1, segs[0].LogBytes
	for n < len(segs) && n < compactInputs && segs[n].Base < end && bytes+segs[n].LogBytes <= maxBytes {
		bytes += segs[n].LogBytes
		n++
	}
	return n
}

// survey returns the live segments that may be read, and about how many keys the dirty ones have at most, and gathers the
// transactions that were aborted.
func (c *compaction) survey(ctx context.Context) (segs []manifest.Segment, records int64, err error) {
	for s, err := range c.e.o.Locator.Walk(ctx, c.l.id, &c.view, 0) {
		if err != nil {
			return nil, 0, err
		}
		read := s.End <= c.plan.To && len(segs) < compactSegments
		if read {
			segs = append(segs, s)
		}
		dirty := read && s.End > c.plan.From
		if !dirty && s.Flags&segment.FlagAborted == 0 {
			continue
		}
		x, err := c.open(ctx, &s)
		if err != nil {
			return nil, 0, err
		}
		if dirty {
			records += x.Records
		}
		if c.aborted = append(c.aborted, x.Aborted...); len(c.aborted) > compactAborted {
			return nil, 0, fmt.Errorf("tiering: more aborted transactions than one round takes max=%d", compactAborted)
		}
		if err := c.goOn(ctx); err != nil {
			return nil, 0, err
		}
	}
	if len(segs) == 0 || segs[len(segs)-1].End < c.plan.From {
		return nil, 0, fmt.Errorf("tiering: more clean segments than one round takes max=%d", compactSegments)
	}
	return segs, records, nil
}

// goOn ends the round when this broker does not lead the partition any more, or the topic is not compacted any more.
func (c *compaction) goOn(ctx context.Context) error {
	if c.l.closed.Load() || !c.l.src.Settings().Compact {
		return errCompactStopped
	}
	return ctx.Err()
}

// index takes the keys of the dirty range in, as far as the map goes.
func (c *compaction) index(ctx context.Context, segs []manifest.Segment) error {
	x := compact.Index{Keys: c.keys, Txns: compact.NewTxns(c.aborted, c.plan.From), From: c.plan.From}
	c.end = c.plan.From
	full := false
	for i := range segs {
		s := &segs[i]
		if s.End <= c.plan.From {
			continue
		}
		idx, err := c.open(ctx, s)
		if err != nil {
			return err
		}
		if err := c.batches(ctx, s, idx, c.plan.From, func(b record.Batch, _ bool) (bool, error) {
			c.end, full, err = x.Add(b)
			return !full, err
		}); err != nil {
			return err
		}
		if full {
			c.e.m.compactFull.Inc()
			c.e.o.Logger.InfoContext(ctx, "more keys than compaction takes at once, the rest follows", "partition", c.l.id, "keys", c.keys.Len(), "offset", c.end)
			return nil
		}
		c.end = s.End
		if err := c.goOn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rewrite makes one segment of several and has it replace them. One segment of which all stays is left as it is.
func (c *compaction) rewrite(ctx context.Context, in []manifest.Segment) error {
	object := c.e.o.NewID()
	data := newSpool(c.e.o.FS, c.e.o.Dir, fmt.Sprintf("%x", object), c.e.o.MemoryBytes)
	defer c.e.closeSpool(data)
	seg, changed, err := c.build(ctx, data, object, in)
	if errors.Is(err, errSpool) {
		c.e.spoolFailed(err)
	}
	if err != nil || !changed {
		return err
	}
	if err := c.goOn(ctx); err != nil {
		return err
	}
	defer c.e.track(object)()
	if !c.e.put(ctx, object, objstore.KindData, data) {
		return fmt.Errorf("tiering: compacted segment not put base=%d end=%d", seg.Base, seg.End)
	}
	if err := c.replace(ctx, in, seg, data.size); err != nil {
		if ctx.Err() == nil {
			c.e.abort(ctx, object)
		}
		return err
	}
	var before int64
	for i := range in {
		before += in[i].LogBytes
	}
	c.e.m.compactReplaced.Add(float64(len(in)))
	c.e.m.compactWrittenBytes.Add(float64(data.size))
	c.e.o.Logger.DebugContext(ctx, "segments replaced", "partition", c.l.id, "base", seg.Base, "end", seg.End, "segments", len(in), "bytes_before", before, "bytes", seg.LogBytes)
	return nil
}

// build writes the object. changed: it is not the same as the only segment that it was made of.
func (c *compaction) build(ctx context.Context, data *spool, object [16]byte, in []manifest.Segment) (seg manifest.Segment, changed bool, err error) {
	w, err := segment.NewWriter(data, segment.WriterOptions{Object: object})
	if err != nil {
		return seg, false, err
	}
	defer w.Close()
	before := c.filter.Stats.Changed
	end := segment.SectionEnd{End: in[len(in)-1].End, StableOffset: in[len(in)-1].End} // it was below when the round began
	var aborted []segment.AbortedTxn                                                   // of the last one
	for i := range in {
		s := &in[i]
		x, err := c.open(ctx, s)
		if err != nil {
			return seg, false, err
		}
		if i == 0 {
			if err := w.Begin(segment.SectionStart{
				Topic: x.Topic, Partition: x.Partition, Epoch: c.epoch, Base: s.Base, PrevChain: x.PrevChain, Sparse: true,
			}); err != nil {
				return seg, false, err
			}
		}
		for _, e := range x.Epochs {
			if n := len(end.Epochs); n == 0 || e.Epoch > end.Epochs[n-1].Epoch {
				end.Epochs = append(end.Epochs, e)
			}
		}
		if err := c.batches(ctx, s, x, s.Base, func(b record.Batch, last bool) (bool, error) {
			if c.out, err = c.filter.Append(c.out[:0], b, last && i == len(in)-1); err != nil || len(c.out) == 0 {
				return true, err
			}
			return true, w.Append(c.out)
		}); err != nil {
			return seg, false, err
		}
		if cap(c.out) > 2*compactReadBytes {
			c.out = nil // one outsized batch must not stay
		}
		if i == len(in)-1 {
			end.ReplacedChain, aborted = continues(x), x.Aborted
			if end.ProducerState, err = c.producers(ctx, s); err != nil {
				return seg, false, err
			}
		}
		if err := c.goOn(ctx); err != nil {
			return seg, false, err
		}
	}
	end.Aborted = c.filter.Txns.Kept()
	if len(in) == 1 && c.filter.Stats.Changed == before && slices.Equal(end.Aborted, aborted) {
		return seg, false, nil
	}
	done, err := w.End(end)
	if err != nil {
		return seg, false, err
	}
	o, err := w.Finish()
	if err == nil && o.Size != data.size {
		err = fmt.Errorf("tiering: spool and object differ size=%d want=%d", data.size, o.Size)
	}
	if err == nil {
		err = c.wait(ctx, data.size)
	}
	return manifest.Segment(done), true, err
}

// producers reads the producer state of a section: that of the new one, which ends where it does.
func (c *compaction) producers(ctx context.Context, s *manifest.Segment) ([]byte, error) {
	sec, err := segment.OpenSection(ctx, c.source(s), s.Position, s.Size)
	if err != nil {
		return nil, err
	}
	return sec.ProducerState(ctx)
}
