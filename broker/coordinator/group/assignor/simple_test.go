package assignor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSimple(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 2000 {
		topics := []TopicID{{1}, {2}, {3}}
		partitions := map[TopicID][]int32{}
		for _, id := range topics {
			for p := range rng.Int32N(8) {
				if rng.IntN(5) > 0 { // not all are there
					partitions[id] = append(partitions[id], p)
				}
			}
		}
		alike := rng.IntN(2) == 0
		var members []Member
		for i := range 1 + rng.IntN(9) {
			m := Member{ID: fmt.Sprint("m", i), Topics: slices.Clone(topics)}
			if !alike {
				m.Topics = m.Topics[:rng.IntN(4)]
			}
			members = append(members, m)
		}
		var last map[string]Assignment
		for again := range 3 {
			got := Simple(members, partitions)
			checkSimple(t, round, members, partitions, got)
			for i, m := range members {
				members[i].Owned = got[m.ID]
			}
			if again == 2 && fmt.Sprint(last) != fmt.Sprint(got) {
				t.Fatalf("round %d: a balanced assignment moves:\n%v\n%v", round, last, got)
			}
			last = got
			if again == 0 && len(members) > 1 { // one leaves
				i := rng.IntN(len(members))
				members = slices.Delete(members, i, i+1)
			}
		}
	}
}

func checkSimple(t *testing.T, round int, members []Member, partitions map[TopicID][]int32, got map[string]Assignment) {
	t.Helper()
	alike := true // those that do not choose alike may happen to
	for _, m := range members {
		for id, ps := range partitions {
			alike = alike && (len(ps) == 0 || slices.Contains(m.Topics, id) == slices.Contains(members[0].Topics, id))
		}
	}
	for id, ps := range partitions {
		least, most, subscribed := 1<<30, 0, 0
		for _, m := range members {
			if !slices.Contains(m.Topics, id) {
				if len(got[m.ID][id]) > 0 {
					t.Fatalf("round %d: %s has what it does not subscribe to", round, m.ID)
				}
				continue
			}
			subscribed++
			n := len(got[m.ID][id])
			least, most = min(least, n), max(most, n)
			for _, p := range got[m.ID][id] {
				if !slices.Contains(ps, p) {
					t.Fatalf("round %d: %s has a partition that is not there", round, m.ID)
				}
			}
		}
		if subscribed == 0 {
			continue
		}
		if !alike && most-least > 1 {
			t.Fatalf("round %d: topic %d is unevenly shared: %v", round, id[0], got)
		}
		for _, p := range ps {
			has := 0
			for _, m := range members {
				if slices.Contains(got[m.ID][id], p) {
					has++
				}
			}
			if has == 0 {
				t.Fatalf("round %d: nobody has %d/%d: %v", round, id[0], p, got)
			}
		}
	}
	if !alike {
		return
	}
	least, most := 1<<30, 0
	for _, m := range members {
		n := 0
		for _, ps := range got[m.ID] {
			n += len(ps)
		}
		least, most = min(least, n), max(most, n)
	}
	if most-least > 1 {
		t.Fatalf("round %d: between %d and %d partitions: %v", round, least, most, got)
	}
}
