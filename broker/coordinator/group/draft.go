package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// decision is one about a group of any kind, in the making: what is to be said and
// timed once it is installed.
type decision struct {
	m     *machine
	id    string
	now   time.Time
	out   coordinator.Outcome
	notes []note // what happened, for the log
}

// draft is a decision about a classic group's membership, with a clone to work on.
type draft struct {
	decision
	ms       *membership
	begun    bool // a rebalance began
	assigned bool // a rebalance ended in an assignment
}

type note struct {
	what string
	args []any
}

// draft starts a decision. A group that is not there is drafted as an empty one.
func (m *machine) draft(id string, now time.Time) *draft {
	d := &draft{decision: decision{m: m, id: id, now: now}}
	if g := m.groups[id]; g != nil {
		d.ms = g.membership.clone()
	} else {
		d.ms = &membership{}
	}
	return d
}

// outcome ends the draft.
func (d *draft) outcome() coordinator.Outcome {
	d.out.Apply = func() {
		m, id, ms := d.m, d.id, d.ms
		m.install(id, ms)
		if d.begun {
			m.metrics.rebalances.Inc()
		}
		if d.assigned {
			m.metrics.completed.Inc()
		}
		for _, n := range d.notes {
			m.log.Info(n.what, append([]any{"group", id, "generation", ms.generation, "state", ms.state.String()}, n.args...)...)
		}
	}
	return d.out
}

// install puts a membership in place.
func (m *machine) install(id string, ms *membership) {
	m.change(id, func(g *group) { g.membership, g.modern = ms, nil })
}

func (d *decision) note(what string, args ...any) { d.notes = append(d.notes, note{what, args}) }

func (d *decision) reply(to *coordinator.Call, body any) {
	d.out.Replies = append(d.out.Replies, coordinator.Reply{To: to, Body: body})
}

func (d *decision) timer(kind uint8, name string, at time.Time) {
	d.out.Timers = append(d.out.Timers, coordinator.Timer{Key: coordinator.TimerKey{Kind: kind, Key: d.id, Name: name}, At: at})
}

func (d *decision) cancel(kind uint8, name string) { d.timer(kind, name, time.Time{}) }

// renew gives the member a whole session from now.
func (d *draft) renew(mb *member) { d.timer(sessionTimer, mb.id, d.now.Add(mb.sessionTimeout)) }

// answerJoin answers the member's parked join, if there is one, with fn's response.
func (d *draft) answerJoin(mb *member, fn func(*kmsg.JoinGroupResponse)) {
	if !mb.join.waits() {
		return
	}
	resp := newJoin(mb.join.version)
	fn(resp)
	d.reply(mb.join.call, resp)
	d.ms.edit(mb).join = parked{}
}

// answerSync answers the member's parked sync, if there is one.
func (d *draft) answerSync(mb *member, code int16) bool {
	if !mb.sync.waits() {
		return false
	}
	if code != 0 {
		d.reply(mb.sync.call, syncError(mb.sync.version, code))
	} else {
		d.reply(mb.sync.call, d.ms.syncResponse(mb.sync.version, mb))
	}
	d.ms.edit(mb).sync = parked{}
	return true
}

// parkJoin parks a join, in place of one that the member had sent before.
func (d *draft) parkJoin(mb *member, p parked) *member {
	if mb.join.waits() {
		d.reply(mb.join.call, joinError(mb.join.version, mb.id, kerr.RebalanceInProgress.Code))
	}
	mb = d.ms.edit(mb)
	mb.join = p
	return mb
}

// parkSync parks a sync, in place of one that the member had sent before.
func (d *draft) parkSync(mb *member, p parked) *member {
	if mb.sync.waits() {
		d.reply(mb.sync.call, syncError(mb.sync.version, kerr.RebalanceInProgress.Code))
	}
	mb = d.ms.edit(mb)
	mb.sync = p
	return mb
}

// remove takes a member out and answers what it has parked, so that it joins
// anew if it is still there.
func (d *draft) remove(mb *member, code int16) {
	if mb.join.waits() {
		d.reply(mb.join.call, joinError(mb.join.version, "", code))
	}
	if mb.sync.waits() {
		d.reply(mb.sync.call, syncError(mb.sync.version, code))
	}
	d.cancel(sessionTimer, mb.id)
	d.ms.remove(mb.id)
}

// record writes the membership as it is now; the draft does not change it afterwards.
func (d *draft) record() {
	d.ms.durable = d.ms
	d.out.Records = append(d.out.Records, groupRecord(d.id, d.ms))
}

// rename makes the log's membership know a static member by its new id, where it
// has an older one. Otherwise a failover during a rebalance, of which the log
// knows nothing, would bring the old id back and fence the member that is alive.
func (d *draft) rename(instance, id string) {
	if d.ms.durable == nil {
		return
	}
	old := d.ms.durable.static(instance)
	if old == nil || old.id == id {
		return
	}
	c := d.ms.durable.clone()
	wasLeader := c.leader == old.id
	mb := *old
	mb.id, mb.join, mb.sync = id, parked{}, parked{}
	c.remove(old.id)
	c.put(&mb)
	if wasLeader {
		c.leader = id
	}
	c.durable = nil
	d.ms.durable = c
	d.out.Records = append(d.out.Records, groupRecord(d.id, c))
}
