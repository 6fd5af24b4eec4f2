package assignor

import (
	"slices"
	"strings"
)

// Uniform gives each member as many partitions as the others, as far as what they
// subscribe to allows: of two members none has two more than the other while it has a
// partition that the other subscribes to. What a member had it keeps, unless it has
// more than its share.
func Uniform(s Spec) map[string]Assignment {
	u := newUniform(s)
	u.keep()
	u.fill()
	u.even()
	return s.result(u.given())
}

// uniform is the work under way. Members and topics are indexes into ordered lists.
type uniform struct {
	spec   *Spec
	topics []TopicID
	subs   [][]int        // subscribers of each topic, in order
	owner  [][]int        // of each partition of each topic; -1: none
	load   []int          // partitions of each member
	order  []int          // members by id
	sub    []map[int]bool // the topics that each member subscribes to
}

func newUniform(s Spec) *uniform {
	u := &uniform{spec: &s, load: make([]int, len(s.Members)), sub: make([]map[int]bool, len(s.Members))}
	var of map[TopicID][]int
	u.topics, of = s.subscribers()
	for i := range s.Members {
		u.order = append(u.order, i)
		u.sub[i] = map[int]bool{}
	}
	slices.SortFunc(u.order, func(a, b int) int { return strings.Compare(s.Members[a].ID, s.Members[b].ID) })
	rank := make([]int, len(u.order))
	for r, i := range u.order {
		rank[i] = r
	}
	for ti, t := range u.topics {
		list := slices.Clone(of[t])
		slices.SortFunc(list, func(a, b int) int { return rank[a] - rank[b] })
		u.subs = append(u.subs, list)
		for _, m := range list {
			u.sub[m][ti] = true
		}
		owner := make([]int, s.Topics[t].Partitions)
		for p := range owner {
			owner[p] = -1
		}
		u.owner = append(u.owner, owner)
	}
	return u
}

// give makes m the owner of a partition, or with -1 nobody.
func (u *uniform) give(topic int, partition int32, m int) {
	if was := u.owner[topic][partition]; was >= 0 {
		u.load[was]--
	}
	u.owner[topic][partition] = m
	if m >= 0 {
		u.load[m]++
	}
}

// alike says whether all members subscribe to all topics.
func (u *uniform) alike() bool {
	for _, list := range u.subs {
		if len(list) != len(u.load) {
			return false
		}
	}
	return true
}

// keep gives members what they had and may still have. Where all subscribe alike, none
// keeps more than its share: one more than the lowest share is for as many members as
// that divides to, first come by id.
func (u *uniform) keep() {
	index := make(map[TopicID]int, len(u.topics))
	total := 0
	for i, t := range u.topics {
		index[t] = i
		total += len(u.owner[i])
	}
	alike := u.alike()
	share, extra := 0, 0
	if n := len(u.load); n > 0 {
		share, extra = total/n, total%n
	}
	for _, m := range u.order {
		owned := u.spec.Members[m].Owned
		ids := make([]TopicID, 0, len(owned))
		for t := range owned {
			ids = append(ids, t)
		}
		slices.SortFunc(ids, compareTopics)
		for _, t := range ids {
			topic, ok := index[t]
			if !ok || !u.sub[m][topic] {
				continue
			}
			for _, p := range owned[t] {
				if p < 0 || int(p) >= len(u.owner[topic]) || u.owner[topic][p] >= 0 {
					continue
				}
				if alike && u.load[m] >= share {
					if u.load[m] > share || extra == 0 {
						continue
					}
					extra--
				}
				u.give(topic, p, m)
			}
		}
	}
}

// fill gives what nobody has to the subscriber with the least, topics with the fewest
// subscribers first.
func (u *uniform) fill() {
	topics := make([]int, len(u.topics))
	for i := range topics {
		topics[i] = i
	}
	slices.SortStableFunc(topics, func(a, b int) int { return len(u.subs[a]) - len(u.subs[b]) })
	alike := u.alike()
	var line []int // members that have least, where all subscribe alike
	for _, t := range topics {
		for p, owner := range u.owner[t] {
			if owner >= 0 {
				continue
			}
			var m int
			if alike {
				if len(line) == 0 {
					line = u.least()
				}
				m, line = line[0], line[1:]
			} else {
				m = u.lightest(u.subs[t])
			}
			u.give(t, int32(p), m)
		}
	}
}

// least are the members that have fewest, by id.
func (u *uniform) least() []int {
	low := slices.Min(u.load)
	var out []int
	for _, m := range u.order {
		if u.load[m] == low {
			out = append(out, m)
		}
	}
	return out
}

// lightest is the first with the least.
func (u *uniform) lightest(members []int) int {
	best := members[0]
	for _, m := range members[1:] {
		if u.load[m] < u.load[best] {
			best = m
		}
	}
	return best
}

// even moves partitions from who has more to who has two less, until there are none to
// move. Each move makes the sum of the squares of the loads smaller, so that ends.
func (u *uniform) even() {
	if u.alike() {
		return // kept and filled evenly
	}
	for moved := true; moved; {
		moved = false
		for t := range u.topics {
			to := u.lightest(u.subs[t])
			for p, owner := range u.owner[t] {
				if u.load[owner] >= u.load[to]+2 {
					u.give(t, int32(p), to)
					to = u.lightest(u.subs[t])
					moved = true
				}
			}
		}
	}
}

func (u *uniform) given() []Assignment {
	out := make([]Assignment, len(u.load))
	for i := range out {
		out[i] = Assignment{}
	}
	for t, owners := range u.owner {
		for p, m := range owners {
			out[m][u.topics[t]] = append(out[m][u.topics[t]], int32(p))
		}
	}
	return out
}
