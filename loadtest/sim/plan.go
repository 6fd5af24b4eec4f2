package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Kind is a way in which things go wrong, or are asked to change.
type Kind string

// The kinds.
const (
	Kill          Kind = "kill"           // a process ends; its machine lives on
	Power         Kind = "power"          // a machine loses power, and what was not synced
	PowerAll      Kind = "power-all"      // all machines do at the same moment
	Stop          Kind = "stop"           // a broker is asked to stop, and starts again
	Wipe          Kind = "wipe"           // a machine loses power and its disk; at most once in a plan
	Isolate       Kind = "isolate"        // nothing passes between a machine and all others
	Deaf          Kind = "deaf"           // nothing reaches a machine
	Mute          Kind = "mute"           // nothing leaves a machine
	Cut           Kind = "cut"            // nothing passes between two brokers
	CutOneWay     Kind = "cut-one-way"    // nothing passes from one broker to another
	SlowLink      Kind = "slow-link"      // a link between two brokers becomes slow
	Reset         Kind = "reset"          // all connections between two brokers are reset
	SlowDisk      Kind = "slow-disk"      // syncs take long
	FullDisk      Kind = "full-disk"      // a disk has room for nothing more
	BadSync       Kind = "bad-sync"       // the next sync of a write-ahead log fails
	StoreDown     Kind = "store-down"     // the object store can not be reached
	StoreSlow     Kind = "store-slow"     // half of its answers take seconds
	StoreFlaky    Kind = "store-flaky"    // it answers 503, breaks off, loses replies
	StoreCorrupts Kind = "store-corrupts" // some of what is read from it is wrong
	Failover      Kind = "failover"       // another broker becomes the controller
	CreateTopic   Kind = "create-topic"   // and producers and a consumer for it
	Reassign      Kind = "reassign"       // a partition gets other replicas
	Elect         Kind = "elect"          // the preferred replica of a partition is elected
	DeleteRecords Kind = "delete-records" // the log start of a partition moves
	Configure     Kind = "configure"      // a setting of a topic changes
)

// Fault is one thing of a plan. Node and Peer are numbers of brokers, from 1; what they and
// Pick mean depends on the kind.
type Fault struct {
	At, For    time.Duration
	Kind       Kind
	Node, Peer int32
	Pick       uint64
}

// String is one line of a trace.
func (f Fault) String() string {
	return fmt.Sprintf("%8.3fs %-14s node=%d peer=%d for=%.3fs pick=%x", f.At.Seconds(), f.Kind, f.Node, f.Peer, f.For.Seconds(), f.Pick)
}

// Plan is a run: it depends on the seed alone.
type Plan struct {
	Seed    uint64
	Brokers int
	Busy    time.Duration // while things go wrong
	Roll    time.Duration // after how long a tail is uploaded: the sooner, the less is left to replication
	Faults  []Fault
}

// String lists the faults.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed=%d brokers=%d busy=%s roll=%s faults=%d\n", p.Seed, p.Brokers, p.Busy, p.Roll, len(p.Faults))
	for _, f := range p.Faults {
		fmt.Fprintln(&b, f)
	}
	return b.String()
}

// weights say how often each kind is drawn, in order, so that a seed gives one plan.
var weights = []struct {
	kind   Kind
	weight int
}{
	{Kill, 10}, {Power, 10}, {PowerAll, 2}, {Stop, 5}, {Wipe, 1}, {Isolate, 7}, {Deaf, 3}, {Mute, 3}, {Cut, 6}, {CutOneWay, 6}, {SlowLink, 4},
	{Reset, 5}, {SlowDisk, 4}, {FullDisk, 2}, {BadSync, 3}, {StoreDown, 4}, {StoreSlow, 4}, {StoreFlaky, 6}, {StoreCorrupts, 2}, {Failover, 6},
	{CreateTopic, 3}, {Reassign, 8}, {Elect, 6}, {DeleteRecords, 5}, {Configure, 4},
}

var rolls = []time.Duration{500 * time.Millisecond, 2 * time.Second, 10 * time.Second, 20 * time.Second}

// Draw makes the plan of a seed.
func Draw(seed uint64) *Plan {
	r := rand.New(rand.NewPCG(seed, 0x706c616e))
	p := &Plan{Seed: seed, Brokers: 3 + r.IntN(2), Busy: time.Duration(20+r.IntN(40)) * time.Second}
	p.Roll = rolls[r.IntN(len(rolls))]
	total := 0
	for _, w := range weights {
		total += w.weight
	}
	wiped := false
	for range 4 + r.IntN(20) {
		f := Fault{
			At:   time.Duration(r.Int64N(int64(p.Busy))),
			For:  time.Duration(50+r.Int64N(12_000)) * time.Millisecond,
			Node: 1 + r.Int32N(int32(p.Brokers)), Pick: r.Uint64(),
		}
		f.Peer = 1 + (f.Node+r.Int32N(int32(p.Brokers-1)))%int32(p.Brokers)
		at := r.IntN(total)
		for _, w := range weights {
			if at -= w.weight; at < 0 {
				f.Kind = w.kind
				break
			}
		}
		if f.Kind == Wipe && wiped {
			f.Kind = Power
		}
		wiped = wiped || f.Kind == Wipe
		p.Faults = append(p.Faults, f)
	}
	slices.SortStableFunc(p.Faults, func(a, b Fault) int { return int(a.At - b.At) })
	return p
}

// Without returns the plan without one of its faults.
func (p *Plan) Without(i int) *Plan {
	q := *p
	q.Faults = slices.Delete(slices.Clone(p.Faults), i, i+1)
	return &q
}

// cut ends the plan earlier.
func (p *Plan) cut(busy time.Duration) {
	p.Busy = min(p.Busy, busy)
	p.Faults = slices.DeleteFunc(p.Faults, func(f Fault) bool { return f.At >= p.Busy })
}
