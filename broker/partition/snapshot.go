package partition

import (
	"fmt"

	"github.com/tidelinehq/tideline/internal/record"
)

// Snapshot is what the object store keeps beside the batches of a range.
type Snapshot struct {
	Epochs    []EpochStart // leader epochs that apply to the range
	Producers []byte       // their state at the end of the range
	// Aborted are the transactions that overlap the range and were aborted, by their markers, and Stable is the
	// last stable offset: all that began below it are decided, so that none of those is missing.
	Aborted []AbortedTxn
	Stable  int64
}

// Snapshot describes the offsets [from, end), which follow what is in the object store and lie below the high
// watermark. It may read the local log.
func (p *Partition) Snapshot(from, end int64) (Snapshot, error) {
	if err := p.Recall(); err != nil {
		return Snapshot{}, err
	}
	p.mu.Lock()
	from = max(from, p.log.Start()) // the first batch may begin below it, and has nothing there any more
	out := Snapshot{Epochs: p.epochs.within(from, end)}
	out.Stable = p.stable.Load() // before the high watermark, below which what began below it is decided
	high := p.highWater.Load()
	var since int64
	out.Aborted, since = p.aborted.in(nil, from, end)
	exact := end >= p.producers.ended.floor && since <= from
	known := p.producers.below(end)
	p.mu.Unlock()
	for n := len(out.Aborted); n > 0 && out.Aborted[n-1].LastOffset >= high; n-- {
		out.Aborted = out.Aborted[:n-1] // not decided in all replicas
	}
	if !exact {
		replayed, err := p.stateFrom(from, end)
		if err != nil {
			return Snapshot{}, fmt.Errorf("transactions at offset=%d: %w", end, err)
		}
		known.take(&replayed.producers)
		out.Aborted, out.Stable = replayed.aborted, min(end, known.ongoing.first())
	}
	s := state{highWatermark: end, producers: producers{entries: known.entries, ended: decisions{floor: end}}, abortedSince: end}
	out.Producers = s.encode()
	return out, nil
}

// stateAt returns the state of a log that ends at the seam, for a follower that begins there. The caller
// holds the mutex.
func (p *Partition) stateAt(seam int64) ([]byte, error) {
	if p.lost {
		p.recallSoon()
		return nil, ErrNotRecalled
	}
	s := state{highWatermark: seam, epochs: append(epochs(nil), p.epochs...).truncateEnd(seam), abortedSince: seam}
	known := p.producers.below(seam)
	if seam < p.producers.ended.floor {
		tiered, err := p.tieredState()
		if err != nil {
			return nil, fmt.Errorf("transactions at offset=%d: %w", seam, err)
		}
		known.take(&tiered.producers)
	}
	s.producers = producers{entries: known.entries, ended: decisions{floor: seam}}
	return s.encode(), nil
}

// tieredState returns what the object store knows of the producers at its end.
func (p *Partition) tieredState() (state, error) {
	known, err := p.fetchRecall()
	if known == nil {
		return state{}, err // what is deleted had its transactions
	}
	return *known, err
}

// stateFrom makes the state at end of what the object store knows at its own end, and the
// log from there.
func (p *Partition) stateFrom(from, end int64) (state, error) {
	s, err := p.tieredState()
	if err != nil {
		return state{}, err
	}
	err = p.replay(from, end, func(b record.Batch, m marker) {
		if d := s.producers.update(b, m, b.MaxTimestamp()); d != nil && d.aborted && d.first != none {
			s.aborted = append(s.aborted, AbortedTxn{ProducerID: d.id, FirstOffset: d.first, LastOffset: d.marker, LastStable: d.stable})
		}
	})
	return s, err
}

// take takes over what is known better of some producers: of a marker that was forgotten it is not known
// what it ended.
func (p *producers) take(better *producers) {
	for id, e := range better.entries {
		p.entries[id] = e
	}
	p.ongoing.rebuild(p.entries)
}

// within returns the epochs that apply to the offsets [from, end).
func (e epochs) within(from, end int64) (out []EpochStart) {
	for i, x := range e {
		if last := i == len(e)-1; x.Start < end && (last || e[i+1].Start > from) {
			out = append(out, x)
		}
	}
	return out
}
