package share

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/wal"
)

type fakeLog struct {
	id         wal.ID
	epoch      int32
	start, end int64
}

func (l *fakeLog) ID() wal.ID           { return l.id }
func (l *fakeLog) Topic() string        { return "t" }
func (l *fakeLog) Epoch() int32         { return l.epoch }
func (l *fakeLog) Leads() bool          { return true }
func (l *fakeLog) Begun() bool          { return true }
func (l *fakeLog) LogStart() int64      { return l.start }
func (l *fakeLog) HighWatermark() int64 { return l.end }

type bell chan struct{}

func (b bell) Wake() {
	select {
	case b <- struct{}{}:
	default:
	}
}

func TestLockTimeoutWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newFakePersister()
		p.initialize(fakeKey{"g", [16]byte{}, 0}, Uninitialized)
		m := New(Options{Persister: p, Settings: func(string) Settings { s := DefaultSettings(); s.LockDuration = time.Second; return s },
			FindTime: func(context.Context, Log, int64) (int64, bool, error) { return 0, false, nil }, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		defer m.Close()
		l := &fakeLog{epoch: 1}
		_, _, ok, _, err := m.Begin("g", l)
		if ok || err != nil {
			t.Fatal(ok, err)
		}
		synctest.Wait()
		s, from, ok, _, err := m.Begin("g", l)
		if !ok || err != nil || from != 0 {
			t.Fatal(from, ok, err)
		}
		got := s.Acquire(Fetched{From: 0, Batches: []Range{{0, 9}}}, Wanted{Member: "a", Records: 10})
		mark := s.End()
		if len(got) != 1 {
			t.Fatal(got)
		}
		b := make(bell, 1)
		if !s.Watch(b, mark) {
			t.Fatal("changed")
		}
		start := time.Now()
		<-b
		if d := time.Since(start); d != time.Second {
			t.Fatal(d)
		}
	})
}

func TestRenewedLockEnds(t *testing.T) {
	s := begin(0, DefaultLimits())
	s.written(s.flush(), true, time.Unix(0, 0))
	now := time.Unix(0, 0)
	s.acquire(Fetched{Batches: []Range{{0, 9}}}, Wanted{Member: "a", Records: 10}, now)
	for range 3 {
		now = now.Add(20 * time.Second)
		if _, err := s.acknowledge("a", []AckBatch{{Range{0, 9}, []AckType{Renew}}}, now); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(30 * time.Second)
	if !s.expire(now) {
		t.Fatal("not expired")
	}
}
