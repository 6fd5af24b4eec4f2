package group

import (
	"bytes"
	"maps"
	"slices"
)

// assignment is partitions by topic id; the partitions of a topic ascend, and a topic
// without any is not in it. One that is part of an installed group never changes.
type assignment map[[16]byte][]int32

// topics are the topic ids in order.
func (a assignment) topics() [][16]byte {
	ids := make([][16]byte, 0, len(a))
	for id := range a {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(x, y [16]byte) int { return bytes.Compare(x[:], y[:]) })
	return ids
}

// add puts partitions in that may be there already.
func (a assignment) add(topic [16]byte, partitions ...int32) {
	if len(partitions) == 0 {
		return
	}
	ps := append(slices.Clone(a[topic]), partitions...)
	slices.Sort(ps)
	a[topic] = slices.Compact(ps)
}

func (a assignment) has(topic [16]byte, partition int32) bool {
	_, ok := slices.BinarySearch(a[topic], partition)
	return ok
}

func (a assignment) equal(b assignment) bool {
	return maps.EqualFunc(a, b, func(x, y []int32) bool { return slices.Equal(x, y) })
}

// filter returns those partitions of which keep is true.
func (a assignment) filter(keep func(topic [16]byte, partition int32) bool) assignment {
	out := assignment{}
	for id, ps := range a {
		var kept []int32
		for _, p := range ps {
			if keep(id, p) {
				kept = append(kept, p)
			}
		}
		if len(kept) > 0 {
			out[id] = kept
		}
	}
	return out
}

// intersect returns what is in both.
func (a assignment) intersect(b assignment) assignment { return a.filter(b.has) }

// minus returns what is in a and not in b.
func (a assignment) minus(b assignment) assignment {
	return a.filter(func(t [16]byte, p int32) bool { return !b.has(t, p) })
}

// union returns what is in either.
func (a assignment) union(b assignment) assignment {
	out := maps.Clone(a)
	if out == nil {
		out = assignment{}
	}
	for id, ps := range b {
		out.add(id, ps...)
	}
	return out
}

// within says whether all of a is in b.
func (a assignment) within(b assignment) bool {
	for id, ps := range a {
		for _, p := range ps {
			if !b.has(id, p) {
				return false
			}
		}
	}
	return true
}

// overlaps says whether something is in both.
func (a assignment) overlaps(b assignment) bool {
	for id, ps := range a {
		for _, p := range ps {
			if b.has(id, p) {
				return true
			}
		}
	}
	return false
}

// size is the number of partitions.
func (a assignment) size() int {
	n := 0
	for _, ps := range a {
		n += len(ps)
	}
	return n
}
