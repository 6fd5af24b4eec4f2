package streams

import (
	"cmp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Task is one partition of a subtopology: what is handed to a member. Epoch is that of
// the assignment that gave an active task to its member, by which commits of former
// owners are told apart; it takes no part in comparisons, and is 0 elsewhere.
type Task struct {
	Subtopology string
	Partition   int32
	Epoch       int32
}

func (t Task) key() Task { return Task{Subtopology: t.Subtopology, Partition: t.Partition} }

// bySubtopology is the order in which tasks are kept.
func bySubtopology(a, b Task) int {
	return cmp.Or(strings.Compare(a.Subtopology, b.Subtopology), cmp.Compare(a.Partition, b.Partition))
}

// byPartition is the order in which tasks go back to their former owners: so the tasks
// of one partition, whose topics are partitioned alike, stay together.
func byPartition(a, b Task) int {
	return cmp.Or(cmp.Compare(a.Partition, b.Partition), strings.Compare(a.Subtopology, b.Subtopology))
}

// TaskSet is a set of tasks in the order of bySubtopology.
type TaskSet []Task

func (s TaskSet) find(t Task) (int, bool) { return slices.BinarySearchFunc(s, t, bySubtopology) }

func (s TaskSet) has(t Task) bool {
	_, ok := s.find(t)
	return ok
}

// split parts s in what other has too and what it has not. Epochs are those of s.
func (s TaskSet) split(other TaskSet) (both, only TaskSet) {
	for _, t := range s {
		if other.has(t) {
			both = append(both, t)
		} else {
			only = append(only, t)
		}
	}
	return both, only
}

func (s TaskSet) meets(other TaskSet) bool { return slices.ContainsFunc(s, other.has) }

// within says whether other has all of s.
func (s TaskSet) within(other TaskSet) bool {
	return !slices.ContainsFunc(s, func(t Task) bool { return !other.has(t) })
}

// union merges two sets that have nothing in common.
func (s TaskSet) union(other TaskSet) TaskSet {
	out := slices.Concat(s, other)
	slices.SortFunc(out, bySubtopology)
	return out
}

// Tasks are the tasks of a member by their role: active tasks process, standby tasks keep
// a copy of the state, warm-up tasks build one up.
type Tasks struct{ Active, Standby, Warmup TaskSet }

// equal compares epochs too.
func (t Tasks) equal(o Tasks) bool {
	return slices.Equal(t.Active, o.Active) && slices.Equal(t.Standby, o.Standby) && slices.Equal(t.Warmup, o.Warmup)
}

func (t Tasks) empty() bool { return len(t.Active)+len(t.Standby)+len(t.Warmup) == 0 }

func (t Tasks) meets(o Tasks) bool {
	return t.Active.meets(o.Active) || t.Standby.meets(o.Standby) || t.Warmup.meets(o.Warmup)
}

func (t Tasks) within(o Tasks) bool {
	return t.Active.within(o.Active) && t.Standby.within(o.Standby) && t.Warmup.within(o.Warmup)
}

// union merges tasks that have nothing in common.
func (t Tasks) union(o Tasks) Tasks {
	return Tasks{t.Active.union(o.Active), t.Standby.union(o.Standby), t.Warmup.union(o.Warmup)}
}

// taskSet reads the tasks of a request. A task that is named twice is there once.
func taskSet(ids []kmsg.TaskIDs) TaskSet {
	var out TaskSet
	for _, id := range ids {
		for _, p := range id.Partitions {
			out = append(out, Task{Subtopology: id.SubtopologyID, Partition: p})
		}
	}
	slices.SortFunc(out, bySubtopology)
	return slices.CompactFunc(out, func(a, b Task) bool { return a.key() == b.key() })
}

// ids is the set as responses have it; never nil, which would say that nothing changed.
func (s TaskSet) ids() []kmsg.TaskIDs {
	out := []kmsg.TaskIDs{}
	for i, t := range s {
		if i == 0 || t.Subtopology != s[i-1].Subtopology {
			id := kmsg.NewTaskIDs()
			id.SubtopologyID = t.Subtopology
			out = append(out, id)
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, t.Partition)
	}
	return out
}
