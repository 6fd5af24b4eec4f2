package streams

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leave takes a member out that says so. Its epoch is not looked at: who leaves has
// nothing to lose.
func leave(env *Env, g *Group, req *kmsg.StreamsGroupHeartbeatRequest) Result {
	if g.member(req.MemberID) == nil {
		return refused(req.Version, refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", req.MemberID, env.GroupID))
	}
	d := newDecision(env, g)
	if req.ShutdownApplication && d.g.shutdown == "" {
		d.g.shutdown = req.MemberID
	}
	d.fence(req.MemberID)
	r := Refused(req.Version, 0, "")
	r.MemberID, r.MemberEpoch = req.MemberID, req.MemberEpoch
	d.out.Response = r
	return d.result()
}

// fence takes a member out and begins another epoch. What it had is assigned with the next
// heartbeat of any other member.
func (d *decision) fence(id string) {
	d.g.remove(id)
	d.record(assignmentTombstone(d.env.GroupID, id))
	d.record(targetTombstone(d.env.GroupID, id))
	d.record(memberTombstone(d.env.GroupID, id))
	d.bump()
	d.timer(SessionTimer, id, time.Time{})
	d.timer(RebalanceTimer, id, time.Time{})
}

// TimedOut decides about a timer that is due. A result without a group changes nothing.
func TimedOut(env *Env, g *Group, kind TimerKind, member string) Result {
	d := newDecision(env, g)
	m := g.member(member)
	switch {
	case kind == DelayTimer:
		d.delayOver()
	case m == nil, kind == RebalanceTimer && m.State != UnrevokedTasks:
		return Result{}
	default:
		d.fence(member)
	}
	return d.result()
}

// delayOver ends the initial rebalance delay with the first assignment.
func (d *decision) delayOver() {
	d.g.delayed = false
	if d.g.Size() > 0 && d.g.Epoch > d.g.TargetEpoch && d.g.configured != nil && d.assignable() {
		d.assign(d.g.LastConfigs)
	}
}

// Resume returns the timers of a group that has been loaded: members get a whole session
// to find their new coordinator, and a whole rebalance timeout to give up tasks.
func (g *Group) Resume(now time.Time, session time.Duration) []Timer {
	var out []Timer
	for _, m := range g.members {
		out = append(out, Timer{SessionTimer, m.ID, now.Add(session)})
		if m.State == UnrevokedTasks {
			out = append(out, Timer{RebalanceTimer, m.ID, now.Add(time.Duration(m.RebalanceTimeout) * time.Millisecond)})
		}
	}
	return out
}
