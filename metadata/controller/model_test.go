package controller

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// modelRun is a cluster with a model of its logs: who appends, who copies, what
// was acknowledged. Decisions are made for it, applied at once, late, or only
// in part, and brokers die, come back, or come back without their disk.
type modelRun struct {
	t       *testing.T
	r       *rand.Rand
	m       *metadata.Image
	policy  Policy
	next    int
	process byte
	parts   map[metadata.TopicPartition]*modelLog
	late    []record.Command
	unclean int
	elected int
}

// modelLog has the records of one partition as each broker has them, and those
// that were acknowledged.
type modelLog struct {
	logs      map[int32][]int
	committed []int
	asked     []int32 // who the leader wants in the ISR and has no answer for
	askedAt   int32   // the partition epoch of that
}

const modelBrokers = 5

func newModelRun(t *testing.T, seed uint64) *modelRun {
	r := &modelRun{t: t, r: rand.New(rand.NewPCG(seed, 3)), m: new(metadata.Image), policy: Policy{MinISR: 2}, parts: map[metadata.TopicPartition]*modelLog{}}
	r.apply(&record.InitCluster{ClusterID: "c"})
	for b := range int32(modelBrokers) {
		r.process++
		r.apply(&record.RegisterBroker{ID: b, Incarnation: metadata.ID{r.process}, Rack: fmt.Sprint(b % 3)})
		r.unfence(b)
	}
	for i, factor := range []int{3, 3, 2, 1} {
		c, err := Create(r.m, &CreateTopic{ID: metadata.ID{0xf0, byte(i)}, Name: fmt.Sprint("t", i), Partitions: 3, ReplicationFactor: factor, Spread: uint32(seed)}, Defaults{}, DefaultLimits, now)
		if err != nil {
			t.Fatal(err)
		}
		r.apply(c)
		for p := range int32(3) {
			r.parts[metadata.TopicPartition{Topic: c.ID, Partition: p}] = &modelLog{logs: map[int32][]int{}}
		}
	}
	return r
}

func (r *modelRun) broker(id int32) *metadata.Broker {
	b, ok := r.m.Broker(id)
	if !ok {
		r.t.Fatal("broker lost")
	}
	return b
}

func (r *modelRun) unfence(b int32) {
	r.apply(&record.UnfenceBroker{ID: b, Epoch: r.broker(b).Epoch})
}

// apply applies a command and then verifies everything.
func (r *modelRun) apply(c record.Command) record.Result {
	r.t.Helper()
	before := r.m
	next, res := metadata.Apply(r.m, r.m.Index()+1, c)
	r.m = next
	if err := metadata.Check(next); err != nil {
		r.t.Fatal(err)
	}
	if c, ok := c.(*record.ChangePartition); ok {
		for i, e := range res.Entries {
			tp := metadata.TopicPartition{Topic: c.Entries[i].Topic, Partition: c.Entries[i].Partition}
			if e.Reason == record.OK {
				r.changed(before, tp, &c.Entries[i], e.Unclean)
			}
		}
	}
	r.check()
	return res
}

// changed follows a change in the model.
func (r *modelRun) changed(before *metadata.Image, tp metadata.TopicPartition, c *record.PartitionChange, unclean bool) {
	was, _ := before.Partition(tp.Topic, tp.Partition)
	is, _ := r.m.Partition(tp.Topic, tp.Partition)
	m := r.parts[tp]
	if is.Leader != was.Leader && is.Leader != metadata.NoLeader {
		r.elected++
	}
	if unclean {
		r.unclean++
		if !c.Unclean {
			r.t.Fatal("unclean without being asked for")
		}
		m.committed = common(m.committed, m.logs[is.Leader])
	}
	for b := range m.logs {
		if !slices.Contains(is.Replicas, b) {
			delete(m.logs, b) // the copy is dropped
		}
	}
}

func common(a, b []int) []int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return slices.Clone(a[:n])
}

// check: who may lead has all that was acknowledged.
func (r *modelRun) check() {
	r.t.Helper()
	for tp, m := range r.parts {
		p, ok := r.m.Partition(tp.Topic, tp.Partition)
		if !ok {
			r.t.Fatal("partition lost")
		}
		for _, b := range slices.Concat(p.ISR, p.ELR) {
			if got := common(m.committed, m.logs[b]); len(got) != len(m.committed) {
				r.t.Fatalf("topic %x partition %d: broker %d may lead and has %d of %d acknowledged records: %+v", tp.Topic[1], tp.Partition, b, len(got), len(m.committed), p)
			}
		}
	}
}

// propose applies changes: all, only some, or later when they are stale.
func (r *modelRun) propose(changes []record.PartitionChange) {
	switch r.r.IntN(6) {
	case 0:
		changes = changes[:r.r.IntN(len(changes)+1)]
	case 1:
		r.late = append(r.late, &record.ChangePartition{Entries: changes})
		return
	}
	r.apply(&record.ChangePartition{Entries: changes})
}

func (r *modelRun) pick() (metadata.TopicPartition, *metadata.Topic, *metadata.Partition, *modelLog) {
	tp := metadata.TopicPartition{Topic: metadata.ID{0xf0, byte(r.r.IntN(4))}, Partition: r.r.Int32N(3)}
	t, _ := r.m.TopicByID(tp.Topic)
	p, _ := r.m.Partition(tp.Topic, tp.Partition)
	return tp, t, p, r.parts[tp]
}

// replicate appends, copies, and acknowledges.
func (r *modelRun) replicate() {
	_, t, p, m := r.pick()
	if p.Leader == metadata.NoLeader || r.broker(p.Leader).Fenced {
		return
	}
	for range r.r.IntN(4) {
		r.next++
		m.logs[p.Leader] = append(slices.Clip(m.logs[p.Leader]), r.next)
	}
	for _, b := range p.Replicas {
		if b != p.Leader && !r.broker(b).Fenced && r.r.IntN(3) > 0 {
			log := m.logs[p.Leader]
			have := len(common(log, m.logs[b]))
			m.logs[b] = slices.Clone(log[:have+r.r.IntN(len(log)-have+1)])
		}
	}
	if len(p.ISR) >= r.policy.EffectiveMinISR(r.m, t, p) {
		all := m.logs[p.Leader]
		for _, b := range p.ISR {
			all = common(all, m.logs[b])
		}
		// They may be in the ISR already without the leader's knowing it.
		for _, b := range m.asked {
			if m.askedAt == p.PartitionEpoch {
				all = common(all, m.logs[b])
			}
		}
		if len(all) > len(m.committed) {
			m.committed = slices.Clone(all)
		}
	}
	r.check()
}

// alter shrinks or expands an ISR as a leader does.
func (r *modelRun) alter() {
	tp, _, p, m := r.pick()
	if p.Leader == metadata.NoLeader || r.broker(p.Leader).Fenced {
		return
	}
	ask := &AlterISR{Topic: tp.Topic, Partition: tp.Partition, Broker: p.Leader, BrokerEpoch: r.broker(p.Leader).Epoch, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
	ineligible := false
	for _, b := range p.Replicas {
		log := m.logs[b]
		inSync := len(log) >= len(m.committed) && len(common(log, m.logs[p.Leader])) == len(log)
		if b == p.Leader || r.r.IntN(3) > 0 && (slices.Contains(p.ISR, b) || inSync) {
			ask.ISR = append(ask.ISR, ISRMember{b, r.broker(b).Epoch})
			ineligible = ineligible || !slices.Contains(p.ISR, b) && !r.broker(b).Active()
		}
	}
	c, err := r.policy.AlterISR(r.m, ask)
	if (err != nil) != ineligible {
		r.t.Fatalf("%v: %+v of %+v", err, ask, p)
	}
	if err == nil {
		if m.askedAt != p.PartitionEpoch {
			m.asked, m.askedAt = nil, p.PartitionEpoch
		}
		for _, member := range ask.ISR {
			m.asked = append(m.asked, member.Broker)
		}
		r.propose([]record.PartitionChange{c})
	}
}

func (r *modelRun) step() {
	b := r.r.Int32N(modelBrokers)
	x := r.broker(b)
	switch n := r.r.IntN(100); {
	case n < 40:
		r.replicate()
	case n < 62:
		r.alter()
	case n < 68:
		if !x.Fenced {
			r.apply(&record.FenceBroker{ID: b, Epoch: x.Epoch})
			r.propose(r.policy.Fenced(r.m, b))
		}
	case n < 72:
		if x.Fenced {
			r.process++
			lost := r.r.IntN(6) == 0
			if lost {
				for _, m := range r.parts {
					delete(m.logs, b)
				}
			}
			r.lose(b, lost)
		}
	case n < 80:
		if x.Fenced {
			r.unfence(b)
			r.propose(r.policy.Unfenced(r.m, b, r.r.IntN(2) == 0))
		}
	case n < 82:
		if x.Active() {
			r.apply(&record.ShutdownBroker{ID: b, Epoch: x.Epoch})
		}
	case n < 85:
		if x.ShuttingDown && !x.Fenced {
			changes, done := r.policy.Shutdown(r.m, b)
			if !done {
				r.propose(changes)
			} else if r.m.LedCount(b) == 0 {
				r.apply(&record.FenceBroker{ID: b, Epoch: x.Epoch})
			}
		}
	case n < 88:
		r.propose(r.policy.Settle(r.m, 1+r.r.IntN(12)))
	case n < 90:
		r.propose(r.policy.Preferred(r.m, 1+r.r.IntN(12)))
	case n < 91:
		tp, _, _, _ := r.pick()
		if c, err := r.policy.Elect(r.m, tp.Topic, tp.Partition, Election(r.r.IntN(2))); err == nil {
			r.apply(&record.ChangePartition{Entries: []record.PartitionChange{c}})
		}
	case n < 92:
		tp, _, _, _ := r.pick()
		r.apply(&record.SetTopicConfig{Topic: tp.Topic, Changes: []record.ConfigChange{{Key: metadata.MinISRKey, Value: strconv.Itoa(1 + r.r.IntN(3))}}})
	case n < 94:
		if r.r.IntN(4) == 0 {
			r.apply(&record.DrainBroker{ID: b, Draining: !x.Draining})
		}
		balance := Balance{MaxMoves: 3, MaxBytes: 10}
		for _, move := range balance.Moves(r.m) {
			a := r.policy.Reassign(r.m, []Reassignment{{move.Topic, move.Partition, move.Replicas}}, DefaultLimits)[0]
			if a.Err != nil {
				r.t.Fatal(a.Err)
			}
			r.propose([]record.PartitionChange{a.Change})
		}
		r.propose(r.policy.SpreadLeaders(r.m, 3))
	case n < 97:
		tp, _, p, _ := r.pick()
		wish := Reassignment{Topic: tp.Topic, Partition: tp.Partition}
		if r.r.IntN(4) > 0 {
			for _, b := range r.r.Perm(modelBrokers)[:max(1, min(3, len(target(p))))] {
				wish.Replicas = append(wish.Replicas, int32(b))
			}
		}
		if a := r.policy.Reassign(r.m, []Reassignment{wish}, DefaultLimits)[0]; a.Needed {
			r.propose([]record.PartitionChange{a.Change})
		}
	default:
		if len(r.late) > 0 {
			i := r.r.IntN(len(r.late))
			r.apply(r.late[i])
			r.late = slices.Delete(r.late, i, i+1)
		}
	}
}

// lose registers a new process. The model's logs are gone already if lost, so
// that nothing between may rely on them.
func (r *modelRun) lose(b int32, lost bool) {
	var incarnation metadata.ID
	incarnation[0], incarnation[1], incarnation[2] = 1, r.process, byte(r.r.IntN(256))
	incarnation[3] = byte(r.m.Index())
	incarnation[4] = byte(r.m.Index() >> 8)
	r.apply(&record.RegisterBroker{ID: b, Incarnation: incarnation, LostLog: lost, Rack: fmt.Sprint(b % 3)})
}

// heal brings all brokers back; afterwards every partition that has an
// eligible replica has a leader, and reassignments can end.
func (r *modelRun) heal() {
	r.late = nil
	for b := range int32(modelBrokers) {
		if x := r.broker(b); x.Fenced || x.ShuttingDown {
			if !x.Fenced {
				r.apply(&record.FenceBroker{ID: b, Epoch: x.Epoch})
			}
			r.process++
			r.lose(b, false)
			r.unfence(b)
		}
	}
	for range 4 {
		r.apply(&record.ChangePartition{Entries: r.policy.Settle(r.m, 1000)})
		for tp, m := range r.parts {
			p, _ := r.m.Partition(tp.Topic, tp.Partition)
			if p.Leader == metadata.NoLeader {
				if len(p.ISR)+len(p.ELR) > 0 {
					r.t.Fatalf("no leader though one is eligible: %+v", p)
				}
				continue
			}
			ask := &AlterISR{Topic: tp.Topic, Partition: tp.Partition, Broker: p.Leader, BrokerEpoch: r.broker(p.Leader).Epoch, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch}
			for _, b := range p.Replicas {
				m.logs[b] = slices.Clone(m.logs[p.Leader])
				ask.ISR = append(ask.ISR, ISRMember{b, r.broker(b).Epoch})
			}
			c, err := r.policy.AlterISR(r.m, ask)
			if err != nil {
				r.t.Fatal(err)
			}
			r.apply(&record.ChangePartition{Entries: []record.PartitionChange{c}})
		}
	}
	if n := len(r.policy.Settle(r.m, 1000)); n != 0 {
		r.t.Fatalf("%d changes still due", n)
	}
	for _, p := range r.m.AllPartitions() {
		if p.Leader != metadata.NoLeader && (reassigning(p) || len(p.ELR) > 0 || len(p.ISR) != len(p.Replicas)) {
			r.t.Fatalf("not settled: %+v", p)
		}
	}
}

// Whatever dies, comes back, lies about nothing but its disk, and however late
// a decision is applied: who may lead has all that was acknowledged.
func TestNoDecisionLosesRecords(t *testing.T) {
	runs := uint64(12)
	if v := os.Getenv("TIDELINE_METADATA_SEEDS"); v != "" {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		runs = n
	}
	for seed := range runs {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			r := newModelRun(t, seed)
			for range 1500 {
				r.step()
			}
			r.heal()
			committed := 0
			for _, m := range r.parts {
				committed += len(m.committed)
			}
			t.Logf("acknowledged=%d elections=%d unclean=%d", committed, r.elected, r.unclean)
			if r.elected == 0 || committed == 0 {
				t.Fatal("nothing happened")
			}
		})
	}
}
