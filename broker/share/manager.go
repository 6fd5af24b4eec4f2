package share

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/wal"
)

// Options are the parts of a Manager.
type Options struct {
	Persister Persister
	// Settings returns what a group has decided; it is asked often and must not block.
	Settings func(group string) Settings
	// FindTime returns the first offset of a partition whose record is not older than
	// a timestamp (ms); false: there is none.
	FindTime   func(ctx context.Context, log Log, timestamp int64) (offset int64, ok bool, err error)
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// maxPartitions bounds the share partitions of a broker, of all groups together. An
// idle one takes less than a kilobyte.
const maxPartitions = 100_000

// Manager has the share partitions of the partitions that this broker leads.
type Manager struct {
	o       Options
	metrics *metrics
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows; taken after that of a partition
	closed bool
	count  int
	groups map[string]map[wal.ID]*Partition
}

// New makes a manager without share partitions.
func New(o Options) *Manager {
	m := &Manager{o: o, groups: make(map[string]map[wal.ID]*Partition)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.metrics = newMetrics(m, o.Registerer)
	return m
}

// Settings returns what a group has decided.
func (m *Manager) Settings(group string) Settings { return m.o.Settings(group) }

// Open returns the share partition of a group, which is loaded if it is not there. One
// of an older leader epoch ends.
func (m *Manager) Open(group string, log Log) (*Partition, error) {
	epoch := log.Epoch()
	if !log.Leads() {
		return nil, ErrNotLeader
	}
	p, old, err := m.open(group, log, epoch)
	if old != nil {
		old.mu.Lock()
		old.end(ErrNotLeader)
		old.mu.Unlock()
	}
	return p, err
}

func (m *Manager) open(group string, log Log, epoch int32) (p, old *Partition, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old = m.groups[group][log.ID()]
	switch {
	case old != nil && old.epoch == epoch:
		return old, nil, nil
	case old != nil && old.epoch > epoch:
		return nil, nil, ErrNotLeader
	case m.closed:
		return nil, nil, ErrNotLeader
	case m.count >= maxPartitions:
		return nil, nil, ErrTooMany
	}
	p = &Partition{manager: m, group: group, log: log, epoch: epoch, waiters: make(map[Waiter]struct{})}
	p.timer = time.AfterFunc(never, p.expired)
	if m.groups[group] == nil {
		m.groups[group] = make(map[wal.ID]*Partition)
	}
	m.groups[group][log.ID()] = p
	if old == nil {
		m.count++
	}
	m.running.Add(1)
	go p.load()
	return p, old, nil
}

// Begin opens the share partition of a group and begins a fetch; see Partition.Begin.
func (m *Manager) Begin(group string, log Log) (p *Partition, from int64, ok bool, mark uint64, err error) {
	for range 2 { // the one that was found may be given up meanwhile, for want of members
		if p, err = m.Open(group, log); err != nil {
			return nil, 0, false, 0, err
		}
		p.keep()
		if from, ok, mark, err = p.Begin(); !errors.Is(err, errRetired) {
			return p, from, ok, mark, err
		}
	}
	return nil, 0, false, 0, ErrRetry
}

// keep says that there is a member again.
func (p *Partition) keep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retiring, p.flushed = false, false
}

// Get returns the share partition of a group, nil if there is none.
func (m *Manager) Get(group string, id wal.ID) *Partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.groups[group][id]
}

// all returns the share partitions of a group.
func (m *Manager) all(group string) []*Partition {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*Partition, 0, len(m.groups[group]))
	for _, p := range m.groups[group] {
		out = append(out, p)
	}
	return out
}

// Left says that a member's session has ended. What it has is given back; with the
// last member of a group on this broker its share partitions are given up.
func (m *Manager) Left(group, member string, last bool) {
	for _, p := range m.all(group) {
		p.Release(member)
		if last {
			p.mu.Lock()
			p.retiring = true
			p.retire()
			p.mu.Unlock()
		}
	}
}

// Resigned says that this broker does not lead a partition any more.
func (m *Manager) Resigned(id wal.ID) {
	m.mu.Lock()
	var gone []*Partition
	for _, partitions := range m.groups {
		if p := partitions[id]; p != nil {
			gone = append(gone, p)
		}
	}
	m.mu.Unlock()
	for _, p := range gone {
		p.mu.Lock()
		p.end(ErrNotLeader)
		p.mu.Unlock()
	}
}

// gone forgets a share partition that has ended.
func (m *Manager) gone(p *Partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	partitions, id := m.groups[p.group], p.log.ID()
	if partitions[id] != p {
		return
	}
	delete(partitions, id)
	m.count--
	if len(partitions) == 0 {
		delete(m.groups, p.group)
	}
}

// Close ends all share partitions, and waits until nothing is under way.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	var all []*Partition
	for _, partitions := range m.groups {
		for _, p := range partitions {
			all = append(all, p)
		}
	}
	m.mu.Unlock()
	for _, p := range all {
		p.mu.Lock()
		p.end(ErrNotLeader)
		p.mu.Unlock()
	}
	m.cancel()
	m.running.Wait()
}

// How long a share coordinator that is not available is asked again: an election and
// the load of its state take a second or two, and a client waits longer than this.
const (
	retryFor   = 10 * time.Second
	firstPause = 20 * time.Millisecond
	lastPause  = time.Second
)

// retry asks the persister until it has an answer, for a bounded time.
func (m *Manager) retry(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := ask(ctx)
		if err == nil || !errors.Is(err, ErrRetry) {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return err
		}
	}
}
