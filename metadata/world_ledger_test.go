package metadata

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

func (w *world) begin(kind record.UploadKind) (ID, bool) {
	object := w.id()
	for b := range w.image.Brokers() {
		if r := w.apply(&record.BeginUpload{Object: object, Kind: kind, Broker: b.ID, BrokerEpoch: b.Epoch, At: int64(w.index)}); r.Reason == record.OK {
			w.begun[object] = true
			return object, true
		}
	}
	return object, false
}

func (w *world) segment(object ID, p *Partition, position int64) Segment {
	base := p.Ledger.Tiered
	if base < p.Ledger.LogStart && w.r.IntN(2) == 0 {
		base += w.r.Int64N(p.Ledger.LogStart - base + 1)
	}
	s := Segment{
		Object: object, Position: position, Size: 1 + w.r.Int64N(1000), Base: base, End: base + 1 + w.r.Int64N(100),
		LogBytes: w.r.Int64N(5000), MinTimestamp: w.r.Int64N(1e6), Epoch: p.LeaderEpoch, CRC: w.r.Uint32(),
	}
	s.MaxTimestamp, s.MaxTimestampOffset = s.MinTimestamp+w.r.Int64N(1e6), s.Base
	binary.LittleEndian.PutUint64(s.Chain[:], w.r.Uint64())
	return s
}

func (w *world) commit() {
	object, ok := w.begin(record.KindData)
	if !ok {
		return
	}
	if w.r.IntN(10) == 0 {
		w.apply(&record.AbortUpload{Object: object, Due: int64(w.index) + 10})
		return
	}
	if w.r.IntN(20) == 0 {
		return // the broker died
	}
	c := &record.CommitUpload{Bytes: 10_000, Due: int64(w.index) + 10}
	used := map[TopicPartition]bool{}
	for i := range 1 + w.r.IntN(8) {
		tp, p, _, ok := w.pick()
		if !ok || used[tp] {
			continue
		}
		used[tp] = true
		x := record.CommitEntry{Topic: tp.Topic, Partition: tp.Partition, LeaderEpoch: p.LeaderEpoch, Expected: p.Ledger.Tiered, Segment: w.segment(object, p, int64(i))}
		switch w.r.IntN(12) {
		case 0:
			x.LeaderEpoch++
			x.Segment.Epoch++
		case 1:
			x.Expected++
		case 2:
			x.Segment.Base++
		}
		c.Entries = append(c.Entries, x)
	}
	cut := w.r.IntN(len(c.Entries) + 1) // two chunks
	first := &record.CommitUpload{Object: object, Bytes: c.Bytes, Entries: c.Entries[:cut], Due: c.Due}
	last := &record.CommitUpload{Object: object, Bytes: c.Bytes, Entries: c.Entries[cut:], Due: c.Due, Last: true}
	for _, part := range []*record.CommitUpload{first, last} {
		jumps := map[TopicPartition]bool{}
		for _, x := range part.Entries {
			p, _ := w.image.Partition(x.Topic, x.Partition)
			jumps[TopicPartition{Topic: x.Topic, Partition: x.Partition}] = x.Segment.Base > p.Ledger.Tiered
		}
		before := w.image
		r := w.apply(part)
		for i, x := range part.Entries {
			if jumps[TopicPartition{Topic: x.Topic, Partition: x.Partition}] && r.Entries[i].Reason == record.OK {
				p, _ := w.image.Partition(x.Topic, x.Partition)
				if len(p.Ledger.Hot) != 1 {
					w.t.Fatal("jump kept dead segments")
				}
			}
		}
		// Twice is harmless: the same entries are accepted, nothing changes.
		after := w.bytes()
		again := w.apply(part)
		if again.Accepted() != r.Accepted() && w.image.IntentCount() == before.IntentCount() {
			w.t.Fatalf("repeated commit: accepted %d, before %d", again.Accepted(), r.Accepted())
		}
		w.same(after)
	}
}

// bytes is the image without its index.
func (w *world) bytes() []byte {
	m := *w.image
	m.index = 0
	return snapshotBytes(w.t, &m)
}

func (w *world) same(want []byte) {
	w.t.Helper()
	if !bytes.Equal(want, w.bytes()) {
		w.t.Fatal("a repeated command changed the image")
	}
}

func snapshotBytes(t testing.TB, m *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := m.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Fatalf("WriteTo said %d bytes, wrote %d", n, b.Len())
	}
	return b.Bytes()
}

func (w *world) spill() {
	object, ok := w.begin(record.KindPages)
	if !ok {
		return
	}
	c := &record.Spill{Object: object, Bytes: 500, Last: true, Due: int64(w.index) + 5}
	var moved [][]Segment
	used := map[TopicPartition]bool{}
	for i := range 1 + w.r.IntN(3) {
		tp, p, m, ok := w.pick()
		if !ok || len(p.Ledger.Hot) < 2 || used[tp] {
			continue
		}
		used[tp] = true
		hot := p.Ledger.Hot[:1+w.r.IntN(len(p.Ledger.Hot))]
		x := record.SpillEntry{
			Topic: tp.Topic, Partition: tp.Partition, Generation: p.Ledger.Generation - uint64(w.r.IntN(8)/7),
			NewRoot: PageRef{Object: object, Position: int64(i * 100), Size: 90}, NewRootEnd: hot[len(hot)-1].End, Pages: 2,
		}
		if n := len(m.pages); n > 0 {
			x.Released = m.pages[n-1:]
		}
		c.Entries, moved = append(c.Entries, x), append(moved, slices.Clone(hot))
	}
	r := w.apply(c)
	for i, x := range c.Entries {
		if r.Entries[i].Reason != record.OK {
			continue
		}
		m := w.parts[TopicPartition{Topic: x.Topic, Partition: x.Partition}]
		m.paged = append(m.paged, moved[i]...)
		if n := len(m.pages); n > 0 {
			m.pages = m.pages[:n-1]
		}
		leaf := x.NewRoot
		leaf.Position += 50
		m.pages = append(m.pages, leaf, x.NewRoot)
	}
	after := w.bytes()
	w.apply(c)
	w.same(after)
}

// release makes a step that takes some of the oldest segments.
func (w *world) release(p *Partition, m *modelPartition, all bool) record.Release {
	l := &p.Ledger
	live := append(slices.Clone(m.paged), l.Hot...)
	n := len(live)
	if !all {
		n = 1 + w.r.IntN(n)
	}
	x := record.Release{Cut: live[n-1].End, PagedMaxTimestamp: -1, PagedMaxTimestampOffset: -1}
	if n == len(live) {
		x.Cut = max(x.Cut, l.LogStart)
	}
	for _, s := range live[:min(n, len(m.paged))] {
		x.Released = append(x.Released, record.ObjectRef{Object: s.Object, Bytes: s.Size, LogBytes: s.LogBytes, Segments: 1})
	}
	if len(m.pages) > 0 && n >= len(m.paged) {
		x.ReleasedPages = m.pages
	}
	return x
}

func (m *modelPartition) released(x *record.Release) {
	m.paged = slices.DeleteFunc(m.paged, func(s Segment) bool { return s.End <= x.Cut })
	if len(x.ReleasedPages) > 0 {
		m.pages = nil
	}
}

func (w *world) retain() {
	tp, p, m, ok := w.pick()
	if !ok || p.Ledger.Segments == 0 {
		return
	}
	c := &record.Retain{Topic: tp.Topic, Partition: tp.Partition, Generation: p.Ledger.Generation, Release: w.release(p, m, false), Due: int64(w.index) + 20}
	bad := true
	before := w.bytes()
	var want record.Reason
	switch w.r.IntN(6) {
	case 0:
		c.Generation++
		want = record.WrongGeneration
	case 1:
		c.Release.Released = append(slices.Clone(c.Release.Released), record.ObjectRef{Object: w.id(), LogBytes: 1 << 40, Segments: 1})
		want = record.WrongTotals
		if p.Ledger.Root == (PageRef{}) {
			want = record.Invalid
		}
	default:
		bad = false
	}
	if r := w.apply(c); r.Reason != want {
		w.t.Fatalf("retain: %v, want %v: %+v of %+v", r.Reason, want, c.Release, p.Ledger)
	}
	if bad {
		w.same(before)
		return
	}
	m.released(&c.Release)
	after := w.bytes()
	if r := w.apply(c); r.Reason != record.Already {
		w.t.Fatal("repeated retain:", r.Reason)
	}
	w.same(after)
}

func (w *world) deleteRecords() {
	if tp, p, _, ok := w.pick(); ok {
		to := p.Ledger.LogStart + w.r.Int64N(max(1, p.Ledger.Tiered-p.Ledger.LogStart+50))
		w.apply(&record.SetLogStart{Entries: []record.LogStartEntry{{Topic: tp.Topic, Partition: tp.Partition, LeaderEpoch: p.LeaderEpoch, LogStart: to}}})
	}
}

func (w *world) collect() {
	var ids []ID
	for g := range w.image.Garbage() {
		if len(ids) >= 20 || w.r.IntN(4) == 0 {
			break
		}
		ids = append(ids, g.Object)
		if !w.begun[g.Object] {
			w.t.Fatalf("object %x is garbage and was collected or never begun", g.Object)
		}
		delete(w.begun, g.Object)
	}
	w.apply(&record.CollectGarbage{Objects: append(ids, w.id())})
}

func (w *world) purge() {
	for x := range w.image.Purges() {
		for p := range w.image.PurgePartitions(x) {
			key := TopicPartition{Topic: x.Topic, Partition: p.Index}
			m := w.parts[key]
			all := w.r.IntN(2) == 0
			e := record.PurgeEntry{Partition: p.Index, Generation: p.Ledger.Generation, Done: all}
			if p.Ledger.Segments > 0 {
				e.Release = w.release(p, m, all)
			} else {
				e.Release, e.Done = record.Release{Cut: max(p.Ledger.Tiered, p.Ledger.LogStart)}, true
			}
			c := &record.PurgeProgress{Topic: x.Topic, Entries: []record.PurgeEntry{e}, Due: int64(w.index) + 3}
			if r := w.apply(c); r.Entries[0].Reason != record.OK {
				w.t.Fatalf("purge: %v %+v of %+v", r.Entries[0].Reason, e, p.Ledger)
			}
			m.released(&e.Release)
			if e.Done {
				delete(w.parts, key)
			}
			after := w.bytes()
			w.apply(c)
			w.same(after)
		}
		now, _ := w.image.purges.Get(key(x.Topic))
		if r := w.apply(&record.PurgeDone{Topic: x.Topic}); (r.Reason == record.OK) != (now.Remaining == 0) {
			w.t.Fatalf("purge done: %v with %d remaining", r.Reason, now.Remaining)
		}
		return
	}
}
