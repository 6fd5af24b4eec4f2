package streams

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// process is a Streams instance with its members, one for each thread, while tasks are
// handed out. Standby tasks are of use in another process than the active one only, so
// load is looked at by process first.
type process struct {
	id      string
	members []*worker // in the order of ids
	count   int       // tasks of all members
	has     map[Task]bool
	queue   leastLoaded[*worker] // of members; nil: to be made anew
}

// worker is a member to be given tasks.
type worker struct {
	id       string
	process  *process
	tasks    Tasks // unordered
	previous Tasks
}

func (w *worker) count() int { return len(w.tasks.Active) + len(w.tasks.Standby) }

// less is an order without ties, so that an assignment depends on its inputs only.
func (w *worker) less(o *worker) bool {
	return cmp.Or(cmp.Compare(w.count(), o.count()), strings.Compare(w.id, o.id)) < 0
}

// less compares what the members have that have least, then tasks per member: so the
// tasks of members differ by no more than they must, and of processes with equally idle
// members the idler one comes first.
func (p *process) less(o *process) bool {
	return cmp.Or(cmp.Compare(p.leastLoaded().count(), o.leastLoaded().count()),
		cmp.Compare(p.count*len(o.members), o.count*len(p.members)), strings.Compare(p.id, o.id)) < 0
}

func (p *process) leastLoaded() *worker {
	if p.queue == nil {
		p.queue = newLeastLoaded(p.members)
	}
	return p.queue[0]
}

// give hands a task to a member of the process.
func (p *process) give(w *worker, t Task, active bool) {
	p.add(w, t, active)
	p.queue = nil
}

// giveLeastLoaded hands a task to the member that has least, and returns it.
func (p *process) giveLeastLoaded(t Task, active bool) *worker {
	w := p.leastLoaded()
	p.add(w, t, active)
	heap.Fix(&p.queue, 0)
	return w
}

func (p *process) add(w *worker, t Task, active bool) {
	if active {
		w.tasks.Active = append(w.tasks.Active, t)
	} else {
		w.tasks.Standby = append(w.tasks.Standby, t)
	}
	p.count++
	p.has[t] = true
}

// leastLoaded is a heap.
type leastLoaded[T interface{ less(T) bool }] []T

func newLeastLoaded[T interface{ less(T) bool }](items []T) leastLoaded[T] {
	q := leastLoaded[T](slices.Clone(items))
	heap.Init(&q)
	return q
}

func (q leastLoaded[T]) Len() int           { return len(q) }
func (q leastLoaded[T]) Less(i, j int) bool { return q[i].less(q[j]) }
func (q leastLoaded[T]) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *leastLoaded[T]) Push(x any)        { *q = append(*q, x.(T)) }
func (q *leastLoaded[T]) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
