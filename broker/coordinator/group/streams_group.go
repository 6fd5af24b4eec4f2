package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
)

// streamsGroup is a streams group, of which package streams knows everything.
type streamsGroup struct{ *streams.Group }

func newStreamsGroup() *streamsGroup { return &streamsGroup{streams.New()} }

func (g *streamsGroup) kind() Kind { return Streams }

func (g *streamsGroup) stateName() string { return g.StateName() }

func (g *streamsGroup) size() int { return g.Size() }

func (g *streamsGroup) subscribesTo(topic string) bool { return g.SubscribesTo(topic) }

func (g *streamsGroup) expires() bool { return true }

// checkCommit implements modern.
func (g *streamsGroup) checkCommit(c commitCheck) (func(resolved, int32) int16, int16) {
	each, code := g.CheckCommit(streams.Commit{Member: c.member, Instance: c.instance, Epoch: c.epoch, Version: c.version, Txn: c.txn})
	if each == nil {
		return nil, code
	}
	return func(topic resolved, partition int32) int16 { return each(topic.name, partition) }, code
}

func (g *streamsGroup) checkFetch(member *string, epoch int32) int16 {
	return g.CheckFetch(member, epoch)
}

func (g *streamsGroup) checkOffsetDelete() int16 { return 0 }

func (g *streamsGroup) replay(key recordKey, value []byte) error {
	return g.Replay(key.version, key.part, value)
}

func (g *streamsGroup) gone() bool { return g.Gone() }

func (g *streamsGroup) records(group string) []coordinator.Record { return g.Records(group) }

func (g *streamsGroup) tombstones(group string) []coordinator.Record { return g.Tombstones(group) }

// loaded implements modern.
func (g *streamsGroup) loaded(m *machine, group string, now time.Time) []coordinator.Timer {
	g.Settle()
	return streamsTimers(group, g.Resume(now, m.cfg.streamsConfig(group).SessionTimeout))
}

// timeout implements modern.
func (g *streamsGroup) timeout(m *machine, key coordinator.TimerKey, now time.Time) coordinator.Outcome {
	for kind, timer := range streamsTimerKinds {
		if timer == key.Kind {
			return m.streamsOutcome(key.Key, streams.TimedOut(m.streamsEnv(key.Key, now), g.Group, streams.TimerKind(kind), key.Name), nil, nil)
		}
	}
	return coordinator.Outcome{}
}

// streamsTimerKinds are the timers of the machine for those of package streams.
var streamsTimerKinds = [...]uint8{
	streams.SessionTimer:   sessionTimer,
	streams.RebalanceTimer: revokeTimer,
	streams.DelayTimer:     delayTimer,
}

func streamsTimers(group string, timers []streams.Timer) []coordinator.Timer {
	var out []coordinator.Timer
	for _, t := range timers {
		out = append(out, coordinator.Timer{Key: coordinator.TimerKey{Kind: streamsTimerKinds[t.Kind], Key: group, Name: t.Member}, At: t.At})
	}
	return out
}

// streamsTopics is an image as package streams needs it.
type streamsTopics struct{ Image }

func (t streamsTopics) Partitions(topic string) (int32, bool) {
	_, n, ok := t.Lookup(topic)
	return n, ok
}

func (t streamsTopics) Hash(topics []string) int64 {
	for _, name := range topics {
		if _, _, ok := t.Lookup(name); ok {
			return metadataHash(t.Image, topics)
		}
	}
	return 0
}

func (m *machine) streamsEnv(group string, now time.Time) *streams.Env {
	image := m.topics()
	return &streams.Env{GroupID: group, Now: now, Topics: streamsTopics{image}, TopicsVersion: image.Version(), Config: m.cfg.streamsConfig(group)}
}

// streamsOutcome makes an outcome of a result. before are records that go first, and call
// is whoever waits; nil if nobody does.
func (m *machine) streamsOutcome(group string, r streams.Result, before []coordinator.Record, call *coordinator.Call) coordinator.Outcome {
	var out coordinator.Outcome
	if call != nil {
		out.Replies = []coordinator.Reply{{To: call, Body: streamsAnswer{r.Response, r.Create}}}
	}
	if r.Group == nil {
		return out
	}
	out.Records = append(before, r.Records...)
	out.Timers = streamsTimers(group, r.Timers)
	was := int32(0)
	if g := m.groups[group]; g != nil {
		if s, ok := g.modern.(*streamsGroup); ok {
			if was = s.Epoch; s.Group == r.Group {
				return out // only a session is renewed
			}
		}
	}
	out.Apply = func() {
		if m.installModern(group, &streamsGroup{r.Group}); r.Group.Epoch != was {
			m.metrics.rebalances.Inc()
			m.log.Info("streams group has a new epoch", "group", group, "group_epoch", r.Group.Epoch, "state", r.Group.StateName(), "members", r.Group.Size())
		}
		if r.Group.TargetEpoch == r.Group.Epoch && r.Group.Epoch != was {
			m.metrics.completed.Inc()
		}
	}
	return out
}
