package purgatory

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// world holds partitions over a write-ahead log in memory.
type world struct {
	t   *testing.T
	log *wal.Log
}

func newWorld(t *testing.T) *world {
	log, err := wal.Open(wal.Options{FS: memfs.New(0), Dir: "wal", FileBytes: 1 << 20, MaxBytes: 256 << 20, TailBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{t, log}
}

func (w *world) partition(index int32) *partition.Partition {
	w.t.Helper()
	p, err := partition.Open(partition.Options{
		Topic: "t", ID: wal.ID{Partition: index}, Log: w.log, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Settings: partition.Settings{MaxMessageBytes: 1 << 20, TimestampAfterMax: time.Hour, TimestampBeforeMax: 1 << 62},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	p.Lead(partition.Leadership{Epoch: 1, ISR: []int32{1}, MinISR: 1}, nil, nil)
	return p
}

type owner chan error

func (o owner) Appended(_ *partition.Append, err error) { o <- err }

// produce appends one record and waits until it is readable.
func (w *world) produce(p *partition.Partition) {
	w.t.Helper()
	b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	if err := b.Add(record.Record{Value: []byte("v"), Timestamp: 1000}); err != nil {
		w.t.Fatal(err)
	}
	done := make(owner, 1)
	if err := p.Append(new(partition.Append), b.Build(), partition.FromClient, done); err != nil {
		w.t.Fatal(err)
	}
	if err := <-done; err != nil {
		w.t.Fatal(err)
	}
}

// TestNothingIsWatchedAfterWaking parks requests that are woken while they are
// still being parked: none may stay known to any partition.
func TestNothingIsWatchedAfterWaking(t *testing.T) {
	w := newWorld(t)
	var parts []*partition.Partition
	for i := range int32(64) {
		parts = append(parts, w.partition(i))
	}
	u := New(10, nil)
	w.produce(parts[0])
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				w.produce(parts[0])
			}
		}
	}()
	for range 500 {
		seen := make([]int64, len(parts))
		for i, p := range parts {
			seen[i] = p.HighWatermark()
		}
		woken := make(chan bool, 1)
		if !u.Park(parts, seen, 1, time.Minute, func(last bool) { woken <- last }) {
			t.Fatal("no room")
		}
		if <-woken {
			t.Fatal("the time is not up")
		}
	}
	close(stop)
	<-stopped
	for i, p := range parts {
		if n := p.Waiters(); n != 0 {
			t.Errorf("partition %d still knows %d requests", i, n)
		}
	}
}

func TestStoppedPartitionWakes(t *testing.T) {
	w := newWorld(t)
	u := New(10, nil)
	for name, before := range map[string]bool{"before it is parked": true, "while it is parked": false} {
		p := w.partition(0)
		woken := make(chan bool, 1)
		if before {
			p.Stop()
		}
		if !u.Park([]*partition.Partition{p}, []int64{0}, 1, time.Hour, func(last bool) { woken <- last }) {
			t.Fatal("no room")
		}
		p.Stop()
		if !<-woken {
			t.Errorf("%s: there is nothing more to wait for", name)
		}
		if n := p.Waiters(); n != 0 {
			t.Errorf("%s: the partition still knows %d requests", name, n)
		}
	}
}

func TestDeadlineAndClose(t *testing.T) {
	w := newWorld(t)
	p := w.partition(0)
	synctest.Test(t, func(t *testing.T) {
		u := New(2, nil)
		woken := make(chan bool, 3)
		wake := func(last bool) { woken <- last }
		start := time.Now()
		if !u.Park([]*partition.Partition{p}, []int64{0}, 1, time.Minute, wake) {
			t.Fatal("no room")
		}
		if !<-woken || time.Since(start) != time.Minute {
			t.Errorf("woken after %v", time.Since(start))
		}
		for range 2 {
			if !u.Park([]*partition.Partition{p}, []int64{0}, 1, time.Minute, wake) {
				t.Fatal("no room")
			}
		}
		if u.Park([]*partition.Partition{p}, []int64{0}, 1, time.Minute, wake) {
			t.Error("a third found room")
		}
		u.Close()
		first, second := <-woken, <-woken
		if !first || !second || time.Since(start) != time.Minute {
			t.Error("close must wake at once")
		}
		if u.Park([]*partition.Partition{p}, []int64{0}, 1, time.Minute, wake) {
			t.Error("parked after close")
		}
		synctest.Wait()
		if n := p.Waiters(); n != 0 {
			t.Errorf("the partition still knows %d requests", n)
		}
	})
}
