package metadata

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// MembersRequest is the type of control request by which a broker asks for a change of who votes, or how far another has come. Integers are
// big endian. The answer is a groupAnswer.
//
//	0 version u8 = 1
//	1 change u8, a MemberChangeKind or 0
//	2 node i32
//
// With change 0 the broker that was asked answers with the index of its image, whether it leads or not.
const MembersRequest uint16 = 4

// Errors of changes to the metadata group.
var (
	// ErrRefused says that the group will not do what was asked of it, whoever leads. What to do instead is in its text.
	ErrRefused = errors.New("the metadata group refuses")
	// ErrNotNow says that a change may be made later, or was begun; its text says what is missing.
	ErrNotNow = errors.New("the metadata group can not be changed now")
	// ErrNoChange says that a voter votes already, or that who should lose its vote has none.
	ErrNoChange = errors.New("no change of the metadata group")
	// ErrNotMember says that a broker is not in the metadata group.
	ErrNotMember = errors.New("not a member of the metadata group")
)

// promoteLag is how many commands an observer may be behind when it gets its vote: until it has them, every command may have to wait for it.
const promoteLag = 1024

// MemberChange is one step of a change to who votes in the metadata group.
type MemberChange struct {
	Kind MemberChangeKind
	Node int32
}

// MemberChangeKind is what happens to a member. Numbers go over the wire and are never reused.
type MemberChangeKind uint8

// Kinds of changes.
const (
	Promote MemberChangeKind = 1 // an observer votes from now on
	Demote  MemberChangeKind = 2 // a voter follows from now on
	Remove  MemberChangeKind = 3 // it is a member no more
)

// tell asks a member how far it is.
const tell MemberChangeKind = 0

// String returns the name of the kind.
func (k MemberChangeKind) String() string {
	switch k {
	case Promote:
		return "promote"
	case Demote:
		return "demote"
	case Remove:
		return "remove"
	}
	return fmt.Sprintf("change(%d)", uint8(k))
}

func (c *MemberChange) append(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(append(dst, groupVersion, byte(c.Kind)), uint32(c.Node))
}

func parseMemberChange(b []byte) (c MemberChange, err error) {
	r := codec.NewReader(b)
	if v := r.Uint8(); r.Err() == nil && v != groupVersion {
		return c, fmt.Errorf("change of the metadata group: %w: version=%d", record.ErrUnknownVersion, v)
	}
	c.Kind, c.Node = MemberChangeKind(r.Uint8()), r.Int32()
	if err := r.Finish(); err != nil {
		return c, fmt.Errorf("change of the metadata group: %w", err)
	}
	if c.Kind > Remove {
		return c, fmt.Errorf("change of the metadata group: %w: kind=%d", record.ErrUnknownVersion, c.Kind)
	}
	return c, nil
}

// Group is the metadata group as this member knows it.
type Group struct {
	Leader            int32 // -1 while none is known
	Voters, Observers []GroupMember
	quorum.Progress   // of this member
}

// GroupMember is a member of the metadata group.
type GroupMember struct {
	Node    int32
	Address string
}

// Group returns the metadata group; false when its members are not known, as those of a log in memory.
func (s *Store) Group() (Group, bool) {
	log, ok := s.log.(quorum.Membership)
	if !ok {
		return Group{}, false
	}
	g := Group{Leader: -1, Progress: log.Progress()}
	if leader, known := s.log.Leader(); known {
		if node, ok := nodeOf(leader.ID); ok {
			g.Leader = node
		}
	}
	voters, others := log.Members()
	g.Voters, g.Observers = groupMembers(voters), groupMembers(others)
	return g, true
}

func groupMembers(members []quorum.Member) []GroupMember {
	out := make([]GroupMember, 0, len(members))
	for _, m := range members {
		if node, ok := nodeOf(m.ID); ok {
			out = append(out, GroupMember{Node: node, Address: m.Address})
		}
	}
	slices.SortFunc(out, func(a, b GroupMember) int { return int(a.Node) - int(b.Node) })
	return out
}

// AddVoter gives a member a vote, whoever leads. It waits until the member has caught up, or ctx ends.
func (s *Store) AddVoter(ctx context.Context, node int32) error {
	return s.changeThroughLeader(ctx, MemberChange{Kind: Promote, Node: node})
}

// RemoveVoter takes the vote of a member, whoever leads; the member goes on to follow. It waits until those who are left can decide without
// it, or ctx ends.
func (s *Store) RemoveVoter(ctx context.Context, node int32) error {
	return s.changeThroughLeader(ctx, MemberChange{Kind: Demote, Node: node})
}

func (s *Store) changeThroughLeader(ctx context.Context, c MemberChange) error {
	own := func(ctx context.Context) groupAnswer { return s.change(ctx, c) }
	if s.relay.peers == nil {
		a := own(ctx)
		return a.result(c)
	}
	_, err := s.askGroup(ctx, MembersRequest, c.append(nil), own, func(reason string) {
		s.logger.InfoContext(ctx, "waiting for a change of the metadata group", "change", c.Kind, "node", c.Node, "for", reason)
	})
	switch {
	case err == nil, errors.Is(err, ErrRefused), errors.Is(err, ErrNoChange), errors.Is(err, ErrNotMember):
		return err
	}
	return fmt.Errorf("%w: %s node=%d: %w", ErrNotNow, c.Kind, c.Node, err)
}

// HandOver makes another voter the leader, on the leader.
func (s *Store) HandOver() error {
	group, ok := s.log.(quorum.Membership)
	if !ok {
		return ErrNotMember
	}
	return group.HandOver()
}

// ChangeMember carries out one step on the leader, as controller.Voting decides it, and tries once. Elsewhere it fails with
// quorum.ErrNotLeader: the decision was made by who leads no more. A leader that is to lose its own vote hands leadership over, which fails
// so too; the next one decides anew.
func (s *Store) ChangeMember(ctx context.Context, c MemberChange) error {
	a := s.change(ctx, c)
	return a.result(c)
}

// result is an answer as an error.
func (a *groupAnswer) result(c MemberChange) error {
	switch a.outcome {
	case groupDone:
		return nil
	case groupNotLeader:
		return &quorum.NotLeaderError{Leader: a.leader}
	case groupNotNow:
		return fmt.Errorf("%w: %s node=%d: %s", ErrNotNow, c.Kind, c.Node, a.reason)
	}
	return a.err()
}

// serveMembers answers another broker.
func (s *Store) serveMembers(ctx context.Context, from peer.Identity, request []byte) ([]byte, error) {
	c, err := parseMemberChange(request)
	if err != nil {
		return nil, err
	}
	if c.Kind == tell {
		a := groupAnswer{index: s.Image().Index(), cluster: s.Image().ClusterID()}
		return a.append(nil), nil
	}
	a := s.change(ctx, c)
	s.logger.InfoContext(ctx, "another broker asks for a change of the metadata group", "from", from.Node, "change", c.Kind, "node", c.Node, "reason", a.reason)
	return a.append(nil), nil
}

// change makes one change, on the leader.
func (s *Store) change(ctx context.Context, c MemberChange) groupAnswer {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	group, a, ok := s.leading(ctx)
	if !ok {
		return a
	}
	defer s.changes.leave()
	refuse := func(o groupOutcome, format string, args ...any) groupAnswer {
		a.outcome, a.reason = o, fmt.Sprintf(format, args...)
		return a
	}
	id := MemberID(c.Node)
	voters, others := group.Members()
	all := slices.Concat(voters, others)
	at := slices.IndexFunc(all, func(m quorum.Member) bool { return m.ID == id })
	votes := isMember(voters, id)
	switch {
	case at < 0:
		return refuse(groupNotMember, "node=%d", c.Node)
	case c.Kind == Promote && votes:
		return refuse(groupNoChange, "node=%d votes already", c.Node)
	case c.Kind == Demote && !votes:
		return refuse(groupNoChange, "node=%d has no vote", c.Node)
	case c.Kind != Promote && votes && len(voters) == 1:
		return refuse(groupRefused, "node=%d has the only vote: add another voter first", c.Node)
	case c.Kind != Promote && c.Node == s.node:
		if err := group.HandOver(); err != nil {
			return refuse(groupNotNow, "%v", err)
		}
		a.outcome, a.leader = groupNotLeader, quorum.Member{}
		return a
	}
	index, err := s.reached(ctx, all[at])
	switch {
	case c.Kind == Promote && err != nil:
		return refuse(groupNotNow, "it does not answer: %v", err)
	case c.Kind == Promote && index+promoteLag < s.Image().Index():
		return refuse(groupNotNow, "it has not caught up: at index=%d of %d", index, s.Image().Index())
	case c.Kind == Remove && err == nil:
		return refuse(groupNotNow, "its process runs, and follows: stop it first")
	}
	rest := slices.DeleteFunc(slices.Clone(voters), func(m quorum.Member) bool { return m.ID == id })
	after, answer := len(rest), s.answering(ctx, rest)
	if c.Kind == Promote {
		after, answer = after+1, answer+1
	}
	if answer <= after/2 {
		return refuse(groupNotNow, "of the voters that there would be %d answer, of %d: no majority", answer, after)
	}
	switch c.Kind {
	case Promote:
		err = group.AddVoter(ctx, all[at])
	case Demote:
		err = group.Demote(ctx, id)
	default:
		if err = group.Remove(ctx, id); err == nil {
			delete(s.changes.admitted, c.Node)
		}
	}
	if err != nil {
		return refuse(groupNotNow, "%v", err)
	}
	s.logger.InfoContext(ctx, "metadata group: a member changed", "change", c.Kind, "node", c.Node)
	return a
}

// reached asks a member how far its image is.
func (s *Store) reached(ctx context.Context, m quorum.Member) (uint64, error) {
	node, ok := nodeOf(m.ID)
	switch {
	case ok && node == s.node:
		return s.Image().Index(), nil
	case !ok || s.relay.peers == nil:
		return 0, fmt.Errorf("member=%s can not be asked", m.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c := MemberChange{Kind: tell, Node: node}
	b, err := s.relay.peers.Call(ctx, m.Address, node, MembersRequest, c.append(nil))
	if err != nil {
		return 0, err
	}
	a, err := parseGroupAnswer(b)
	return a.index, err
}

// CatchUp waits until this node's image has all that the leader's had when it was asked: what was committed before the call,
// by whichever broker, is seen after it. It fails when no leader answers before ctx ends.
func (s *Store) CatchUp(ctx context.Context) error {
	leader, known := s.log.Leader()
	switch {
	case !known:
		return &quorum.NotLeaderError{}
	case leader.ID == MemberID(s.node):
		return nil
	}
	index, err := s.reached(ctx, leader)
	if err != nil {
		return fmt.Errorf("ask the metadata leader how far it is: %w", err)
	}
	_, err = s.Wait(ctx, index)
	return err
}

// answering counts the members that answer now. A change of who votes that those who are there can not commit would stand in the way of
// everything else.
func (s *Store) answering(ctx context.Context, members []quorum.Member) int {
	var n atomic.Int32
	var asked sync.WaitGroup
	for _, m := range members {
		asked.Go(func() {
			if _, err := s.reached(ctx, m); err == nil {
				n.Add(1)
			}
		})
	}
	asked.Wait()
	return int(n.Load())
}
