package quorum

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// errDial marks that a member can not have seen a message: there was no connection to send it on.
var errDial = errors.New("no connection to the member")

const (
	// dialPause is between two tries to reach a member that the log waits for, and grows to dialPauseMax: a member that comes back has
	// the newest state soon, and one that is away for long costs next to nothing.
	dialPause    = 20 * time.Millisecond
	dialPauseMax = 320 * time.Millisecond
)

// transport is raft's, with two differences. Members are dialed by id and address: where addresses change hands, two members could be
// dialed as the same process, whose acknowledgement would count twice. And entries for a member that can not be reached wait here until
// it can: raft's own pause grows to ten seconds, which a member that comes back would have to sit out.
type transport struct {
	*raft.NetworkTransport
	closing <-chan struct{}
	raft    atomic.Pointer[raft.Raft] // nil until it runs
}

// targetOf is the address that raft's transport dials, and by which it keeps connections; see raftStream.Dial.
func targetOf(id raft.ServerID, address raft.ServerAddress) raft.ServerAddress {
	return raft.ServerAddress(id) + "@" + address
}

// AppendEntries implements raft.Transport, as the methods below.
func (t *transport) AppendEntries(id raft.ServerID, address raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	heartbeat := args.PrevLogEntry == 0 && args.PrevLogTerm == 0 && len(args.Entries) == 0
	for pause := dialPause; ; pause = min(2*pause, dialPauseMax) {
		err := t.NetworkTransport.AppendEntries(id, targetOf(id, address), args, resp)
		if heartbeat || !errors.Is(err, errDial) || !t.expects(id, address, args.Term) {
			return err
		}
		again := time.NewTimer(pause)
		select {
		case <-again.C:
		case <-t.closing:
			again.Stop()
			return err
		}
	}
}

// expects reports whether this member still leads in a term, and replicates to another one at an address.
func (t *transport) expects(id raft.ServerID, address raft.ServerAddress, term uint64) bool {
	r := t.raft.Load()
	if r == nil || r.State() != raft.Leader || r.CurrentTerm() != term {
		return false
	}
	f := r.GetConfiguration()
	if f.Error() != nil {
		return false
	}
	for _, s := range f.Configuration().Servers {
		if s.ID == id {
			return s.Address == address
		}
	}
	return false
}

func (t *transport) AppendEntriesPipeline(id raft.ServerID, address raft.ServerAddress) (raft.AppendPipeline, error) {
	return t.NetworkTransport.AppendEntriesPipeline(id, targetOf(id, address))
}

func (t *transport) RequestVote(id raft.ServerID, address raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return t.NetworkTransport.RequestVote(id, targetOf(id, address), args, resp)
}

func (t *transport) RequestPreVote(id raft.ServerID, address raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, targetOf(id, address), args, resp)
}

func (t *transport) InstallSnapshot(id raft.ServerID, address raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, targetOf(id, address), args, resp, data)
}

func (t *transport) TimeoutNow(id raft.ServerID, address raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, targetOf(id, address), args, resp)
}

// Dial takes what targetOf made.
func (s raftStream) Dial(target raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, address, ok := strings.Cut(string(target), "@")
	if !ok {
		return nil, fmt.Errorf("%w: target=%s", errDial, target)
	}
	c, err := s.StreamLayer.Dial(Member{ID: id, Address: address}, timeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDial, err)
	}
	return c, nil
}
