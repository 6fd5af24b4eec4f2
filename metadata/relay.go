package metadata

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// RelayRequest is the type of control request by which a broker proposes through the leader. Integers are big endian.
//
//	request  0 version u8 = 1   1 session u64   9 number u64   17 oldest u64   25 command, as record.Append gave it
//	answer   0 version u8 = 1   1 outcome u8    2 index u64    10 applied: the result, as record.AppendResult gave it
//
// The session is random, new for each Store. Numbers rise within it. The oldest is the least number that its sender still waits for:
// what is below was given up, and may not be applied any more behind what its sender did since.
const RelayRequest uint16 = 1

const (
	relayVersion    = 1
	relayHead       = 1 + 3*8
	relayAnswerHead = 1 + 1 + 8
	// relayRetry is the pause before another try when the leader is not known, or does not know that it is.
	relayRetry = 50 * time.Millisecond
	// relaySessions is how many sessions of one node the leader remembers: a process that ended may still have a request on its way.
	relaySessions = 4
)

type relayOutcome uint8

const (
	relayApplied    relayOutcome = 0
	relayNotLeader  relayOutcome = 1 // not appended
	relaySuperseded relayOutcome = 2 // given up by its sender; not appended
	relayUnknown    relayOutcome = 3
	relayRefused    relayOutcome = 4 // not a command that can be proposed; not appended
)

// relay is a Store's side as a sender, and as the leader.
type relay struct {
	peers   *peer.Host
	session uint64

	mu      sync.Mutex // guards what follows
	last    uint64
	waiting map[uint64]struct{}  // numbers not given up yet
	senders map[int32]*relayNode // at most record.MaxBrokers
}

// relayNode is what the leader remembers of a node.
type relayNode struct {
	order    sync.Mutex // held from the look at a request's number until the command has its place in the log
	sessions []relaySession
}

type relaySession struct{ id, oldest uint64 }

// take gives the next number, and the oldest that is waited for.
func (r *relay) take() (number, oldest uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	r.waiting[r.last] = struct{}{}
	return r.last, slices.Min(slices.Collect(maps.Keys(r.waiting)))
}

func (r *relay) giveUp(number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, number)
}

// proposeThroughLeader sends an encoded command to whoever leads, until one took it or ctx ends, and waits until this node's
// image has it.
func (s *Store) proposeThroughLeader(ctx context.Context, command []byte) (Result, error) {
	var last error = &quorum.NotLeaderError{}
	for {
		changed := s.log.LeaderChanges()
		leader, known := s.log.Leader()
		switch {
		case known && leader.ID == MemberID(s.node):
			answer, _, err := s.log.Propose(ctx, command)
			if err == nil {
				return answer.(Result), nil
			}
			if !errors.Is(err, quorum.ErrNotLeader) {
				return Result{}, err
			}
			last = err
		case known:
			r, index, err := s.ask(ctx, leader, command)
			if err == nil {
				if _, err := s.Wait(ctx, index); err != nil {
					return Result{}, fmt.Errorf("%w: applied at index=%d, and not here yet: %w", quorum.ErrUnknown, index, err)
				}
				return r, nil
			}
			if !errors.Is(err, quorum.ErrNotLeader) {
				return Result{}, err
			}
			last = err
		}
		retry := time.NewTimer(relayRetry)
		select {
		case <-changed:
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return Result{}, fmt.Errorf("%w: %w", last, context.Cause(ctx))
		}
		retry.Stop()
	}
}

// ask sends the command to one leader. ErrNotLeader means that it was not appended.
func (s *Store) ask(ctx context.Context, leader quorum.Member, command []byte) (Result, uint64, error) {
	node, err := strconv.ParseInt(leader.ID, 10, 32)
	if err != nil {
		return Result{}, 0, fmt.Errorf("metadata leader has no node id: %w: member=%q", err, leader.ID)
	}
	number, oldest := s.relay.take()
	defer s.relay.giveUp(number)
	request := make([]byte, 0, relayHead+len(command))
	request = append(request, relayVersion)
	for _, v := range []uint64{s.relay.session, number, oldest} {
		request = binary.BigEndian.AppendUint64(request, v)
	}
	answer, err := s.relay.peers.Call(ctx, leader.Address, int32(node), RelayRequest, append(request, command...))
	switch {
	case errors.Is(err, peer.ErrNotSent), errors.Is(err, peer.ErrBusy):
		return Result{}, 0, fmt.Errorf("%w: %w", &quorum.NotLeaderError{Leader: leader}, err)
	case err != nil:
		return Result{}, 0, fmt.Errorf("%w: %w", quorum.ErrUnknown, err)
	}
	return parseRelayAnswer(answer, leader)
}

func parseRelayAnswer(b []byte, leader quorum.Member) (r Result, index uint64, err error) {
	in := codec.NewReader(b)
	v, outcome := in.Uint8(), relayOutcome(in.Uint8())
	index = in.Uint64()
	if err := in.Err(); err != nil || v != relayVersion {
		return r, 0, fmt.Errorf("%w: answer of the leader: version=%d: %w", quorum.ErrUnknown, v, errors.Join(err, record.ErrUnknownVersion))
	}
	switch outcome {
	case relayApplied:
		if r, err = record.DecodeResult(in.Rest()); err != nil {
			err = fmt.Errorf("%w: answer of the leader: %w", quorum.ErrUnknown, err)
		}
		return r, index, err
	case relayNotLeader, relaySuperseded:
		return r, 0, &quorum.NotLeaderError{Leader: leader}
	case relayRefused:
		return r, 0, fmt.Errorf("%w: the leader can not read it: upgrade the other brokers first", record.ErrUnknownVersion)
	}
	return r, 0, quorum.ErrUnknown
}

// serveRelay proposes the command of another broker, as the leader.
func (s *Store) serveRelay(ctx context.Context, from peer.Identity, request []byte) ([]byte, error) {
	in := codec.NewReader(request)
	v, session, number, oldest := in.Uint8(), in.Uint64(), in.Uint64(), in.Uint64()
	command := in.Rest()
	if err := in.Err(); err != nil || v != relayVersion {
		return nil, fmt.Errorf("relayed command: version=%d: %w", v, errors.Join(err, record.ErrUnknownVersion))
	}
	answer := func(o relayOutcome, index uint64) []byte {
		return binary.BigEndian.AppendUint64([]byte{relayVersion, byte(o)}, index)
	}
	if _, err := record.Decode(command); err != nil {
		s.logger.WarnContext(ctx, "another broker proposes what this one can not read", "node", from.Node, "error", err)
		return answer(relayRefused, 0), nil
	}
	node := s.relay.node(from.Node)
	if node == nil {
		return answer(relayNotLeader, 0), nil
	}
	node.order.Lock()
	if !node.admit(session, number, oldest) {
		node.order.Unlock()
		return answer(relaySuperseded, 0), nil
	}
	result, index, err := s.log.ProposeOrdered(ctx, command, node.order.Unlock)
	switch {
	case err == nil:
		r := result.(Result)
		return record.AppendResult(answer(relayApplied, index), &r), nil
	case errors.Is(err, quorum.ErrUnknown):
		return answer(relayUnknown, 0), nil
	case errors.Is(err, quorum.ErrTooLarge):
		return answer(relayRefused, 0), nil
	}
	return answer(relayNotLeader, 0), nil // or closing, or out of time before it was appended
}

// node returns what is remembered of a node; nil when there are too many.
func (r *relay) node(id int32) *relayNode {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.senders[id]
	if n == nil && len(r.senders) < record.MaxBrokers {
		n = new(relayNode)
		r.senders[id] = n
	}
	return n
}

// admit decides whether a request was not given up meanwhile. The caller holds order.
func (n *relayNode) admit(session, number, oldest uint64) bool {
	i := slices.IndexFunc(n.sessions, func(s relaySession) bool { return s.id == session })
	if i < 0 {
		if len(n.sessions) == relaySessions {
			n.sessions = n.sessions[1:]
		}
		i = len(n.sessions)
		n.sessions = append(n.sessions, relaySession{id: session})
	}
	s := &n.sessions[i]
	s.oldest = max(s.oldest, oldest)
	return number >= s.oldest
}
