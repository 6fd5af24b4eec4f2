package metadata

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

func TestFeatureLevels(t *testing.T) {
	w := newLedgerWorld(t)
	level := func(n int32, down bool, want record.Reason) {
		t.Helper()
		w.want(&record.FinalizeFeatures{Updates: []Feature{{Name: "tideline.version", Level: n}}, Downgrade: down}, want)
	}
	level(1, false, record.UnsupportedLevel) // broker 1 said nothing of it
	w.ok(&record.RegisterBroker{ID: 1, Incarnation: ID{1}, Features: []record.FeatureRange{{Name: "tideline.version", Min: 1, Max: 2}}})
	level(3, false, record.UnsupportedLevel)
	level(2, false, record.OK)
	level(2, false, record.Already)
	level(1, false, record.Invalid)
	if got := w.image.FeatureLevel("tideline.version"); got != 2 {
		t.Fatal(got)
	}
	w.want(&record.RegisterBroker{ID: 2, Incarnation: ID{2}, Features: []record.FeatureRange{{Name: "tideline.version", Min: 1, Max: 1}}}, record.UnsupportedLevel)
	level(1, true, record.OK)
	w.ok(&record.RegisterBroker{ID: 2, Incarnation: ID{2}, Features: []record.FeatureRange{{Name: "tideline.version", Min: 1, Max: 1}}})
	level(0, true, record.OK)
	if len(w.image.Features()) != 0 {
		t.Fatal(w.image.Features())
	}
}

func TestBrokerLifecycle(t *testing.T) {
	w := newLedgerWorld(t)
	w.want(&record.FenceBroker{ID: 1, Epoch: w.epoch + 1}, record.StaleBrokerEpoch)
	w.ok(&record.FenceBroker{ID: 1, Epoch: w.epoch})
	w.want(&record.FenceBroker{ID: 1, Epoch: w.epoch}, record.Already)
	// The same process again: nothing of its standing changes.
	if r := w.ok(&record.RegisterBroker{ID: 1, Incarnation: ID{1}, Rack: "r"}); r.BrokerEpoch != w.epoch {
		t.Fatal(r.BrokerEpoch)
	}
	w.want(&record.RemoveBroker{ID: 1}, record.BrokerInUse)
	if r := w.ok(&record.RegisterBroker{ID: 1, Incarnation: ID{5}}); r.BrokerEpoch != w.epoch+1 {
		t.Fatal(r.BrokerEpoch)
	}
	w.want(&record.UnfenceBroker{ID: 1, Epoch: w.epoch}, record.StaleBrokerEpoch)
	w.ok(&record.DeleteTopic{ID: w.topic})
	w.ok(&record.SetBrokerConfig{Broker: 1, Changes: []record.ConfigChange{{Key: "a", Value: "b"}}})
	w.ok(&record.RemoveBroker{ID: 1})
	w.want(&record.RemoveBroker{ID: 1}, record.Already)
	if w.image.BrokerCount() != 0 || w.image.BrokerConfigs(1) != nil {
		t.Fatal("broker or its settings left")
	}
	w.want(&record.AllocateProducerIDs{Broker: 1, BrokerEpoch: 2, Count: 1}, record.NoBroker)
}

// TestLayout: what consumers are assigned by is known to have changed when it has, and not
// with every command.
func TestLayout(t *testing.T) {
	w := newLedgerWorld(t)
	moves := func(what string, want bool, change func()) {
		t.Helper()
		before := w.image.Layout()
		change()
		if got := w.image.Layout() != before; got != want {
			t.Errorf("%s: layout moved=%t", what, got)
		}
	}
	moves("settings", false, func() {
		w.ok(&record.SetGroupConfig{Group: "g", Changes: []record.ConfigChange{{Key: "k", Value: "v"}}})
	})
	moves("a new broker", true, func() { w.ok(&record.RegisterBroker{ID: 2, Incarnation: ID{2}, Rack: "a"}) })
	moves("its restart", false, func() { w.ok(&record.RegisterBroker{ID: 2, Incarnation: ID{3}, Rack: "a"}) })
	moves("its other rack", true, func() { w.ok(&record.RegisterBroker{ID: 2, Incarnation: ID{4}, Rack: "b"}) })
	moves("a topic that goes", true, func() { w.ok(&record.DeleteTopic{ID: w.topic}) })
	again, err := ReadImage(bytes.NewReader(snapshotBytes(t, w.image)))
	if err != nil || again.Layout() < w.image.Layout() {
		t.Errorf("layout went back: %d to %d, %v", w.image.Layout(), again.Layout(), err)
	}
}

func TestGroupConfigs(t *testing.T) {
	w := newLedgerWorld(t)
	set := func(group, value string) *record.SetGroupConfig {
		return &record.SetGroupConfig{Group: group, Changes: []record.ConfigChange{{Key: "k", Value: value, Delete: value == ""}}}
	}
	w.want(set("", "1"), record.Invalid)
	w.ok(set("g", "1"))
	again, err := ReadImage(bytes.NewReader(snapshotBytes(t, w.image)))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Image{w.image, again} {
		if v, ok := m.GroupConfigs("g").Get("k"); !ok || v != "1" {
			t.Fatalf("got %v", m.GroupConfigs("g"))
		}
	}
	w.ok(set("g", ""))
	w.ok(set("g", ""))
	if w.image.groupConfigs.Len() != 0 {
		t.Fatal("a group without settings takes room")
	}
	for i := range record.MaxGroupConfigs {
		w.ok(set(fmt.Sprint(i), "1"))
	}
	w.want(set("g", "1"), record.TooMany)
	w.ok(set("1", "2"))
}

func TestChangePartition(t *testing.T) {
	w := newLedgerWorld(t)
	for b := int32(2); b <= 3; b++ {
		r := w.ok(&record.RegisterBroker{ID: b, Incarnation: ID{byte(b)}})
		w.ok(&record.UnfenceBroker{ID: b, Epoch: r.BrokerEpoch})
	}
	for _, c := range []struct {
		name   string
		change record.PartitionChange
		want   record.Reason
		leader int32
		epochs [2]int32 // leader and partition epoch afterwards
	}{
		{"stale", record.PartitionChange{PartitionEpoch: 1, Leader: 1}, record.StaleEpoch, 1, [2]int32{0, 0}},
		{"more replicas", record.PartitionChange{Leader: 1, Replicas: []int32{1, 2, 3}, Adding: []int32{2, 3}}, record.OK, 1, [2]int32{0, 1}},
		{"leader not in sync", record.PartitionChange{PartitionEpoch: 1, Leader: 2}, record.Invalid, 1, [2]int32{0, 1}},
		{"isr outside", record.PartitionChange{PartitionEpoch: 1, Leader: 1, ISR: []int32{1, 4}}, record.Invalid, 1, [2]int32{0, 1}},
		{"isr empty", record.PartitionChange{PartitionEpoch: 1, Leader: 1, ISR: []int32{}}, record.Invalid, 1, [2]int32{0, 1}},
		{"isr repeats", record.PartitionChange{PartitionEpoch: 1, Leader: 1, ISR: []int32{1, 1}}, record.Invalid, 1, [2]int32{0, 1}},
		{"unknown replica", record.PartitionChange{PartitionEpoch: 1, Leader: 1, Replicas: []int32{1, 9}}, record.NoBroker, 1, [2]int32{0, 1}},
		{"isr grows", record.PartitionChange{PartitionEpoch: 1, Leader: 1, ISR: []int32{1, 2}, Adding: []int32{}}, record.OK, 1, [2]int32{0, 2}},
		{"leader moves", record.PartitionChange{PartitionEpoch: 2, Leader: 2}, record.OK, 2, [2]int32{1, 3}},
		{"elected anew", record.PartitionChange{PartitionEpoch: 3, Leader: 2, Elect: true}, record.OK, 2, [2]int32{2, 4}},
		{"no leader", record.PartitionChange{PartitionEpoch: 4, Leader: NoLeader}, record.OK, NoLeader, [2]int32{3, 5}},
	} {
		x := c.change
		x.Topic = w.topic
		r := w.want(&record.ChangePartition{Entries: []record.PartitionChange{x}}, c.want)
		p, _ := w.image.Partition(w.topic, 0)
		if p.Leader != c.leader || [2]int32{p.LeaderEpoch, p.PartitionEpoch} != c.epochs {
			t.Fatalf("%s: %+v", c.name, p)
		}
		if r.Entries[0].LeaderEpoch != p.LeaderEpoch || r.Entries[0].PartitionEpoch != p.PartitionEpoch {
			t.Fatalf("%s: result %+v", c.name, r.Entries[0])
		}
	}
	var hosted []int32
	for _, p := range w.image.HostedPartitions(3) {
		hosted = append(hosted, p.Index)
	}
	if len(hosted) != 1 || w.image.LedCount(2) != 0 || w.image.LedCount(1) != 1 {
		t.Fatal(hosted, w.image.LedCount(2))
	}
	for topic, p := range w.image.LedPartitions(1) {
		if topic.Name != "t" || p.Index != 1 {
			t.Fatal(topic, p)
		}
	}
}

func TestTopicRefusals(t *testing.T) {
	w := newLedgerWorld(t)
	x := func(change func(*record.CreateTopic)) *record.CreateTopic {
		c := &record.CreateTopic{ID: ID{44}, Name: "u", Assignments: assign(1, 1)}
		change(c)
		return c
	}
	w.want(x(func(c *record.CreateTopic) { c.Name = "t" }), record.TopicExists)
	w.want(x(func(c *record.CreateTopic) { c.ID = w.topic }), record.TopicExists)
	w.want(x(func(c *record.CreateTopic) { c.ID = ID{} }), record.Invalid)
	w.want(x(func(c *record.CreateTopic) { c.Assignments = nil }), record.Invalid)
	w.want(x(func(c *record.CreateTopic) { c.Assignments = [][]int32{{}} }), record.Invalid)
	w.want(x(func(c *record.CreateTopic) { c.Assignments = [][]int32{{1, 1}} }), record.Invalid)
	w.want(x(func(c *record.CreateTopic) { c.Assignments = [][]int32{{2}} }), record.NoBroker)
	w.want(x(func(c *record.CreateTopic) { c.Configs = Configs{{Key: "b"}, {Key: "a"}} }), record.Invalid)
	w.want(&record.CreatePartitions{Topic: w.topic, From: 1, Assignments: assign(1, 1)}, record.WrongCount)
	w.want(&record.CreatePartitions{Topic: ID{1}, From: 1, Assignments: assign(1, 1)}, record.NoTopic)
	w.want(&record.CreatePartitions{Topic: w.topic, From: 2}, record.Invalid)
	w.want(&record.SetTopicConfig{Topic: ID{1}}, record.NoTopic)
	w.ok(&record.FenceBroker{ID: 1, Epoch: w.epoch})
	w.ok(x(func(*record.CreateTopic) {}))
	if p, _ := w.image.Partition(ID{44}, 0); p.Leader != NoLeader || len(p.ISR) != 0 || len(p.ELR) != 1 {
		t.Fatalf("%+v", p)
	}
	empty, r := Apply(new(Image), 1, x(func(*record.CreateTopic) {}))
	if r.Reason != record.NoCluster || empty.Index() != 1 {
		t.Fatal(r)
	}
}
