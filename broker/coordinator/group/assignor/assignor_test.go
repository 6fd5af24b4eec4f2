package assignor

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func id(n int) TopicID { return TopicID{0: 1, 14: byte(n >> 8), 15: byte(n)} }

// drawn is a group of random members and topics.
func drawn(rng *rand.Rand, alike bool) Spec {
	s := Spec{Topics: map[TopicID]Topic{}}
	topics := 1 + rng.IntN(6)
	var all []TopicID
	for t := range topics {
		s.Topics[id(t)] = Topic{Name: fmt.Sprint("t", t), Partitions: int32(rng.IntN(9))}
		all = append(all, id(t))
	}
	for m := range 1 + rng.IntN(8) {
		member := Member{ID: fmt.Sprint("m", m), Topics: all}
		if rng.IntN(3) == 0 {
			member.Instance = fmt.Sprint("i", rng.IntN(100), m)
		}
		if !alike {
			member.Topics = slices.DeleteFunc(slices.Clone(all), func(TopicID) bool { return rng.IntN(3) == 0 })
			if rng.IntN(4) == 0 {
				member.Topics = append(member.Topics, id(99)) // one that is not there
			}
		}
		s.Members = append(s.Members, member)
	}
	return s
}

// changed lets members and topics come and go; who stays has what it was given.
func changed(rng *rand.Rand, s Spec, given map[string]Assignment, alike bool) Spec {
	next := drawn(rng, alike)
	if rng.IntN(2) == 0 {
		next.Topics = s.Topics // only members change
		for i := range next.Members {
			topics := slices.SortedFunc(maps.Keys(s.Topics), compareTopics)
			next.Members[i].Topics = slices.DeleteFunc(topics, func(TopicID) bool { return !alike && rng.IntN(3) == 0 })
		}
	}
	for i := range next.Members {
		next.Members[i].Owned = given[next.Members[i].ID]
	}
	return next
}

func clone(s Spec) Spec {
	c := Spec{Topics: maps.Clone(s.Topics)}
	for _, m := range s.Members {
		m.Topics = slices.Clone(m.Topics)
		owned := Assignment{}
		for t, ps := range m.Owned {
			owned[t] = slices.Clone(ps)
		}
		m.Owned = owned
		c.Members = append(c.Members, m)
	}
	return c
}

// check asserts that each partition that somebody subscribes to has one owner, who does.
func check(t *testing.T, s Spec, given map[string]Assignment) {
	t.Helper()
	if len(given) != len(s.Members) {
		t.Fatalf("%d assignments for %d members", len(given), len(s.Members))
	}
	wanted := map[TopicID]bool{}
	owner := map[TopicID]map[int32]string{}
	for _, m := range s.Members {
		for _, topic := range m.Topics {
			wanted[topic] = true
		}
		for topic, ps := range given[m.ID] {
			if !slices.Contains(m.Topics, topic) {
				t.Fatalf("%s was given a topic that it does not subscribe to", m.ID)
			}
			if len(ps) == 0 || !slices.IsSorted(ps) {
				t.Fatalf("%s was given %v", m.ID, ps)
			}
			for _, p := range ps {
				if p < 0 || p >= s.Topics[topic].Partitions {
					t.Fatalf("%s was given partition %d of %d", m.ID, p, s.Topics[topic].Partitions)
				}
				if owner[topic] == nil {
					owner[topic] = map[int32]string{}
				}
				if other := owner[topic][p]; other != "" {
					t.Fatalf("partition %d was given to %s and %s", p, other, m.ID)
				}
				owner[topic][p] = m.ID
			}
		}
	}
	for topic, info := range s.Topics {
		if wanted[topic] && len(owner[topic]) != int(info.Partitions) {
			t.Fatalf("%d of %d partitions of %s have an owner", len(owner[topic]), info.Partitions, info.Name)
		}
	}
}

func load(a Assignment) int {
	n := 0
	for _, ps := range a {
		n += len(ps)
	}
	return n
}

// TestAssignors draws groups that change, and checks what every assignor promises, and
// what each does.
func TestAssignors(t *testing.T) {
	for _, name := range []string{NameUniform, NameRange} {
		for _, alike := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s alike=%t", name, alike), func(t *testing.T) {
				for seed := range uint64(400) {
					rng := rand.New(rand.NewPCG(seed, 1))
					s := drawn(rng, alike)
					for range 4 {
						before := clone(s)
						given := ByName(name)(s)
						check(t, s, given)
						if !reflect.DeepEqual(clone(s), before) {
							t.Fatal("the input was changed")
						}
						shuffled := clone(s)
						rng.Shuffle(len(shuffled.Members), func(i, j int) {
							shuffled.Members[i], shuffled.Members[j] = shuffled.Members[j], shuffled.Members[i]
						})
						if !reflect.DeepEqual(ByName(name)(shuffled), given) {
							t.Fatalf("seed %d: the order of the members matters", seed)
						}
						if name == NameUniform {
							checkUniform(t, s, given, alike)
						} else {
							checkRange(t, s, given)
						}
						s = changed(rng, s, given, alike)
					}
				}
			})
		}
	}
}

// checkUniform: none has two more than another who could take one of them; the same input
// again moves nothing; and where all subscribe alike no more moves than that needs.
func checkUniform(t *testing.T, s Spec, given map[string]Assignment, alike bool) {
	t.Helper()
	for _, a := range s.Members {
		for _, b := range s.Members {
			if load(given[a.ID]) < load(given[b.ID])+2 {
				continue
			}
			for topic := range given[a.ID] {
				if slices.Contains(b.Topics, topic) {
					t.Fatalf("%s has %d, %s has %d and could take one", a.ID, load(given[a.ID]), b.ID, load(given[b.ID]))
				}
			}
		}
	}
	again := clone(s)
	for i := range again.Members {
		again.Members[i].Owned = given[again.Members[i].ID]
	}
	if !reflect.DeepEqual(Uniform(again), given) {
		t.Fatal("partitions move though nothing changed")
	}
	if !alike {
		return
	}
	total := 0
	for _, topic := range s.Topics {
		total += int(topic.Partitions)
	}
	share, extra := total/len(s.Members), total%len(s.Members)
	could, kept := 0, 0
	taken := map[TopicID]map[int32]bool{}
	var had []int
	for _, m := range s.Members {
		n := 0
		for topic, ps := range m.Owned {
			for _, p := range ps {
				if p < s.Topics[topic].Partitions && !taken[topic][p] {
					if taken[topic] == nil {
						taken[topic] = map[int32]bool{}
					}
					taken[topic][p] = true
					n++
				}
				if slices.Contains(given[m.ID][topic], p) {
					kept++
				}
			}
		}
		had = append(had, n)
	}
	for _, n := range had {
		if n > share && extra > 0 {
			could++
			extra--
		}
		could += min(n, share)
	}
	if kept != could {
		t.Fatalf("%d partitions stay where they were, and %d could", kept, could)
	}
}

// checkRange: of each topic a subscriber has a contiguous range, all as many to within one.
func checkRange(t *testing.T, s Spec, given map[string]Assignment) {
	t.Helper()
	for topic, info := range s.Topics {
		low, high := 1<<30, 0
		for _, m := range s.Members {
			if !slices.Contains(m.Topics, topic) {
				continue
			}
			ps := given[m.ID][topic]
			low, high = min(low, len(ps)), max(high, len(ps))
			if n := len(ps); n > 0 && int(ps[n-1]-ps[0]) != n-1 {
				t.Fatalf("range %v of %s", ps, info.Name)
			}
		}
		if high > low+1 {
			t.Fatalf("%s is split into ranges of %d and %d", info.Name, low, high)
		}
	}
}

// TestRangeTogether: static members go first, by instance id, and the same partitions of
// topics with as many go to the same member.
func TestRangeTogether(t *testing.T) {
	s := Spec{Topics: map[TopicID]Topic{id(1): {"a", 4}, id(2): {"b", 4}}}
	for _, m := range []Member{{ID: "1", Instance: "z"}, {ID: "2"}, {ID: "3", Instance: "y"}} {
		m.Topics = []TopicID{id(1), id(2)}
		s.Members = append(s.Members, m)
	}
	want := map[string]Assignment{
		"3": {id(1): {0, 1}, id(2): {0, 1}},
		"1": {id(1): {2}, id(2): {2}},
		"2": {id(1): {3}, id(2): {3}},
	}
	if got := Range(s); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestNothingToAssign(t *testing.T) {
	for _, name := range []string{NameUniform, NameRange} {
		if got := ByName(name)(Spec{}); len(got) != 0 {
			t.Errorf("%s: %v", name, got)
		}
		got := ByName(name)(Spec{Members: []Member{{ID: "m", Topics: []TopicID{id(1)}}}})
		if !reflect.DeepEqual(got, map[string]Assignment{"m": {}}) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if ByName("best") != nil {
		t.Error("an assignor of no name")
	}
}

// BenchmarkUniform assigns 2,000 partitions of 20 topics to 1,000 members, of whom one is new.
func BenchmarkUniform(b *testing.B) {
	for _, alike := range []bool{true, false} {
		b.Run(fmt.Sprintf("alike=%t", alike), func(b *testing.B) {
			s := Spec{Topics: map[TopicID]Topic{}}
			var all []TopicID
			for t := range 20 {
				s.Topics[id(t)] = Topic{Partitions: 100}
				all = append(all, id(t))
			}
			for m := range 999 {
				s.Members = append(s.Members, Member{ID: fmt.Sprintf("m%04d", m), Topics: all})
				if !alike {
					s.Members[m].Topics = all[m%10:]
				}
			}
			given := Uniform(s)
			for i := range s.Members {
				s.Members[i].Owned = given[s.Members[i].ID]
			}
			s.Members = append(s.Members, Member{ID: "new", Topics: all})
			b.ResetTimer()
			for range b.N {
				Uniform(s)
			}
		})
	}
}
