package controller

import (
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// SpreadLeaders returns the changes that make the brokers in service lead about
// equally many partitions, at most max. A follower that is in sync becomes the
// preferred replica, and the leader, in place of one whose broker has more; no
// data moves. Partitions under reassignment wait.
func (p Policy) SpreadLeaders(m *metadata.Image, max int) []record.PartitionChange {
	leads := map[int32]int{} // partitions of which it is the preferred replica
	for b := range m.Brokers() {
		if b.Active() && !b.Draining {
			leads[b.ID] = 0
		}
	}
	for _, x := range m.AllPartitions() {
		leads[x.Replicas[0]]++
	}
	var out []record.PartitionChange
	for t, x := range m.AllPartitions() {
		if len(out) >= max {
			break
		}
		if reassigning(x) {
			continue
		}
		from, to := x.Replicas[0], noBroker
		for _, r := range x.Replicas[1:] {
			b, ok := m.Broker(r)
			// Two less, or the two would only change places.
			if ok && b.Active() && !b.Draining && slices.Contains(x.ISR, r) && leads[r]+1 < leads[from] && (to == noBroker || leads[r] < leads[to]) {
				to = r
			}
		}
		if to == noBroker {
			continue
		}
		c := p.change(m, t, x)
		c.replicas = slices.Clone(x.Replicas)
		at := slices.Index(c.replicas, to)
		c.replicas[0], c.replicas[at] = to, from
		c.prefer()
		if change, ok := c.finish(); ok {
			leads[from]--
			leads[to]++
			out = append(out, change)
		}
	}
	return out
}
