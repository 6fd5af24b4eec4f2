package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// Kind is how a group works out who consumes what. A group id belongs to one kind at a
// time, and all kinds have their committed offsets in the same place.
type Kind uint8

// The kinds, and how many there are.
const (
	// Classic groups let one of the members assign (JoinGroup, SyncGroup). A group that
	// only stores offsets is one without members.
	Classic Kind = iota
	// Consumer groups are assigned by the coordinator (KIP-848).
	Consumer
	// Share groups hand out records, not partitions (KIP-932).
	Share
	// Streams groups are assigned tasks (KIP-1071).
	Streams
	numKinds
)

var kindNames = [numKinds]string{"classic", "consumer", "share", "streams"}

// String is Kafka's name of the kind, as ListGroups has it.
func (k Kind) String() string { return kindNames[k] }

// newModern makes an empty group of each kind, to be filled from records. A kind
// without one is not served, and its records are not understood.
var newModern = [numKinds]func() modern{
	Consumer: func() modern { return newConsumerGroup() },
	Share:    func() modern { return newShareGroup() },
	Streams:  func() modern { return newStreamsGroup() },
}

// modern is a group that is not a classic one: its members send one kind of
// request, a heartbeat, and the coordinator assigns. One that is installed in a
// machine never changes, as with a membership: a decision works on a clone, which
// replaces it once its records are committed. Only replay changes it in place, before
// the machine is live.
//
// What the clients send is decided by bodies of the kind's own; here is what the machine
// asks of every kind.
type modern interface {
	kind() Kind
	// stateName is the state as Kafka names it; "Empty" without members.
	stateName() string
	// size is the number of members.
	size() int
	// subscribesTo says whether members use the offsets of the topic, which are then
	// neither expired nor deleted.
	subscribesTo(topic string) bool
	// expires says whether the group goes with its last offset once it is empty.
	expires() bool

	// checkCommit says why offsets may not be committed; 0: they may. One that is not
	// nil is asked about each partition, too.
	checkCommit(c commitCheck) (each func(topic resolved, partition int32) int16, code int16)
	// checkFetch says why a member may not read offsets; 0: it may. Who reads without being
	// a member has a nil id and a negative epoch.
	checkFetch(member *string, epoch int32) int16
	// checkOffsetDelete says why no offsets may be deleted at all; 0: they may.
	checkOffsetDelete() int16

	// replay takes in one record; a value of nil is a tombstone. It copies what it keeps.
	replay(key recordKey, value []byte) error
	// gone says, after a replay, that no record of the group is left.
	gone() bool
	// records are those that bring the group back, in the order in which they are replayed.
	records(group string) []coordinator.Record
	// tombstones delete all records of the group.
	tombstones(group string) []coordinator.Record

	// loaded returns the timers of a group that has a new coordinator.
	loaded(m *machine, group string, now time.Time) []coordinator.Timer
	// timeout decides about a timer of the group that is due.
	timeout(m *machine, key coordinator.TimerKey, now time.Time) coordinator.Outcome
}

// commitCheck is who wants to commit offsets.
type commitCheck struct {
	member   string
	instance *string
	epoch    int32 // negative: not a member's
	version  int16 // of OffsetCommit
	txn      bool  // as part of a transaction, by TxnOffsetCommit
}

// kind of a group.
func (g *group) kind() Kind {
	if g.modern != nil {
		return g.modern.kind()
	}
	return Classic
}

func (g *group) stateName() string {
	if g.modern != nil {
		return g.modern.stateName()
	}
	return g.state.String()
}

// protocolTypeName is the protocol type, as ListGroups has it.
func (g *group) protocolTypeName() string {
	if g.modern != nil {
		return g.modern.kind().String()
	}
	return g.protocolType
}

func (g *group) memberCount() int {
	if g.modern != nil {
		return g.modern.size()
	}
	return len(g.members)
}

// empty says whether the group has no members.
func (g *group) empty() bool {
	if g.modern != nil {
		return g.modern.size() == 0
	}
	return g.state == Empty
}

// subscribesTo says whether the topic's offsets are in use.
func (g *group) subscribesTo(topic string) bool {
	if g.modern != nil {
		return g.modern.subscribesTo(topic)
	}
	return g.membership.subscribesTo(topic)
}

// groupTombstones delete the group, but for its offsets.
func (g *group) groupTombstones(id string) []coordinator.Record {
	if g.modern != nil {
		return g.modern.tombstones(id)
	}
	return []coordinator.Record{groupTombstone(id)}
}

// installModern puts a group of another kind in place; nil leaves a classic one
// without members.
func (m *machine) installModern(id string, mod modern) {
	m.change(id, func(g *group) { g.membership, g.modern = &membership{}, mod })
}

// modernTimeout: a timer of a modern group is due. The group may be another by now.
type modernTimeout struct{ key coordinator.TimerKey }

func (t modernTimeout) decide(m *machine, now time.Time) coordinator.Outcome {
	if g := m.groups[t.key.Key]; g != nil && g.modern != nil {
		return g.modern.timeout(m, t.key, now)
	}
	return coordinator.Outcome{}
}
