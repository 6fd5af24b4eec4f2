package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Storms are plans of one kind of weather, each with much of what it takes for one kind of mistake to show.
var Storms = []string{"failover", "blackout", "slow-disks", "slow-return", "trims"}

// DrawStorm makes a plan of one of the Storms.
func DrawStorm(name string, seed uint64) (*Plan, error) {
	r := rand.New(rand.NewPCG(seed, 0x73746f72))
	p := &Plan{Seed: seed, Brokers: 3, Busy: 30 * time.Second, Roll: 20 * time.Second}
	add := func(at time.Duration, kind Kind, length time.Duration) {
		f := Fault{At: at, For: length/2 + time.Duration(r.Int64N(int64(length))), Kind: kind, Node: 1 + r.Int32N(3), Pick: r.Uint64()}
		f.Peer = 1 + (f.Node+r.Int32N(2))%3
		p.Faults = append(p.Faults, f)
	}
	const first = 500 * time.Millisecond // there should be something to lose
	switch name {
	case "failover":
		for at := first; at < p.Busy; at += time.Duration(500+r.IntN(2000)) * time.Millisecond {
			kinds := []Kind{Kill, Kill, Power, Isolate, Deaf, Mute, Cut, CutOneWay, Failover, Elect}
			add(at, kinds[r.IntN(len(kinds))], 2*time.Second)
		}
	case "blackout":
		for at := first; at < p.Busy; at += time.Duration(2500+r.IntN(2000)) * time.Millisecond {
			add(at, PowerAll, 300*time.Millisecond)
		}
	case "slow-disks":
		for at := first; at < p.Busy; at += 6 * time.Second {
			for node := range int32(3) {
				if r.IntN(3) > 0 {
					p.Faults = append(p.Faults, Fault{At: at, For: 6 * time.Second, Kind: SlowDisk, Node: node + 1, Peer: 1, Pick: uint64(20+r.IntN(300)) * uint64(time.Millisecond)})
				}
			}
			add(at+3*time.Second, PowerAll, 300*time.Millisecond)
		}
	case "slow-return": // a follower that was away comes back over a slow network, and others die meanwhile
		for at := first; at < p.Busy; at += 9 * time.Second {
			node := 1 + r.Int32N(3)
			p.Faults = append(p.Faults, Fault{At: at, For: 4500 * time.Millisecond, Kind: Isolate, Node: node, Peer: 1})
			for peer := int32(1); peer <= 3; peer++ {
				if peer != node {
					p.Faults = append(p.Faults, Fault{At: at, For: 7 * time.Second, Kind: SlowLink, Node: peer, Peer: node, Pick: uint64(20 * time.Millisecond)})
				}
			}
			dies := 1 + (node+r.Int32N(2))%3
			p.Faults = append(p.Faults, Fault{At: at + 4600*time.Millisecond + time.Duration(r.IntN(1500))*time.Millisecond, For: 2 * time.Second, Kind: Kill, Node: dies, Peer: node})
		}
	case "trims":
		p.Roll = time.Second
		for at := first; at < p.Busy; at += time.Duration(500+r.IntN(1000)) * time.Millisecond {
			kinds := []Kind{DeleteRecords, DeleteRecords, Configure, Kill, StoreFlaky}
			add(at, kinds[r.IntN(len(kinds))], time.Second)
		}
	default:
		return nil, fmt.Errorf("no such storm: name=%q storms=%v", name, Storms)
	}
	return p, nil
}
