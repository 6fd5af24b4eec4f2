package assignor

import (
	"cmp"
	"slices"
	"strings"
)

// Range gives of each topic contiguous ranges to its subscribers in one order: static
// members by instance id, then the others by id. So members that subscribe to the same
// topics get the same partitions of all those with as many. The first ones get one more
// where they do not divide evenly.
func Range(s Spec) map[string]Assignment {
	s.Members = slices.Clone(s.Members)
	slices.SortFunc(s.Members, func(a, b Member) int {
		switch {
		case a.Instance != "" && b.Instance != "":
			return cmp.Or(strings.Compare(a.Instance, b.Instance), strings.Compare(a.ID, b.ID))
		case a.Instance != "":
			return -1
		case b.Instance != "":
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	given := make([]Assignment, len(s.Members))
	for i := range given {
		given[i] = Assignment{}
	}
	topics, of := s.subscribers()
	for _, t := range topics {
		n := int32(len(of[t]))
		each, extra := s.Topics[t].Partitions/n, s.Topics[t].Partitions%n
		next := int32(0)
		for i, m := range of[t] {
			count := each
			if int32(i) < extra {
				count++
			}
			for range count {
				given[m][t] = append(given[m][t], next)
				next++
			}
		}
	}
	return s.result(given)
}
