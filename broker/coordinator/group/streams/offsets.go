package streams

import "github.com/twmb/franz-go/pkg/kerr"

// Commit is who wants to commit offsets.
type Commit struct {
	Member   string
	Instance *string
	Epoch    int32
	// Version is that of OffsetCommit; Txn says that it is TxnOffsetCommit.
	Version int16
	Txn     bool
}

// oldestCommit is the first version of OffsetCommit that knows member epochs.
const oldestCommit = 9

// CheckCommit says why offsets may not be committed; 0: they may. A function that is not
// nil is to be asked about each partition: a member that has not yet heard of its epoch
// may commit for tasks that it has had since before.
func (g *Group) CheckCommit(c Commit) (each func(topic string, partition int32) int16, code int16) {
	if c.Epoch < 0 && g.Size() == 0 {
		return nil, 0
	}
	if c.Txn && c.Epoch == -1 && c.Member == "" && c.Instance == nil {
		return nil, 0 // the transaction fences the others
	}
	m := g.member(c.Member)
	switch {
	case m == nil:
		return nil, kerr.UnknownMemberID.Code
	case !c.Txn && c.Version < oldestCommit:
		return nil, kerr.UnsupportedVersion.Code
	case c.Epoch == m.Epoch:
		return nil, 0
	case c.Epoch > m.Epoch || g.Topology == nil:
		return nil, kerr.StaleMemberEpoch.Code
	}
	return func(topic string, partition int32) int16 {
		if since, ok := g.since(m, topic, partition); !ok || c.Epoch < since {
			return kerr.StaleMemberEpoch.Code
		}
		return 0
	}, 0
}

// since is the epoch in which the member got the task that reads the partition.
func (g *Group) since(m *Member, topic string, partition int32) (int32, bool) {
	id, ok := g.Topology.reader(topic)
	if !ok {
		return 0, false
	}
	for _, set := range []TaskSet{m.Assigned.Active, m.Revoking.Active} {
		if i, ok := set.find(Task{Subtopology: id, Partition: partition}); ok {
			return set[i].Epoch, true
		}
	}
	return 0, false
}

// CheckFetch says why a member may not read offsets; 0: it may. Who reads without being a
// member has a nil id and a negative epoch.
func (g *Group) CheckFetch(member *string, epoch int32) int16 {
	if member == nil && epoch < 0 {
		return 0
	}
	if member == nil {
		return kerr.UnknownMemberID.Code
	}
	m := g.member(*member)
	switch {
	case m == nil:
		return kerr.UnknownMemberID.Code
	case m.Epoch != epoch:
		return kerr.StaleMemberEpoch.Code
	}
	return 0
}
