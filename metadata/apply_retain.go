package metadata

import (
	"slices"

	"github.com/tidelinehq/tideline/metadata/record"
)

func (e *edit) retain(c *record.Retain) Result {
	reason := e.retainOne(c)
	return Result{Reason: reason, Entries: []record.EntryResult{e.entryResult(c.Topic, c.Partition, reason)}}
}

func (e *edit) retainOne(c *record.Retain) record.Reason {
	old, s, reason := e.find(c.Topic, c.Partition)
	if reason != record.OK {
		return reason
	}
	p := *old
	if reason := e.releaseFrom(&p, c.Generation, &c.Release, c.Due); reason != record.OK {
		return reason
	}
	e.partitions.Set(s, &p)
	e.delta.ledger(c.Topic, c.Partition)
	return record.OK
}

// releaseFrom releases the oldest segments of a partition that is not
// published yet.
func (e *edit) releaseFrom(p *partition, generation uint64, c *record.Release, due int64) record.Reason {
	l := &p.Ledger
	if l.Generation != generation {
		// A repeat after a lost reply finds its own work.
		if l.Generation > generation && p.ReleasedEnd == c.Cut && (c.NewRoot == nil || *c.NewRoot == l.Root) {
			return record.Already
		}
		return record.WrongGeneration
	}
	if c.Cut < p.ReleasedEnd {
		return record.Invalid
	}
	paged := l.Root != PageRef{}
	clears := paged && c.NewRoot == nil && c.Cut >= l.RootEnd
	switch {
	case !paged && (len(c.Released) > 0 || len(c.ReleasedPages) > 0 || c.NewRoot != nil):
		return record.Invalid
	case clears && !slices.Contains(c.ReleasedPages, l.Root):
		return record.WrongReferences // the last page would never be deleted
	case c.NewRoot != nil:
		if c.Pages < 1 || c.NewRoot.Size <= 0 || c.Cut >= l.RootEnd {
			return record.Invalid
		}
		if !e.open(c.NewRoot.Object, record.KindPages) {
			return record.NoIntent
		}
	}

	n := 0
	for n < len(l.Hot) && l.Hot[n].End <= c.Cut {
		n++
	}
	gone := releasePages(releaseSegments(nil, l.Hot[:n]), c.ReleasedPages)
	logBytes, stored, segments := l.LogBytes, l.StoredBytes, l.Segments
	for i := range l.Hot[:n] {
		logBytes, stored, segments = logBytes-l.Hot[i].LogBytes, stored-l.Hot[i].Size, segments-1
	}
	for _, o := range c.Released {
		if o.LogBytes < 0 || o.Bytes < 0 || o.Segments <= 0 {
			return record.Invalid
		}
		gone = append(gone, release{object: o.Object, kind: record.KindData, refs: o.Segments, bytes: o.Bytes})
		logBytes, stored, segments = logBytes-o.LogBytes, stored-o.Bytes, segments-o.Segments
		if logBytes < 0 || stored < 0 || segments < 0 {
			return record.WrongTotals
		}
	}
	left := l.Hot[n:]
	if !paged || clears {
		for i := range left {
			logBytes, stored, segments = logBytes-left[i].LogBytes, stored-left[i].Size, segments-1
		}
		if logBytes != 0 || stored != 0 || segments != 0 {
			return record.WrongTotals
		}
		for i := range left {
			logBytes, stored, segments = logBytes+left[i].LogBytes, stored+left[i].Size, segments+1
		}
	}
	gone, ok := e.sum(gone)
	if !ok {
		return record.WrongReferences
	}

	if c.NewRoot != nil {
		i, _ := e.intents.Get(key(c.NewRoot.Object))
		e.addRefs(i.Object, int64(c.Pages), max(i.Bytes, c.NewRoot.Position+int64(c.NewRoot.Size)))
		l.Root = *c.NewRoot
	}
	e.release(gone, due)
	if c.NewRoot != nil {
		i, _ := e.intents.Get(key(c.NewRoot.Object))
		e.closeIntent(i, due)
	}
	if clears {
		l.Root, l.RootEnd = PageRef{}, 0
	}
	p.dropHot(n)
	l.LogStart, p.ReleasedEnd = max(l.LogStart, c.Cut), c.Cut
	l.LogBytes, l.StoredBytes, l.Segments = logBytes, stored, segments
	if l.MaxTimestamp >= 0 && l.MaxTimestampOffset < c.Cut {
		l.MaxTimestamp, l.MaxTimestampOffset = -1, -1
		if l.Root != (PageRef{}) && c.PagedMaxTimestamp >= 0 {
			l.MaxTimestamp, l.MaxTimestampOffset = c.PagedMaxTimestamp, c.PagedMaxTimestampOffset
		}
		for i := range l.Hot {
			if s := &l.Hot[i]; s.MaxTimestamp > l.MaxTimestamp {
				l.MaxTimestamp, l.MaxTimestampOffset = s.MaxTimestamp, s.MaxTimestampOffset
			}
		}
	}
	l.Generation++
	return record.OK
}

func (e *edit) setLogStart(c *record.SetLogStart) Result {
	r := Result{Entries: make([]record.EntryResult, len(c.Entries))}
	for i := range c.Entries {
		x := &c.Entries[i]
		r.Entries[i] = e.entryResult(x.Topic, x.Partition, e.moveLogStart(x))
	}
	return r
}

func (e *edit) moveLogStart(x *record.LogStartEntry) record.Reason {
	old, s, reason := e.find(x.Topic, x.Partition)
	switch {
	case reason != record.OK:
		return reason
	case old.LeaderEpoch != x.LeaderEpoch:
		return record.StaleEpoch
	case x.LogStart <= old.Ledger.LogStart:
		return record.Already
	}
	p := *old
	p.Ledger.LogStart = x.LogStart
	p.Ledger.Generation++
	e.partitions.Set(s, &p)
	e.delta.ledger(x.Topic, x.Partition)
	return record.OK
}

func (e *edit) purgeProgress(c *record.PurgeProgress) Result {
	purge, ok := e.purges.Get(key(c.Topic))
	if !ok {
		return Result{Reason: record.Already}
	}
	r := Result{Entries: make([]record.EntryResult, len(c.Entries))}
	for i := range c.Entries {
		x := &c.Entries[i]
		r.Entries[i].Reason = e.purgeEntry(purge, x, c.Due)
		if p, ok := e.purging.Get(slot(purge.Ordinal, x.Partition)); ok {
			r.Entries[i].Tiered, r.Entries[i].Generation = p.Ledger.Tiered, p.Ledger.Generation
		}
		purge, _ = e.purges.Get(key(c.Topic))
	}
	return r
}

func (e *edit) purgeEntry(purge *Purge, x *record.PurgeEntry, due int64) record.Reason {
	s := slot(purge.Ordinal, x.Partition)
	old, ok := e.purging.Get(s)
	if !ok {
		return record.Already
	}
	p := *old
	if x.Done {
		// Refuse before anything is released: what is left over would be lost.
		if x.Release.Cut < p.Ledger.Tiered || x.Release.NewRoot != nil {
			return record.Invalid
		}
	}
	if reason := e.releaseFrom(&p, x.Generation, &x.Release, due); reason != record.OK {
		return reason
	}
	e.delta.garbage = true
	if !x.Done {
		e.purging.Set(s, &p)
		return record.OK
	}
	// With all below Tiered released and no root, releaseFrom has verified
	// that the totals are zero.
	e.purging.Delete(s)
	next := *purge
	next.Remaining--
	e.purges.Set(key(purge.Topic), &next)
	return record.OK
}

func (e *edit) purgeDone(c *record.PurgeDone) record.Reason {
	purge, ok := e.purges.Get(key(c.Topic))
	if !ok {
		return record.Already
	}
	if purge.Remaining > 0 {
		return record.PurgePending
	}
	e.purges.Delete(key(c.Topic))
	e.delta.garbage = true
	return record.OK
}
