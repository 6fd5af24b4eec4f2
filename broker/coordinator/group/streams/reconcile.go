package streams

import "github.com/twmb/franz-go/pkg/kerr"

// ownership answers who holds a task at the moment: has it assigned, or has not yet given
// it up.
type ownership struct {
	active  map[Task]string // process
	standby map[Task][]string
	warmup  map[Task][]string
}

// owners is who holds what.
func (g *Group) owners() *ownership {
	o := &ownership{active: make(map[Task]string), standby: make(map[Task][]string), warmup: make(map[Task][]string)}
	for _, m := range g.members {
		for _, held := range []*Tasks{&m.Assigned, &m.Revoking} {
			for _, t := range held.Active {
				o.active[t.key()] = m.Process
			}
			for _, t := range held.Standby {
				o.standby[t.key()] = append(o.standby[t.key()], m.Process)
			}
			for _, t := range held.Warmup {
				o.warmup[t.key()] = append(o.warmup[t.key()], m.Process)
			}
		}
	}
	return o
}

// copied says whether the process holds a copy: it has one directory for a task's state,
// which only one of its threads can use.
func (o *ownership) copied(t Task, process string) bool {
	for _, held := range []map[Task][]string{o.standby, o.warmup} {
		for _, p := range held[t.key()] {
			if p == process {
				return true
			}
		}
	}
	return false
}

// freeActive says whether the task may be made active in the process: nobody has it
// active, and the process has no copy.
func (o *ownership) freeActive(t Task, process string) bool {
	_, held := o.active[t.key()]
	return !held && !o.copied(t, process)
}

// freeCopy says whether the process may have a copy: it does not have the task at all.
func (o *ownership) freeCopy(t Task, process string) bool {
	owner, held := o.active[t.key()]
	return (!held || owner != process) && !o.copied(t, process)
}

// reconcile moves a member towards its target by one step, and returns what it is then: m
// itself if nothing changes. First it must give up what it is to lose, and stays in its
// epoch; then it gets what others do not hold any more, in the epoch of the target.
// owned is what the member says it holds; nil if it does not say.
func reconcile(m *Member, epoch int32, target Tasks, owned *Tasks, o *ownership) (*Member, error) {
	if m.reconciledTo(epoch) {
		return m, nil
	}
	switch m.State {
	case Stable, UnreleasedTasks:
		return step(m, m.Epoch, epoch, target, owned, o), nil
	case UnrevokedTasks:
		if owned == nil || owned.meets(m.Revoking) {
			return m, nil
		}
		return step(m, m.Epoch+1, epoch, target, owned, o), nil
	default:
		if owned == nil || !owned.empty() {
			return nil, refuse(kerr.FencedMemberEpoch, "The streams group member is in a unknown state. The member must abandon all its tasks and rejoin.")
		}
		return step(m, epoch, epoch, target, owned, o), nil
	}
}

// step is one step from what the member has, in the epoch from, to the target.
func step(m *Member, from, epoch int32, target Tasks, owned *Tasks, o *ownership) *Member {
	var keep, lose, gain Tasks
	waits := false
	diff := func(has, wants TaskSet, keep, lose, gain *TaskSet, assigned int32, free func(Task, string) bool) {
		*keep, *lose = has.split(wants)
		_, missing := wants.split(has)
		for _, t := range missing {
			if free(t, m.Process) {
				t.Epoch = assigned
				*gain = append(*gain, t)
			} else {
				waits = true
			}
		}
	}
	diff(m.Assigned.Active, target.Active, &keep.Active, &lose.Active, &gain.Active, epoch, o.freeActive)
	diff(m.Assigned.Standby, target.Standby, &keep.Standby, &lose.Standby, &gain.Standby, 0, o.freeCopy)
	diff(m.Assigned.Warmup, target.Warmup, &keep.Warmup, &lose.Warmup, &gain.Warmup, 0, o.freeCopy)

	next := *m
	next.Previous = m.Epoch
	if !lose.empty() && (owned == nil || owned.meets(lose)) {
		next.State, next.Epoch, next.Assigned, next.Revoking = UnrevokedTasks, from, keep, lose
		return &next
	}
	next.State, next.Epoch, next.Assigned, next.Revoking = Stable, epoch, keep.union(gain), Tasks{}
	if waits {
		next.State = UnreleasedTasks
	}
	if next.sameAssignment(m) {
		return m
	}
	return &next
}
