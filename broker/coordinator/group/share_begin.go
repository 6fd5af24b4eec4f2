package group

import (
	"maps"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// shareBeginning is what the share coordinators are to be asked to begin, with the
// state epochs that it has then.
type shareBeginning struct {
	group  string
	epochs map[[16]byte]int32 // by topic
	topics shareTopics
}

// shareBegun is what came of it: the partitions that have begun are assigned, the others
// are asked for again by a later heartbeat. What was asked for by an earlier coordinator
// of the group, or before offsets were altered, counts for nothing: it was or will be
// asked for under a newer epoch.
type shareBegun struct {
	group  string
	epochs map[[16]byte]int32 // by topic
	begun  shareTopics
	failed [][16]byte        // topics of which not all have begun
	call   *coordinator.Call // is answered with an error code; nil: nobody waits
}

func (b shareBegun) decide(m *machine, now time.Time) coordinator.Outcome {
	t, err := m.shareGroupFor(b.group, false, now)
	if err != nil {
		if b.call == nil {
			return coordinator.Outcome{}
		}
		return refuse(b.call, err.code)
	}
	p := t.g.parts
	more := false
	for _, id := range b.begun.ids() {
		if ask, ok := p.asked[id]; !ok || ask.epoch != b.epochs[id] {
			continue
		}
		for _, partition := range b.begun[id].partitions {
			// What is not waited for any more was deleted meanwhile, or has begun.
			if p.initializing.has(id, partition) {
				p.initialized = p.initialized.with(id, b.begun[id].name, []int32{partition})
				p.initializing = p.initializing.without(id, []int32{partition})
				more = true
			}
		}
	}
	p.asked = maps.Clone(p.asked)
	for _, id := range b.failed {
		if ask, ok := p.asked[id]; ok && ask.epoch == b.epochs[id] {
			p.asked[id] = shareAsk{epoch: ask.epoch} // again with the next heartbeat
		}
	}
	t.edit()
	t.g.parts = p
	if more {
		t.setParts(p)
		if len(t.g.members) > 0 {
			t.changed = true
			t.assign()
		}
	}
	if b.call != nil {
		t.reply(b.call, int16(0))
	}
	return t.outcome()
}
