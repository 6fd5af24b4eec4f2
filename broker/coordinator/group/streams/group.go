package streams

import (
	"slices"
	"strings"
)

// The states of a group, which follow from what it has.
//
//	Empty ──▶ NotReady ──▶ Assigning ──▶ Reconciling ──▶ Stable
//
//	Empty        no members
//	NotReady     its topics do not allow the topology to run
//	Assigning    the target assignment is older than the group
//	Reconciling  members are on their way to their targets
//	Stable       all have what the target gives them
const (
	stateEmpty       = "Empty"
	stateNotReady    = "NotReady"
	stateAssigning   = "Assigning"
	stateReconciling = "Reconciling"
	stateStable      = "Stable"
)

// firstEpoch is the epoch of a group, and of its target, before anything was decided; so
// members have a later one as soon as they are assigned.
const firstEpoch = 1

// noEpoch says that no topology epoch was validated, or that a target is deleted.
const noEpoch = -1

// Group is a streams group. One that is installed never changes: a decision makes another
// one, which shares what is the same. Only Replay changes it in place.
type Group struct {
	// Epoch grows when something changed that asks for another assignment: members,
	// topology, topics, settings.
	Epoch int32
	// MetadataHash stands for the topics that the topology was validated with.
	MetadataHash int64
	// ValidatedEpoch is the topology epoch whose topics are there as they should be.
	ValidatedEpoch int32
	// LastConfigs are the settings that the last epoch was made with, in the order of keys.
	LastConfigs []KeyValue
	// Topology is nil until a first member joins.
	Topology *Topology
	// TargetEpoch is the group epoch that the targets were computed for, and TargetAt when
	// that was, in ms.
	TargetEpoch int32
	TargetAt    int64

	members []*Member // in the order of ids

	// What follows is not in the log.

	// configured is the topology set against the topics; nil: to be worked out.
	configured *Configured
	// seen is the version of the topics that the hash was last computed for.
	seen uint64
	// delayed says that the initial rebalance delay is on.
	delayed bool
	// shutdown is the member that asked all others to end; "" if none did. It is forgotten
	// with the last member.
	shutdown string
	// endpointEpoch grows when a member with an endpoint got other tasks.
	endpointEpoch int32
	// fresh says that no decision about the group is in the log yet.
	fresh bool
}

// New is a group that nothing is known of.
func New() *Group {
	return &Group{Epoch: firstEpoch, TargetEpoch: firstEpoch, ValidatedEpoch: noEpoch, fresh: true}
}

func (g *Group) clone() *Group {
	c := *g
	c.members = slices.Clone(g.members)
	return &c
}

func (g *Group) find(id string) (int, bool) {
	return slices.BinarySearchFunc(g.members, id, func(m *Member, id string) int { return strings.Compare(m.ID, id) })
}

func (g *Group) member(id string) *Member {
	if i, ok := g.find(id); ok {
		return g.members[i]
	}
	return nil
}

func (g *Group) put(m *Member) {
	i, ok := g.find(m.ID)
	if ok {
		g.members[i] = m
	} else {
		g.members = slices.Insert(g.members, i, m)
	}
}

func (g *Group) remove(id string) {
	if i, ok := g.find(id); ok {
		g.members = slices.Delete(g.members, i, i+1)
	}
	if len(g.members) == 0 {
		g.shutdown = ""
	}
}

// Size is the number of members.
func (g *Group) Size() int { return len(g.members) }

// Members are the members in the order of their ids; not to be changed.
func (g *Group) Members() []*Member { return g.members }

// Fresh says that no decision about the group was made durable yet.
func (g *Group) Fresh() bool { return g.fresh }

// StateName is the state as Kafka names it.
func (g *Group) StateName() string {
	switch {
	case len(g.members) == 0:
		return stateEmpty
	case g.Topology == nil || g.Topology.Epoch != g.ValidatedEpoch:
		return stateNotReady
	case g.Epoch > g.TargetEpoch:
		return stateAssigning
	case slices.ContainsFunc(g.members, func(m *Member) bool { return !m.reconciledTo(g.TargetEpoch) }):
		return stateReconciling
	}
	return stateStable
}

// SubscribesTo says whether members use the offsets of the topic.
func (g *Group) SubscribesTo(topic string) bool {
	return len(g.members) > 0 && g.Topology != nil && g.Topology.Reads(topic)
}
