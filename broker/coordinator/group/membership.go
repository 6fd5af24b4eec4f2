package group

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// protocolTypeConsumer is the protocol type of consumers, whose subscriptions
// the coordinator understands.
const protocolTypeConsumer = "consumer"

// membership is who is in a group and where the group stands. One that is
// installed in a group never changes: a decision works on a clone, which replaces it.
// So a decision that is not committed leaves no trace.
type membership struct {
	state      State
	previous   State     // before state: an initial rebalance comes from Empty
	since      time.Time // of the state; zero: not known (old records)
	generation int32

	protocolType string    // empty: none yet, or a group that only stores offsets
	protocol     string    // selected in this generation; empty: none
	leader       string    // member id; empty: none
	members      []*member // ordered by id
	pending      []string  // member ids handed out and not yet used, ordered

	// subscribed topics of all members, in order; known only for consumers
	// whose metadata could be parsed.
	subscribed      []string
	subscribedKnown bool

	// durable is the membership as the log has it: this one itself once its
	// record is committed, an earlier one during a rebalance; nil if there is none.
	durable *membership

	// Of the initial rebalance: a member joined since the delay was last
	// extended; the delay under way; how long it may still be extended.
	grew             bool
	delay, remaining time.Duration
}

// member is one member. Like its membership it never changes once installed.
type member struct {
	id               string
	instance         *string // group.instance.id of a static member
	clientID         string
	clientHost       string
	sessionTimeout   time.Duration
	rebalanceTimeout time.Duration
	protocols        []protocol // in order of preference
	assignment       []byte

	join     parked // waits for the rebalance to complete
	sync     parked // waits for the leader's assignment
	unsynced bool   // has not yet sent SyncGroup in this generation
	fresh    bool   // has not yet been told its member id by a completed join
}

// protocol is one way of assigning that a member supports, with its metadata.
type protocol struct {
	name     string
	metadata []byte
}

// parked is a request that waits in the state; the zero value is none.
type parked struct {
	call    *coordinator.Call
	version int16
}

func (p parked) waits() bool { return p.call != nil }

func (ms *membership) clone() *membership {
	c := *ms
	c.members = slices.Clone(ms.members)
	c.pending = slices.Clone(ms.pending)
	return &c
}

func (ms *membership) find(id string) (int, bool) {
	return slices.BinarySearchFunc(ms.members, id, func(m *member, id string) int { return strings.Compare(m.id, id) })
}

func (ms *membership) member(id string) *member {
	if i, ok := ms.find(id); ok {
		return ms.members[i]
	}
	return nil
}

// static returns the member with the instance id.
func (ms *membership) static(instance string) *member {
	for _, m := range ms.members {
		if m.instance != nil && *m.instance == instance {
			return m
		}
	}
	return nil
}

// put adds the member, or replaces the one with its id.
func (ms *membership) put(m *member) {
	i, ok := ms.find(m.id)
	if ok {
		ms.members[i] = m
	} else {
		ms.members = slices.Insert(ms.members, i, m)
	}
}

// edit returns a copy of the member that has taken its place, to be changed.
func (ms *membership) edit(m *member) *member {
	c := *m
	ms.put(&c)
	return &c
}

// remove takes the member out; a leader is followed by the first of the others.
func (ms *membership) remove(id string) {
	if i, ok := ms.find(id); ok {
		ms.members = slices.Delete(ms.members, i, i+1)
	}
	if ms.leader == id {
		ms.leader = ""
		if len(ms.members) > 0 {
			ms.leader = ms.members[0].id
		}
	}
}

func (ms *membership) isPending(id string) bool {
	_, ok := slices.BinarySearch(ms.pending, id)
	return ok
}

func (ms *membership) addPending(id string) {
	if i, ok := slices.BinarySearch(ms.pending, id); !ok {
		ms.pending = slices.Insert(ms.pending, i, id)
	}
}

func (ms *membership) removePending(id string) {
	if i, ok := slices.BinarySearch(ms.pending, id); ok {
		ms.pending = slices.Delete(ms.pending, i, i+1)
	}
}

// moveTo enters a state. An illegal one is a broken invariant.
func (ms *membership) moveTo(s State, now time.Time) {
	if !s.mayFollow(ms.state) {
		panic(fmt.Sprintf("group: transition from %v to %v", ms.state, s))
	}
	ms.previous, ms.state, ms.since = ms.state, s, time.UnixMilli(now.UnixMilli())
}

func (ms *membership) awaitingJoin() int {
	n := 0
	for _, m := range ms.members {
		if m.join.waits() {
			n++
		}
	}
	return n
}

// allJoined says that nobody is missing for the rebalance to complete.
func (ms *membership) allJoined() bool {
	return len(ms.pending) == 0 && ms.awaitingJoin() == len(ms.members)
}

func (ms *membership) allSynced() bool {
	return !slices.ContainsFunc(ms.members, func(m *member) bool { return m.unsynced })
}

// rebalanceTimeout is the longest that any member asks for.
func (ms *membership) rebalanceTimeout() time.Duration {
	var d time.Duration
	for _, m := range ms.members {
		d = max(d, m.rebalanceTimeout)
	}
	return d
}

// supports says whether a member with these protocols may be in the group: one
// of them must be supported by all members.
func (ms *membership) supports(protocolType string, ps []protocol) bool {
	if ms.state == Empty {
		return protocolType != "" && len(ps) > 0
	}
	return protocolType == ms.protocolType &&
		slices.ContainsFunc(ps, func(p protocol) bool { return ms.supportedByAll(p.name) })
}

func (ms *membership) supportedByAll(name string) bool {
	return !slices.ContainsFunc(ms.members, func(m *member) bool { return !m.supports(name) })
}

// selectProtocol lets each member vote for the first of its protocols that all
// members support. Most votes win; a tie goes to the name that the first
// member, by id, prefers.
func (ms *membership) selectProtocol() string {
	var candidates []string
	for _, p := range ms.members[0].protocols {
		if ms.supportedByAll(p.name) && !slices.Contains(candidates, p.name) {
			candidates = append(candidates, p.name)
		}
	}
	votes := make([]int, len(candidates))
	for _, m := range ms.members {
		for _, p := range m.protocols {
			if i := slices.Index(candidates, p.name); i >= 0 {
				votes[i]++
				break
			}
		}
	}
	best := ""
	most := -1
	for i, name := range candidates {
		if votes[i] > most {
			best, most = name, votes[i]
		}
	}
	return best
}

// electLeader keeps the leader if it has rejoined, or else takes the first
// member, by id, that has. It fails if nobody has.
func (ms *membership) electLeader() bool {
	if l := ms.member(ms.leader); l != nil && l.join.waits() {
		return true
	}
	for _, m := range ms.members {
		if m.join.waits() {
			ms.leader = m.id
			return true
		}
	}
	return false
}

// subscribe works out which topics the members consume.
func (ms *membership) subscribe() {
	ms.subscribed, ms.subscribedKnown = nil, false
	if ms.protocolType != protocolTypeConsumer || len(ms.members) > 0 && ms.protocol == "" {
		return
	}
	var topics []string
	for _, m := range ms.members {
		t, ok := subscribedTopics(m.metadata(ms.protocol))
		if !ok {
			return
		}
		topics = append(topics, t...)
	}
	slices.Sort(topics)
	ms.subscribed, ms.subscribedKnown = slices.Compact(topics), true
}

// subscribesTo says whether the topic's offsets are in use. A group of consumers
// whose subscriptions are not known is taken to subscribe to everything.
func (ms *membership) subscribesTo(topic string) bool {
	if !ms.subscribedKnown {
		return ms.protocolType == protocolTypeConsumer
	}
	_, ok := slices.BinarySearch(ms.subscribed, topic)
	return ok
}

func (m *member) supports(name string) bool {
	return slices.ContainsFunc(m.protocols, func(p protocol) bool { return p.name == name })
}

// metadata is the member's for the protocol; nil if it does not support it.
func (m *member) metadata(name string) []byte {
	for _, p := range m.protocols {
		if p.name == name {
			return p.metadata
		}
	}
	return nil
}

// matches says whether the protocols are the ones that the member has.
func (m *member) matches(ps []protocol) bool {
	return slices.EqualFunc(m.protocols, ps, func(a, b protocol) bool {
		return a.name == b.name && string(a.metadata) == string(b.metadata)
	})
}
