package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidelinehq/tideline/metadata"
)

// Candidate is a broker that can take replicas.
type Candidate struct {
	ID     int32
	Rack   string
	Spare  bool // not in service: taken only when there is no other
	Hosted int  // replicas that it has
}

// Candidates returns the brokers that can take replicas, in id order: all but
// those that are being decommissioned.
func Candidates(m *metadata.Image) []Candidate {
	var out []Candidate
	for b := range m.Brokers() {
		if !b.Draining {
			out = append(out, Candidate{ID: b.ID, Rack: b.Rack, Spare: !b.Active(), Hosted: m.HostedCount(b.ID)})
		}
	}
	return out
}

// placements is how many patterns PlaceLightly compares: enough that a broker
// with few replicas is found, few enough that topics created at the same
// moment, with other spreads, do not all go to it.
const placements = 4

// PlaceLightly is Place at the one of a few places to begin, all derived from
// spread, whose brokers have the fewest replicas. It matters for topics that
// are smaller than the cluster; larger ones go everywhere.
func PlaceLightly(brokers []Candidate, partitions, replicas int, first, spread uint32) ([][]int32, error) {
	hosted := make(map[int32]int, len(brokers))
	for _, b := range brokers {
		hosted[b.ID] = b.Hosted
	}
	var best [][]int32
	lightest := 0
	for i := range uint32(placements) {
		a, err := Place(brokers, partitions, replicas, first, spread+i*0x9e3779b9)
		if err != nil {
			return nil, err
		}
		load := 0
		for _, list := range a {
			for _, b := range list {
				load += hosted[b]
			}
		}
		if best == nil || load < lightest {
			best, lightest = a, load
		}
		if partitions*replicas >= 2*len(brokers) {
			break // everywhere anyhow
		}
	}
	return best, nil
}

// Place spreads partitions over brokers: leaders go round robin, the replicas
// of one partition go to as many racks as there are, and the distance between
// leader and first follower grows with each round, so that the load of a failed
// broker spreads over all others. spread says where to begin; calls with
// different values start at different brokers. first is the index of the first
// partition, so that growing a topic continues its pattern.
//
// Spares get a replica only where the brokers in service are too few, and never
// the first.
func Place(brokers []Candidate, partitions, replicas int, first, spread uint32) ([][]int32, error) {
	if len(brokers) == 0 {
		return nil, ErrNoBrokers
	}
	if replicas < 1 || replicas > len(brokers) {
		return nil, fmt.Errorf("%w: factor=%d brokers=%d", ErrInvalidReplicationFactor, replicas, len(brokers))
	}
	ready := slices.DeleteFunc(slices.Clone(brokers), func(b Candidate) bool { return b.Spare })
	if len(ready) == 0 {
		return nil, fmt.Errorf("%w: all of %d are out of service", ErrNoBrokers, len(brokers))
	}
	if replicas > len(ready) {
		return placeSpares(brokers, ready, partitions, replicas, first, spread)
	}
	order := interleave(ready)
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

// placeSpares gives each partition all brokers in service and, in turn, as many
// spares as it takes.
func placeSpares(brokers, ready []Candidate, partitions, replicas int, first, spread uint32) ([][]int32, error) {
	out, err := Place(ready, partitions, len(ready), first, spread)
	if err != nil {
		return nil, err
	}
	spares := interleave(slices.DeleteFunc(slices.Clone(brokers), func(b Candidate) bool { return !b.Spare }))
	for i := range out {
		for n := range replicas - len(ready) {
			at := (uint64(first) + uint64(i) + uint64(spread) + uint64(n)) % uint64(len(spares))
			out[i] = append(out[i], spares[at].ID)
		}
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
