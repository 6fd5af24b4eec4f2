package share

import (
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// request is what every request about one share partition has.
type request struct {
	key   Key
	known bool // the cluster has this partition
	call  *coordinator.Call
}

func (r *request) of() *request { return r }

// asked is an event that somebody asked for about one share partition.
type asked interface {
	body
	of() *request
}

// reply is the outcome that only answers.
func (r *request) reply(body any) coordinator.Outcome {
	return coordinator.Outcome{Replies: []coordinator.Reply{{To: r.call, Body: body}}}
}

// commit is the outcome that answers once a record that makes next of the state is
// committed; nil deletes.
func (m *machine) commit(r *request, record coordinator.Record, next *state, snapshot bool, body any) coordinator.Outcome {
	out := m.installed(r.key, next, snapshot)
	out.Records = []coordinator.Record{record}
	if r.call != nil {
		out.Replies = []coordinator.Reply{{To: r.call, Body: body}}
	}
	return out
}

// unknown is the answer about a partition that the cluster does not have.
func (r *request) unknown() (answer, bool) {
	if r.known {
		return answer{}, false
	}
	return refuse(kerr.UnknownTopicOrPartition, ""), true
}

// fencedLeader is the answer to a leader after which another has read; -1 is
// no leader at all and passes.
func (m *machine) fencedLeader(s *state, epoch int32) (answer, bool) {
	if epoch == unchanged || s.leaderEpoch <= epoch {
		return answer{}, false
	}
	m.metrics.fenced.WithLabelValues("leader").Inc()
	return refuse(kerr.FencedLeaderEpoch, ""), true
}

// fencedState is the answer to who knows the share partition as it was before its
// group was made anew; -1 passes.
func (m *machine) fencedState(s *state, epoch int32) (answer, bool) {
	if epoch == unchanged || s.stateEpoch <= epoch {
		return answer{}, false
	}
	m.metrics.fenced.WithLabelValues("state").Inc()
	return refuse(kerr.FencedStateEpoch, ""), true
}

// put writes a change of a share partition that has a state: as an update, or, after
// enough of those, as a snapshot.
func (m *machine) put(r *request, u *update, nowMs int64, body any) coordinator.Outcome {
	s := m.states[r.key]
	next := s.with(u)
	if s.updates >= m.cfg.UpdatesPerSnapshot {
		next = next.snapshot(nowMs)
		return m.commit(r, snapshotRecord(r.key, next), next, true, body)
	}
	return m.commit(r, updateRecord(r.key, u), next, false, body)
}
