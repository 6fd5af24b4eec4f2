package share

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
)

// fakeState is the state of one share partition, as a share coordinator keeps it, one
// entry for each offset.
type fakeState struct {
	epoch, leaderEpoch int32
	start              int64
	complete           int32
	offsets            map[int64]StateBatch
}

func (s *fakeState) write(start int64, batches []StateBatch) {
	if s.offsets == nil {
		s.offsets = map[int64]StateBatch{}
	}
	s.start = start
	for _, b := range batches {
		for o := b.First; o <= b.Last; o++ {
			s.offsets[o] = StateBatch{First: o, Last: o, State: b.State, DeliveryCount: b.DeliveryCount}
		}
	}
	maps.DeleteFunc(s.offsets, func(o int64, _ StateBatch) bool { return o < start })
}

// state is what Read returns: ranges.
func (s *fakeState) state() State {
	st := State{Epoch: s.epoch, Start: s.start, DeliveryCompleteCount: s.complete}
	all := slices.SortedFunc(maps.Values(s.offsets), func(a, b StateBatch) int { return cmp.Compare(a.First, b.First) })
	for _, b := range all {
		if n := len(st.Batches); n > 0 {
			if p := &st.Batches[n-1]; p.Last+1 == b.First && p.State == b.State && p.DeliveryCount == b.DeliveryCount {
				p.Last = b.Last
				continue
			}
		}
		st.Batches = append(st.Batches, b)
	}
	return st
}

// fakePersister is a share coordinator in memory.
type fakePersister struct {
	mu     sync.Mutex
	states map[fakeKey]*fakeState
	// before is called for each write, and may fail it; the write is made all the same
	// where it reports true.
	before func(k fakeKey, batches []StateBatch) (made bool, err error)
	writes int
}

type fakeKey struct {
	group     string
	topic     [16]byte
	partition int32
}

func newFakePersister() *fakePersister { return &fakePersister{states: map[fakeKey]*fakeState{}} }

// initialize is what a group's coordinator does for a new share partition.
func (f *fakePersister) initialize(k fakeKey, start int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states[k] = &fakeState{epoch: 1, start: start}
}

// Read implements Persister.
func (f *fakePersister) Read(_ context.Context, group string, topic [16]byte, partition, leaderEpoch int32) (State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.states[fakeKey{group, topic, partition}]
	switch {
	case s == nil:
		return State{}, ErrUnknownState
	case leaderEpoch < s.leaderEpoch:
		return State{}, ErrFencedLeaderEpoch
	}
	s.leaderEpoch = leaderEpoch
	return s.state(), nil
}

// Write implements Persister.
func (f *fakePersister) Write(_ context.Context, group string, topic [16]byte, partition, stateEpoch, leaderEpoch int32, start int64, complete int32, batches []StateBatch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	k := fakeKey{group, topic, partition}
	s := f.states[k]
	switch {
	case s == nil:
		return ErrUnknownState
	case stateEpoch != s.epoch:
		return ErrFencedStateEpoch
	case leaderEpoch < s.leaderEpoch:
		return ErrFencedLeaderEpoch
	}
	if f.before != nil {
		if made, err := f.before(k, batches); err != nil {
			if made {
				s.write(start, batches)
			}
			return err
		}
	}
	s.leaderEpoch, s.complete = leaderEpoch, complete
	s.write(start, batches)
	return nil
}
