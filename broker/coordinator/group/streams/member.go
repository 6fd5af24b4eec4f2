package streams

import (
	"cmp"
	"slices"
)

// MemberState is where a member stands on its way to its target.
//
//	          target has other tasks,          target is another
//	  ┌─────── some are to be given up ◀── Stable ──────────────┐
//	  ▼                                     ▲  ▲                ▼
//	UnrevokedTasks ──────────────────────────┘  └────── UnreleasedTasks
//	  │     given up, nothing is missing         former owners have   ▲
//	  │                                          given up their tasks │
//	  └───────────────────────────────────────────────────────────────┘
//	        given up, others have not yet
//
// The numbers are those of the records.
type MemberState int8

// The states. A member in one that is not known is fenced: a newer broker wrote it.
const (
	Stable          MemberState = 1
	UnrevokedTasks  MemberState = 2 // must give up tasks before it gets others
	UnreleasedTasks MemberState = 3 // waits for tasks that others have not yet given up
)

// Member is one member, a thread of the application. One that is part of an installed group
// never changes.
type Member struct {
	ID       string
	Epoch    int32
	Previous int32 // epoch before Epoch, which a member has whose last answer was lost
	State    MemberState

	Instance         *string // of group.instance.id; no member has one yet
	Rack             *string
	ClientID         string
	ClientHost       string
	RebalanceTimeout int32 // ms in which tasks must be given up
	TopologyEpoch    int32
	Process          string
	Endpoint         *Endpoint
	Tags             []KeyValue // in the order of keys

	Assigned Tasks
	Revoking Tasks // to be given up, and not to be given to others before

	Target *Tasks // nil: none was computed yet

	known bool // the record of what is above Assigned was seen
}

// Endpoint is where an application answers queries about its state.
type Endpoint struct {
	Host string
	Port uint16
}

func newMember(id string) *Member {
	return &Member{ID: id, State: Stable, RebalanceTimeout: -1, TopologyEpoch: -1}
}

// sameMetadata says whether two members differ in nothing that the member record has.
func (m *Member) sameMetadata(o *Member) bool {
	return m.known == o.known && equalPtr(m.Instance, o.Instance) && equalPtr(m.Rack, o.Rack) && m.ClientID == o.ClientID && m.ClientHost == o.ClientHost &&
		m.RebalanceTimeout == o.RebalanceTimeout && m.TopologyEpoch == o.TopologyEpoch && m.Process == o.Process &&
		equalPtr(m.Endpoint, o.Endpoint) && slices.Equal(m.Tags, o.Tags)
}

// sameAssignment says whether two members differ in nothing that the assignment record has.
func (m *Member) sameAssignment(o *Member) bool {
	return m.Epoch == o.Epoch && m.Previous == o.Previous && m.State == o.State && m.Assigned.equal(o.Assigned) && m.Revoking.equal(o.Revoking)
}

// reconciledTo says whether the member has what the target of the epoch gives it.
func (m *Member) reconciledTo(epoch int32) bool { return m.State == Stable && m.Epoch == epoch }

func (m *Member) target() Tasks {
	if m.Target == nil {
		return Tasks{}
	}
	return *m.Target
}

func equalPtr[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// sortTags keeps the last of equal keys, as a map would.
func sortTags(in []KeyValue) []KeyValue {
	out := slices.Clone(in)
	slices.SortStableFunc(out, func(a, b KeyValue) int { return cmp.Compare(a.Key, b.Key) })
	kept := out[:0]
	for i, kv := range out {
		if i+1 == len(out) || out[i+1].Key != kv.Key {
			kept = append(kept, kv)
		}
	}
	return kept
}
