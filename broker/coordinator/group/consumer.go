package group

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// consumerGroup is a group of the consumer protocol (KIP-848).
//
//	a subscription or a topic changed        assignor              each member, at its own pace
//	─────────────────────────────────▶ epoch ────────▶ target of the ────────────────────────▶ current
//	                                            assigned epoch        (see reconcile)
//
// Its state follows from the three epochs: Empty without members; Assigning while the
// target is older than the group epoch; Reconciling while a member is on its way to the
// target; else Stable.
type consumerGroup struct {
	targeting
	roster[*consumerMember]

	regexes map[string]*resolvedRegex // by regular expression
}

// consumerMember is one member. Like its group it never changes once installed.
type consumerMember struct {
	id               string
	instance, rack   *string
	clientID         string
	clientHost       string
	topics           []string // subscribed by name, in order
	regex            *string  // subscribed by regular expression; nil: none
	rebalanceTimeout time.Duration
	assignor         *string        // that it prefers; nil: none
	classic          *classicMember // nil for one of the consumer protocol

	epoch, previous int32
	state           memberState
	owned           assignment // what it may use
	since           epochs     // at which group epoch each of owned became its own
	revoking        assignment // what it must give up before it goes on
}

// classicMember is what there is more to a member that speaks the classic protocol.
type classicMember struct {
	sessionTimeout time.Duration
	protocols      []protocol
}

// memberState is how far a member is on its way to its target; the numbers are Kafka's.
type memberState int8

const (
	memberStable     memberState = 0 // it has all of its target
	memberUnrevoked  memberState = 1 // it has to give up partitions first
	memberUnreleased memberState = 2 // it waits for partitions that others have not given up
)

// epochs of an assignment's partitions, in the same order.
type epochs map[[16]byte][]int32

// of returns the epoch of a partition of a.
func (e epochs) of(a assignment, topic [16]byte, partition int32) int32 {
	if i, ok := slices.BinarySearch(a[topic], partition); ok && i < len(e[topic]) {
		return e[topic][i]
	}
	return 0
}

func (m *consumerMember) memberID() string { return m.id }

func newConsumerGroup() *consumerGroup {
	return &consumerGroup{targeting: targeting{targets: map[string]assignment{}}, regexes: map[string]*resolvedRegex{}}
}

func (g *consumerGroup) clone() *consumerGroup {
	c := *g
	c.members = slices.Clone(g.members)
	c.targets = maps.Clone(g.targets)
	c.regexes = maps.Clone(g.regexes)
	return &c
}

// static returns the member with the instance id.
func (g *consumerGroup) static(instance string) *consumerMember {
	for _, m := range g.members {
		if m.instance != nil && *m.instance == instance {
			return m
		}
	}
	return nil
}

// checkMember finds the member that a request of the classic protocol or one that
// commits names, as in a membership.
func (g *consumerGroup) checkMember(id string, instance *string) (*consumerMember, int16) {
	if instance != nil {
		switch s := g.static(*instance); {
		case s == nil:
			return nil, kerr.UnknownMemberID.Code
		case s.id != id:
			return nil, kerr.FencedInstanceID.Code
		}
	}
	if mb := g.member(id); mb != nil {
		return mb, 0
	}
	return nil, kerr.UnknownMemberID.Code
}

func (g *consumerGroup) drop(id string) {
	g.remove(id)
	delete(g.targets, id)
}

// subscribe works out what the members subscribe to.
func (g *consumerGroup) subscribe() {
	var names []string
	for _, m := range g.members {
		names = append(names, m.topics...)
	}
	for _, re := range slices.Sorted(maps.Keys(g.regexes)) {
		names = append(names, g.regexes[re].topics...)
	}
	slices.Sort(names)
	g.subscribed = slices.Compact(names)
}

// topicsOf are the names that the member subscribes to, in order.
func (g *consumerGroup) topicsOf(m *consumerMember) []string {
	if m.regex == nil || g.regexes[*m.regex] == nil {
		return m.topics
	}
	names := append(slices.Clone(m.topics), g.regexes[*m.regex].topics...)
	slices.Sort(names)
	return slices.Compact(names)
}

// owners says at which epoch the member that has a partition stands, for all partitions
// that somebody has, those that are being given up included.
func (g *consumerGroup) owners() map[[16]byte]map[int32]int32 {
	out := map[[16]byte]map[int32]int32{}
	for _, m := range g.members {
		for _, a := range []assignment{m.owned, m.revoking} {
			for id, ps := range a {
				if out[id] == nil {
					out[id] = map[int32]int32{}
				}
				for _, p := range ps {
					out[id][p] = m.epoch
				}
			}
		}
	}
	return out
}

func (g *consumerGroup) kind() Kind { return Consumer }

func (g *consumerGroup) size() int { return len(g.members) }

func (g *consumerGroup) expires() bool { return true }

// stateName implements modern.
func (g *consumerGroup) stateName() string {
	switch {
	case len(g.members) == 0:
		return "Empty"
	case g.epoch > g.assigned:
		return "Assigning"
	case slices.ContainsFunc(g.members, func(m *consumerMember) bool { return !m.reconciled(g.assigned) }):
		return "Reconciling"
	}
	return "Stable"
}

// reconciled says whether the member has all of the target of an epoch.
func (m *consumerMember) reconciled(epoch int32) bool {
	return m.state == memberStable && m.epoch == epoch
}

// checkCommit implements modern. A member may commit what it had at the epoch that it
// names, even if its epoch has moved on since (KIP-1251).
func (g *consumerGroup) checkCommit(c commitCheck) (func(resolved, int32) int16, int16) {
	if c.epoch < 0 && (len(g.members) == 0 || c.txn && c.member == "" && c.instance == nil) {
		return nil, 0 // an administrator, or a producer that does not say for whom
	}
	mb, code := g.checkMember(c.member, c.instance)
	if code != 0 {
		return nil, code
	}
	stale := mb.staleCode()
	switch {
	case mb.classic == nil && !c.txn && c.version < commitGroupNotFound:
		return nil, kerr.UnsupportedVersion.Code
	case c.epoch == mb.epoch:
		return nil, 0
	case c.epoch > mb.epoch || c.epoch < 0:
		return nil, stale
	}
	return func(topic resolved, partition int32) int16 {
		if mb.owned.has(topic.id, partition) && mb.since.of(mb.owned, topic.id, partition) <= c.epoch {
			return 0
		}
		return stale
	}, 0
}

// staleCode tells the member that it is behind, in the words of its protocol.
func (m *consumerMember) staleCode() int16 {
	if m.classic != nil {
		return kerr.IllegalGeneration.Code
	}
	return kerr.StaleMemberEpoch.Code
}

// checkFetch implements modern.
func (g *consumerGroup) checkFetch(member *string, epoch int32) int16 {
	if member == nil && epoch < 0 {
		return 0
	}
	mb := g.member(deref(member))
	switch {
	case mb == nil:
		return kerr.UnknownMemberID.Code
	case mb.epoch != epoch:
		return mb.staleCode()
	}
	return 0
}

func (g *consumerGroup) checkOffsetDelete() int16 { return 0 }

// session is how long the member may be silent.
func (m *consumerMember) session(of *machine, group string) time.Duration {
	if m.classic != nil {
		return m.classic.sessionTimeout
	}
	return of.cfg.consumerSession(group)
}

// loaded implements modern: members get a whole session to find their new coordinator.
func (g *consumerGroup) loaded(m *machine, group string, now time.Time) []coordinator.Timer {
	g.subscribe()
	var out []coordinator.Timer
	for _, mb := range g.members {
		out = append(out, session(group, mb.id, now.Add(mb.session(m, group))))
		if mb.classic == nil && mb.state == memberUnrevoked {
			out = append(out, coordinator.Timer{
				Key: coordinator.TimerKey{Kind: revokeTimer, Key: group, Name: mb.id}, At: now.Add(mb.rebalanceTimeout),
			})
		}
	}
	return out
}
