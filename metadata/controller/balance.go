package controller

import (
	"cmp"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
)

// Load is what a partition costs the brokers that have it.
type Load struct {
	BytesIn   int64 // per second, that producers write
	TailBytes int64 // that lie in the log only, not in the object store: what a move copies
}

// Balance says how replicas are to be balanced. Two things are evened out over
// the brokers in service: the number of replicas, and the bytes written to them.
type Balance struct {
	// Load gives the load of a partition; nil: all are alike.
	Load func(topic metadata.ID, partition int32) Load
	// MaxMoves is how many partitions may be under reassignment at a time, and
	// MaxBytes how many bytes of tails may be copied; what is in progress
	// counts.
	MaxMoves int
	MaxBytes int64
	// Tolerance is the part of a fair share by which two brokers may differ
	// before anything is moved, 0.1 being a tenth.
	Tolerance float64
}

// Move is one replica that is to go from one broker to another.
type Move struct {
	Topic     metadata.ID
	Partition int32
	From, To  int32
	Replicas  []int32 // all of the partition, for a Reassignment
	Bytes     int64   // to copy
}

// Moves returns the next moves. Replicas of brokers that are being
// decommissioned go first; then single replicas go from the broker with most
// to the one with least, each time making the whole more even. A partition
// moves once at a time, never without a leader to copy from, and never to fewer
// racks, unless the broker to empty is the last of its rack. The result depends
// on the arguments only. Called again when moves are done, it comes to rest.
func (b *Balance) Moves(m *metadata.Image) []Move {
	s := b.survey(m)
	s.drain()
	s.even(b.Tolerance)
	return s.moves
}

// shares is a balance in the making.
type shares struct {
	brokers    []share // in id order
	receivers  []int   // indexes of the brokers that can take replicas
	parts      []movable
	maxMoves   int
	bytesLeft  int64
	fairCount  float64
	fairBytes  float64
	moves      []Move
	noWay      map[[2]int]bool // pairs between which nothing can move
	brokerByID map[int32]int
}

// share is what one broker has.
type share struct {
	id       int32
	rack     int
	receiver bool
	draining bool
	count    float64
	bytes    float64
	parts    []int // that may be moved away, by bytes
}

// movable is one partition.
type movable struct {
	topic    metadata.ID
	index    int32
	replicas []int32
	load     Load
}

func (b *Balance) survey(m *metadata.Image) *shares {
	s := &shares{maxMoves: b.MaxMoves, bytesLeft: b.MaxBytes, noWay: map[[2]int]bool{}, brokerByID: map[int32]int{}}
	racks := map[string]int{}
	for x := range m.Brokers() {
		if _, ok := racks[x.Rack]; !ok {
			racks[x.Rack] = len(racks)
		}
		n := len(s.brokers)
		s.brokerByID[x.ID] = n
		s.brokers = append(s.brokers, share{id: x.ID, rack: racks[x.Rack], receiver: x.Active() && !x.Draining, draining: x.Draining})
		if s.brokers[n].receiver {
			s.receivers = append(s.receivers, n)
		}
	}
	s.parts = make([]movable, 0, m.PartitionCount())
	var count, bytes float64
	for _, x := range m.AllPartitions() {
		p := movable{topic: x.Topic, index: x.Index, replicas: target(x)}
		if b.Load != nil {
			p.load = b.Load(x.Topic, x.Index)
		}
		free := x.Leader != metadata.NoLeader && !reassigning(x)
		if reassigning(x) {
			s.maxMoves--
			s.bytesLeft -= p.load.TailBytes * int64(len(x.Adding))
		}
		for _, id := range p.replicas {
			n, ok := s.brokerByID[id]
			if !ok {
				continue
			}
			r := &s.brokers[n]
			r.count++
			r.bytes += float64(p.load.BytesIn)
			if r.receiver || r.draining {
				count, bytes = count+1, bytes+float64(p.load.BytesIn)
				if free {
					r.parts = append(r.parts, len(s.parts))
				}
			}
		}
		s.parts = append(s.parts, p)
	}
	if n := float64(len(s.receivers)); n > 0 {
		s.fairCount, s.fairBytes = max(1, count/n), max(1, bytes/n)
	}
	for i := range s.brokers {
		slices.SortStableFunc(s.brokers[i].parts, func(x, y int) int {
			return cmp.Compare(s.parts[x].load.BytesIn, s.parts[y].load.BytesIn)
		})
	}
	return s
}

// full reports whether the bound of moves is reached.
func (s *shares) full() bool { return len(s.moves) >= s.maxMoves }

// drain empties the brokers that are being decommissioned.
func (s *shares) drain() {
	for from := range s.brokers {
		if !s.brokers[from].draining {
			continue
		}
		for _, part := range slices.Clone(s.brokers[from].parts) {
			if s.full() {
				return
			}
			if s.parts[part].load.TailBytes > s.bytesLeft {
				continue
			}
			best, kept := -1, false
			for _, to := range s.receivers {
				if slices.Contains(s.parts[part].replicas, s.brokers[to].id) {
					continue
				}
				keeps := s.keepsRacks(part, from, to)
				if best < 0 || keeps && !kept || keeps == kept && s.weight(to) < s.weight(best) {
					best, kept = to, keeps
				}
			}
			if best >= 0 {
				s.move(part, from, best)
			}
		}
	}
}

// even moves replicas between the brokers in service.
func (s *shares) even(tolerance float64) {
	for !s.full() {
		order := slices.Clone(s.receivers)
		slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(s.weight(x), s.weight(y)) })
		if !s.step(order, tolerance) {
			return
		}
	}
}

// weight is what a broker has, in fair shares of both kinds.
func (s *shares) weight(broker int) float64 {
	x := &s.brokers[broker]
	return x.count/s.fairCount + x.bytes/s.fairBytes
}

// step finds one move, the heaviest brokers and the lightest first.
func (s *shares) step(order []int, tolerance float64) bool {
	for i := len(order) - 1; i > 0; i-- {
		for j := range i {
			from, to := order[i], order[j]
			if s.noWay[[2]int{from, to}] || !s.uneven(from, to, tolerance) {
				continue
			}
			if part := s.choose(from, to); part >= 0 {
				s.move(part, from, to)
				return true
			}
			s.noWay[[2]int{from, to}] = true
		}
	}
	return false
}

func (s *shares) uneven(from, to int, tolerance float64) bool {
	x, y := &s.brokers[from], &s.brokers[to]
	count, bytes := x.count-y.count, x.bytes-y.bytes
	return count > max(1, tolerance*s.fairCount) || bytes > tolerance*s.fairBytes
}

// choices is among how many fitting replicas the one with the smallest tail is
// chosen: the cheapest of those that serve about equally.
const choices = 8

// choose returns the partition of which a replica is to move, -1 when there is
// none that makes the two brokers more alike. The search starts at the load
// that would even them out, and goes on to both sides.
func (s *shares) choose(from, to int) int {
	x, y := &s.brokers[from], &s.brokers[to]
	ideal := int64((x.bytes - y.bytes) / 2)
	up, _ := slices.BinarySearchFunc(x.parts, ideal, func(part int, v int64) int {
		return cmp.Compare(s.parts[part].load.BytesIn, v)
	})
	best, found := -1, 0
	for down := up - 1; found < choices && (down >= 0 || up < len(x.parts)); {
		var part int
		if up == len(x.parts) || down >= 0 && ideal-s.parts[x.parts[down]].load.BytesIn <= s.parts[x.parts[up]].load.BytesIn-ideal {
			part, down = x.parts[down], down-1
		} else {
			part, up = x.parts[up], up+1
		}
		p := &s.parts[part]
		if p.load.TailBytes > s.bytesLeft || s.gain(x, y, float64(p.load.BytesIn)) <= 0 ||
			slices.Contains(p.replicas, y.id) || !s.keepsRacks(part, from, to) {
			continue
		}
		found++
		if best < 0 || p.load.TailBytes < s.parts[best].load.TailBytes {
			best = part
		}
	}
	return best
}

// gain is by how much the squares of the shares shrink when a replica moves.
func (s *shares) gain(x, y *share, bytes float64) float64 {
	return (x.count-y.count-1)/(s.fairCount*s.fairCount) + bytes*(x.bytes-y.bytes-bytes)/(s.fairBytes*s.fairBytes)
}

// keepsRacks reports whether a partition is in as many racks after a move.
func (s *shares) keepsRacks(part, from, to int) bool {
	if s.brokers[from].rack == s.brokers[to].rack {
		return true
	}
	// It is in one rack less if no other replica is in the old one, and in one
	// more if none is in the new one.
	gone, comes := 1, 1
	for _, id := range s.parts[part].replicas {
		n, ok := s.brokerByID[id]
		if !ok || n == from {
			continue
		}
		if s.brokers[n].rack == s.brokers[from].rack {
			gone = 0
		}
		if s.brokers[n].rack == s.brokers[to].rack {
			comes = 0
		}
	}
	return comes >= gone
}

func (s *shares) move(part, from, to int) {
	p := &s.parts[part]
	x, y := &s.brokers[from], &s.brokers[to]
	for _, id := range p.replicas { // it moves once
		n, ok := s.brokerByID[id]
		if !ok {
			continue
		}
		if at := slices.Index(s.brokers[n].parts, part); at >= 0 {
			s.brokers[n].parts = slices.Delete(s.brokers[n].parts, at, at+1)
		}
	}
	replicas := slices.Clone(p.replicas)
	replicas[slices.Index(replicas, x.id)] = y.id
	p.replicas = replicas
	x.count, x.bytes = x.count-1, x.bytes-float64(p.load.BytesIn)
	y.count, y.bytes = y.count+1, y.bytes+float64(p.load.BytesIn)
	s.bytesLeft -= p.load.TailBytes
	s.moves = append(s.moves, Move{Topic: p.topic, Partition: p.index, From: x.id, To: y.id, Replicas: replicas, Bytes: p.load.TailBytes})
}
