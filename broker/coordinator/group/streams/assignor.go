package streams

import (
	"container/heap"
	"slices"
	"strings"
)

// candidate is a member as the assignor sees it.
type candidate struct {
	member, process string
	previous        Tasks // its former target
}

// assign gives every task to one member, and a copy of every task with state to as many
// more processes as standbys says, as far as there are any. Members keep what they had as
// long as that is not more than their share; active tasks go first to who had them,
// then to who had a copy of them, then to who has least. Members must be in the order of
// their ids, and the result is by their index.
func assign(members []candidate, subtopologies []ConfiguredSubtopology, standbys int) []Tasks {
	if len(members) == 0 {
		return nil
	}
	a := newAssigning(members, subtopologies, standbys)
	a.assignActive(tasksOf(subtopologies, false))
	if standbys > 0 {
		a.assignStandby(tasksOf(subtopologies, true), standbys)
	}
	out := make([]Tasks, len(a.workers))
	for i, w := range a.workers {
		slices.SortFunc(w.tasks.Active, bySubtopology)
		slices.SortFunc(w.tasks.Standby, bySubtopology)
		out[i] = w.tasks
	}
	return out
}

// stateful says whether tasks of the subtopology have state to copy.
func (s *ConfiguredSubtopology) stateful() bool { return len(s.Changelogs) > 0 }

func tasksOf(subtopologies []ConfiguredSubtopology, statefulOnly bool) []Task {
	var out []Task
	for i := range subtopologies {
		s := &subtopologies[i]
		if statefulOnly && !s.stateful() {
			continue
		}
		for p := range s.Tasks {
			out = append(out, Task{Subtopology: s.ID, Partition: p})
		}
	}
	return out
}

// assigning is an assignment in the making.
type assigning struct {
	workers   []*worker
	processes []*process // in the order of ids
	active    quota
	all       quota

	hadActive  map[Task]*worker
	hadStandby map[Task][]*worker
}

// quota is how many tasks a member may get: the tasks that are left by the members
// that have not got their share yet, rounded up.
type quota struct{ tasks, members, each int }

func newQuota(tasks, members int) quota {
	q := quota{tasks: tasks, members: members}
	q.share()
	return q
}

func (q *quota) share() {
	q.each = 0
	if q.members > 0 {
		q.each = (q.tasks + q.members - 1) / q.members
	}
}

// took says that a member has n tasks now, which may be its share.
func (q *quota) took(n int) {
	if n == q.each {
		q.members--
		q.tasks -= n
		q.share()
	}
}

func newAssigning(members []candidate, subtopologies []ConfiguredSubtopology, standbys int) *assigning {
	a := &assigning{hadActive: make(map[Task]*worker), hadStandby: make(map[Task][]*worker)}
	active, all := 0, 0
	for i := range subtopologies {
		n := int(subtopologies[i].Tasks)
		active, all = active+n, all+n
		if subtopologies[i].stateful() {
			all += n * standbys
		}
	}
	a.active, a.all = newQuota(active, len(members)), newQuota(all, len(members))
	byID := make(map[string]*process)
	for _, m := range members {
		p := byID[m.process]
		if p == nil {
			p = &process{id: m.process, has: make(map[Task]bool)}
			byID[m.process] = p
			a.processes = append(a.processes, p)
		}
		w := &worker{id: m.member, process: p, previous: m.previous}
		p.members = append(p.members, w)
		a.workers = append(a.workers, w)
		for _, t := range m.previous.Active {
			a.hadActive[t.key()] = w
		}
		for _, t := range m.previous.Standby {
			a.hadStandby[t.key()] = append(a.hadStandby[t.key()], w)
		}
	}
	slices.SortFunc(a.processes, func(x, y *process) int { return strings.Compare(x.id, y.id) })
	return a
}

// giveActive hands w the task if its share of active tasks has room.
func (a *assigning) giveActive(w *worker, t Task) bool {
	if w == nil || w.count() >= a.active.each {
		return false
	}
	w.process.give(w, t, true)
	a.took(w)
	return true
}

func (a *assigning) took(w *worker) {
	a.active.took(w.count())
	a.all.took(w.count())
}

func (a *assigning) assignActive(tasks []Task) {
	slices.SortFunc(tasks, byPartition)
	tasks = slices.DeleteFunc(tasks, func(t Task) bool { return a.giveActive(a.hadActive[t], t) })
	tasks = slices.DeleteFunc(tasks, func(t Task) bool { return a.giveActive(leastLoadedOf(a.hadStandby[t], t), t) })
	slices.SortFunc(tasks, bySubtopology)
	q := newLeastLoaded(a.processes)
	for _, t := range tasks {
		a.took(q[0].giveLeastLoaded(t, true))
		heap.Fix(&q, 0)
	}
}

// leastLoadedOf picks among members those whose process does not have the task yet,
// and of them the one whose process has least, then the one that has least itself.
func leastLoadedOf(ws []*worker, t Task) *worker {
	var best *worker
	for _, w := range ws {
		switch {
		case w.process.has[t]:
		case best == nil, w.process != best.process && w.process.less(best.process), w.process == best.process && w.less(best):
			best = w
		}
	}
	return best
}

// giveStandby hands w a copy if its share of tasks has room and its process has no
// other.
func (a *assigning) giveStandby(w *worker, t Task) bool {
	if w == nil || w.process.has[t] || w.count() >= a.all.each {
		return false
	}
	w.process.give(w, t, false)
	a.all.took(w.count())
	return true
}

func (a *assigning) assignStandby(tasks []Task, standbys int) {
	type rest struct {
		task   Task
		copies int
	}
	var left []rest
	slices.SortFunc(tasks, func(x, y Task) int { return byPartition(y, x) })
	for _, t := range tasks {
		copies := standbys
		for copies > 0 && (a.giveStandby(a.hadActive[t], t) || a.giveStandby(leastLoadedOf(a.hadStandby[t], t), t)) {
			copies--
		}
		if copies > 0 {
			left = append(left, rest{t, copies})
		}
	}
	slices.SortFunc(left, func(x, y rest) int { return bySubtopology(y.task, x.task) })
	q := newLeastLoaded(a.processes)
	for _, r := range left {
		for range r.copies {
			if !a.giveStandbyLeastLoaded(&q, r.task) {
				break // every process has it: there is nobody for another copy
			}
		}
	}
}

// giveStandbyLeastLoaded hands a copy to the process that has least among those without.
func (a *assigning) giveStandbyLeastLoaded(q *leastLoaded[*process], t Task) bool {
	var passed []*process
	for q.Len() > 0 && (*q)[0].has[t] {
		passed = append(passed, heap.Pop(q).(*process))
	}
	found := q.Len() > 0
	if found {
		a.all.took((*q)[0].giveLeastLoaded(t, false).count())
		heap.Fix(q, 0)
	}
	for _, p := range passed {
		heap.Push(q, p)
	}
	return found
}
