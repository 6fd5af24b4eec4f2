package group

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// shareGroup is a group whose members take records, not partitions (KIP-932). Its
// members are assigned like those of a consumer group, but for three things: several may
// have a partition; nobody has to give one up before another gets it; and only
// partitions are assigned whose state the share coordinator has begun (see shareParts).
//
//	a subscription, a topic, or what has begun changed      assignor      heartbeat
//	──────────────────────────────────────────────▶ epoch ──────────▶ target ──────────▶ current
type shareGroup struct {
	targeting
	roster[*shareMember]

	parts shareParts
}

// shareMember is one member. Like its group it never changes once installed.
type shareMember struct {
	id                   string
	rack                 *string
	clientID, clientHost string
	topics               []string // subscribed, in order

	epoch, previous int32
	owned           assignment // what it may fetch from
}

func (m *shareMember) memberID() string { return m.id }

func newShareGroup() *shareGroup {
	return &shareGroup{targeting: targeting{targets: map[string]assignment{}}}
}

func (g *shareGroup) clone() *shareGroup {
	c := *g
	c.members = slices.Clone(g.members)
	c.targets = maps.Clone(g.targets)
	return &c
}

func (g *shareGroup) drop(id string) {
	g.remove(id)
	delete(g.targets, id)
}

// subscribe works out what the members subscribe to.
func (g *shareGroup) subscribe() {
	var names []string
	for _, m := range g.members {
		names = append(names, m.topics...)
	}
	slices.Sort(names)
	g.subscribed = slices.Compact(names)
}

func (g *shareGroup) kind() Kind { return Share }

func (g *shareGroup) size() int { return len(g.members) }

// expires implements modern: a share group has no committed offsets with which it could go.
func (g *shareGroup) expires() bool { return false }

// stateName implements modern.
func (g *shareGroup) stateName() string {
	if len(g.members) == 0 {
		return "Empty"
	}
	return "Stable"
}

// checkCommit implements modern: where a share group has got to is not committed.
func (g *shareGroup) checkCommit(commitCheck) (func(resolved, int32) int16, int16) {
	return nil, kerr.GroupIDNotFound.Code
}

// checkFetch implements modern.
func (g *shareGroup) checkFetch(*string, int32) int16 { return kerr.GroupIDNotFound.Code }

// checkOffsetDelete implements modern.
func (g *shareGroup) checkOffsetDelete() int16 { return kerr.GroupIDNotFound.Code }

// loaded implements modern: members get a whole session to find their new coordinator.
func (g *shareGroup) loaded(m *machine, group string, now time.Time) []coordinator.Timer {
	g.subscribe()
	var out []coordinator.Timer
	for _, mb := range g.members {
		out = append(out, session(group, mb.id, now.Add(m.cfg.shareSession(group))))
	}
	return out
}

// timeout implements modern.
func (g *shareGroup) timeout(m *machine, key coordinator.TimerKey, now time.Time) coordinator.Outcome {
	mb := g.member(key.Name)
	if mb == nil || key.Kind != sessionTimer {
		return coordinator.Outcome{}
	}
	return m.shareTurn(key.Key, g, now).fence("its session timed out", mb)
}
