package share

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/wal"
)

// fakeLog is a partition that this broker leads.
type fakeLog struct {
	id         wal.ID
	epoch      atomic.Int32
	start, end atomic.Int64
	follows    atomic.Bool
}

func newFakeLog(end int64) *fakeLog {
	l := &fakeLog{}
	l.epoch.Store(1)
	l.end.Store(end)
	return l
}

func (l *fakeLog) ID() wal.ID           { return l.id }
func (l *fakeLog) Topic() string        { return "t" }
func (l *fakeLog) Epoch() int32         { return l.epoch.Load() }
func (l *fakeLog) Leads() bool          { return !l.follows.Load() }
func (l *fakeLog) Begun() bool          { return true }
func (l *fakeLog) LogStart() int64      { return l.start.Load() }
func (l *fakeLog) HighWatermark() int64 { return l.end.Load() }

// bell is a Waiter.
type bell chan struct{}

func (b bell) Wake() {
	select {
	case b <- struct{}{}:
	default:
	}
}

var shellKey = fakeKey{group: "g"}

func newShell(p Persister, change func(*Settings)) *Manager {
	s := DefaultSettings()
	s.Reset = Reset{At: ResetEarliest}
	if change != nil {
		change(&s)
	}
	return New(Options{
		Persister: p, Settings: func(string) Settings { return s }, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		FindTime: func(_ context.Context, _ Log, ts int64) (int64, bool, error) { return ts / 1000, true, nil },
	})
}

// take waits until a member has acquired something of a log of batches of ten, and
// returns it; nil when the time is up.
func take(t testing.TB, m *Manager, l Log, member string, records int, wait time.Duration) (*Partition, []Acquisition) {
	t.Helper()
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for {
		p, from, ok, mark, err := m.Begin("g", l)
		if err != nil {
			return nil, nil
		}
		if ok {
			f := Fetched{From: from}
			for base := from / 10 * 10; base < l.HighWatermark() && len(f.Batches) < 3; base += 10 {
				f.Batches = append(f.Batches, Range{base, base + 9})
			}
			got := p.Acquire(f, Wanted{Member: member, Records: records, Strict: true})
			mark = p.End()
			if len(got) > 0 {
				return p, got
			}
		}
		b := make(bell, 1)
		if !p.Watch(b, mark) {
			continue
		}
		select {
		case <-b:
			p.Unwatch(b)
		case <-deadline.C:
			p.Unwatch(b)
			return p, nil
		}
	}
}

func TestLockTimeoutWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakePersister(), newFakeLog(10)
		p.initialize(shellKey, Uninitialized)
		m := newShell(p, nil)
		defer m.Close()
		if _, got := take(t, m, l, "a", 10, time.Minute); len(got) != 1 || got[0].Last != 9 {
			t.Fatalf("acquired %v", got)
		}
		start := time.Now()
		if _, got := take(t, m, l, "b", 10, time.Minute); len(got) != 1 || got[0].DeliveryCount != 2 || time.Since(start) != 30*time.Second {
			t.Fatalf("acquired %v after %v", got, time.Since(start))
		}
		m.Left("g", "b", false)
		if _, got := take(t, m, l, "c", 10, 0); len(got) != 1 || got[0].DeliveryCount != 2 {
			t.Fatalf("acquired %v", got)
		}
	})
}

// TestWhereAGroupBegins: the start offset is kept before anything is delivered.
func TestWhereAGroupBegins(t *testing.T) {
	for reset, want := range map[Reset]int64{{At: ResetEarliest}: 20, {At: ResetLatest}: 100, {ResetDuration, 10 * time.Second}: 40} {
		synctest.Test(t, func(t *testing.T) {
			p, l := newFakePersister(), newFakeLog(100)
			l.start.Store(20)
			p.initialize(shellKey, Uninitialized)
			m := newShell(p, func(s *Settings) { s.Reset = reset })
			defer m.Close()
			m.o.Now = func() time.Time { return time.Unix(50, 0) }
			if _, err := m.Open("g", l); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if got := p.states[shellKey].start; got != want {
				t.Errorf("%v: start offset %d, want %d", reset, got, want)
			}
		})
	}
}

func TestLoadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakePersister(), newFakeLog(10)
		m := newShell(p, nil)
		defer m.Close()
		s, err := m.Open("g", l)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, _, _, err := s.Begin(); !errors.Is(err, ErrUnknownState) {
			t.Errorf("no state: %v", err)
		}
		if m.Get("g", l.id) != nil {
			t.Error("a share partition that was not loaded stays")
		}
		p.initialize(shellKey, 0)
		if _, got := take(t, m, l, "a", 1, time.Second); len(got) != 1 {
			t.Errorf("acquired %v", got)
		}
	})
}

// TestFenced: what a leader confirms after the next one has read is refused.
func TestFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakePersister(), newFakeLog(10)
		p.initialize(shellKey, 0)
		old, next := newShell(p, nil), newShell(p, nil)
		defer old.Close()
		defer next.Close()
		s, got := take(t, old, l, "a", 10, time.Minute)
		newer := newFakeLog(10)
		newer.epoch.Store(2)
		if _, again := take(t, next, newer, "b", 10, time.Minute); len(again) != 1 || again[0].DeliveryCount != 1 {
			t.Fatalf("the next leader delivers %v", again)
		}
		done := make(chan error, 1)
		s.Acknowledge("a", []AckBatch{{got[0].Range, []AckType{Accept}}}, func(err error) { done <- err })
		if err := <-done; !errors.Is(err, ErrFencedLeaderEpoch) {
			t.Errorf("acknowledged to an old leader: %v", err)
		}
		if old.Get("g", l.id) != nil {
			t.Error("a fenced share partition stays")
		}
	})
}

// TestResigned: who waits for a write hears of it, once.
func TestResigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakePersister(), newFakeLog(10)
		p.initialize(shellKey, 0)
		m := newShell(p, nil)
		defer m.Close()
		s, got := take(t, m, l, "a", 10, time.Minute)
		p.before = func(fakeKey, []StateBatch) (bool, error) { return false, ErrRetry }
		told := make(chan error, 2)
		s.Acknowledge("a", []AckBatch{{got[0].Range, []AckType{Accept}}}, func(err error) { told <- err })
		synctest.Wait()
		m.Resigned(l.id)
		if err := <-told; !errors.Is(err, ErrNotLeader) {
			t.Errorf("told %v", err)
		}
		<-time.After(time.Minute) // in virtual time: the write gives up
		if len(told) != 0 {
			t.Errorf("told once more: %v", <-told)
		}
	})
}

// TestRetired: with the last member all is written and given up.
func TestRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newFakePersister(), newFakeLog(10)
		p.initialize(shellKey, 0)
		m := newShell(p, nil)
		defer m.Close()
		s, got := take(t, m, l, "a", 10, time.Minute)
		done := make(chan error, 1)
		s.Acknowledge("a", []AckBatch{{got[0].Range, []AckType{Accept}}}, func(err error) { done <- err })
		m.Left("g", "a", true)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if m.Get("g", l.id) != nil || p.states[shellKey].start != 10 {
			t.Errorf("start offset %d", p.states[shellKey].start)
		}
		// A member that comes back finds the group where it was.
		l.end.Store(20)
		if _, got := take(t, m, l, "a", 10, time.Minute); len(got) != 1 || got[0].First != 10 {
			t.Errorf("acquired %v", got)
		}
	})
}

// TestMembers: members take and acknowledge at the same time, the persister fails now and
// then, members leave, and leaders change. What was acknowledged stays so, nobody has what
// another has, and all is delivered.
func TestMembers(t *testing.T) {
	const records = 400
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 2))
			var mu sync.Mutex // guards random and what follows
			pick := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return random.IntN(n)
			}
			p, l := newFakePersister(), newFakeLog(records)
			p.initialize(shellKey, 0)
			p.before = func(fakeKey, []StateBatch) (bool, error) {
				switch pick(12) {
				case 0:
					return pick(2) == 0, ErrRetry
				case 1:
					return pick(2) == 0, errors.New("the answer was lost")
				}
				return true, nil
			}
			m := newShell(p, func(s *Settings) { s.Deliveries, s.RecordLocks = 10, 100 })
			defer m.Close()
			holder, done, delivered := map[int64]string{}, map[int64]bool{}, map[int64]bool{}
			settled := func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(done) == records
			}
			member := func(name string) {
				for round := 0; !settled(); round++ {
					s, got := take(t, m, l, name, 1+pick(20), time.Second)
					for _, a := range got {
						mu.Lock()
						for o := a.First; o <= a.Last; o++ {
							if done[o] {
								t.Errorf("seed %d: offset %d is delivered to %s after it was accepted", seed, o, name)
							}
							delivered[o] = true
							if s.epoch != l.Epoch() {
								continue // the next leader knows nothing of it
							}
							if h := holder[o]; h != "" {
								t.Errorf("seed %d: offset %d is delivered to %s while %s has it", seed, o, name, h)
							}
							holder[o] = fmt.Sprint(name, round)
						}
						mu.Unlock()
					}
					give := func(r Range) {
						mu.Lock()
						defer mu.Unlock()
						for o := r.First; o <= r.Last; o++ {
							if holder[o] == fmt.Sprint(name, round) {
								holder[o] = ""
							}
						}
					}
					if pick(10) == 0 {
						for _, a := range got {
							give(a.Range)
						}
						m.Left("g", name, false)
						continue
					}
					for _, a := range got {
						kind := []AckType{Accept, Accept, Release, Accept}[pick(4)]
						if kind == Release {
							give(a.Range) // it may be another's before this one is told
						}
						told := make(chan error, 1)
						s.Acknowledge(name, []AckBatch{{a.Range, []AckType{kind}}}, func(err error) { told <- err })
						err := <-told
						mu.Lock()
						for o := a.First; o <= a.Last && err == nil && kind == Accept; o++ {
							done[o] = true
						}
						mu.Unlock()
						if err != nil { // it may be another's from now on, or acknowledged for good
							for _, a := range got {
								give(a.Range)
							}
							m.Left("g", name, false)
							break
						}
					}
				}
			}
			var members sync.WaitGroup
			for _, name := range []string{"a", "b", "c", "d"} {
				members.Go(func() { member(name) })
			}
			ctx, cancel := context.WithCancel(t.Context())
			var leaders sync.WaitGroup
			leaders.Go(func() {
				for ctx.Err() == nil {
					select {
					case <-time.After(time.Duration(1+pick(3)) * time.Second):
					case <-ctx.Done():
						return
					}
					mu.Lock()
					clear(holder)
					l.epoch.Add(1)
					mu.Unlock()
					m.Resigned(l.id)
				}
			})
			stop := time.AfterFunc(2*time.Minute, func() { // what was made while the answer was lost is accepted and nobody knows
				p.mu.Lock()
				defer p.mu.Unlock()
				mu.Lock()
				defer mu.Unlock()
				for o := range int64(records) {
					done[o] = true
				}
			})
			members.Wait()
			stop.Stop()
			cancel()
			leaders.Wait()
			for o := range int64(records) {
				if !delivered[o] {
					t.Errorf("seed %d: offset %d was never delivered", seed, o)
				}
			}
		})
	}
}
