package assignor

import (
	"maps"
	"slices"
	"strings"
)

// NameSimple is the name of the assignor of share groups.
const NameSimple = "simple"

// place is one partition.
type place struct {
	topic     TopicID
	partition int32
}

// Simple assigns partitions that several members may share. Each partition has at
// least one member; two members of one subscription differ by at most one partition in
// what they have; two partitions by none in how many have them, as far as that
// goes; and what was owned stays where it is, as far as that is balanced. Where members
// subscribe to different topics, this holds for each topic by itself.
//
// Partitions are those that may be assigned, in order, of which a topic need not have all.
func Simple(members []Member, partitions map[TopicID][]int32) map[string]Assignment {
	members = slices.SortedFunc(slices.Values(members), func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	topics := slices.SortedFunc(maps.Keys(partitions), compareTopics)
	given := make([]map[place]bool, len(members))
	for i := range given {
		given[i] = map[place]bool{}
	}
	subscribes := func(m *Member, t TopicID) bool { return slices.Contains(m.Topics, t) }
	alike := true
	for i := range members {
		for _, t := range topics {
			alike = alike && (len(partitions[t]) == 0 || subscribes(&members[i], t) == subscribes(&members[0], t))
		}
	}
	pool := sharedPool{members: members, given: given}
	for _, t := range topics {
		if !alike {
			pool.places, pool.who = nil, nil
		}
		for _, p := range partitions[t] {
			if len(members) > 0 && (!alike || subscribes(&members[0], t)) {
				pool.places = append(pool.places, place{t, p})
			}
		}
		if !alike {
			for i := range members {
				if subscribes(&members[i], t) {
					pool.who = append(pool.who, i)
				}
			}
			pool.assign()
		}
	}
	if alike {
		for i := range members {
			pool.who = append(pool.who, i)
		}
		pool.assign()
	}
	out := make(map[string]Assignment, len(members))
	for i, m := range members {
		a := Assignment{}
		for at := range given[i] {
			a[at.topic] = append(a[at.topic], at.partition)
		}
		for _, ps := range a {
			slices.Sort(ps)
		}
		out[m.ID] = a
	}
	return out
}

// sharedPool is some partitions and the members that share them.
type sharedPool struct {
	members []Member
	given   []map[place]bool // to each member, of all pools
	places  []place
	who     []int // the members, by index
}

func (s *sharedPool) assign() {
	m, p := len(s.who), len(s.places)
	if m == 0 || p == 0 {
		return
	}
	sharing := (m + p - 1) / p // how many members a partition is to have
	ceil := func(i int) int { return (sharing*p*i + m - 1) / m }
	quota := make(map[int]int, m)
	for i, member := range s.who {
		quota[member] = ceil(i+1) - ceil(i)
	}
	shared := make(map[place]int, p)
	give := func(member int, at place) {
		s.given[member][at] = true
		shared[at]++
		quota[member]--
	}
	for _, member := range s.who {
		for _, at := range s.places {
			if _, had := slices.BinarySearch(s.members[member].Owned[at.topic], at.partition); had && quota[member] > 0 && shared[at] < sharing {
				give(member, at)
			}
		}
	}
	// Partitions that want more members, in turn.
	var want []place
	for n := range sharing {
		for _, at := range s.places {
			if shared[at] <= n {
				want = append(want, at)
			}
		}
	}
	for _, member := range s.who {
		for i := 0; quota[member] > 0 && i < len(want); {
			at := want[i]
			switch {
			case shared[at] >= sharing:
				want = slices.Delete(want, i, i+1)
			case s.given[member][at]:
				i++
			default:
				want = slices.Delete(want, i, i+1)
				give(member, at)
			}
		}
		for quota[member] > 0 && s.trade(member, shared, sharing, give) {
		}
	}
}

// trade finds a partition for a member that has all of those that want more members:
// another member takes one of these, and gives it one of its own.
func (s *sharedPool) trade(member int, shared map[place]int, sharing int, give func(int, place)) bool {
	for _, wanting := range s.places {
		if shared[wanting] >= sharing {
			continue
		}
		for _, other := range s.who {
			if s.given[other][wanting] {
				continue
			}
			for _, at := range s.places {
				if s.given[other][at] && !s.given[member][at] {
					delete(s.given[other], at)
					s.given[other][wanting] = true
					shared[at]--
					shared[wanting]++
					give(member, at)
					return true
				}
			}
		}
	}
	return false
}
