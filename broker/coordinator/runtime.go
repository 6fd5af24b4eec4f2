package coordinator

import (
	"errors"
	"slices"
	"sync"
)

// Runtime runs the shards of one internal topic.
type Runtime struct {
	opts    Options
	metrics *metrics
	wg      sync.WaitGroup

	mu     sync.RWMutex
	loops  map[int32]*loop
	epochs map[int32]int32 // newest epoch seen, +1 once it is resigned
	closed bool
}

// NewRuntime returns a runtime that coordinates nothing yet.
func NewRuntime(o Options) (*Runtime, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Runtime{opts: o, metrics: newMetrics(o.Subsystem, o.Registerer), loops: make(map[int32]*loop), epochs: make(map[int32]int32)}, nil
}

// Elected says that this broker leads the partition with the leader epoch. The
// shard loads in the background. An epoch that is not newer than those seen is ignored.
func (r *Runtime) Elected(partition, epoch int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen, ok := r.epochs[partition]; r.closed || ok && epoch <= seen {
		return
	}
	r.epochs[partition] = epoch
	previous := r.loops[partition]
	if previous != nil {
		previous.stop()
	}
	l := newLoop(&r.opts, r.metrics, partition, epoch, previous)
	r.loops[partition] = l
	r.wg.Go(l.run)
}

// Resigned says that leadership with this epoch, and all before, is over.
func (r *Runtime) Resigned(partition, epoch int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seen, ok := r.epochs[partition]; ok && epoch < seen {
		return
	}
	r.epochs[partition] = epoch
	if l := r.loops[partition]; l != nil {
		l.stop()
		delete(r.loops, partition)
	}
}

// Partitions returns the partitions that are coordinated here, in order,
// loading ones included.
func (r *Runtime) Partitions() []int32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]int32, 0, len(r.loops))
	for p := range r.loops {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// Submit hands an event to the partition's shard. A call is answered exactly
// once, maybe before Submit returns. Events without a call wait for a shard that
// is loading, and get lost where there is none.
func (r *Runtime) Submit(partition int32, ev Event) {
	r.mu.RLock()
	l := r.loops[partition]
	r.mu.RUnlock()
	err := ErrNotCoordinator
	if l != nil {
		err = l.submit(ev)
	}
	if err != nil {
		r.metrics.refused.WithLabelValues(reasonOf(err)).Inc()
		ev.refuse(err)
	}
}

// Close ends all shards and waits for their goroutines. All calls are answered.
func (r *Runtime) Close() {
	r.mu.Lock()
	r.closed = true
	for p, l := range r.loops {
		l.stop()
		delete(r.loops, p)
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func reasonOf(err error) string {
	switch {
	case errors.Is(err, ErrLoading):
		return "loading"
	case errors.Is(err, ErrBusy):
		return "busy"
	default:
		return "not_coordinator"
	}
}
