package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rebalance starts one, unless one is on, which may be complete now.
func (d *draft) rebalance(reason string) {
	if PreparingRebalance.mayFollow(d.ms.state) {
		d.prepare(reason)
	} else {
		d.maybeComplete()
	}
}

// prepare asks all members to join again.
func (d *draft) prepare(reason string) {
	if d.ms.state == CompletingRebalance {
		for _, mb := range d.all() {
			mb = d.ms.edit(mb)
			mb.assignment = nil
			if d.answerSync(mb, kerr.RebalanceInProgress.Code) {
				d.renew(mb)
			}
		}
	}
	d.clearUnsynced()
	d.begun = true
	d.note("group prepares to rebalance", "reason", reason)
	initial := d.ms.state == Empty
	d.ms.moveTo(PreparingRebalance, d.now)
	switch {
	case initial:
		// The first members of a new group rarely come alone.
		d.ms.grew = false
		d.ms.delay = d.m.cfg.InitialRebalanceDelay
		d.ms.remaining = max(d.ms.rebalanceTimeout()-d.ms.delay, 0)
		d.timer(joinTimer, "", d.now.Add(d.ms.delay))
	case d.ms.allJoined():
		d.complete()
	default:
		d.timer(joinTimer, "", d.now.Add(d.ms.rebalanceTimeout()))
	}
}

// maybeComplete completes a rebalance that everybody has joined. An initial
// one is left to its timer.
func (d *draft) maybeComplete() {
	if d.ms.state == PreparingRebalance && d.ms.previous != Empty && d.ms.allJoined() {
		d.complete()
	}
}

// complete ends the join phase: dynamic members that did not join are out, and
// the next generation begins. Static members keep their place until their session ends.
func (d *draft) complete() {
	d.cancel(joinTimer, "")
	for _, mb := range d.all() {
		if !mb.join.waits() && mb.instance == nil {
			d.note("member did not rejoin and is removed", "member", mb.id)
			d.remove(mb, kerr.UnknownMemberID.Code)
		}
	}
	if len(d.ms.members) > 0 && !d.ms.electLeader() {
		d.note("rebalance is put off because nobody joined")
		d.timer(joinTimer, "", d.now.Add(max(d.ms.rebalanceTimeout(), minPutOff)))
		return
	}
	d.ms.generation++
	if len(d.ms.members) == 0 {
		d.ms.protocol, d.ms.leader = "", ""
		d.ms.subscribe()
		d.ms.moveTo(Empty, d.now)
		d.note("group is empty")
		d.record()
		return
	}
	d.ms.protocol = d.ms.selectProtocol()
	d.ms.subscribe()
	d.ms.moveTo(CompletingRebalance, d.now)
	d.note("group waits for its leader's assignment", "leader", d.ms.leader, "members", len(d.ms.members), "protocol", d.ms.protocol)
	for _, mb := range d.all() {
		d.answerJoin(mb, func(r *kmsg.JoinGroupResponse) { d.ms.fillJoin(r, mb.id) })
		mb = d.ms.edit(d.ms.member(mb.id))
		mb.fresh, mb.unsynced = false, true
		d.renew(mb)
	}
	d.timer(syncTimer, "", d.now.Add(d.ms.rebalanceTimeout()))
}

// minPutOff is the least time after which a rebalance that nobody joined is looked
// at again: a member may ask for a rebalance timeout of nothing.
const minPutOff = time.Second

// all are the members at this moment: the draft may be changed while they are visited.
func (d *draft) all() []*member { return append([]*member(nil), d.ms.members...) }

func (d *draft) clearUnsynced() {
	for _, mb := range d.all() {
		if mb.unsynced {
			d.ms.edit(mb).unsynced = false
		}
	}
	d.cancel(syncTimer, "")
}

// joinTimeout: the time to join is up.
type joinTimeout struct{ group string }

func (t joinTimeout) decide(m *machine, now time.Time) coordinator.Outcome {
	g := m.groups[t.group]
	if g == nil || g.state != PreparingRebalance {
		return coordinator.Outcome{}
	}
	d := m.draft(t.group, now)
	if d.ms.previous == Empty && d.ms.grew && d.ms.remaining > 0 {
		delay := min(m.cfg.InitialRebalanceDelay, d.ms.remaining)
		d.ms.grew = false
		d.ms.remaining = max(d.ms.remaining-d.ms.delay, 0)
		d.ms.delay = delay
		d.timer(joinTimer, "", now.Add(delay))
	} else {
		d.complete()
	}
	return d.outcome()
}

// syncTimeout: the time to sync is up.
type syncTimeout struct{ group string }

func (t syncTimeout) decide(m *machine, now time.Time) coordinator.Outcome {
	g := m.groups[t.group]
	if g == nil || g.state != CompletingRebalance && g.state != Stable || g.allSynced() {
		return coordinator.Outcome{}
	}
	d := m.draft(t.group, now)
	for _, mb := range d.all() {
		if mb.unsynced {
			d.note("member did not sync and is removed", "member", mb.id)
			d.remove(mb, kerr.UnknownMemberID.Code)
		}
	}
	d.prepare("members did not sync in time")
	return d.outcome()
}

// sessionExpired: the member was not heard of for its session timeout, or did
// not use the member id that it was given.
type sessionExpired struct{ group, member string }

func (t sessionExpired) decide(m *machine, now time.Time) coordinator.Outcome {
	g := m.groups[t.group]
	switch {
	case g == nil:
		return coordinator.Outcome{}
	case g.modern != nil:
		return g.modern.timeout(m, coordinator.TimerKey{Kind: sessionTimer, Key: t.group, Name: t.member}, now)
	case g.isPending(t.member):
		d := m.draft(t.group, now)
		d.ms.removePending(t.member)
		d.lost()
		return d.outcome()
	}
	mb := g.member(t.member)
	if mb == nil || !mb.fresh && (mb.join.waits() || mb.sync.waits()) {
		// One who is parked here cannot send heartbeats; its session is
		// renewed when it is answered.
		return coordinator.Outcome{}
	}
	d := m.draft(t.group, now)
	d.note("member failed and is removed", "member", mb.id, "session_timeout", mb.sessionTimeout)
	d.remove(mb, kerr.UnknownMemberID.Code)
	if d.ms.state == PreparingRebalance {
		d.lost()
	} else {
		d.rebalance("member " + mb.id + " failed")
	}
	return d.outcome()
}

// lost completes a rebalance for which nobody is missing any more, an initial
// one too: whoever it waited for is gone.
func (d *draft) lost() {
	if d.ms.state == PreparingRebalance && d.ms.allJoined() {
		d.complete()
	}
}

// overCapacity: more members were loaded than group.max.size, which was
// lowered, allows. A rebalance lets only so many in again.
type overCapacity struct{ group string }

func (t overCapacity) decide(m *machine, now time.Time) coordinator.Outcome {
	if g := m.groups[t.group]; g == nil || g.state != Stable || len(g.members) <= m.cfg.MaxSize {
		return coordinator.Outcome{}
	}
	d := m.draft(t.group, now)
	d.prepare("group is over group.max.size")
	return d.outcome()
}
