package metadata

import (
	"github.com/tidelinehq/tideline/metadata/record"
)

func (e *edit) beginUpload(c *record.BeginUpload) record.Reason {
	if (c.Kind != record.KindData && c.Kind != record.KindPages) || c.Object == (ID{}) {
		return record.Invalid
	}
	if _, r := e.currentBroker(c.Broker, c.BrokerEpoch); r != record.OK {
		return r
	}
	if i, ok := e.intents.Get(key(c.Object)); ok {
		if i.Broker == c.Broker && i.BrokerEpoch == c.BrokerEpoch && i.Kind == c.Kind {
			return record.Already
		}
		return record.ObjectExists
	}
	if _, ok := e.objects.Get(key(c.Object)); ok || e.IsGarbage(c.Object) {
		return record.ObjectExists
	}
	open, _ := e.brokerUpload.Get(c.Broker)
	if open >= record.MaxIntents {
		return record.TooMany
	}
	e.brokerUpload.Set(c.Broker, open+1)
	e.intents.Set(key(c.Object), &Intent{Object: c.Object, Kind: c.Kind, Broker: c.Broker, BrokerEpoch: c.BrokerEpoch, At: c.At})
	return record.OK
}

func (e *edit) abortUpload(c *record.AbortUpload) Result {
	i, ok := e.intents.Get(key(c.Object))
	if !ok {
		return Result{Reason: record.Already, Garbage: e.IsGarbage(c.Object)}
	}
	e.closeIntent(i, c.Due)
	return Result{Garbage: e.IsGarbage(c.Object)}
}

// finishUpload closes the intent of an object with its last chunk.
func (e *edit) finishUpload(object ID, bytes int64, last bool, due int64) {
	i, ok := e.intents.Get(key(object))
	if !ok || !last {
		return
	}
	next := *i
	next.Bytes = bytes
	e.closeIntent(&next, due)
}

// open reports whether an upload of the kind is open for an object.
func (e *edit) open(object ID, kind record.UploadKind) bool {
	i, ok := e.intents.Get(key(object))
	return ok && i.Kind == kind
}

func (e *edit) commitUpload(c *record.CommitUpload) Result {
	if len(c.Entries) > record.MaxCommitEntries || c.Bytes < 0 {
		return Result{Reason: record.Invalid}
	}
	r := Result{Entries: make([]record.EntryResult, len(c.Entries))}
	for i := range c.Entries {
		x := &c.Entries[i]
		r.Entries[i] = e.entryResult(x.Topic, x.Partition, e.commitEntry(c, x))
	}
	e.finishUpload(c.Object, c.Bytes, c.Last, c.Due)
	r.Garbage = e.IsGarbage(c.Object)
	return r
}

func (e *edit) commitEntry(c *record.CommitUpload, x *record.CommitEntry) record.Reason {
	seg := &x.Segment
	if seg.Object != c.Object || seg.Base < 0 || seg.End <= seg.Base || seg.Position < 0 || seg.Size <= 0 || seg.LogBytes < 0 || seg.Epoch != x.LeaderEpoch {
		return record.Invalid
	}
	old, s, reason := e.find(x.Topic, x.Partition)
	if reason != record.OK {
		return reason
	}
	for i := len(old.Ledger.Hot) - 1; i >= 0 && old.Ledger.Hot[i].End >= seg.End; i-- {
		if old.Ledger.Hot[i] == *seg {
			return record.Already
		}
	}
	switch {
	case !e.open(c.Object, record.KindData):
		return record.NoIntent
	case old.LeaderEpoch != x.LeaderEpoch:
		return record.StaleEpoch
	case old.Ledger.Tiered != x.Expected:
		return record.WrongOffset
	}
	p := *old
	l := &p.Ledger
	if seg.Base != l.Tiered {
		// Only a gap that lies below the log start can be jumped: all that was
		// tiered before it is dead, and must be gone for the ledger to stay
		// contiguous.
		if seg.Base < l.Tiered || seg.Base > l.LogStart {
			return record.WrongOffset
		}
		if l.Root != (PageRef{}) {
			return record.RetainFirst
		}
		dead, ok := e.sum(releaseSegments(nil, l.Hot))
		if !ok {
			return record.WrongReferences
		}
		e.release(dead, c.Due)
		p.dropHot(len(l.Hot))
		p.ReleasedEnd = max(p.ReleasedEnd, l.Tiered)
		l.LogBytes, l.StoredBytes, l.Segments = 0, 0, 0
		l.MaxTimestamp, l.MaxTimestampOffset = -1, -1
	}
	if len(l.Hot) >= record.MaxHot {
		return record.HotFull
	}
	p.appendHot(*seg)
	l.Tiered = seg.End
	l.LogBytes += seg.LogBytes
	l.StoredBytes += seg.Size
	l.Segments++
	if seg.MaxTimestamp > l.MaxTimestamp {
		l.MaxTimestamp, l.MaxTimestampOffset = seg.MaxTimestamp, seg.MaxTimestampOffset
	}
	l.Chain = seg.Chain
	l.Generation++
	e.addRefs(c.Object, 1, c.Bytes)
	e.partitions.Set(s, &p)
	e.delta.ledger(x.Topic, x.Partition)
	return record.OK
}

func (e *edit) spill(c *record.Spill) Result {
	if len(c.Entries) > record.MaxCommitEntries || c.Bytes < 0 {
		return Result{Reason: record.Invalid}
	}
	r := Result{Entries: make([]record.EntryResult, len(c.Entries))}
	for i := range c.Entries {
		x := &c.Entries[i]
		r.Entries[i] = e.entryResult(x.Topic, x.Partition, e.spillEntry(c, x))
	}
	e.finishUpload(c.Object, c.Bytes, c.Last, c.Due)
	r.Garbage = e.IsGarbage(c.Object)
	return r
}

func (e *edit) spillEntry(c *record.Spill, x *record.SpillEntry) record.Reason {
	if x.Pages < 1 || x.NewRoot.Object != c.Object || x.NewRoot.Size <= 0 || c.Object == (ID{}) {
		return record.Invalid
	}
	old, s, reason := e.find(x.Topic, x.Partition)
	if reason != record.OK {
		return reason
	}
	switch {
	case old.Ledger.Root == x.NewRoot && old.Ledger.RootEnd == x.NewRootEnd:
		return record.Already
	case !e.open(c.Object, record.KindPages):
		return record.NoIntent
	case old.Ledger.Generation != x.Generation:
		return record.WrongGeneration
	}
	n := 0
	for n < len(old.Ledger.Hot) && old.Ledger.Hot[n].End <= x.NewRootEnd {
		n++
	}
	if n == 0 || old.Ledger.Hot[n-1].End != x.NewRootEnd {
		return record.WrongOffset
	}
	gone, ok := e.sum(releasePages(nil, x.Released))
	if !ok {
		return record.WrongReferences
	}
	e.addRefs(c.Object, int64(x.Pages), c.Bytes)
	e.release(gone, c.Due)
	p := *old
	p.dropHot(n)
	p.Ledger.Root, p.Ledger.RootEnd = x.NewRoot, x.NewRootEnd
	p.Ledger.Generation++
	e.partitions.Set(s, &p)
	e.delta.ledger(x.Topic, x.Partition)
	return record.OK
}
