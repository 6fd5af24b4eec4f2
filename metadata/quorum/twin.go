package quorum

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// Group is a deterministic twin of the replicated log: members in one process
// that share a log in memory. It has no goroutines, no clock and no
// randomness; what happens is what the test calls. A proposal is applied
// within Propose on the leader, and on the other members when they are told
// to CatchUp, or at once when they follow.
//
// Lock order: a member's apply lock before the group's lock.
type Group struct {
	mu      sync.Mutex
	entries []Entry // entries[i] has index i+1
	members map[string]*Twin
	leader  string
	term    uint64
	changed chan struct{}
	fault   Fault
}

// Fault is what the next proposal of a Group suffers.
type Fault int

// Faults.
const (
	NoFault   Fault = iota
	LoseEntry       // the command is not appended, the proposer gets ErrUnknown
	LoseReply       // the command is applied, the proposer gets ErrUnknown
)

// Twin is one member of a Group. It implements Log.
type Twin struct {
	group  *Group
	member Member
	follow bool

	apply   sync.Mutex // held while the state machine is called
	machine StateMachine
	applied uint64
	closed  bool // guarded by group.mu
}

var _ Log = (*Twin)(nil)

// NewGroup returns a group without members.
func NewGroup() *Group {
	return &Group{members: map[string]*Twin{}, changed: make(chan struct{})}
}

// Join adds a member with an empty state machine and brings it up to date. The
// first member leads. A member that was closed may join again. With follow set
// it applies every command as soon as it is committed.
func (g *Group) Join(id string, machine StateMachine, follow bool) *Twin {
	t := &Twin{group: g, member: Member{ID: id}, machine: machine, follow: follow}
	g.mu.Lock()
	g.members[id] = t
	first := g.leader == ""
	g.mu.Unlock()
	t.CatchUp()
	if first {
		g.Elect(id)
	}
	return t
}

// Elect makes a member the leader, or nobody for an empty id. The member
// catches up first, as an elected leader has every committed entry.
func (g *Group) Elect(id string) {
	g.mu.Lock()
	t := g.members[id]
	g.mu.Unlock()
	if t != nil {
		t.CatchUp()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if t == nil || t.closed {
		id = ""
	}
	g.leader = id
	g.term++
	close(g.changed)
	g.changed = make(chan struct{})
}

// Inject makes the next proposal fail.
func (g *Group) Inject(f Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = f
}

// Len returns the number of committed entries.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.entries)
}

// CatchUp applies all that is committed. It returns the index reached.
func (t *Twin) CatchUp() uint64 {
	t.apply.Lock()
	defer t.apply.Unlock()
	t.catchUp()
	return t.applied
}

// catchUp applies what is committed and returns the result of the last entry.
func (t *Twin) catchUp() any {
	t.group.mu.Lock()
	pending := t.group.entries[t.applied:]
	t.group.mu.Unlock()
	if len(pending) == 0 {
		return nil
	}
	results := t.machine.Apply(pending)
	t.applied += uint64(len(pending))
	return results[len(results)-1]
}

// Install replaces the member's state by a snapshot of another member's, as
// when its log was too far behind. Entries after it follow with CatchUp.
func (t *Twin) Install(from *Twin) error {
	var buf bytes.Buffer
	from.apply.Lock()
	snap, err := from.machine.Snapshot()
	index := from.applied
	from.apply.Unlock()
	if err != nil {
		return fmt.Errorf("install snapshot: %w", err)
	}
	if _, err := snap.WriteTo(&buf); err != nil {
		return fmt.Errorf("install snapshot: %w", err)
	}
	t.apply.Lock()
	defer t.apply.Unlock()
	if err := t.machine.Restore(&buf); err != nil {
		return fmt.Errorf("install snapshot: %w", err)
	}
	t.applied = index
	return nil
}

// Propose implements Log. The proposal is applied before it returns.
func (t *Twin) Propose(ctx context.Context, command []byte) (any, uint64, error) {
	return t.ProposeOrdered(ctx, command, func() {})
}

// ProposeOrdered implements Log. Commands are placed and applied at once, so all of them keep their order.
func (t *Twin) ProposeOrdered(ctx context.Context, command []byte, placed func()) (any, uint64, error) {
	defer placed()
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	t.apply.Lock()
	g := t.group
	g.mu.Lock()
	if err := t.leads(); err != nil {
		g.mu.Unlock()
		t.apply.Unlock()
		return nil, 0, err
	}
	fault := g.fault
	g.fault = NoFault
	if fault != LoseEntry {
		g.entries = append(g.entries, Entry{Index: uint64(len(g.entries) + 1), Data: bytes.Clone(command)})
	}
	var followers []*Twin
	for _, m := range g.members {
		if m != t && m.follow && !m.closed {
			followers = append(followers, m)
		}
	}
	g.mu.Unlock()
	result := t.catchUp()
	index := t.applied
	t.apply.Unlock()
	for _, m := range followers { // each has its own state, so their order does not matter
		m.CatchUp()
	}
	if fault != NoFault {
		return nil, 0, ErrUnknown
	}
	return result, index, nil
}

// leads is called with the group's lock held.
func (t *Twin) leads() error {
	if t.closed {
		return ErrClosed
	}
	if t.group.leader != t.member.ID {
		e := &NotLeaderError{}
		if t.group.leader != "" {
			e.Leader = Member{ID: t.group.leader}
		}
		return e
	}
	return nil
}

// Barrier implements Log.
func (t *Twin) Barrier(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.group.mu.Lock()
	err := t.leads()
	t.group.mu.Unlock()
	if err != nil {
		return err
	}
	t.CatchUp()
	return nil
}

// IsLeader implements Log.
func (t *Twin) IsLeader() bool {
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	return t.leads() == nil
}

// Leader implements Log.
func (t *Twin) Leader() (Member, bool) {
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	return Member{ID: t.group.leader}, t.group.leader != ""
}

// LeaderChanges implements Log.
func (t *Twin) LeaderChanges() <-chan struct{} {
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	return t.group.changed
}

// Stats implements Log.
func (t *Twin) Stats() Stats {
	t.apply.Lock()
	applied := t.applied
	t.apply.Unlock()
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	s := Stats{LastIndex: uint64(len(t.group.entries)), AppliedIndex: applied, LogEntries: int64(len(t.group.entries)), Term: t.group.term}
	if s.LastIndex > 0 {
		s.FirstIndex = 1
	}
	return s
}

// Close implements Log. A leader that closes leaves the group without one.
func (t *Twin) Close() error {
	g := t.group
	g.mu.Lock()
	if t.closed {
		g.mu.Unlock()
		return nil
	}
	t.closed = true
	if g.members[t.member.ID] == t {
		delete(g.members, t.member.ID)
	}
	leads := g.leader == t.member.ID
	g.mu.Unlock()
	if leads {
		g.Elect("")
	}
	return nil
}
