package partition

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// AbortedTxn is an aborted transaction. A consumer that reads committed records only drops the
// producer's records from FirstOffset on, until it meets the marker.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
	LastOffset  int64 // of the marker
	LastStable  int64 // last stable offset after the marker, replicas aside
}

// abortedIndex has the aborted transactions of the local log by their markers, all at or above
// since. It has a mutex of its own, which is taken last: readers do not wait for appends.
type abortedIndex struct {
	mu    sync.Mutex
	list  []AbortedTxn
	since int64
}

// maxAborted bounds them; a variable for tests. Where so many are not in the object store, no transaction begins
// until they are. Those that were open may end, so that there may be more by maxOpenTransactions. Of those
// that were dropped, the object store tells, and the log; see ScanAborted.
var maxAborted = 32 << 10

// add takes in a transaction whose marker is above all others. It drops what is in the object store, which ends at
// seam, if there are too many, and reports whether there still are.
func (x *abortedIndex) add(t AbortedTxn, seam int64) (crowded bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.list = append(x.list, t)
	if len(x.list) >= maxAborted {
		x.forget(seam)
	}
	return len(x.list) >= maxAborted
}

// forget drops those whose markers lie below offset. The caller holds the mutex.
func (x *abortedIndex) forget(offset int64) {
	if offset <= x.since {
		return
	}
	x.since = offset
	if i := x.search(offset); i > 0 {
		x.list = slices.Clone(x.list[i:])
	}
}

// search returns the first whose marker lies at or above offset. The caller holds the mutex.
func (x *abortedIndex) search(offset int64) int {
	return sort.Search(len(x.list), func(i int) bool { return x.list[i].LastOffset >= offset })
}

// freed drops what lies below the start of the local log, and what is in the object store, which ends at seam, if
// there are too many; it reports whether there still are.
func (x *abortedIndex) freed(start, seam int64) (crowded bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget(start)
	if len(x.list) >= maxAborted {
		x.forget(seam)
	}
	return len(x.list) >= maxAborted
}

// truncate drops those whose markers lie at or above end.
func (x *abortedIndex) truncate(end int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.list = x.list[:x.search(end)]
	x.since = min(x.since, end)
}

// reset begins anew with the markers from since on.
func (x *abortedIndex) reset(since int64, list []AbortedTxn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.since, x.list = since, list
}

// all returns what there is, for a state frame.
func (x *abortedIndex) all() (since int64, list []AbortedTxn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.since, slices.Clone(x.list)
}

// in appends those that overlap the offsets [from, to).
func (x *abortedIndex) in(dst []AbortedTxn, from, to int64) ([]AbortedTxn, int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, t := range x.list[x.search(from):] {
		if t.FirstOffset < to {
			dst = append(dst, t)
		}
	}
	return dst, x.since
}

// Aborted appends the aborted transactions that overlap the offsets [from, to), by their markers: all
// whose markers lie at or above since. Those of markers below are in the object store, or in the log (ScanAborted).
func (p *Partition) Aborted(dst []AbortedTxn, from, to int64) (txns []AbortedTxn, since int64) {
	return p.aborted.in(dst, from, to)
}

// ScanAborted is Aborted for markers of which memory does not tell any more: it reads the local log from from on
// until all that was transactional below to is decided, which it must be. FirstOffset is that of the first batch in the
// range. ErrCold means that the disk does not have the range any more.
func (p *Partition) ScanAborted(from, to int64) (txns []AbortedTxn, err error) {
	if from < p.log.Start() {
		return nil, ErrCold
	}
	open := make(map[int64]int64) // producer id → first offset
	err = p.log.Replay(from, func(b record.Batch) error {
		if b.BaseOffset() >= to && len(open) == 0 {
			return errReplayed
		}
		if !b.Transactional() {
			return nil
		}
		first, began := open[b.ProducerID()]
		if !b.Control() {
			if !began && b.BaseOffset() < to {
				open[b.ProducerID()] = b.BaseOffset()
			}
			return nil
		}
		m, err := p.markerOf(b)
		if err != nil {
			return err
		}
		if began && m.ends() {
			delete(open, b.ProducerID())
			if m.kind == record.Abort {
				txns = append(txns, AbortedTxn{ProducerID: b.ProducerID(), FirstOffset: first, LastOffset: b.BaseOffset(), LastStable: b.NextOffset()})
			}
		}
		return nil
	})
	switch {
	case err == nil, errors.Is(err, errReplayed):
		return txns, nil
	case errors.Is(err, wal.ErrBelowStart):
		return nil, ErrCold
	}
	return nil, fmt.Errorf("scan for aborted transactions topic=%s partition=%d from=%d to=%d: %w", p.topic, p.id.Partition, from, to, err)
}

// update has the producers and the index of aborted transactions remember a batch. The caller
// holds the mutex, or is the only one that knows the partition.
func (p *Partition) update(b record.Batch, m marker, now int64) {
	if d := p.producers.update(b, m, now); d != nil && d.aborted && d.first != none {
		p.producers.crowded = p.aborted.add(AbortedTxn{ProducerID: d.id, FirstOffset: d.first, LastOffset: d.marker, LastStable: d.stable}, max(p.tiered.Load(), p.logStart.Load()))
	}
}
