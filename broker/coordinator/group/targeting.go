package group

import (
	"slices"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator/group/assignor"
)

// targeting is the way of consumer and share groups from what their members subscribe to,
// to what these shall have:
//
//	subscriptions, topics ── a change ──▶ epoch ── assignor ──▶ targets of the assigned epoch
type targeting struct {
	stored   bool  // its epoch has a record
	epoch    int32 // of the group: grows with every change that asks for a new target
	hash     int64 // metadataHash of what the group was last assigned by
	assigned int32 // the group epoch that the targets were computed for
	targetAt int64 // when, in ms

	targets map[string]assignment // by member id; none is an empty one

	// subscribed are the topics of all members, in order.
	subscribed []string
	// checked is the version of the image that the hash was last compared with, and when; not
	// kept in the log.
	checked   uint64
	checkedAt time.Time
}

// recheck is how often a group compares the topics that it was assigned by with the
// image, if that may have changed.
const recheck = time.Second

// mustCheck says whether it is time to.
func (g *targeting) mustCheck(image Image, now time.Time) bool {
	return g.checked != image.Version() && (now.Sub(g.checkedAt) >= recheck || now.Before(g.checkedAt))
}

// subscribesTo implements modern.
func (g *targeting) subscribesTo(topic string) bool {
	_, ok := slices.BinarySearch(g.subscribed, topic)
	return ok
}

// retarget takes in what the assignor gave to each of the members at the group's epoch, and
// records what differs, in their order, by keys of the version.
func (d *decision) retarget(g *targeting, version int16, members []string, given map[string]assignor.Assignment) {
	for _, id := range members {
		target := assignment(given[id])
		if old, ok := g.targets[id]; ok && old.equal(target) {
			continue
		}
		g.targets[id] = target
		d.out.Records = append(d.out.Records, targetOfRecord(version, d.id, id, target))
	}
	g.assigned, g.targetAt = g.epoch, d.now.UnixMilli()
}

// installed puts the group that a decision led to in place, and tells the log and the
// metrics of it.
func (d *decision) installed(g modern, epoch int32, bumped bool) {
	d.m.installModern(d.id, g)
	if bumped {
		d.m.metrics.rebalances.Inc()
		d.m.metrics.completed.Inc()
	}
	for _, n := range d.notes {
		d.m.log.Info(n.what, append([]any{"group", d.id, "group_epoch", epoch, "state", g.stateName()}, n.args...)...)
	}
}

// roster is the members of a group, ordered by id.
type roster[M interface{ memberID() string }] struct{ members []M }

func (r *roster[M]) find(id string) (int, bool) {
	return slices.BinarySearchFunc(r.members, id, func(m M, id string) int { return strings.Compare(m.memberID(), id) })
}

// ids are those of the members, in order.
func (r *roster[M]) ids() []string {
	out := make([]string, len(r.members))
	for i, m := range r.members {
		out[i] = m.memberID()
	}
	return out
}

// member returns the one with the id, or none.
func (r *roster[M]) member(id string) (none M) {
	if i, ok := r.find(id); ok {
		return r.members[i]
	}
	return none
}

// put adds the member, or replaces the one with its id.
func (r *roster[M]) put(m M) {
	i, ok := r.find(m.memberID())
	if ok {
		r.members[i] = m
	} else {
		r.members = slices.Insert(r.members, i, m)
	}
}

func (r *roster[M]) remove(id string) {
	if i, ok := r.find(id); ok {
		r.members = slices.Delete(r.members, i, i+1)
	}
}
