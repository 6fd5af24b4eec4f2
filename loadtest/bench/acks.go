package main

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// acks notes when the partitions of one topic were acknowledged to any of several producers. It is a hook of their clients.
//
//	acks of a partition   │ │ │ │                 │ │ │ │
//	                             ▲ watch
//	gap                         ├─────────────────┤
type acks struct {
	mu      sync.Mutex // guards what follows
	last    []time.Time
	longest []time.Duration // of the gaps that ended since watch
}

var _ kgo.HookProduceRecordUnbuffered = (*acks)(nil)

func newAcks(partitions int) *acks {
	return &acks{last: make([]time.Time, partitions), longest: make([]time.Duration, partitions)}
}

// OnProduceRecordUnbuffered is called with every record whose fate is known.
func (a *acks) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if err == nil {
		a.acked(r.Partition, time.Now())
	}
}

func (a *acks) acked(partition int32, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if int(partition) >= len(a.last) {
		return
	}
	if last := a.last[partition]; !last.IsZero() {
		a.longest[partition] = max(a.longest[partition], at.Sub(last))
	}
	a.last[partition] = at
}

// watch forgets the gaps that have ended. One that has begun counts from its beginning.
func (a *acks) watch() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.longest)
}

// silent is how many partitions have not been acknowledged since a time.
func (a *acks) silent(since time.Time) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, last := range a.last {
		if last.Before(since) {
			n++
		}
	}
	return n
}

// gaps are, for each partition, the longest time between two neighbouring acknowledgements of which the second came since watch.
func (a *acks) gaps() []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]time.Duration(nil), a.longest...)
}
