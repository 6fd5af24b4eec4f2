package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

var now = time.UnixMilli(1_700_000_000_000)

// cluster is an image that commands are applied to.
type cluster struct {
	t testing.TB
	*metadata.Image
}

// newCluster has n brokers in service, spread over the racks.
func newCluster(t testing.TB, n int, racks ...string) *cluster {
	c := &cluster{t, new(metadata.Image)}
	c.apply(&record.InitCluster{ClusterID: "c"})
	for i := range n {
		rack := ""
		if len(racks) > 0 {
			rack = racks[i%len(racks)]
		}
		r := c.apply(&record.RegisterBroker{ID: int32(i), Incarnation: metadata.ID{byte(i + 1)}, Rack: rack})
		c.apply(&record.UnfenceBroker{ID: int32(i), Epoch: r.BrokerEpoch})
	}
	return c
}

func (c *cluster) apply(cmd record.Command) record.Result {
	c.t.Helper()
	next, r := metadata.Apply(c.Image, c.Index()+1, cmd)
	if r.Reason != record.OK {
		c.t.Fatalf("%s: %v", cmd.Type(), r.Reason)
	}
	for _, e := range r.Entries {
		if e.Reason != record.OK {
			c.t.Fatalf("%s: %v", cmd.Type(), e.Reason)
		}
	}
	c.Image = next
	if err := metadata.Check(next); err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c *cluster) create(name string, partitions, factor int) *metadata.Topic {
	c.t.Helper()
	cmd, err := Create(c.Image, &CreateTopic{ID: metadata.ID{0xf0, byte(c.TopicCount())}, Name: name, Partitions: partitions, ReplicationFactor: factor}, Defaults{}, DefaultLimits, now)
	if err != nil {
		c.t.Fatal(err)
	}
	c.apply(cmd)
	t, _ := c.Topic(name)
	return t
}

func TestTopicNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "A-b_c.9": true, strings.Repeat("x", 249): true, "...": true, "__consumer_offsets": true,
		"": false, ".": false, "..": false, strings.Repeat("x", 250): false, "a b": false, "a/b": false, "ü": false, "a\n": false, "a:b": false,
	} {
		if err := ValidTopicName(name); (err == nil) != ok || err != nil && !errors.Is(err, ErrInvalidTopic) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestCreateDecisions(t *testing.T) {
	c := newCluster(t, 3)
	c.create("taken", 1, 1)
	d := Defaults{Partitions: 4, ReplicationFactor: 2}
	for name, x := range map[string]struct {
		change func(*CreateTopic)
		want   error
	}{
		"defaults":              {func(*CreateTopic) {}, nil},
		"name":                  {func(r *CreateTopic) { r.Name = "a b" }, ErrInvalidTopic},
		"exists":                {func(r *CreateTopic) { r.Name = "taken" }, ErrTopicExists},
		"no id":                 {func(r *CreateTopic) { r.ID = metadata.ID{} }, ErrInvalidRequest},
		"zero partitions":       {func(r *CreateTopic) { r.Partitions = 0 }, ErrInvalidPartitions},
		"negative partitions":   {func(r *CreateTopic) { r.Partitions = -2 }, ErrInvalidPartitions},
		"many partitions":       {func(r *CreateTopic) { r.Partitions = DefaultLimits.MaxTopicPartitions + 1 }, ErrInvalidPartitions},
		"zero factor":           {func(r *CreateTopic) { r.ReplicationFactor = 0 }, ErrInvalidReplicationFactor},
		"factor above brokers":  {func(r *CreateTopic) { r.ReplicationFactor = 4 }, ErrInvalidReplicationFactor},
		"assigned":              {func(r *CreateTopic) { r.Assignments = [][]int32{{2, 0}, {1, 0}} }, nil},
		"assigned empty":        {func(r *CreateTopic) { r.Assignments = [][]int32{{}} }, ErrInvalidAssignment},
		"assigned twice":        {func(r *CreateTopic) { r.Assignments = [][]int32{{1, 1}} }, ErrInvalidAssignment},
		"assigned unevenly":     {func(r *CreateTopic) { r.Assignments = [][]int32{{1, 0}, {1}} }, ErrInvalidAssignment},
		"assigned unknown":      {func(r *CreateTopic) { r.Assignments = [][]int32{{9}} }, ErrInvalidAssignment},
		"assigned and counted":  {func(r *CreateTopic) { r.Assignments, r.Partitions = [][]int32{{1}}, 2 }, ErrInvalidRequest},
		"assigned and factored": {func(r *CreateTopic) { r.Assignments, r.ReplicationFactor = [][]int32{{1}}, 2 }, ErrInvalidRequest},
		"large setting":         {func(r *CreateTopic) { r.Configs = map[string]string{"a": strings.Repeat("x", record.MaxConfigBytes)} }, ErrInvalidConfig},
	} {
		r := &CreateTopic{ID: metadata.ID{7}, Name: "new", Partitions: -1, ReplicationFactor: -1, Configs: map[string]string{"b": "2", "a": "1"}}
		x.change(r)
		cmd, err := Create(c.Image, r, d, DefaultLimits, now)
		if !errors.Is(err, x.want) || (err == nil) != (x.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, x.want)
		}
		if err == nil {
			if next, res := metadata.Apply(c.Image, 99, cmd); res.Reason != record.OK || metadata.Check(next) != nil {
				t.Errorf("%s: %v", name, res.Reason)
			}
		}
	}
	if _, err := Create(c.Image, &CreateTopic{ID: metadata.ID{7}, Name: "x", Partitions: 10, ReplicationFactor: 3}, d, Limits{MaxTopicPartitions: 10, MaxReplicas: 30}, now); !errors.Is(err, ErrInvalidPartitions) {
		t.Error("replicas of the cluster:", err)
	}
	if _, err := Create(newCluster(t, 0).Image, &CreateTopic{ID: metadata.ID{7}, Name: "x", Partitions: 1, ReplicationFactor: 1}, d, DefaultLimits, now); !errors.Is(err, ErrNoBrokers) {
		t.Error(err)
	}
}

// Replicas are distinct, in as many racks as there are, and evenly spread.
func TestPlacement(t *testing.T) {
	for _, racks := range [][]string{{""}, {"a", "b", "c"}, {"a", "b"}, {"a", "a", "b", "c"}} {
		for brokers := 1; brokers <= 9; brokers++ {
			var list []Candidate
			names := map[string]bool{}
			for i := range brokers {
				list = append(list, Candidate{ID: int32(10 + i), Rack: racks[i%len(racks)]})
				names[racks[i%len(racks)]] = true
			}
			for factor := 1; factor <= brokers; factor++ {
				for spread := range uint32(11) {
					const partitions = 90
					got, err := Place(list, partitions, factor, 3, spread*977)
					if err != nil {
						t.Fatal(err)
					}
					leaders := map[int32]int{}
					for i, replicas := range got {
						leaders[replicas[0]]++
						inRacks, seen := map[string]bool{}, map[int32]bool{}
						for _, b := range replicas {
							seen[b] = true
							inRacks[list[b-10].Rack] = true
						}
						if len(seen) != factor || len(inRacks) != min(factor, len(names)) {
							t.Fatalf("racks=%v brokers=%d factor=%d partition=%d: %v", racks, brokers, factor, i, replicas)
						}
					}
					for b, n := range leaders {
						if want := partitions / brokers; n < want || n > want+1 {
							t.Fatalf("broker %d leads %d of %d", b, n, partitions)
						}
					}
				}
			}
		}
	}
	// Followers of one leader are spread too: the loss of a broker is shared.
	got, err := Place([]Candidate{{ID: 0}, {ID: 1}, {ID: 2}, {ID: 3}}, 12, 2, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	followers := map[int32]bool{}
	for _, r := range got {
		if r[0] == 0 {
			followers[r[1]] = true
		}
	}
	if len(followers) != 3 {
		t.Fatalf("followers of broker 0: %v", followers)
	}
}

func TestGrowDecisions(t *testing.T) {
	c := newCluster(t, 3)
	topic := c.create("t", 2, 2)
	grow := func(total int, manual [][]int32) (*record.CreatePartitions, error) {
		return Grow(c.Image, topic.ID, total, manual, 0, DefaultLimits)
	}
	for _, x := range []struct {
		total  int
		manual [][]int32
		want   error
	}{
		{2, nil, ErrInvalidPartitions}, {1, nil, ErrInvalidPartitions}, {1 << 30, nil, ErrInvalidPartitions},
		{4, [][]int32{{0, 1}}, ErrInvalidAssignment}, {3, [][]int32{{0}}, ErrInvalidAssignment}, {3, [][]int32{{0, 9}}, ErrInvalidAssignment},
	} {
		if _, err := grow(x.total, x.manual); !errors.Is(err, x.want) {
			t.Errorf("%+v: %v", x, err)
		}
	}
	cmd, err := grow(5, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.apply(cmd)
	cmd, err = grow(6, [][]int32{{2, 1}})
	if err != nil {
		t.Fatal(err)
	}
	c.apply(cmd)
	if p, ok := c.Partition(topic.ID, 5); !ok || p.Leader != 2 {
		t.Fatal(p)
	}
	if _, err := Grow(c.Image, metadata.ID{1}, 3, nil, 0, DefaultLimits); !errors.Is(err, ErrUnknownTopic) {
		t.Error(err)
	}
	if _, err := Delete(c.Image, metadata.ID{1}, now); !errors.Is(err, ErrUnknownTopic) {
		t.Error(err)
	}
	del, err := Delete(c.Image, topic.ID, now)
	if err != nil {
		t.Fatal(err)
	}
	c.apply(del)
}

func TestConfigDecisions(t *testing.T) {
	c := newCluster(t, 1)
	topic := c.create("t", 1, 1)
	alter := func(ops ...ConfigOp) error {
		cmd, err := TopicConfig(c.Image, topic.ID, ops, func(string) string { return "delete" })
		if err == nil {
			c.apply(cmd)
		}
		return err
	}
	expect := func(want string) {
		t.Helper()
		x, _ := c.Topic("t")
		if got := fmt.Sprint(x.Configs); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	if err := alter(ConfigOp{Key: "cleanup.policy", Value: "compact", Kind: OpAppend}, ConfigOp{Key: "a", Value: "1"}); err != nil {
		t.Fatal(err)
	}
	expect("[{a 1} {cleanup.policy delete,compact}]")
	if err := alter(ConfigOp{Key: "cleanup.policy", Value: "delete, x", Kind: OpSubtract}, ConfigOp{Key: "a", Kind: OpDelete}); err != nil {
		t.Fatal(err)
	}
	expect("[{cleanup.policy compact}]")
	for _, ops := range [][]ConfigOp{{{Key: ""}}, {{Key: "a"}, {Key: "a"}}, {{Key: "a", Kind: 9}}} {
		if err := alter(ops...); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%+v: %v", ops, err)
		}
	}
	if err := alter(ConfigOp{Key: "a", Value: strings.Repeat("x", record.MaxConfigBytes)}); !errors.Is(err, ErrInvalidConfig) {
		t.Error(err)
	}
	// A replacement: what is not named goes.
	if err := alter(ConfigOp{Key: "z", Value: "9"}, ConfigOp{Key: "cleanup.policy", Kind: OpDelete}); err != nil {
		t.Fatal(err)
	}
	expect("[{z 9}]")
	if _, err := BrokerConfig(c.Image, 5, nil, nil); !errors.Is(err, ErrUnknownBroker) {
		t.Error(err)
	}
	b, err := BrokerConfig(c.Image, record.DefaultBroker, []ConfigOp{{Key: "k", Value: "v", Kind: OpAppend}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.apply(b)
	if v, _ := c.BrokerConfigs(record.DefaultBroker).Get("k"); v != "v" {
		t.Fatal(v)
	}
}

func TestRegistration(t *testing.T) {
	c := newCluster(t, 2)
	again := &Registration{ID: 1, Incarnation: metadata.ID{99}}
	if _, err := Register(c.Image, again, now, time.Hour); !errors.Is(err, ErrDuplicateBroker) {
		t.Fatal(err)
	}
	if _, err := Register(c.Image, &Registration{ID: 1, Incarnation: metadata.ID{2}}, now, time.Hour); err != nil {
		t.Fatal("the same process:", err)
	}
	if _, err := Register(c.Image, &Registration{ID: -1, Incarnation: metadata.ID{2}}, now, time.Hour); !errors.Is(err, ErrInvalidRequest) {
		t.Fatal(err)
	}
	again.Alone = true
	cmd, err := Register(c.Image, again, now, time.Hour)
	if err != nil || cmd.Due != now.Add(time.Hour).UnixMilli() {
		t.Fatal(err)
	}
	c.apply(cmd)
	ids, err := AllocateProducerIDs(c.Image, 1)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.apply(ids); r.FirstProducerID != 0 || c.NextProducerID() != ProducerIDBlock {
		t.Fatal(r)
	}
	if _, err := AllocateProducerIDs(c.Image, 7); !errors.Is(err, ErrUnknownBroker) {
		t.Fatal(err)
	}
}

// A broker leaves and comes back: leadership moves within the ISR, the last
// in-sync replica is never dropped, and every new leader has a new epoch.
func TestFailover(t *testing.T) {
	c := newCluster(t, 3)
	topic := c.create("t", 6, 2)
	alone := c.create("alone", 3, 1)
	change := func(entries []record.PartitionChange) {
		t.Helper()
		for _, cmd := range record.ChunkChange(entries) {
			c.apply(cmd)
		}
	}
	epochs := map[int32]int32{}
	led := c.LedCount(0)
	for p := range c.Partitions(topic) {
		epochs[p.Index] = p.LeaderEpoch
	}
	b, _ := c.Broker(0)
	c.apply(&record.FenceBroker{ID: 0, Epoch: b.Epoch})
	change(Policy{}.Fenced(c.Image, 0))
	if c.LedCount(0) != 0 || led == 0 {
		t.Fatal("a fenced broker leads", c.LedCount(0))
	}
	for p := range c.Partitions(topic) {
		if p.Leader == metadata.NoLeader || slices.Contains(p.ISR, 0) {
			t.Fatalf("%+v", p)
		}
		if moved := p.Replicas[0] == 0; moved != (p.LeaderEpoch > epochs[p.Index]) {
			t.Fatalf("epoch %d, before %d: %+v", p.LeaderEpoch, epochs[p.Index], p)
		}
	}
	for p := range c.Partitions(alone) {
		if p.Replicas[0] == 0 && (p.Leader != metadata.NoLeader || len(p.ISR) != 0 || !slices.Equal(p.ELR, []int32{0})) {
			t.Fatalf("%+v", p)
		}
	}
	if len(Policy{}.Fenced(c.Image, 0)) != 0 {
		t.Fatal("not settled")
	}

	r := c.apply(&record.RegisterBroker{ID: 0, Incarnation: metadata.ID{77}})
	c.apply(&record.UnfenceBroker{ID: 0, Epoch: r.BrokerEpoch})
	change(Policy{}.Unfenced(c.Image, 0, true))
	for p := range c.Partitions(alone) {
		if p.Replicas[0] == 0 && p.Leader != 0 {
			t.Fatalf("%+v", p)
		}
	}
	if len(Policy{}.Preferred(c.Image, 100)) != 0 {
		t.Fatal("leadership given to a replica that is not in sync")
	}
	var back []record.PartitionChange // the followers catch up
	for p := range c.Partitions(topic) {
		if slices.Contains(p.Replicas, 0) {
			back = append(back, record.PartitionChange{Topic: topic.ID, Partition: p.Index, PartitionEpoch: p.PartitionEpoch, Leader: p.Leader, ISR: p.Replicas})
		}
	}
	change(back)
	if got := len(Policy{}.Preferred(c.Image, 1)); got != 1 {
		t.Fatal(got)
	}
	change(Policy{}.Preferred(c.Image, 100))
	if c.LedCount(0) != led {
		t.Fatalf("leads %d, before %d", c.LedCount(0), led)
	}

	// A restart without a fence: the same leader, new epochs.
	p, _ := c.Partition(alone.ID, 0)
	before := p.LeaderEpoch
	change(Policy{}.Unfenced(c.Image, p.Leader, true))
	if p, _ := c.Partition(alone.ID, 0); p.LeaderEpoch != before+1 {
		t.Fatalf("%+v", p)
	}
	if len(Policy{}.Unfenced(c.Image, 1, false)) != 0 {
		t.Fatal("changes without need")
	}
}
