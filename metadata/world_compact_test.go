package metadata

import (
	"encoding/binary"
	"slices"

	"github.com/tidelinehq/tideline/metadata/record"
)

// replacement makes one segment of a run.
func (w *world) replacement(object ID, p *Partition, run []Segment) Segment {
	s := Segment{
		Object: object, Size: 1 + w.r.Int64N(500), Base: run[0].Base, End: run[len(run)-1].End, LogBytes: w.r.Int64N(3000),
		MinTimestamp: w.r.Int64N(1e6), Epoch: p.LeaderEpoch, Flags: record.SegmentSparse, CRC: w.r.Uint32(),
	}
	s.MaxTimestamp, s.MaxTimestampOffset = s.MinTimestamp+w.r.Int64N(1e6), s.Base
	binary.LittleEndian.PutUint64(s.Chain[:], w.r.Uint64())
	return s
}

// compact replaces a random run of a partition's live segments, in pages, hot, or across both.
func (w *world) compact() {
	tp, p, m, ok := w.pick()
	if !ok || p.Ledger.Segments == 0 {
		return
	}
	l := &p.Ledger
	live := append(slices.Clone(m.paged), l.Hot...)
	from := w.r.IntN(len(live))
	to := from + 1 + w.r.IntN(len(live)-from)
	object, ok := w.begin(record.KindData)
	if !ok {
		return
	}
	c := &record.Replace{
		Topic: tp.Topic, Partition: tp.Partition, LeaderEpoch: p.LeaderEpoch, Object: object, Bytes: 700,
		Segments: []Segment{w.replacement(object, p, live[from:to])}, PagedMaxTimestamp: -1, PagedMaxTimestampOffset: -1, Due: int64(w.index) + 7,
	}
	paged := from < len(m.paged)
	var pages []PageRef
	if paged {
		inPages := live[from:min(to, len(m.paged))]
		c.Hot = slices.Clone(live[len(m.paged):max(to, len(m.paged))])
		root, ok := w.begin(record.KindPages)
		if !ok {
			return
		}
		x := &record.ReplacePages{
			OldRoot: l.Root, OldSegments: int64(len(m.paged)), NewRoot: PageRef{Object: root, Position: 60, Size: 50}, NewRootEnd: l.RootEnd,
			Bytes: 300, Pages: 2, ReleasedPages: m.pages,
		}
		if len(c.Hot) > 0 {
			x.NewRootEnd = c.Hot[len(c.Hot)-1].End
		}
		for _, s := range inPages {
			x.Released = append(x.Released, record.ObjectRef{Object: s.Object, Bytes: s.Size, LogBytes: s.LogBytes, Segments: 1})
		}
		c.Pages = x
		pages = []PageRef{{Object: root, Size: 50}, x.NewRoot}
	} else {
		c.Hot = slices.Clone(live[from:to])
	}

	before := w.bytes()
	refuse := func(want record.Reason, change func(c *record.Replace)) {
		bad := *c
		bad.Hot, bad.Segments = slices.Clone(c.Hot), slices.Clone(c.Segments)
		if c.Pages != nil {
			x := *c.Pages
			bad.Pages = &x
		}
		change(&bad)
		if r := w.apply(&bad); r.Reason != want {
			w.t.Fatalf("replace: %v, want %v: %+v of %+v", r.Reason, want, bad, p.Ledger)
		}
		w.same(before)
	}
	switch w.r.IntN(6) {
	case 0:
		refuse(record.StaleEpoch, func(c *record.Replace) { c.LeaderEpoch++; c.Segments[0].Epoch++ })
	case 1:
		refuse(record.NoIntent, func(c *record.Replace) { c.Object = w.id(); c.Segments[0].Object = c.Object })
	case 2:
		if len(c.Hot) > 0 {
			refuse(record.WrongSegments, func(c *record.Replace) { c.Hot[w.r.IntN(len(c.Hot))].CRC++ })
		}
	case 3:
		if paged {
			refuse(record.WrongSegments, func(c *record.Replace) { c.Pages.OldSegments++ })
			refuse(record.WrongReferences, func(c *record.Replace) {
				c.Pages.ReleasedPages = append(slices.Clone(c.Pages.ReleasedPages), PageRef{Object: object, Size: 1})
			})
		} else {
			refuse(record.WrongSegments, func(c *record.Replace) { c.Segments[0].End++ })
		}
	}
	if r := w.apply(c); r.Reason != record.OK {
		w.t.Fatalf("replace: %v: %+v of %+v", r.Reason, c, p.Ledger)
	}
	if paged {
		m.paged = append(slices.Clone(live[:from]), c.Segments...)
		if to < w.paged(live, l) {
			m.paged = append(m.paged, live[to:w.paged(live, l)]...)
		}
		m.pages = pages
	}
	after := w.bytes()
	if r := w.apply(c); r.Reason != record.Already {
		w.t.Fatal("repeated replace:", r.Reason)
	}
	w.same(after)

	clean := &record.SetCleaned{Topic: tp.Topic, Partition: tp.Partition, LeaderEpoch: p.LeaderEpoch, Cleaned: c.Segments[0].End, Horizon: int64(w.index)}
	want := record.OK
	if clean.Cleaned < l.Cleaned {
		want = record.Already
	}
	if r := w.apply(clean); r.Reason != want {
		w.t.Fatal("cleaned:", r.Reason)
	}
	after = w.bytes()
	if r := w.apply(clean); r.Reason != record.Already {
		w.t.Fatal("repeated cleaned:", r.Reason)
	}
	w.same(after)
}

// paged is how many of the live segments of a ledger, as it was, were in pages.
func (w *world) paged(live []Segment, l *Ledger) int { return len(live) - len(l.Hot) }
