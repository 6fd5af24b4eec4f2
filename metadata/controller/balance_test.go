package controller

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// join registers a broker and puts it into service.
func (c *cluster) join(id int32, rack string) {
	c.t.Helper()
	r := c.apply(&record.RegisterBroker{ID: id, Incarnation: metadata.ID{0x77, byte(id), byte(c.Index())}, Rack: rack})
	c.apply(&record.UnfenceBroker{ID: id, Epoch: r.BrokerEpoch})
}

func (c *cluster) change(entries []record.PartitionChange) {
	c.t.Helper()
	for _, cmd := range record.ChunkChange(entries) {
		c.apply(cmd)
	}
}

// catchUp brings all replicas of all reassignments into sync.
func (c *cluster) catchUp(p Policy) {
	c.t.Helper()
	var changes []record.PartitionChange
	for _, o := range Reassignments(c.Image, 1<<30) {
		x := o.Partition
		leader, _ := c.Broker(x.Leader)
		ask := &AlterISR{Topic: x.Topic, Partition: x.Index, Broker: x.Leader, BrokerEpoch: leader.Epoch, LeaderEpoch: x.LeaderEpoch, PartitionEpoch: x.PartitionEpoch}
		for _, id := range x.Replicas {
			if b, _ := c.Broker(id); b.Active() || slices.Contains(x.ISR, id) {
				ask.ISR = append(ask.ISR, ISRMember{id, b.Epoch})
			}
		}
		change, err := p.AlterISR(c.Image, ask)
		if err != nil {
			c.t.Fatal(err)
		}
		changes = append(changes, change)
	}
	c.change(changes)
	c.change(p.Settle(c.Image, 1<<30))
	if n := len(Reassignments(c.Image, 1<<30)); n > 0 {
		c.t.Fatalf("%d reassignments do not end", n)
	}
}

// settle balances until nothing moves any more, verifying every move.
func (c *cluster) settle(b *Balance) (moves int, bytes int64) {
	c.t.Helper()
	p := Policy{MinISR: 2}
	for round := 0; ; round++ {
		list := b.Moves(c.Image)
		if !reflect.DeepEqual(list, b.Moves(c.Image)) {
			c.t.Fatal("not deterministic")
		}
		if len(list) == 0 {
			return moves, bytes
		}
		if round > 1000 {
			c.t.Fatal("does not come to rest")
		}
		if len(list) > b.MaxMoves {
			c.t.Fatalf("moves=%d max=%d", len(list), b.MaxMoves)
		}
		var wishes []Reassignment
		copied := int64(0)
		for _, mv := range list {
			x, _ := c.Partition(mv.Topic, mv.Partition)
			from, _ := c.Broker(mv.From)
			if before, after := c.racks(x.Replicas), c.racks(mv.Replicas); after < before && !from.Draining {
				c.t.Fatalf("racks %d, before %d: %+v of %v", after, before, mv, x.Replicas)
			}
			copied += mv.Bytes
			wishes = append(wishes, Reassignment{mv.Topic, mv.Partition, mv.Replicas})
		}
		if copied > b.MaxBytes {
			c.t.Fatalf("bytes=%d max=%d", copied, b.MaxBytes)
		}
		var changes []record.PartitionChange
		for _, a := range p.Reassign(c.Image, wishes, DefaultLimits) {
			if a.Err != nil || !a.Needed {
				c.t.Fatal(a.Err, a.Needed)
			}
			changes = append(changes, a.Change)
		}
		c.change(changes)
		if n := len(b.Moves(c.Image)); n+len(list) > b.MaxMoves {
			c.t.Fatalf("%d moves beside %d in progress", n, len(list))
		}
		c.catchUp(p)
		moves, bytes = moves+len(list), bytes+copied
	}
}

func (c *cluster) racks(replicas []int32) int {
	seen := map[string]bool{}
	for _, id := range replicas {
		b, _ := c.Broker(id)
		seen[b.Rack] = true
	}
	return len(seen)
}

// shareOf returns what each broker has of replicas and bytes per second.
func (c *cluster) shareOf(load func(metadata.ID, int32) Load) (count, bytes map[int32]int64) {
	count, bytes = map[int32]int64{}, map[int32]int64{}
	for _, x := range c.AllPartitions() {
		for _, b := range x.Replicas {
			count[b]++
			bytes[b] += load(x.Topic, x.Index).BytesIn
		}
	}
	return count, bytes
}

// A new broker gets its fair share, of replicas and of bytes, in bounded steps.
func TestBalanceAfterJoin(t *testing.T) {
	c := newCluster(t, 6, "a", "b", "c")
	for i := range 4 {
		c.create(fmt.Sprint("t", i), 60, 3)
	}
	r := rand.New(rand.NewPCG(1, 1))
	loads := map[metadata.TopicPartition]Load{}
	for _, x := range c.AllPartitions() {
		loads[metadata.TopicPartition{Topic: x.Topic, Partition: x.Index}] = Load{BytesIn: int64(r.ExpFloat64() * 1e6), TailBytes: r.Int64N(1000)}
	}
	load := func(topic metadata.ID, index int32) Load {
		return loads[metadata.TopicPartition{Topic: topic, Partition: index}]
	}
	b := &Balance{Load: load, MaxMoves: 20, MaxBytes: 8000, Tolerance: 0.05}
	c.settle(b)
	for id := int32(6); id < 9; id++ {
		c.join(id, string('a'+id%3))
	}
	moves, bytes := c.settle(b)
	count, in := c.shareOf(load)
	t.Logf("moves=%d bytes=%d replicas=%v in=%v", moves, bytes, count, in)
	var total int64
	for _, n := range in {
		total += n
	}
	for id := range int32(9) {
		if n := count[id]; n < 72 || n > 88 {
			t.Errorf("broker %d has %d replicas of 720", id, n)
		}
		if share := float64(in[id]) * 9 / float64(total); share < 0.9 || share > 1.1 {
			t.Errorf("broker %d has %.2f fair shares of the bytes", id, share)
		}
	}
	if moves > 400 {
		t.Errorf("%d moves for 240 replicas", moves)
	}
	led := 0
	for {
		changes := Policy{MinISR: 2}.SpreadLeaders(c.Image, 30)
		if len(changes) == 0 {
			break
		}
		led += len(changes)
		c.change(changes)
	}
	for id := range int32(9) {
		if n := c.LedCount(id); n < 23 || n > 31 {
			t.Errorf("broker %d leads %d of 240", id, n)
		}
	}
	if led == 0 || len(Policy{}.Preferred(c.Image, 10)) > 0 {
		t.Errorf("leaders moved=%d", led)
	}
}

// A broker drains and can then be forgotten; without enough others it can not
// begin to.
func TestDecommission(t *testing.T) {
	p := Policy{MinISR: 2}
	c := newCluster(t, 4, "a", "b", "c", "d")
	c.create("t", 40, 3)
	cmd, err := Decommission(c.Image, 3)
	if err != nil {
		t.Fatal(err)
	}
	c.apply(cmd)
	if _, err := Decommission(c.Image, 2); err == nil {
		t.Fatal("three replicas on two brokers")
	}
	if _, err := Remove(c.Image, 3, 0); err == nil {
		t.Fatal("it has replicas")
	}
	c.settle(&Balance{MaxMoves: 7, MaxBytes: 1, Tolerance: 0.1})
	if n := c.HostedCount(3); n != 0 {
		t.Fatalf("%d replicas left", n)
	}
	if _, err := Remove(c.Image, 3, 0); err == nil {
		t.Fatal("it is in service")
	}
	b, _ := c.Broker(3)
	c.apply(&record.FenceBroker{ID: 3, Epoch: b.Epoch})
	gone, err := Remove(c.Image, 3, 5)
	if err != nil {
		t.Fatal(err)
	}
	c.apply(gone)
	for _, x := range c.AllPartitions() {
		if len(x.ISR) != 3 {
			t.Fatalf("%+v", x)
		}
	}
	// A dead broker is drained from the copies of the others.
	c.join(3, "d")
	b, _ = c.Broker(0)
	c.apply(&record.FenceBroker{ID: 0, Epoch: b.Epoch})
	c.change(p.Fenced(c.Image, 0))
	if cmd, err = Decommission(c.Image, 0); err != nil {
		t.Fatal(err)
	}
	c.apply(cmd)
	c.settle(&Balance{MaxMoves: 100, MaxBytes: 1, Tolerance: 0.1})
	if n := c.HostedCount(0); n != 0 {
		t.Fatalf("%d replicas left on the dead broker", n)
	}
	if cmd, err = Recommission(c.Image, 0); err != nil || cmd.Draining {
		t.Fatal(err)
	}
}

// bigCluster has 10,000 partitions of three replicas.
func bigCluster(tb testing.TB, brokers int) *cluster {
	c := &cluster{tb, new(metadata.Image)}
	quick := func(cmd record.Command) record.Result {
		next, r := metadata.Apply(c.Image, c.Index()+1, cmd)
		if r.Reason != record.OK {
			tb.Fatal(r.Reason)
		}
		c.Image = next
		return r
	}
	quick(&record.InitCluster{ClusterID: "c"})
	for i := range int32(brokers) {
		r := quick(&record.RegisterBroker{ID: i, Incarnation: metadata.ID{1, byte(i)}, Rack: fmt.Sprint(i % 3)})
		quick(&record.UnfenceBroker{ID: i, Epoch: r.BrokerEpoch})
	}
	for i := range 100 {
		cmd, err := Create(c.Image, &CreateTopic{ID: metadata.ID{2, byte(i)}, Name: fmt.Sprint("t", i), Partitions: 100, ReplicationFactor: 3, Spread: uint32(i)}, Defaults{}, DefaultLimits, now)
		if err != nil {
			tb.Fatal(err)
		}
		quick(cmd)
	}
	return c
}

// BenchmarkBalance decides the moves for a broker that joined, with 10,000
// partitions of three replicas.
func BenchmarkBalance(b *testing.B) {
	for _, brokers := range []int{3, 30} {
		b.Run(fmt.Sprint("brokers=", brokers), func(b *testing.B) {
			c := bigCluster(b, brokers)
			c.t = b
			next, r := metadata.Apply(c.Image, c.Index()+1, &record.RegisterBroker{ID: 99, Incarnation: metadata.ID{9}, Rack: "0"})
			next, _ = metadata.Apply(next, next.Index()+1, &record.UnfenceBroker{ID: 99, Epoch: r.BrokerEpoch})
			load := func(topic metadata.ID, index int32) Load {
				return Load{BytesIn: int64(topic[1])*1000 + int64(index), TailBytes: 1 << 20}
			}
			balance := &Balance{Load: load, MaxMoves: 10_000, MaxBytes: 1 << 40, Tolerance: 0.05}
			n := 0
			for b.Loop() {
				n = len(balance.Moves(next))
			}
			b.ReportMetric(float64(n), "moves")
		})
	}
}

// BenchmarkFence fences one of three brokers with 10,000 partitions on each:
// the decision, the bytes of its commands, and their application.
func BenchmarkFence(b *testing.B) {
	c := bigCluster(b, 3)
	x, _ := c.Broker(0)
	commands, size := 0, 0
	for b.Loop() {
		m, _ := metadata.Apply(c.Image, c.Index()+1, &record.FenceBroker{ID: 0, Epoch: x.Epoch})
		chunks := record.ChunkChange(Policy{MinISR: 2}.Fenced(m, 0))
		commands, size = len(chunks), 0
		for _, cmd := range chunks {
			bytes, err := record.Append(nil, cmd)
			if err != nil {
				b.Fatal(err)
			}
			size += len(bytes)
			decoded, err := record.Decode(bytes)
			if err != nil {
				b.Fatal(err)
			}
			m, _ = metadata.Apply(m, m.Index()+1, decoded)
		}
		if m.LedCount(0) != 0 {
			b.Fatal(m.LedCount(0))
		}
	}
	b.ReportMetric(float64(commands), "commands")
	b.ReportMetric(float64(size), "bytes")
}
