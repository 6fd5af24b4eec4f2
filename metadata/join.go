package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// JoinRequest is the type of control request by which a broker enters the metadata group, or tells it its address. Who it is comes
// with the connection. Integers are big endian, strings have their uvarint length in front. The answer is a groupAnswer.
//
//	0 version u8 = 1
//	1 fresh u8          2 cluster id, string   then the address, string
//
// Fresh is 1 when the broker has no log, 0 when it has. The cluster id is empty when it knows none.
const JoinRequest uint16 = 3

const (
	// changeTimeout is how long the leader tries to change a member: two commits of the log, unless a majority is away.
	changeTimeout = 10 * time.Second
	// probeTimeout is for a broker to answer on the address that it gave.
	probeTimeout = 2 * time.Second
)

// joiner is a broker that enters the group or comes back.
type joiner struct {
	node        int32
	incarnation [16]byte
	fresh       bool // has no log: it may have forgotten what it acknowledged
	cluster     string
	address     string
}

func (j *joiner) append(dst []byte) []byte {
	dst = append(dst, groupVersion)
	dst = codec.AppendBool(dst, j.fresh)
	dst = codec.AppendString(dst, j.cluster)
	return codec.AppendString(dst, j.address)
}

func parseJoiner(b []byte) (j joiner, err error) {
	r := codec.NewReader(b)
	if v := r.Uint8(); r.Err() == nil && v != groupVersion {
		return j, fmt.Errorf("request to join: %w: version=%d", record.ErrUnknownVersion, v)
	}
	j.fresh, j.cluster, j.address = r.Bool(), r.String(), r.String()
	if err := r.Finish(); err != nil {
		return j, fmt.Errorf("request to join: %w", err)
	}
	if j.address == "" || max(len(j.address), len(j.cluster)) > maxGroupText {
		return j, fmt.Errorf("request to join: address bytes=%d cluster id bytes=%d", len(j.address), len(j.cluster))
	}
	return j, nil
}

// join asks the group to take this broker in, or to note its address, until it has.
func (s *Store) join(ctx context.Context, fresh bool) (groupAnswer, error) {
	j := joiner{node: s.node, fresh: fresh, cluster: s.knownCluster(), address: s.advertise}
	own := func(ctx context.Context) groupAnswer { return s.admit(ctx, &j) }
	return s.askGroup(ctx, JoinRequest, j.append(nil), own, func(reason string) {
		s.logger.InfoContext(ctx, "waiting to be a member of the metadata group", "for", reason)
	})
}

// serveJoin answers another broker's request to join.
func (s *Store) serveJoin(ctx context.Context, from peer.Identity, request []byte) ([]byte, error) {
	j, err := parseJoiner(request)
	if err != nil {
		return nil, err
	}
	j.node, j.incarnation = from.Node, from.Incarnation
	a := s.admit(ctx, &j)
	switch a.outcome {
	case groupRefused:
		s.logger.WarnContext(ctx, "a broker can not join", "node", j.node, "address", j.address, "reason", a.reason)
	case groupNotNow: // it repeats itself, and says so in its own log
		s.logger.DebugContext(ctx, "a broker can not join yet", "node", j.node, "address", j.address, "reason", a.reason)
	}
	return a.append(nil), nil
}

// admit makes a broker a member with the address that it has now, on the leader.
//
//	what it brings      known with the address   known with another           not known
//	------------------  -----------------------  ---------------------------  ------------
//	its log             nothing                  the address changes          observer
//	no log              removed, then observer   removed, then observer       observer
//	no log, and it was  nothing                  removed, then observer       observer
//	admitted already
//
// Who has no log is removed first, even if it votes: it may have forgotten what it acknowledged and for whom it voted. It opens its
// port for the group only when that is committed; then no candidate can win by its vote.
func (s *Store) admit(ctx context.Context, j *joiner) groupAnswer {
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
	if j.cluster != "" && j.cluster != a.cluster {
		return refuse(groupRefused, "broker %d belongs to cluster %s, the group to %s: check cluster.seeds and data.dir", j.node, j.cluster, a.cluster)
	}
	id := MemberID(j.node)
	voters, others := group.Members()
	members := slices.Concat(voters, others)
	at := slices.IndexFunc(members, func(m quorum.Member) bool { return m.ID == id })
	same := at >= 0 && members[at].Address == j.address
	if same && (!j.fresh || s.changes.admitted[j.node] == j.incarnation && !isMember(voters, id)) {
		return a
	}
	if at < 0 && len(members) >= record.MaxBrokers {
		return refuse(groupRefused, "the group has %d members already: remove brokers that are gone", len(members))
	}
	if j.node != s.node {
		if at >= 0 && !same {
			if old, err := s.probe(ctx, members[at].Address, j.node); err == nil && old.Incarnation != j.incarnation {
				return refuse(groupRefused, "broker %d runs at %s too: give each broker a node.id of its own", j.node, members[at].Address)
			}
		}
		here, err := s.probe(ctx, j.address, j.node)
		if err != nil {
			return refuse(groupNotNow, "the leader can not reach it, check rpc.advertised: %v", err)
		}
		if here.Incarnation != j.incarnation {
			return refuse(groupNotNow, "another process of broker %d answers at %s", j.node, j.address)
		}
	}
	if err := s.free(ctx, group, members, j); err != nil {
		return refuse(groupNotNow, "%v", err)
	}
	if at >= 0 && j.fresh {
		if err := group.Remove(ctx, id); err != nil {
			return refuse(groupNotNow, "to remove it first: %v", err)
		}
	}
	if err := group.AddObserver(ctx, quorum.Member{ID: id, Address: j.address}); err != nil {
		return refuse(groupNotNow, "to add it: %v", err)
	}
	if j.fresh {
		s.changes.admit(j.node, j.incarnation)
	}
	s.logger.InfoContext(ctx, "metadata group: a broker is a member", "node", j.node, "address", j.address, "fresh", j.fresh, "known", at >= 0)
	return a
}

// free takes an address from the member that had it, now that another broker answers there: addresses are given out anew where
// machines come and go. The member gets one that nobody can dial until it tells its own.
func (s *Store) free(ctx context.Context, group quorum.Membership, members []quorum.Member, j *joiner) error {
	i := slices.IndexFunc(members, func(m quorum.Member) bool { return m.Address == j.address && m.ID != MemberID(j.node) })
	if i < 0 {
		return nil
	}
	m := quorum.Member{ID: members[i].ID, Address: movedPrefix + members[i].ID}
	if m.ID == MemberID(s.node) {
		m.Address = s.advertise
	}
	if m.Address == j.address {
		return fmt.Errorf("address=%s is that of the leader, node=%s: check rpc.advertised of both", j.address, m.ID)
	}
	if err := group.AddObserver(ctx, m); err != nil { // which keeps a voter a voter
		return fmt.Errorf("to take address=%s from node=%s: %w", j.address, m.ID, err)
	}
	return nil
}

// movedPrefix begins the address of a member that is not where it was.
const movedPrefix = "moved/"

// probe tells who answers at an address.
func (s *Store) probe(ctx context.Context, address string, node int32) (peer.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := s.relay.peers.Dial(ctx, address, node, peer.Control)
	if err != nil {
		return peer.Identity{}, err
	}
	return c.Peer, c.Close()
}

func isMember(members []quorum.Member, id string) bool {
	return slices.ContainsFunc(members, func(m quorum.Member) bool { return m.ID == id })
}

// nodeOf is the opposite of MemberID; false for what it did not make.
func nodeOf(id string) (int32, bool) {
	n, err := strconv.ParseInt(id, 10, 32)
	return int32(n), err == nil
}

// memberChanges lets the leader change one member at a time, as the log does too: a broker that is removed and added again must not be
// met in between.
type memberChanges struct {
	turn     chan struct{}      // has a value while nobody changes anything
	admitted map[int32][16]byte // the process of each fresh broker that was added, at most record.MaxBrokers; whose turn it is
}

func newMemberChanges() memberChanges {
	c := memberChanges{turn: make(chan struct{}, 1), admitted: make(map[int32][16]byte)}
	c.turn <- struct{}{}
	return c
}

// admit notes which process was added. Who is not noted is removed and added once more when it repeats itself, which costs nothing but time.
func (c *memberChanges) admit(node int32, incarnation [16]byte) {
	if len(c.admitted) >= record.MaxBrokers {
		clear(c.admitted)
	}
	c.admitted[node] = incarnation
}

func (c *memberChanges) leave() { c.turn <- struct{}{} }

// leading takes its turn to change members, on the leader. The answer is one of success to begin with; when this member does not lead,
// or can not change anything, it says so. The caller leaves afterwards.
func (s *Store) leading(ctx context.Context) (quorum.Membership, groupAnswer, bool) {
	a := groupAnswer{cluster: s.Image().ClusterID()}
	a.leader, _ = s.log.Leader()
	group, ok := s.log.(quorum.Membership)
	switch {
	case !ok:
		a.outcome, a.reason = groupRefused, "the members of this group do not change"
		return nil, a, false
	case !s.log.IsLeader():
		a.outcome = groupNotLeader
		return nil, a, false
	case a.cluster == "":
		a.outcome, a.reason = groupNotNow, "the cluster has no id yet"
		return nil, a, false
	}
	select {
	case <-s.changes.turn:
	case <-ctx.Done():
		a.outcome, a.reason = groupNotNow, "another member is being changed"
		return nil, a, false
	}
	// A leader that was replaced without knowing would judge by a group that is not any more.
	if err := s.log.Barrier(ctx); err != nil {
		s.changes.leave()
		if a.outcome = groupNotLeader; !errors.Is(err, quorum.ErrNotLeader) {
			a.outcome, a.reason = groupNotNow, "the leader has no majority: "+err.Error()
		}
		return nil, a, false
	}
	return group, a, true
}
