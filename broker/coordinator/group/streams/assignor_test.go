package streams

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkAssignment looks at what every assignment must be.
func checkAssignment(t *testing.T, members []candidate, subs []ConfiguredSubtopology, standbys int, got []Tasks) {
	t.Helper()
	active := map[Task]int{}
	copies := map[Task]map[string]int{}
	processes := map[string]bool{}
	for i, m := range members {
		processes[m.process] = true
		if !slices.IsSortedFunc(got[i].Active, bySubtopology) || !slices.IsSortedFunc(got[i].Standby, bySubtopology) {
			t.Fatalf("%s has tasks out of order: %v", m.member, got[i])
		}
		for _, task := range slices.Concat(got[i].Active, got[i].Standby) {
			if copies[task] == nil {
				copies[task] = map[string]int{}
			}
			if copies[task][m.process]++; copies[task][m.process] > 1 {
				t.Fatalf("process %s has %v twice", m.process, task)
			}
		}
		for _, task := range got[i].Active {
			active[task]++
		}
	}
	least, most := -1, 0
	for i := range got {
		n := len(got[i].Active)
		most = max(most, n)
		if least < 0 || n < least {
			least = n
		}
	}
	if most-least > 1 && standbys == 0 {
		t.Fatalf("members have %d to %d active tasks", least, most)
	}
	for _, task := range tasksOf(subs, false) {
		if active[task] != 1 {
			t.Fatalf("%v is active %d times", task, active[task])
		}
	}
	for _, task := range tasksOf(subs, true) {
		if want := min(standbys+1, len(processes)); len(copies[task]) != want {
			t.Fatalf("%v is in %d processes, not in %d", task, len(copies[task]), want)
		}
	}
}

func topologyOfTasks(tasks ...int32) []ConfiguredSubtopology {
	var subs []ConfiguredSubtopology
	for i, n := range tasks {
		s := ConfiguredSubtopology{ID: fmt.Sprint(i), Tasks: n}
		if i%2 == 1 {
			s.Changelogs = []InternalTopic{{Name: "log"}}
		}
		subs = append(subs, s)
	}
	return subs
}

func TestAssignProperties(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var subs []ConfiguredSubtopology
		for range 1 + rng.IntN(4) {
			subs = append(subs, ConfiguredSubtopology{})
		}
		for i := range subs {
			subs[i] = topologyOfTasks(make([]int32, i+1)...)[i]
			subs[i].Tasks = 1 + rng.Int32N(20)
		}
		standbys := rng.IntN(3)
		var members []candidate
		for i := range 1 + rng.IntN(9) {
			members = append(members, candidate{member: fmt.Sprintf("m%02d", i), process: fmt.Sprintf("p%d", rng.IntN(4))})
		}
		for round := range 6 {
			got := assign(members, subs, standbys)
			checkAssignment(t, members, subs, standbys, got)
			if again := assign(slices.Clone(members), subs, standbys); !slices.EqualFunc(got, again, Tasks.equal) {
				t.Fatalf("seed %d round %d: another assignment from the same inputs", seed, round)
			}
			for i := range members {
				members[i].previous = got[i]
			}
			if standbys == 0 {
				if stay := assign(members, subs, standbys); !slices.EqualFunc(got, stay, Tasks.equal) {
					t.Fatalf("seed %d round %d: tasks move though nothing changed", seed, round)
				}
			}
			if rng.IntN(2) == 0 && len(members) > 1 {
				i := rng.IntN(len(members))
				members = slices.Delete(members, i, i+1)
			} else {
				members = append(members, candidate{member: fmt.Sprintf("n%02d", round), process: fmt.Sprintf("p%d", rng.IntN(5))})
				slices.SortFunc(members, func(a, b candidate) int { return slices.Compare([]string{a.member}, []string{b.member}) })
			}
		}
	}
}

func TestAssignMovesNoMoreThanItMust(t *testing.T) {
	subs := topologyOfTasks(12)
	members := []candidate{{member: "a", process: "p1"}, {member: "b", process: "p2"}, {member: "c", process: "p3"}}
	got := assign(members, subs, 0)
	for i := range members {
		members[i].previous = got[i]
	}
	members = append(members, candidate{member: "d", process: "p4"})
	next := assign(members, subs, 0)
	for i := range 3 {
		if len(next[i].Active) != 3 || !next[i].Active.within(got[i].Active) {
			t.Errorf("%s had %v and gets %v", members[i].member, got[i].Active, next[i].Active)
		}
	}
}

func TestAssignPrefersCopies(t *testing.T) {
	subs := topologyOfTasks(0, 6)[1:]
	members := []candidate{{member: "a", process: "p1"}, {member: "b", process: "p2"}, {member: "c", process: "p3"}}
	got := assign(members, subs, 1)
	for i := range members {
		members[i].previous = got[i]
	}
	next := assign(members[1:], subs, 1) // a is gone: its tasks go to those that have copies
	for i, tasks := range next {
		other := 1 - i
		for _, task := range tasks.Active {
			had := got[i+1]
			if !had.Active.has(task) && !had.Standby.has(task) && len(next[other].Active) < 3 {
				t.Errorf("%s gets %v, of which it had no copy, and %s has only %v", members[i+1].member, task, members[other+1].member, next[other].Active)
			}
		}
	}
}

func TestAssignNobody(t *testing.T) {
	if got := assign(nil, topologyOfTasks(3), 1); got != nil {
		t.Errorf("got %v", got)
	}
}
