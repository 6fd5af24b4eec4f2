package metadata

import (
	"slices"

	"github.com/tidelinehq/tideline/metadata/record"
)

func (e *edit) replace(c *record.Replace) Result {
	reason := e.replaceOne(c)
	return Result{Reason: reason, Entries: []record.EntryResult{e.entryResult(c.Topic, c.Partition, reason)}}
}

// replaceOne is a compare-and-swap on the segments that were read.
func (e *edit) replaceOne(c *record.Replace) record.Reason {
	if reason := validReplace(c); reason != record.OK {
		return reason
	}
	old, s, reason := e.find(c.Topic, c.Partition)
	if reason != record.OK {
		return reason
	}
	p := *old
	l := &p.Ledger
	switch {
	case c.Pages == nil && contiguous(l.Hot, c.Segments) >= 0, c.Pages != nil && l.Root == c.Pages.NewRoot:
		return record.Already
	case old.LeaderEpoch != c.LeaderEpoch:
		return record.StaleEpoch
	case !e.open(c.Object, record.KindData), c.Pages != nil && !e.open(c.Pages.NewRoot.Object, record.KindPages):
		return record.NoIntent
	}

	gone := releaseSegments(nil, c.Hot)
	logBytes, stored, segments := l.LogBytes, l.StoredBytes, l.Segments
	for i := range c.Hot {
		logBytes, stored, segments = logBytes-c.Hot[i].LogBytes, stored-c.Hot[i].Size, segments-1
	}
	base, end := int64(0), int64(0) // of what is replaced, as far as it is known here
	if n := len(c.Hot); n > 0 {
		base, end = c.Hot[0].Base, c.Hot[n-1].End
	}
	var hot []Segment
	if c.Pages == nil {
		at := contiguous(l.Hot, c.Hot)
		if at < 0 || c.Segments[0].Base != base || c.Segments[len(c.Segments)-1].End != end {
			return record.WrongSegments
		}
		hot = slices.Concat(l.Hot[:at], c.Segments, l.Hot[at+len(c.Hot):])
	} else {
		x := c.Pages
		n := len(c.Hot)
		if l.Root != x.OldRoot || l.Segments-int64(len(l.Hot)) != x.OldSegments || n > len(l.Hot) || !slices.Equal(l.Hot[:n], c.Hot) {
			return record.WrongSegments
		}
		if n == 0 {
			end = l.RootEnd
		}
		if x.NewRootEnd != end || c.Segments[len(c.Segments)-1].End > end || c.Segments[0].Base >= l.RootEnd {
			return record.WrongOffset
		}
		for _, o := range x.Released {
			if o.LogBytes < 0 || o.Bytes < 0 || o.Segments <= 0 {
				return record.Invalid
			}
			gone = append(gone, release{object: o.Object, kind: record.KindData, refs: o.Segments, bytes: o.Bytes})
			logBytes, stored, segments = logBytes-o.LogBytes, stored-o.Bytes, segments-o.Segments
		}
		gone = releasePages(gone, x.ReleasedPages)
		hot = slices.Clone(l.Hot[n:])
	}
	if logBytes < 0 || stored < 0 || segments < 0 {
		return record.WrongTotals
	}
	for i := range c.Segments {
		logBytes, stored, segments = logBytes+c.Segments[i].LogBytes, stored+c.Segments[i].Size, segments+1
	}
	if segments < int64(len(hot)) {
		return record.WrongTotals
	}
	gone, ok := e.sum(gone)
	if !ok {
		return record.WrongReferences
	}

	e.addRefs(c.Object, int64(len(c.Segments)), c.Bytes)
	if c.Pages != nil {
		e.addRefs(c.Pages.NewRoot.Object, int64(c.Pages.Pages), c.Pages.Bytes)
		l.Root, l.RootEnd = c.Pages.NewRoot, c.Pages.NewRootEnd
	}
	e.release(gone, c.Due)
	e.finishUpload(c.Object, c.Bytes, true, c.Due)
	if c.Pages != nil {
		e.finishUpload(c.Pages.NewRoot.Object, c.Pages.Bytes, true, c.Due)
	}
	p.setHot(hot)
	l.LogBytes, l.StoredBytes, l.Segments = logBytes, stored, segments
	first, last := c.Segments[0].Base, c.Segments[len(c.Segments)-1].End
	if l.MaxTimestamp >= 0 && l.MaxTimestampOffset >= first && l.MaxTimestampOffset < last {
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
	e.partitions.Set(s, &p)
	e.delta.ledger(c.Topic, c.Partition)
	return record.OK
}

// validReplace refuses what contradicts itself.
func validReplace(c *record.Replace) record.Reason {
	if c.Bytes < 0 || len(c.Segments) == 0 || c.Pages == nil && len(c.Hot) < len(c.Segments) {
		return record.Invalid // a list that grows might outgrow its bound
	}
	for i := range c.Segments {
		s := &c.Segments[i]
		if s.Object != c.Object || s.Base < 0 || s.End <= s.Base || s.Position < 0 || s.Size <= 0 || s.LogBytes < 0 || s.Epoch != c.LeaderEpoch ||
			i > 0 && s.Base != c.Segments[i-1].End {
			return record.Invalid
		}
	}
	if x := c.Pages; x != nil && (x.Pages < 1 || x.Bytes < 0 || x.NewRoot.Size <= 0 || x.NewRoot.Object == (ID{}) || x.OldRoot == (PageRef{}) ||
		x.NewRoot.Object == c.Object || !slices.Contains(x.ReleasedPages, x.OldRoot)) {
		return record.Invalid
	}
	return record.OK
}

// contiguous is where a list has run, entry by entry; -1 when it does not.
func contiguous(list, run []Segment) int {
	if len(run) == 0 {
		return -1
	}
	at := slices.Index(list, run[0])
	if at < 0 || at+len(run) > len(list) || !slices.Equal(list[at:at+len(run)], run) {
		return -1
	}
	return at
}

func (e *edit) setCleaned(c *record.SetCleaned) Result {
	reason := e.setCleanedOne(c)
	return Result{Reason: reason, Entries: []record.EntryResult{e.entryResult(c.Topic, c.Partition, reason)}}
}

func (e *edit) setCleanedOne(c *record.SetCleaned) record.Reason {
	old, s, reason := e.find(c.Topic, c.Partition)
	switch {
	case reason != record.OK:
		return reason
	case old.LeaderEpoch != c.LeaderEpoch:
		return record.StaleEpoch
	case c.Cleaned < 0 || c.Horizon < 0 || c.Cleaned > old.Ledger.Tiered:
		return record.Invalid
	case c.Cleaned < old.Ledger.Cleaned, c.Cleaned == old.Ledger.Cleaned && c.Horizon == old.Ledger.Horizon:
		return record.Already
	}
	p := *old
	p.Ledger.Cleaned, p.Ledger.Horizon = c.Cleaned, c.Horizon
	p.Ledger.Generation++
	e.partitions.Set(s, &p)
	e.delta.ledger(c.Topic, c.Partition)
	return record.OK
}
