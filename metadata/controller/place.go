package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidelinehq/tideline/metadata"
)

// Candidate is a broker that can take replicas.
type Candidate struct {
	ID   int32
	Rack string
}

// Candidates returns the brokers in service, in id order.
func Candidates(m *metadata.Image) []Candidate {
	var out []Candidate
	for b := range m.Brokers() {
		if !b.Fenced {
			out = append(out, Candidate{b.ID, b.Rack})
		}
	}
	return out
}

// Place spreads partitions over brokers: leaders go round robin, the replicas
// of one partition go to as many racks as there are, and the distance between
// leader and first follower grows with each round, so that the load of a failed
// broker spreads over all others. spread says where to begin; calls with
// different values start at different brokers. first is the index of the first
// partition, so that growing a topic continues its pattern.
func Place(brokers []Candidate, partitions, replicas int, first, spread uint32) ([][]int32, error) {
	if len(brokers) == 0 {
		return nil, ErrNoBrokers
	}
	if replicas < 1 || replicas > len(brokers) {
		return nil, fmt.Errorf("%w: factor=%d brokers=%d", ErrInvalidReplicationFactor, replicas, len(brokers))
	}
	order := interleave(brokers)
	n := uint64(len(order))
	out := make([][]int32, partitions)
	used := make([]int, 0, replicas) // positions in order, of one partition
	for i := range out {
		p := uint64(first) + uint64(i)
		start := (p + uint64(spread)) % n
		shift := uint64(0)
		if n > 1 {
			shift = (p/n + uint64(spread)) % (n - 1)
		}
		used = append(used[:0], int(start))
		list := make([]int32, 1, replicas)
		list[0] = order[start].ID
		for step := uint64(0); len(list) < replicas; step++ {
			// All other brokers, beginning shift+1 behind the leader.
			at := int((start + 1 + (shift+step)%(n-1)) % n)
			// In the first round only racks without a replica, later any.
			if slices.Contains(used, at) || step < n-1 && rackUsed(order, used, at) {
				continue
			}
			used = append(used, at)
			list = append(list, order[at].ID)
		}
		out[i] = list
	}
	return out, nil
}

func rackUsed(order []Candidate, used []int, at int) bool {
	return slices.ContainsFunc(used, func(u int) bool { return order[u].Rack == order[at].Rack })
}

// interleave orders brokers so that neighbours are in different racks as far
// as possible: one of each rack in turn.
func interleave(brokers []Candidate) []Candidate {
	byRack := map[string][]Candidate{}
	var racks []string
	for _, b := range brokers {
		if _, ok := byRack[b.Rack]; !ok {
			racks = append(racks, b.Rack)
		}
		byRack[b.Rack] = append(byRack[b.Rack], b)
	}
	slices.SortFunc(racks, strings.Compare)
	for _, list := range byRack {
		slices.SortFunc(list, func(a, b Candidate) int { return int(a.ID) - int(b.ID) })
	}
	out := make([]Candidate, 0, len(brokers))
	for round := 0; len(out) < len(brokers); round++ {
		for _, r := range racks {
			if list := byRack[r]; round < len(list) {
				out = append(out, list[round])
			}
		}
	}
	return out
}
