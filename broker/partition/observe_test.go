package partition

import (
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

func TestFollowersTellHowFarTheyAreBehind(t *testing.T) {
	w := newWorld(t)
	seen := func() map[int32]Follower {
		out := make(map[int32]Follower)
		w.Followers(func(f Follower) { out[f.Broker] = f })
		return out
	}
	if n := len(seen()); n != 0 {
		t.Fatalf("%d followers of a partition with one replica", n)
	}
	w.leads(5, 5, 1, 2)
	w.Opened(5, 2, [16]byte{2})
	w.mustAppendLocally(plain(10, 1000))
	if f := seen()[2]; f != (Follower{Broker: 2, InSync: true, Records: 10}) {
		t.Errorf("a follower that told nothing yet: %+v", f)
	}
	w.Acked(5, 2, 4)
	w.now = w.now.Add(3 * time.Second)
	if f := seen()[2]; f != (Follower{Broker: 2, InSync: true, Records: 6, Behind: 3 * time.Second}) {
		t.Errorf("a follower that lacks six: %+v", f)
	}
	if f := seen()[3]; f.InSync || f.Records != 10 {
		t.Errorf("a follower that is out of sync: %+v", f)
	}
	w.Acked(5, 2, 10)
	if f := seen()[2]; f != (Follower{Broker: 2, InSync: true}) {
		t.Errorf("a follower that lacks nothing: %+v", f)
	}
	// What is in the object store no follower gets from its leader.
	w.SetTiered(8)
	if f := seen()[3]; f.Records != 2 {
		t.Errorf("a follower that would begin where the object store ends: %+v", f)
	}
}

func TestOpenTransactionsAreCounted(t *testing.T) {
	w := newWorld(t)
	w.mustAppend(plain(3, 1000))
	if o := w.OpenTransactions(); o != (OpenTransactions{}) {
		t.Errorf("none is open: %+v", o)
	}
	w.trusted(batch(record.Options{ProducerID: 7, Transactional: true}, 2, 1000))
	w.now = w.now.Add(time.Minute)
	w.trusted(batch(record.Options{ProducerID: 8, Transactional: true}, 1, 1000))
	w.now = w.now.Add(time.Minute)
	if o := w.OpenTransactions(); o != (OpenTransactions{Open: 2, Unstable: 3, Silent: 2 * time.Minute}) {
		t.Errorf("two are open: %+v", o)
	}
	if n := testing.AllocsPerRun(10, func() { w.OpenTransactions() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// mustAppendLocally appends and waits until it is on this disk, whoever else lacks it.
func (w *world) mustAppendLocally(b record.Batch) {
	w.t.Helper()
	w.begin(b)
	w.durable()
}

// trusted appends what needs no verification.
func (w *world) trusted(b record.Batch) {
	w.t.Helper()
	a, done := &Append{Guard: Trusted}, make(owner, 1)
	if err := w.Append(a, b, FromClient, done); err != nil {
		w.t.Fatal(err)
	}
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
}
