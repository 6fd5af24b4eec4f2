package group

import (
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteGroup removes one group of a DeleteGroups request. It is answered with a
// *kmsg.DeleteGroupsResponseGroup. A group with more offsets than fit in one
// batch is deleted in steps; one that fails half-way is there, with fewer offsets,
// to be deleted again.
type deleteGroup struct {
	group string
	call  *coordinator.Call
}

func deleteError(group string, code int16) *kmsg.DeleteGroupsResponseGroup {
	r := kmsg.NewDeleteGroupsResponseGroup()
	r.Group, r.ErrorCode = group, code
	return &r
}

func (g *deleteGroup) decide(m *machine, _ time.Time) coordinator.Outcome {
	is := m.groups[g.group]
	code := int16(0)
	switch {
	case is == nil:
		code = kerr.GroupIDNotFound.Code
	case !is.empty():
		code = kerr.NonEmptyGroup.Code
	}
	reply := []coordinator.Reply{{To: g.call, Body: deleteError(g.group, code)}}
	if code != 0 {
		return coordinator.Outcome{Replies: reply}
	}
	keys := m.txn.with(g.group, is.offsets.sorted())
	all := len(keys) <= m.cfg.TombstonesPerBatch
	out := m.tombstones(g.group, keys[:min(len(keys), m.cfg.TombstonesPerBatch)], all, m.metrics.deleted, !all)
	if all {
		out.Replies = reply
		for _, id := range is.pending {
			out.Timers = append(out.Timers, session(g.group, id, time.Time{}))
		}
	}
	return out
}
