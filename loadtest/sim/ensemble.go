package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/memnet"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// voters are the brokers that vote on the metadata: 1 to voters.
const voters = 3

// Times of the metadata group. A leader without a majority may believe in itself until its
// lease ends, while another one leads already.
const (
	electionTick    = 50 * time.Millisecond
	electionTimeout = 300 * time.Millisecond
	leaseTimeout    = 600 * time.Millisecond
	viewTimeout     = 500 * time.Millisecond
)

// ensemble is the metadata group: the deterministic twin of the Raft log, with the manners of
// Raft put around it. A leader commits with a majority only, and after a while; the others
// learn of it later, if they can be reached; a leader that lost its majority stays one for
// itself for a moment; what was proposed meanwhile has an unknown outcome.
type ensemble struct {
	net     *memnet.Network
	twin    *quorum.Group
	address func(node int32) string // HOST:PORT of its internal port
	ip      func(node int32) string

	mu      sync.Mutex // guards what follows, and the fields of members that say so
	random  *rand.Rand
	members map[int32]*member
	leader  int32 // 0: none
	without time.Time
}

// member is the log of one process.
type member struct {
	e    *ensemble
	node int32
	twin *quorum.Twin
	wake chan struct{}
	ctx  context.Context // ends with the process
	end  context.CancelFunc
	work sync.WaitGroup

	// Guarded by ensemble.mu.
	leads   bool
	lost    time.Time // since when this leader has no majority; zero: it has
	view    int32     // whom it believes to lead; 0: nobody
	heard   time.Time
	changed chan struct{}
}

var _ quorum.Log = (*member)(nil)

func newEnsemble(seed uint64, net *memnet.Network, ip, address func(int32) string) *ensemble {
	return &ensemble{
		net: net, twin: quorum.NewGroup(), ip: ip, address: address,
		random: rand.New(rand.NewPCG(seed, 0x726166)), members: make(map[int32]*member),
	}
}

// join makes the log of a process. The one before it must have ended.
func (e *ensemble) join(ctx context.Context, node int32, machine quorum.StateMachine) *member {
	m := &member{e: e, node: node, wake: make(chan struct{}, 1), changed: make(chan struct{})}
	m.ctx, m.end = context.WithCancel(ctx)
	m.twin = e.twin.Join(metadata.MemberID(node), machine, false)
	e.mu.Lock()
	e.members[node] = m
	e.mu.Unlock()
	m.work.Go(m.follow)
	return m
}

// die is the end of the process.
func (m *member) die() {
	m.end()
	m.e.mu.Lock()
	defer m.e.mu.Unlock()
	if m.e.members[m.node] == m {
		delete(m.e.members, m.node)
	}
	if m.leads && m.e.leader == m.node {
		m.e.leader, m.e.without = 0, time.Now()
	}
	m.leads = false
}

// random duration between two.
func (e *ensemble) between(a, b time.Duration) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return a + time.Duration(e.random.Int64N(int64(b-a)))
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// follow applies what was committed, when the leader can tell.
func (m *member) follow() {
	for {
		look := time.NewTimer(100 * time.Millisecond)
		select {
		case <-m.wake:
		case <-look.C:
		case <-m.ctx.Done():
		}
		look.Stop()
		if !pause(m.ctx, m.e.between(100*time.Microsecond, 4*time.Millisecond)) {
			return
		}
		m.e.mu.Lock()
		reached := m.e.leader != 0 && m.e.connected(m.e.leader, m.node)
		m.e.mu.Unlock()
		if reached {
			m.twin.CatchUp()
		}
	}
}

func (e *ensemble) connected(a, b int32) bool { return e.net.Connected(e.ip(a), e.ip(b)) }

// majority reports whether a member reaches enough voters. The mutex is held.
func (e *ensemble) majority(m *member) bool {
	n := 0
	for id := int32(1); id <= voters; id++ {
		if v := e.members[id]; v != nil && e.connected(m.node, id) {
			n++
		}
	}
	return n > voters/2
}

// run elects leaders until ctx ends.
func (e *ensemble) run(ctx context.Context) {
	for pause(ctx, electionTick) {
		e.tick(time.Now())
	}
}

func (e *ensemble) tick(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	current := e.members[e.leader]
	if current != nil && !e.majority(current) {
		current.lost = now
		e.leader, e.without = 0, now
	}
	if e.leader == 0 && now.Sub(e.without) > electionTimeout && e.random.IntN(4) == 0 {
		e.elect(now, 0)
	}
	for _, m := range e.members {
		switch {
		case m.leads && m.node != e.leader && now.Sub(m.lost) > leaseTimeout:
			m.leads = false
			m.see(0)
		case m.leads:
		case e.leader != 0 && e.connected(e.leader, m.node):
			m.heard = now
			m.see(e.leader)
		case now.Sub(m.heard) > viewTimeout:
			m.see(0)
		}
	}
}

// elect makes another voter the leader that has a majority. The mutex is held.
func (e *ensemble) elect(now time.Time, not int32) {
	var candidates []*member
	for id := int32(1); id <= voters; id++ {
		if m := e.members[id]; m != nil && id != not && e.majority(m) {
			candidates = append(candidates, m)
		}
	}
	if len(candidates) == 0 {
		return
	}
	if old := e.members[e.leader]; old != nil {
		old.lost = now
	}
	m := candidates[e.random.IntN(len(candidates))]
	e.leader = m.node
	e.twin.Elect(metadata.MemberID(m.node))
	m.leads, m.heard, m.lost = true, now, time.Time{}
	m.view = 0
	m.see(m.node)
}

// failover has another voter elected.
func (e *ensemble) failover() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.elect(time.Now(), e.leader)
}

// see notes whom a member believes to lead. The mutex is held.
func (m *member) see(leader int32) {
	if m.view != leader {
		m.view = leader
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

// leading returns the member that leads, nil when none does.
func (e *ensemble) leading() *member {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.members[e.leader]
}

func (m *member) notLeader() error {
	err := &quorum.NotLeaderError{}
	if m.view != 0 && m.view != m.node {
		err.Leader = m.e.member(m.view)
	}
	return err
}

func (e *ensemble) member(node int32) quorum.Member {
	return quorum.Member{ID: metadata.MemberID(node), Address: e.address(node)}
}

// Propose implements quorum.Log.
func (m *member) Propose(ctx context.Context, command []byte) (any, uint64, error) {
	return m.ProposeOrdered(ctx, command, func() {})
}

// ProposeOrdered implements quorum.Log.
func (m *member) ProposeOrdered(ctx context.Context, command []byte, placed func()) (any, uint64, error) {
	e := m.e
	e.mu.Lock()
	if m.ctx.Err() != nil || !m.leads {
		err := m.notLeader()
		e.mu.Unlock()
		placed()
		if m.ctx.Err() != nil {
			err = quorum.ErrClosed
		}
		return nil, 0, err
	}
	able := e.leader == m.node && e.majority(m)
	lost := e.random.IntN(100) == 0 // it is committed, and its proposer does not learn of it
	e.mu.Unlock()
	if !able {
		placed()
		return nil, 0, m.unable(ctx)
	}
	result, index, err := m.twin.ProposeOrdered(ctx, command, placed)
	if err != nil {
		return nil, 0, err
	}
	e.wakeAll()
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.ctx, cancel)()
	if !pause(wait, e.between(300*time.Microsecond, 3*time.Millisecond)) || lost {
		return nil, 0, fmt.Errorf("%w: the reply was lost", quorum.ErrUnknown)
	}
	return result, index, nil
}

// unable waits as a leader does that can not reach a majority: until it leads no more, or anew.
func (m *member) unable(ctx context.Context) error {
	for {
		m.e.mu.Lock()
		again := !m.leads || m.e.leader == m.node && m.e.majority(m)
		m.e.mu.Unlock()
		if again {
			return fmt.Errorf("%w: leadership lost while committing", quorum.ErrUnknown)
		}
		look := time.NewTimer(electionTick)
		select {
		case <-look.C:
		case <-m.ctx.Done():
			look.Stop()
			return quorum.ErrClosed
		case <-ctx.Done():
			look.Stop()
			return fmt.Errorf("%w: %w", quorum.ErrUnknown, ctx.Err())
		}
	}
}

func (e *ensemble) wakeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, m := range e.members {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// Barrier implements quorum.Log.
func (m *member) Barrier(ctx context.Context) error {
	e := m.e
	e.mu.Lock()
	able, err := m.leads && e.leader == m.node && e.majority(m), m.notLeader()
	leads := m.leads
	e.mu.Unlock()
	switch {
	case !leads:
		return err
	case !able:
		return m.unable(ctx)
	}
	m.twin.CatchUp()
	if !pause(ctx, e.between(300*time.Microsecond, 3*time.Millisecond)) {
		return ctx.Err()
	}
	return nil
}

// IsLeader implements quorum.Log.
func (m *member) IsLeader() bool {
	m.e.mu.Lock()
	defer m.e.mu.Unlock()
	return m.leads && m.ctx.Err() == nil
}

// Leader implements quorum.Log.
func (m *member) Leader() (quorum.Member, bool) {
	m.e.mu.Lock()
	defer m.e.mu.Unlock()
	if m.view == 0 {
		return quorum.Member{}, false
	}
	return m.e.member(m.view), true
}

// LeaderChanges implements quorum.Log.
func (m *member) LeaderChanges() <-chan struct{} {
	m.e.mu.Lock()
	defer m.e.mu.Unlock()
	return m.changed
}

// Stats implements quorum.Log.
func (m *member) Stats() quorum.Stats { return m.twin.Stats() }

// Close implements quorum.Log.
func (m *member) Close() error {
	m.die()
	m.work.Wait()
	return m.twin.Close()
}
