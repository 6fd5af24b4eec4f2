package metadata

import (
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

// ledgerWorld is an image with one topic of two partitions, led by broker 1.
type ledgerWorld struct {
	t     *testing.T
	image *Image
	epoch int64
	topic ID
}

func newLedgerWorld(t *testing.T) *ledgerWorld {
	w := &ledgerWorld{t: t, image: new(Image), topic: ID{9}}
	w.ok(&record.InitCluster{ClusterID: "c"})
	w.epoch = w.ok(&record.RegisterBroker{ID: 1, Incarnation: ID{1}}).BrokerEpoch
	w.ok(&record.UnfenceBroker{ID: 1, Epoch: w.epoch})
	w.ok(&record.CreateTopic{ID: w.topic, Name: "t", Assignments: assign(2, 1)})
	return w
}

func (w *ledgerWorld) apply(c record.Command) Result {
	w.t.Helper()
	next, r := Apply(w.image, w.image.Index()+1, c)
	w.image = next
	if err := Check(next); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *ledgerWorld) ok(c record.Command) Result {
	w.t.Helper()
	return w.want(c, record.OK)
}

// want applies a command and expects a reason, of the command or of its only
// entry.
func (w *ledgerWorld) want(c record.Command, reason record.Reason) Result {
	w.t.Helper()
	r := w.apply(c)
	got := r.Reason
	if len(r.Entries) == 1 && got == record.OK {
		got = r.Entries[0].Reason
	}
	if got != reason {
		w.t.Fatalf("%s: %v, want %v", c.Type(), got, reason)
	}
	return r
}

func (w *ledgerWorld) begin(object byte, kind record.UploadKind) {
	w.t.Helper()
	w.ok(&record.BeginUpload{Object: ID{object}, Kind: kind, Broker: 1, BrokerEpoch: w.epoch})
}

func (w *ledgerWorld) ledger(partition int32) *Ledger {
	p, ok := w.image.Partition(w.topic, partition)
	if !ok {
		w.t.Fatal("no partition")
	}
	return &p.Ledger
}

func (w *ledgerWorld) commit(object byte, partition int32, base, end int64) *record.CommitUpload {
	return &record.CommitUpload{Object: ID{object}, Bytes: 1000, Last: true, Due: 77, Entries: []record.CommitEntry{{
		Topic: w.topic, Partition: partition, Expected: w.ledger(partition).Tiered,
		Segment: Segment{Object: ID{object}, Size: 10, Base: base, End: end, LogBytes: 100, MinTimestamp: base, MaxTimestamp: end, MaxTimestampOffset: end - 1},
	}}}
}

// add uploads and commits one object for a partition.
func (w *ledgerWorld) add(object byte, partition int32, base, end int64) {
	w.t.Helper()
	w.begin(object, record.KindData)
	w.ok(w.commit(object, partition, base, end))
}

func (w *ledgerWorld) garbage(want ...byte) {
	w.t.Helper()
	if n := w.image.GarbageCount(); n != len(want) {
		w.t.Fatalf("%d garbage objects, want %d", n, len(want))
	}
	for _, o := range want {
		if !w.image.IsGarbage(ID{o}) {
			w.t.Fatalf("object %d is not garbage", o)
		}
	}
}

func TestCommitRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*record.CommitUpload)
		want   record.Reason
	}{
		"accepted":        {func(*record.CommitUpload) {}, record.OK},
		"stale epoch":     {func(c *record.CommitUpload) { c.Entries[0].LeaderEpoch, c.Entries[0].Segment.Epoch = 1, 1 }, record.StaleEpoch},
		"foreign epoch":   {func(c *record.CommitUpload) { c.Entries[0].Segment.Epoch = 1 }, record.Invalid},
		"wrong expected":  {func(c *record.CommitUpload) { c.Entries[0].Expected = 3 }, record.WrongOffset},
		"gap":             {func(c *record.CommitUpload) { c.Entries[0].Segment.Base = 12 }, record.WrongOffset},
		"overlap":         {func(c *record.CommitUpload) { c.Entries[0].Segment.Base = 8 }, record.WrongOffset},
		"empty":           {func(c *record.CommitUpload) { c.Entries[0].Segment.End = 10 }, record.Invalid},
		"other object":    {func(c *record.CommitUpload) { c.Entries[0].Segment.Object = ID{99} }, record.Invalid},
		"no topic":        {func(c *record.CommitUpload) { c.Entries[0].Topic = ID{99} }, record.NoTopic},
		"no partition":    {func(c *record.CommitUpload) { c.Entries[0].Partition = 2 }, record.NoPartition},
		"negative":        {func(c *record.CommitUpload) { c.Entries[0].Segment.LogBytes = -1 }, record.Invalid},
		"no intent":       {func(c *record.CommitUpload) { c.Object, c.Entries[0].Segment.Object = ID{50}, ID{50} }, record.NoIntent},
		"pages as intent": {func(c *record.CommitUpload) { c.Object, c.Entries[0].Segment.Object = ID{51}, ID{51} }, record.NoIntent},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLedgerWorld(t)
			w.add(1, 0, 0, 10)
			w.begin(2, record.KindData)
			w.begin(51, record.KindPages)
			x := w.commit(2, 0, 10, 20)
			c.change(x)
			before := *w.ledger(0)
			r := w.want(x, c.want)
			if c.want == record.OK {
				if l := w.ledger(0); l.Tiered != 20 || l.Segments != 2 || l.LogBytes != 200 || l.MaxTimestamp != 20 || l.Generation != before.Generation+1 {
					t.Fatalf("%+v", l)
				}
				w.garbage()
				w.want(x, record.Already)
				return
			}
			if l := w.ledger(0); l.Generation != before.Generation || l.Tiered != 10 {
				t.Fatalf("a refusal changed the ledger: %+v", l)
			}
			if x.Object == (ID{2}) {
				w.garbage(2) // nothing of it was accepted
				if !r.Garbage {
					t.Fatal("result does not say that the object is garbage")
				}
				if again := w.apply(x); again.Accepted() != 0 { // and it stays so
					t.Fatal(again)
				}
				w.garbage(2)
			}
		})
	}
}

func TestHotListIsBounded(t *testing.T) {
	w := newLedgerWorld(t)
	var end int64
	for i := range record.MaxHot {
		object := ID{1, byte(i), byte(i >> 8)}
		w.image, _ = Apply(w.image, uint64(100+2*i), &record.BeginUpload{Object: object, Kind: record.KindData, Broker: 1, BrokerEpoch: w.epoch})
		c := w.commit(1, 0, end, end+1)
		c.Object, c.Entries[0].Segment.Object = object, object
		w.image, _ = Apply(w.image, uint64(101+2*i), c)
		end++
	}
	w.begin(2, record.KindData)
	w.want(w.commit(2, 0, end, end+1), record.HotFull)
	w.garbage(2)
	w.begin(3, record.KindPages)
	w.ok(&record.Spill{Object: ID{3}, Bytes: 10, Last: true, Entries: []record.SpillEntry{{
		Topic: w.topic, Generation: w.ledger(0).Generation, NewRoot: PageRef{Object: ID{3}, Size: 5}, NewRootEnd: 250, Pages: 2}}})
	w.add(4, 0, end, end+1)
	if l := w.ledger(0); len(l.Hot) != 7 || l.Hot[0].Base != l.RootEnd || l.Segments != 257 {
		t.Fatalf("hot=%d segments=%d", len(l.Hot), l.Segments)
	}
}

// An object in several ledgers lives as long as the last of them needs it.
func TestSharedObject(t *testing.T) {
	w := newLedgerWorld(t)
	w.begin(1, record.KindData)
	c := w.commit(1, 0, 0, 10)
	c.Entries = append(c.Entries, w.commit(1, 1, 0, 5).Entries...)
	if r := w.apply(c); r.Accepted() != 2 || r.Garbage {
		t.Fatal(r)
	}
	retain := func(partition int32, cut int64) *record.Retain {
		return &record.Retain{Topic: w.topic, Partition: partition, Generation: w.ledger(partition).Generation, Due: 50, Release: record.Release{Cut: cut}}
	}
	w.ok(retain(0, 10))
	w.garbage()
	w.ok(retain(1, 4)) // within the segment: it stays
	w.garbage()
	if l := w.ledger(1); l.LogStart != 4 || l.Segments != 1 {
		t.Fatalf("%+v", l)
	}
	w.ok(retain(1, 5))
	w.garbage(1)
	for g := range w.image.Garbage() {
		if g.Due != 50 || g.Kind != record.KindData {
			t.Fatalf("%+v", g)
		}
	}
	w.ok(&record.CollectGarbage{Objects: []ID{{1}}})
	w.garbage()
	w.want(&record.CollectGarbage{Objects: []ID{{1}}}, record.Already)
}

func TestRetainOverPages(t *testing.T) {
	setup := func(t *testing.T) *ledgerWorld {
		w := newLedgerWorld(t)
		for i := range byte(4) {
			w.add(i+1, 0, int64(i)*10, int64(i)*10+10)
		}
		w.begin(20, record.KindPages)
		w.ok(&record.Spill{Object: ID{20}, Bytes: 100, Last: true, Entries: []record.SpillEntry{{
			Topic: w.topic, Generation: w.ledger(0).Generation, NewRoot: PageRef{Object: ID{20}, Size: 5}, NewRootEnd: 20, Pages: 2}}})
		return w
	}
	paged := func(objects ...byte) (out []ObjectRef) {
		for _, o := range objects {
			out = append(out, ObjectRef{Object: ID{o}, Bytes: 10, LogBytes: 100, Segments: 1})
		}
		return out
	}
	root := PageRef{Object: ID{20}, Size: 5}
	leaf := PageRef{Object: ID{20}, Position: 50, Size: 5}
	for name, c := range map[string]struct {
		release record.Release
		want    record.Reason
		garbage []byte
	}{
		"some of the pages":       {record.Release{Cut: 10, Released: paged(1), PagedMaxTimestamp: -1}, record.OK, []byte{1}},
		"all of the pages":        {record.Release{Cut: 20, Released: paged(1, 2), ReleasedPages: []PageRef{leaf, root}}, record.OK, []byte{1, 2, 20}},
		"beyond the pages":        {record.Release{Cut: 30, Released: paged(1, 2), ReleasedPages: []PageRef{leaf, root}}, record.OK, []byte{1, 2, 3, 20}},
		"all":                     {record.Release{Cut: 40, Released: paged(1, 2), ReleasedPages: []PageRef{leaf, root}}, record.OK, []byte{1, 2, 3, 4, 20}},
		"root forgotten":          {record.Release{Cut: 20, Released: paged(1, 2), ReleasedPages: []PageRef{leaf}}, record.WrongReferences, nil},
		"segment forgotten":       {record.Release{Cut: 20, Released: paged(1), ReleasedPages: []PageRef{leaf, root}}, record.WrongTotals, nil},
		"released twice":          {record.Release{Cut: 10, Released: paged(1, 1)}, record.WrongReferences, nil},
		"page released twice":     {record.Release{Cut: 10, Released: paged(1), ReleasedPages: []PageRef{leaf, leaf, leaf}}, record.WrongReferences, nil},
		"more than there is":      {record.Release{Cut: 10, Released: []ObjectRef{{Object: ID{1}, LogBytes: 1000, Segments: 1}}}, record.WrongTotals, nil},
		"negative":                {record.Release{Cut: 10, Released: []ObjectRef{{Object: ID{1}, LogBytes: -1, Segments: 1}}}, record.Invalid, nil},
		"root without intent":     {record.Release{Cut: 10, Released: paged(1), NewRoot: &PageRef{Object: ID{60}, Size: 1}, Pages: 1}, record.NoIntent, nil},
		"new root behind its end": {record.Release{Cut: 20, Released: paged(1, 2), NewRoot: &PageRef{Object: ID{21}, Size: 1}, Pages: 1}, record.Invalid, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := setup(t)
			before := *w.ledger(0)
			x := &record.Retain{Topic: w.topic, Generation: before.Generation, Release: c.release, Due: 5}
			w.want(x, c.want)
			w.garbage(c.garbage...)
			if c.want == record.OK {
				w.want(x, record.Already)
				w.want(&record.Retain{Topic: w.topic, Generation: w.ledger(0).Generation}, record.Invalid) // not back
			} else if l := w.ledger(0); l.Generation != before.Generation || l.LogStart != 0 || l.LogBytes != 400 {
				t.Fatalf("a refusal changed the ledger: %+v", l)
			}
		})
	}
	t.Run("new root", func(t *testing.T) {
		w := setup(t)
		w.begin(21, record.KindPages)
		next := PageRef{Object: ID{21}, Position: 3, Size: 7}
		x := &record.Retain{Topic: w.topic, Generation: w.ledger(0).Generation, Due: 5, Release: record.Release{
			Cut: 10, Released: paged(1), ReleasedPages: []PageRef{root, leaf}, NewRoot: &next, Pages: 2}}
		w.ok(x)
		w.garbage(1, 20)
		w.want(x, record.Already)
		if l := w.ledger(0); l.Root != next || l.RootEnd != 20 || w.image.IntentCount() != 0 {
			t.Fatalf("%+v intents=%d", l, w.image.IntentCount())
		}
		w.ok(&record.Retain{Topic: w.topic, Generation: w.ledger(0).Generation, Due: 6, Release: record.Release{
			Cut: 20, Released: paged(2), ReleasedPages: []PageRef{next, {Object: ID{21}, Size: 1}}}})
		w.garbage(1, 2, 20, 21)
	})
}

func TestMaxTimestampAfterRetain(t *testing.T) {
	w := newLedgerWorld(t)
	w.begin(1, record.KindData)
	c := w.commit(1, 0, 0, 10)
	c.Entries[0].Segment.MaxTimestamp, c.Entries[0].Segment.MaxTimestampOffset = 1_000_000, 5
	w.ok(c)
	w.add(2, 0, 10, 20)
	if l := w.ledger(0); l.MaxTimestamp != 1_000_000 || l.MaxTimestampOffset != 5 {
		t.Fatalf("%+v", l)
	}
	w.ok(&record.Retain{Topic: w.topic, Generation: w.ledger(0).Generation, Release: record.Release{Cut: 10}})
	if l := w.ledger(0); l.MaxTimestamp != 20 || l.MaxTimestampOffset != 19 {
		t.Fatalf("%+v", l)
	}
}

// DeleteRecords may pass what is tiered. The ledger goes on behind the gap once
// nothing old is left in pages.
func TestLogStartBeyondTiered(t *testing.T) {
	w := newLedgerWorld(t)
	w.add(1, 0, 0, 10)
	start := func(to int64, reason record.Reason) {
		t.Helper()
		w.want(&record.SetLogStart{Entries: []record.LogStartEntry{{Topic: w.topic, LogStart: to}}}, reason)
	}
	start(100, record.OK)
	start(100, record.Already)
	start(50, record.Already)
	w.want(&record.SetLogStart{Entries: []record.LogStartEntry{{Topic: w.topic, LeaderEpoch: 4, LogStart: 200}}}, record.StaleEpoch)
	w.begin(2, record.KindData)
	w.want(w.commit(2, 0, 101, 110), record.WrongOffset) // 100 would be missing
	w.begin(3, record.KindData)
	w.ok(w.commit(3, 0, 95, 110)) // the batch around the log start
	w.garbage(1, 2)
	if l := w.ledger(0); l.LogStart != 100 || l.Tiered != 110 || l.Segments != 1 || l.LogBytes != 100 {
		t.Fatalf("%+v", l)
	}
}

func TestIntentsOfADeadBrokerAreClosed(t *testing.T) {
	w := newLedgerWorld(t)
	w.begin(1, record.KindData)
	c := w.commit(1, 0, 0, 10)
	c.Last = false
	w.ok(c)
	w.begin(2, record.KindData)
	w.want(&record.BeginUpload{Object: ID{2}, Kind: record.KindData, Broker: 1, BrokerEpoch: w.epoch}, record.Already)
	w.want(&record.BeginUpload{Object: ID{2}, Kind: record.KindPages, Broker: 1, BrokerEpoch: w.epoch}, record.ObjectExists)
	w.want(&record.BeginUpload{Object: ID{3}, Kind: 9, Broker: 1, BrokerEpoch: w.epoch}, record.Invalid)
	w.want(&record.BeginUpload{Object: ID{3}, Kind: record.KindData, Broker: 7}, record.NoBroker)
	w.ok(&record.RegisterBroker{ID: 1, Incarnation: ID{2}, Due: 9})
	w.garbage(2) // object 1 has an accepted entry and lives
	if w.image.IntentCount() != 0 || w.ledger(0).Tiered != 10 {
		t.Fatal("intents", w.image.IntentCount())
	}
	w.want(&record.BeginUpload{Object: ID{3}, Kind: record.KindData, Broker: 1, BrokerEpoch: w.epoch}, record.StaleBrokerEpoch)
	w.want(&record.BeginUpload{Object: ID{2}, Kind: record.KindData, Broker: 1, BrokerEpoch: w.epoch + 1}, record.ObjectExists)
}

func TestOpenUploadsAreBounded(t *testing.T) {
	w := newLedgerWorld(t)
	e := w.image.edit(new(changes))
	for i := range record.MaxIntents + 1 {
		want := record.OK
		if i == record.MaxIntents {
			want = record.TooMany
		}
		r := e.apply(uint64(100+i), &record.BeginUpload{Object: ID{1, byte(i), byte(i >> 8)}, Kind: record.KindData, Broker: 1, BrokerEpoch: w.epoch})
		if r.Reason != want {
			t.Fatal(i, r.Reason)
		}
	}
}

func TestDeletedTopicIsPurged(t *testing.T) {
	w := newLedgerWorld(t)
	w.add(1, 0, 0, 10)
	w.ok(&record.DeleteTopic{ID: w.topic, At: 3})
	w.want(&record.DeleteTopic{ID: w.topic}, record.NoTopic)
	w.garbage()
	w.want(&record.CreateTopic{ID: w.topic, Name: "t", Assignments: assign(1, 1)}, record.TopicExists) // its id is not free
	w.ok(&record.CreateTopic{ID: ID{10}, Name: "t", Assignments: assign(1, 1)})                        // its name is
	w.want(&record.PurgeDone{Topic: w.topic}, record.PurgePending)
	w.want(&record.PurgeProgress{Topic: w.topic, Entries: []record.PurgeEntry{{Generation: 1, Done: true, Release: record.Release{Cut: 5}}}}, record.Invalid)
	w.ok(&record.PurgeProgress{Topic: w.topic, Due: 8, Entries: []record.PurgeEntry{{Generation: 1, Done: true, Release: record.Release{Cut: 10}}}})
	w.garbage(1)
	w.want(&record.PurgeProgress{Topic: w.topic, Entries: []record.PurgeEntry{{Generation: 1, Done: true, Release: record.Release{Cut: 10}}}}, record.Already)
	w.ok(&record.PurgeDone{Topic: w.topic})
	w.want(&record.PurgeDone{Topic: w.topic}, record.Already)
}
