package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

func newTestRuntime(t *testing.T, l Log, change func(*Options)) *Runtime {
	o := Options{Subsystem: "test", Log: l, New: newKV}
	if change != nil {
		change(&o)
	}
	r, err := NewRuntime(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func expect(t *testing.T, in *inbox, want string) {
	t.Helper()
	synctest.Wait()
	if got := in.take(); got != want {
		t.Fatalf("answers: got %q, want %q", got, want)
	}
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

func TestOffsetOfAnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.delay = time.Second
		r := newTestRuntime(t, l, nil)
		defer r.Close()
		r.Elected(0, 1)
		synctest.Wait()
		var in inbox
		for _, k := range []string{"a", "b", "c", "a"} { // the first two batches are under way when the rest comes
			r.Submit(0, in.event(k, Exclusive, put{k, "x"}))
			synctest.Wait()
		}
		pass(3 * time.Second)
		expect(t, &in, "ok x; ok x; ok x; ok xx")
		for _, k := range []string{"a", "b", "c"} {
			r.Submit(0, in.event(k, Read, where{k}))
		}
		expect(t, &in, "at 3; at 1; at 2")

		r.Resigned(0, 1)
		r.Elected(0, 2)
		synctest.Wait()
		for _, k := range []string{"a", "b", "c"} {
			r.Submit(0, in.event(k, Read, where{k}))
		}
		expect(t, &in, "at 3; at 1; at 2")
	})
}

func TestLifeOfAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		r := newTestRuntime(t, l, nil)
		var in inbox
		r.Submit(0, in.event("k", Share, put{"k", "a"}))
		expect(t, &in, ErrNotCoordinator.Error())

		hold := make(chan struct{})
		l.replay = func(ctx context.Context) error {
			select {
			case <-hold:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r.Elected(0, 1)
		synctest.Wait()
		r.Submit(0, in.event("k", Share, put{"k", "a"}))
		expect(t, &in, ErrLoading.Error())
		r.Submit(0, Event{Key: "k", Access: Exclusive, Body: put{"k", "0"}}) // nobody waits: kept until loaded
		close(hold)
		synctest.Wait()
		r.Submit(0, in.event("k", Share, put{"k", "a"}))
		r.Submit(0, in.event("k", Read, get{"k"}))
		expect(t, &in, "is 0; ok 0a")

		// Stale news change nothing.
		r.Elected(0, 1)
		r.Resigned(0, 0)
		r.Submit(0, in.event("k", Read, get{"k"}))
		expect(t, &in, "is 0a")

		// A newer epoch replays what the older wrote; who is parked is answered.
		r.Submit(0, in.event("", Read, park{}))
		r.Elected(0, 2)
		synctest.Wait()
		r.Submit(0, in.event("k", Read, get{"k"}))
		expect(t, &in, "unloaded; is 0a")

		r.Submit(0, in.event("", Read, park{}))
		r.Resigned(0, 2)
		expect(t, &in, "unloaded")
		r.Elected(0, 2)
		r.Submit(0, in.event("k", Read, get{"k"}))
		expect(t, &in, ErrNotCoordinator.Error())
		r.Elected(0, 3)
		synctest.Wait()
		r.Submit(0, in.event("", Read, park{}))
		r.Close()
		expect(t, &in, "unloaded")
		r.Elected(0, 4)
		if p := r.Partitions(); len(p) != 0 {
			t.Fatalf("closed, but coordinates %v", p)
		}
	})
}

func TestLoadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
		for _, k := range []string{"good", "bad", "k"} {
			if err := b.Add(record.Record{Key: []byte(k), Value: []byte("v")}); err != nil {
				t.Fatal(err)
			}
		}
		l.batches[0] = []record.Batch{b.Build()}
		var tries atomic.Int32
		l.replay = func(context.Context) error {
			if tries.Add(1) <= 3 {
				return errors.New("disk on fire")
			}
			return nil
		}
		r := newTestRuntime(t, l, nil)
		defer r.Close()
		r.Elected(0, 1)
		pass(6 * time.Second) // 1 + 2 + 4: not yet
		var in inbox
		r.Submit(0, in.event("k", Read, get{"k"}))
		expect(t, &in, ErrLoading.Error())
		pass(2 * time.Second)
		synctest.Wait()
		r.Submit(0, in.event("k", Read, get{"k"})) // after the bad record
		expect(t, &in, "is v")
	})
}

func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.delay = 10 * time.Millisecond
		r := newTestRuntime(t, l, func(o *Options) { o.MaxInFlight = 2 })
		defer r.Close()
		r.Elected(0, 1)
		synctest.Wait()
		var in inbox
		for i := range 100 {
			r.Submit(0, in.event(fmt.Sprint(i), Share, put{fmt.Sprint(i), "x"}))
			if i < 3 {
				synctest.Wait() // two go alone, all others wait for one of them
			}
		}
		pass(time.Second)
		synctest.Wait()
		if got := strings.Count(in.take(), "ok"); got != 100 || l.appends != 3 {
			t.Fatalf("%d answers, %d appends", got, l.appends)
		}
	})
}

// TestOneKey: decisions of one key follow each other, whatever the log does.
func TestOneKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.delay = time.Millisecond
		r := newTestRuntime(t, l, nil)
		defer r.Close()
		r.Elected(0, 1)
		synctest.Wait()
		var in inbox
		for range 20 {
			r.Submit(0, in.event("k", Exclusive, put{"k", "x"}))
			r.Submit(0, in.event("k", Read, get{"k"}))
		}
		pass(time.Second)
		synctest.Wait()
		if got := in.take(); !strings.HasSuffix(got, "ok "+strings.Repeat("x", 20)) {
			t.Fatalf("answers: %s", got)
		}
		r.Submit(0, in.event("k", Exclusive, wipe{"k"}))
		r.Submit(0, in.event("k", Exclusive, put{"k", "y"})) // not before it is wiped
		pass(time.Second)
		expect(t, &in, "wiped; ok y")
	})
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		refuse := atomic.Bool{}
		refuse.Store(true)
		l.fail = func(int32, int32) error {
			if refuse.Load() {
				return errors.New("no space")
			}
			return nil
		}
		r := newTestRuntime(t, l, func(o *Options) { o.MaxPending = 3; o.MaxBatchBytes = 1024 })
		defer r.Close()
		r.Elected(0, 1)
		synctest.Wait()
		var in inbox
		r.Submit(0, in.event("k", Exclusive, put{"k", "x"}))
		expect(t, &in, "no space")
		r.Submit(0, in.event("k", Exclusive, put{"k", strings.Repeat("x", 2000)}))
		expect(t, &in, ErrTooLarge.Error())
		r.Submit(0, in.event("k", Read, get{"k"}))
		expect(t, &in, "is ")

		// Timers and events that nobody waits for are tried again.
		r.Submit(0, in.event("t", Read, arm{"t", time.Minute}))
		r.Submit(0, Event{Key: "e", Access: Exclusive, Body: put{"e", "?"}})
		pass(2 * time.Minute)
		synctest.Wait()
		refuse.Store(false)
		pass(2 * time.Second)
		r.Submit(0, in.event("t", Read, get{"t"}))
		r.Submit(0, in.event("e", Read, get{"e"}))
		expect(t, &in, "armed; is !; is ?")

		// A timer that is set anew fires once.
		r.Submit(0, in.event("u", Read, arm{"u", time.Second}))
		r.Submit(0, in.event("u", Read, arm{"u", 3 * time.Second}))
		pass(2 * time.Second)
		r.Submit(0, in.event("u", Read, get{"u"}))
		expect(t, &in, "armed; armed; is ")
		pass(2 * time.Second)
		r.Submit(0, in.event("u", Read, get{"u"}))
		expect(t, &in, "is !")

		for range 4 {
			r.Submit(0, in.event("", Read, park{}))
		}
		expect(t, &in, ErrBusy.Error())
	})
}

func TestCommitTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.delay = 8 * time.Second
		r := newTestRuntime(t, l, nil)
		defer r.Close()
		r.Elected(0, 1)
		synctest.Wait()
		var in inbox
		r.Submit(0, in.event("k", Exclusive, put{"k", "x"}))
		r.Submit(0, in.event("k", Exclusive, put{"k", "y"})) // waits, is refused, and so never decided
		pass(6 * time.Second)
		expect(t, &in, ErrTimedOut.Error()+"; "+ErrTimedOut.Error())
		pass(time.Minute)
		r.Submit(0, in.event("k", Read, get{"k"}))
		expect(t, &in, "is x")
	})
}

func TestEndOfLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.fail = func(_, epoch int32) error {
			if epoch == 1 {
				return fmt.Errorf("epoch=1: %w", ErrNotLeader)
			}
			return nil
		}
		r := newTestRuntime(t, l, nil)
		defer r.Close()
		r.Elected(0, 1)
		synctest.Wait()
		var in inbox
		r.Submit(0, in.event("", Read, park{}))
		synctest.Wait()
		r.Submit(0, in.event("k", Exclusive, put{"k", "x"}))
		expect(t, &in, "epoch=1: "+ErrNotLeader.Error()+"; unloaded")
		r.Submit(0, in.event("k", Read, get{"k"}))
		expect(t, &in, ErrNotCoordinator.Error())
		r.Elected(0, 2)
		synctest.Wait()
		r.Submit(0, in.event("k", Exclusive, put{"k", "x"}))
		expect(t, &in, "ok x")
	})
}

// TestExactlyOnce hammers a runtime with elections, resignations and failures from
// many goroutines and counts the answers.
func TestExactlyOnce(t *testing.T) {
	l := newFakeLog()
	var n atomic.Uint32
	l.fail = func(int32, int32) error {
		switch n.Add(1) % 7 {
		case 0:
			return ErrNotLeader
		case 1, 2:
			return errors.New("no")
		}
		return nil
	}
	r := newTestRuntime(t, l, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		for e := int32(1); e < 400; e++ {
			r.Elected(e%4, e)
			if e%3 == 0 {
				r.Resigned(e%4, e)
			}
			for range 100 {
				r.Submit(e%4, Event{Key: "x", Access: Exclusive, Body: put{"x", ""}})
			}
		}
	})
	var sent, answered atomic.Int64
	for range 4 {
		wg.Go(func() {
			for i := range 5000 {
				sent.Add(1)
				var once atomic.Bool
				r.Submit(int32(i%4), Event{
					Key: fmt.Sprint(i % 10), Access: Access(i % 3), Body: []any{get{"k"}, put{"k", ""}, put{"k", ""}}[i%3],
					Call: NewCall(func(any) {
						if once.Swap(true) {
							t.Error("answered twice")
						}
						answered.Add(1)
					}),
					Refuse: func(err error) any { return err.Error() },
				})
			}
		})
	}
	wg.Wait()
	r.Close()
	if sent.Load() != answered.Load() {
		t.Fatalf("%d requests, %d answers", sent.Load(), answered.Load())
	}
}

// TestRecordsOfATransaction: they have a batch of their own, of their producer, behind what was
// decided before and ahead of what comes after.
func TestRecordsOfATransaction(t *testing.T) {
	s, err := NewStepped(Options{Subsystem: "test"}, newKV(0, 0), time.Unix(0, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	var in inbox
	s.Submit(in.event("a", Exclusive, put{"a", "1"}))
	s.Submit(in.event("b", Exclusive, put{"b", "1"}))
	s.Submit(in.event("c", Share, inTransaction{put{"c", "1"}, Producer{ID: 7, Epoch: 3, Guard: 9}}))
	s.Submit(in.event("c", Share, inTransaction{put{"c", "2"}, Producer{ID: 8, Epoch: 0}}))
	s.Submit(in.event("d", Exclusive, put{"d", "1"}))
	var got []string
	for _, w := range s.Flush() {
		b := w.Batch
		if err := b.Validate(); err != nil {
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%d records of %d:%d transactional=%v", b.Count(), b.ProducerID(), b.ProducerEpoch(), b.Transactional()))
		w.Commit()
	}
	want := "2 records of -1:-1 transactional=false; 1 records of 7:3 transactional=true; 1 records of 8:0 transactional=true; 1 records of -1:-1 transactional=false"
	if strings.Join(got, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
	if got := in.take(); got != "ok 1; ok 1; ok 1; ok 2; ok 1" {
		t.Errorf("answers: %s", got)
	}

	// The guard goes to the log, and only a log that knows transactions is asked.
	synctest.Test(t, func(t *testing.T) {
		l := &guardedLog{fakeLog: newFakeLog()}
		r := newTestRuntime(t, l, nil)
		r.Elected(0, 1)
		var in inbox
		synctest.Wait()
		r.Submit(0, in.event("c", Share, inTransaction{put{"c", "1"}, Producer{ID: 7, Epoch: 3, Guard: 9}}))
		expect(t, &in, "ok 1")
		l.refuse = fmt.Errorf("%w: late", ErrProducerFenced)
		r.Submit(0, in.event("c", Share, inTransaction{put{"c", "1"}, Producer{ID: 7, Epoch: 3, Guard: 10}}))
		expect(t, &in, "producer is fenced: late")
		r.Close()
		if fmt.Sprint(l.guards) != "[9 10]" {
			t.Errorf("guards: %v", l.guards)
		}
	})
}

type guardedLog struct {
	*fakeLog
	guards []uint64
	refuse error
}

func (l *guardedLog) AppendTransactional(partition, epoch int32, b record.Batch, guard uint64, done func(int64, error)) {
	l.guards = append(l.guards, guard)
	if l.refuse != nil {
		done(-1, l.refuse)
		return
	}
	l.Append(partition, epoch, b, done)
}
