package controller

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// one has five brokers in service and a partition of three replicas on 0, 1
// and 2, led by 0.
func one(t testing.TB) (*cluster, metadata.ID) {
	c := newCluster(t, 5)
	id := metadata.ID{0xee}
	c.apply(&record.CreateTopic{ID: id, Name: "one", Assignments: [][]int32{{0, 1, 2}}})
	return c, id
}

func (c *cluster) fence(p Policy, ids ...int32) {
	c.t.Helper()
	for _, id := range ids {
		b, _ := c.Broker(id)
		c.apply(&record.FenceBroker{ID: id, Epoch: b.Epoch})
		c.change(p.Fenced(c.Image, id))
	}
}

// restart registers new processes, which come into service.
func (c *cluster) restart(p Policy, lost bool, ids ...int32) {
	c.t.Helper()
	for _, id := range ids {
		r := c.apply(&record.RegisterBroker{ID: id, Incarnation: metadata.ID{0x99, byte(id), byte(c.Index())}, LostLog: lost})
		c.apply(&record.UnfenceBroker{ID: id, Epoch: r.BrokerEpoch})
		c.change(p.Unfenced(c.Image, id, true))
	}
}

// state is who leads, the ISR, the ELR and the last known ELR.
func (c *cluster) state(id metadata.ID) string {
	x, _ := c.Partition(id, 0)
	return fmt.Sprintf("leader=%d isr=%v elr=%v last=%v", x.Leader, x.ISR, x.ELR, x.LastKnownELR)
}

// The ELR over failures, as KIP-966 has it.
func TestEligibleLeaders(t *testing.T) {
	type step struct {
		do   func(c *cluster, p Policy)
		want string
	}
	fence := func(ids ...int32) func(*cluster, Policy) { return func(c *cluster, p Policy) { c.fence(p, ids...) } }
	back := func(lost bool, ids ...int32) func(*cluster, Policy) {
		return func(c *cluster, p Policy) { c.restart(p, lost, ids...) }
	}
	for name, x := range map[string]struct {
		p     Policy
		steps []step
	}{
		"one after the other": {Policy{MinISR: 2}, []step{
			{fence(0), "leader=1 isr=[1 2] elr=[] last=[]"},
			{fence(1), "leader=2 isr=[2] elr=[1] last=[]"},
			{fence(2), "leader=-1 isr=[] elr=[1 2] last=[]"},
			{back(false, 0), "leader=-1 isr=[] elr=[1 2] last=[]"}, // it may lack records
			{back(false, 1), "leader=1 isr=[1] elr=[2] last=[]"},
			{back(false, 2), "leader=1 isr=[1] elr=[2] last=[]"},
		}},
		"last one loses its disk": {Policy{MinISR: 2}, []step{
			{fence(0, 1, 2), "leader=-1 isr=[] elr=[1 2] last=[]"},
			{back(true, 2), "leader=-1 isr=[] elr=[1] last=[2]"},
			{back(false, 1), "leader=1 isr=[1] elr=[] last=[2]"},
		}},
		"min 1": {Policy{MinISR: 1}, []step{
			{fence(0, 1), "leader=2 isr=[2] elr=[] last=[]"},
			{fence(2), "leader=-1 isr=[] elr=[2] last=[]"},
			{back(false, 0, 1), "leader=-1 isr=[] elr=[2] last=[]"},
			{back(false, 2), "leader=2 isr=[2] elr=[] last=[]"},
		}},
		"unclean by setting": {Policy{MinISR: 1, Unclean: true}, []step{
			{fence(0, 1, 2), "leader=-1 isr=[] elr=[2] last=[]"},
			{back(false, 1), "leader=1 isr=[1] elr=[] last=[]"},
		}},
		"all disks lost": {Policy{MinISR: 3}, []step{
			{fence(0, 1, 2), "leader=-1 isr=[] elr=[0 1 2] last=[]"},
			{back(true, 0), "leader=-1 isr=[] elr=[1 2] last=[0]"},
			{back(true, 1), "leader=-1 isr=[] elr=[2] last=[0 1]"},
			{back(true, 2), "leader=0 isr=[0] elr=[] last=[]"}, // waiting is in vain
		}},
		"min above the replicas": {Policy{MinISR: 9}, []step{
			{fence(2), "leader=0 isr=[0 1] elr=[2] last=[]"},
			{back(false, 2), "leader=0 isr=[0 1] elr=[2] last=[]"},
			{fence(0), "leader=1 isr=[1] elr=[2 0] last=[]"},
		}},
		"leader restarts unnoticed": {Policy{MinISR: 2}, []step{
			{back(false, 0), "leader=0 isr=[0 1 2] elr=[] last=[]"},
		}},
		"leader restarts without its disk": {Policy{MinISR: 2}, []step{
			{func(c *cluster, _ Policy) {
				c.apply(&record.RegisterBroker{ID: 0, Incarnation: metadata.ID{0x98}, LostLog: true})
			}, "leader=-1 isr=[1 2] elr=[] last=[0]"},
			{func(c *cluster, p Policy) { c.change(p.Settle(c.Image, 10)) }, "leader=1 isr=[1 2] elr=[] last=[]"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c, id := one(t)
			for i, s := range x.steps {
				before, _ := c.Partition(id, 0)
				s.do(c, x.p)
				if got := c.state(id); got != s.want {
					t.Fatalf("step %d: %s, want %s", i, got, s.want)
				}
				if after, _ := c.Partition(id, 0); after.Leader != before.Leader && after.LeaderEpoch == before.LeaderEpoch {
					t.Fatalf("step %d: new leader, old epoch", i)
				}
			}
		})
	}
}

func TestTopicSettingsOfElections(t *testing.T) {
	c, id := one(t)
	p := Policy{MinISR: 1}
	topic, _ := c.TopicByID(id)
	x, _ := c.Partition(id, 0)
	if n := p.EffectiveMinISR(c.Image, topic, x); n != 1 {
		t.Fatal(n)
	}
	c.apply(Policy{MinISR: 2}.Publish(c.Image))
	if p.Publish(c.Image) != nil || p.EffectiveMinISR(c.Image, topic, x) != 2 {
		t.Fatal("the setting of the cluster stands before that of the broker")
	}
	c.apply(&record.SetTopicConfig{Topic: id, Changes: []record.ConfigChange{{Key: metadata.MinISRKey, Value: "7"}, {Key: uncleanKey, Value: "true"}}})
	topic, _ = c.TopicByID(id)
	if p.EffectiveMinISR(c.Image, topic, x) != 3 || !p.unclean(c.Image, topic) {
		t.Fatal("the setting of the topic stands before that of the cluster")
	}
}

func TestElect(t *testing.T) {
	p := Policy{MinISR: 1}
	for name, x := range map[string]struct {
		do     func(c *cluster)
		kind   Election
		leader int32
		want   error
	}{
		"preferred leads":        {func(*cluster) {}, ElectPreferred, 0, ErrElectionNotNeeded},
		"preferred is not in":    {func(c *cluster) { c.fence(p, 0); c.restart(p, false, 0) }, ElectPreferred, 0, ErrPreferredNotAvailable},
		"preferred is in":        {func(c *cluster) { c.move(1) }, ElectPreferred, 0, nil},
		"unclean, it has one":    {func(*cluster) {}, ElectUnclean, 0, ErrElectionNotNeeded},
		"unclean, nobody there":  {func(c *cluster) { c.fence(p, 0, 1, 2) }, ElectUnclean, 0, ErrNoEligibleLeader},
		"unclean, a late one":    {func(c *cluster) { c.fence(p, 0, 1, 2); c.restart(p, false, 1) }, ElectUnclean, 1, nil},
		"unclean, one lost logs": {func(c *cluster) { c.fence(p, 0, 1, 2); c.restart(p, true, 2); c.restart(p, false, 1) }, ElectUnclean, 1, nil},
		"another kind":           {func(*cluster) {}, 7, 0, ErrInvalidRequest},
	} {
		c, id := one(t)
		x.do(c)
		change, err := p.Elect(c.Image, id, 0, x.kind)
		if !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err == nil {
			r := c.apply(&record.ChangePartition{Entries: []record.PartitionChange{change}})
			if got, _ := c.Partition(id, 0); got.Leader != x.leader || r.Entries[0].Unclean != (x.kind == ElectUnclean) {
				t.Errorf("%s: %s %+v", name, c.state(id), r.Entries[0])
			}
		}
	}
	c, id := one(t)
	if _, err := p.Elect(c.Image, metadata.ID{1}, 0, ElectPreferred); !errors.Is(err, ErrUnknownTopic) {
		t.Error(err)
	}
	if _, err := p.Elect(c.Image, id, 1, ElectPreferred); !errors.Is(err, ErrUnknownPartition) {
		t.Error(err)
	}
}

// move makes another member of the ISR the leader.
func (c *cluster) move(to int32) {
	for _, x := range c.AllPartitions() {
		c.change([]record.PartitionChange{{Topic: x.Topic, Partition: x.Index, PartitionEpoch: x.PartitionEpoch, Leader: to}})
	}
}

func TestAlterISR(t *testing.T) {
	p := Policy{MinISR: 2}
	c, id := one(t)
	x, _ := c.Partition(id, 0)
	members := func(ids ...int32) (out []ISRMember) {
		for _, id := range ids {
			b, ok := c.Broker(id)
			if !ok {
				b = &metadata.Broker{}
			}
			out = append(out, ISRMember{id, b.Epoch})
		}
		return out
	}
	ask := func(change func(*AlterISR)) (record.PartitionChange, error) {
		x, _ = c.Partition(id, 0)
		b, _ := c.Broker(0)
		r := &AlterISR{Topic: id, Broker: 0, BrokerEpoch: b.Epoch, LeaderEpoch: x.LeaderEpoch, PartitionEpoch: x.PartitionEpoch, ISR: members(0, 1)}
		change(r)
		return p.AlterISR(c.Image, r)
	}
	for name, x := range map[string]struct {
		change func(*AlterISR)
		want   error
	}{
		"topic":               {func(r *AlterISR) { r.Topic = metadata.ID{1} }, ErrUnknownTopic},
		"partition":           {func(r *AlterISR) { r.Partition = 1 }, ErrUnknownPartition},
		"older process":       {func(r *AlterISR) { r.BrokerEpoch-- }, ErrStaleBrokerEpoch},
		"unknown broker":      {func(r *AlterISR) { r.Broker = 77 }, ErrStaleBrokerEpoch},
		"older leader epoch":  {func(r *AlterISR) { r.LeaderEpoch-- }, ErrFencedLeaderEpoch},
		"newer leader epoch":  {func(r *AlterISR) { r.LeaderEpoch++ }, ErrBehind},
		"older change":        {func(r *AlterISR) { r.PartitionEpoch-- }, ErrStalePartitionEpoch},
		"newer change":        {func(r *AlterISR) { r.PartitionEpoch++ }, ErrBehind},
		"not the leader":      {func(r *AlterISR) { r.Broker, r.BrokerEpoch = 1, members(1)[0].Epoch }, ErrInvalidRequest},
		"without the leader":  {func(r *AlterISR) { r.ISR = members(1) }, ErrInvalidRequest},
		"empty":               {func(r *AlterISR) { r.ISR = nil }, ErrInvalidRequest},
		"twice":               {func(r *AlterISR) { r.ISR = members(0, 1, 1) }, ErrInvalidRequest},
		"not a replica":       {func(r *AlterISR) { r.ISR = members(0, 3) }, ErrInvalidRequest},
		"restarted meanwhile": {func(r *AlterISR) { r.ISR = members(0, 1); r.ISR[1].Epoch-- }, ErrIneligibleReplica},
	} {
		if _, err := ask(x.change); !errors.Is(err, x.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ok := func(want string, ids ...int32) {
		t.Helper()
		change, err := ask(func(r *AlterISR) { r.ISR = members(ids...) })
		if err != nil {
			t.Fatal(err)
		}
		c.change([]record.PartitionChange{change})
		if got := c.state(id); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	ok("leader=0 isr=[0] elr=[1 2] last=[]", 0)
	ok("leader=0 isr=[0 2] elr=[] last=[]", 0, 2)
	b, _ := c.Broker(1)
	c.apply(&record.ShutdownBroker{ID: 1, Epoch: b.Epoch})
	if _, err := ask(func(r *AlterISR) { r.ISR = members(0, 1, 2) }); !errors.Is(err, ErrIneligibleReplica) {
		t.Fatal(err)
	}
	c.fence(p, 1)
	if _, err := ask(func(r *AlterISR) { r.ISR = members(0, 1, 2) }); !errors.Is(err, ErrIneligibleReplica) {
		t.Fatal(err)
	}
	c.restart(p, false, 1)
	ok("leader=0 isr=[0 1 2] elr=[] last=[]", 0, 1, 2)
	if change, err := ask(func(r *AlterISR) { r.ISR = members(0, 1, 2) }); err != nil || !slices.Equal(change.ISR, []int32{0, 1, 2}) || len(change.ISREpochs) != 3 {
		t.Fatalf("%+v %v", change, err)
	}
}

// The death of a broker with 10,000 partitions takes a few commands.
func TestFencingIsFewCommands(t *testing.T) {
	c := bigCluster(t, 3)
	b, _ := c.Broker(1)
	led := c.LedCount(1)
	next, _ := metadata.Apply(c.Image, c.Index()+1, &record.FenceBroker{ID: 1, Epoch: b.Epoch})
	chunks := record.ChunkChange(Policy{MinISR: 2}.Fenced(next, 1))
	if len(chunks) > 3 {
		t.Fatalf("%d commands", len(chunks))
	}
	for _, cmd := range chunks {
		var r record.Result
		if next, r = metadata.Apply(next, next.Index()+1, cmd); r.Accepted() != len(cmd.Entries) {
			t.Fatalf("%d of %d accepted", r.Accepted(), len(cmd.Entries))
		}
	}
	if err := metadata.Check(next); err != nil {
		t.Fatal(err)
	}
	if next.LedCount(1) != 0 || next.LedCount(0)+next.LedCount(2) != 10_000 || led == 0 {
		t.Fatal(next.LedCount(0), next.LedCount(1), next.LedCount(2))
	}
}
