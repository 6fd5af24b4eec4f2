package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Errors of proposing. ErrNotLeader comes as *NotLeaderError.
var (
	ErrNotLeader = errors.New("not the metadata leader")
	ErrClosed    = errors.New("metadata log closed")
	ErrTooLarge  = errors.New("metadata command too large")
	// ErrUnknown says that the command may or may not be applied later.
	ErrUnknown = errors.New("outcome of metadata command unknown")
)

// NotLeaderError refuses a proposal and says who leads, as far as known. It
// is ErrNotLeader.
type NotLeaderError struct{ Leader Member }

// Error implements error.
func (e *NotLeaderError) Error() string {
	if e.Leader == (Member{}) {
		return ErrNotLeader.Error() + ": no leader known"
	}
	return fmt.Sprintf("%v: leader=%s address=%s", ErrNotLeader, e.Leader.ID, e.Leader.Address)
}

// Is makes errors.Is(err, ErrNotLeader) true.
func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }

// Member is one member of the group.
type Member struct {
	ID      string
	Address string // host:port of its rpc listener, empty in a group of one without one
}

// Entry is a committed command.
type Entry struct {
	Index uint64
	Data  []byte // valid during the call only
}

// StateMachine is what the log drives.
type StateMachine interface {
	// Apply takes committed commands in order and returns one result for each.
	// It can not refuse: what it returns is the answer to the proposer.
	Apply(entries []Entry) []any
	// Snapshot captures the state; it must be quick. What it returns is written
	// out concurrently with later Apply calls.
	Snapshot() (Snapshot, error)
	// Restore replaces the state by a snapshot. On error the state is as before.
	Restore(r io.Reader) error
}

// Snapshot is a captured state.
type Snapshot interface {
	// WriteTo writes the state.
	WriteTo(w io.Writer) (int64, error)
}

// Log is the replicated log.
type Log interface {
	// Propose appends a command and waits until it is applied here. It returns
	// the state machine's result and the index. When ctx ends first the outcome
	// is unknown.
	Propose(ctx context.Context, command []byte) (result any, index uint64, err error)
	// ProposeOrdered is Propose for a caller that must keep an order: placed is called once, as soon as the command has its
	// place in front of all that is proposed later, or will never have one. It may be called after ProposeOrdered returned.
	ProposeOrdered(ctx context.Context, command []byte, placed func()) (result any, index uint64, err error)
	// Barrier waits until all that was committed before is applied here. It
	// succeeds on the leader only, after confirming that it still leads.
	Barrier(ctx context.Context) error
	// IsLeader reports whether this member leads, as far as it knows.
	IsLeader() bool
	// Leader returns the leader as far as known; false when there is none.
	Leader() (Member, bool)
	// LeaderChanges returns a channel that is closed at the next change of
	// leadership.
	LeaderChanges() <-chan struct{}
	// Stats returns figures for metrics.
	Stats() Stats
	// Close stops the member. Proposals under way fail with ErrClosed or ErrUnknown.
	Close() error
}

// Stats are figures of a log.
type Stats struct {
	FirstIndex, LastIndex uint64 // of the entries on disk
	AppliedIndex          uint64
	LogBytes              int64 // proposed bytes since the last snapshot
	LogEntries            int64 // applied entries since the last snapshot
	Snapshots             int64 // taken since the start
	SnapshotBytes         int64 // of the last one taken or restored
	SnapshotNanos         int64 // duration of the last one taken
	Term                  uint64
}
