package metadata

import (
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

// eligibleWorld has brokers 1 to 4 in service and a topic of one partition on
// 1, 2 and 3, led by 1.
func eligibleWorld(t *testing.T) *ledgerWorld {
	w := newLedgerWorld(t)
	for b := int32(2); b <= 4; b++ {
		r := w.ok(&record.RegisterBroker{ID: b, Incarnation: ID{byte(b)}})
		w.ok(&record.UnfenceBroker{ID: b, Epoch: r.BrokerEpoch})
	}
	w.topic = ID{50}
	w.ok(&record.CreateTopic{ID: w.topic, Name: "e", Assignments: [][]int32{{1, 2, 3}}})
	return w
}

func (w *ledgerWorld) partition() *Partition {
	p, _ := w.image.Partition(w.topic, 0)
	return p
}

// change applies one entry to the partition as it stands.
func (w *ledgerWorld) change(x record.PartitionChange, want record.Reason) record.EntryResult {
	w.t.Helper()
	x.Topic, x.PartitionEpoch = w.topic, w.partition().PartitionEpoch
	return w.want(&record.ChangePartition{Entries: []record.PartitionChange{x}}, want).Entries[0]
}

func TestEligibleReplicas(t *testing.T) {
	none := []int32{}
	w := eligibleWorld(t)
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1}, ELR: []int32{2, 4}}, record.Invalid) // 4 is no replica
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 2}, ELR: []int32{2}}, record.Invalid)
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1}, ELR: []int32{2}}, record.OK) // 3 is behind
	w.change(record.PartitionChange{Leader: 1, ELR: []int32{2, 3}}, record.Invalid)          // was neither
	w.change(record.PartitionChange{Leader: NoLeader, ISR: none, ELR: none}, record.Invalid) // all eligible forgotten
	w.change(record.PartitionChange{Leader: NoLeader, ISR: none, ELR: []int32{1, 2}}, record.OK)
	w.change(record.PartitionChange{Leader: 3, ISR: []int32{3}, ELR: none}, record.UncleanElection)
	w.change(record.PartitionChange{Leader: 2, ISR: []int32{2, 1}, ELR: none}, record.IneligibleReplica)
	if r := w.change(record.PartitionChange{Leader: 2, ISR: []int32{2}, ELR: []int32{1}, Unclean: true}, record.OK); r.Unclean {
		t.Fatal("an eligible replica was elected, and it is called unclean")
	}
	w.change(record.PartitionChange{Leader: 3, ISR: []int32{3}, ELR: []int32{1}, Unclean: true}, record.Invalid)
	if r := w.change(record.PartitionChange{Leader: 3, ISR: []int32{3}, ELR: none, Unclean: true}, record.OK); !r.Unclean {
		t.Fatal("not called unclean")
	}
}

// Who enters an ISR is in service, and is the process that was found in sync.
func TestISRMembers(t *testing.T) {
	w := eligibleWorld(t)
	epoch := func(id int32) int64 {
		b, _ := w.image.Broker(id)
		return b.Epoch
	}
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1}}, record.OK)
	w.ok(&record.FenceBroker{ID: 2, Epoch: epoch(2)})
	w.ok(&record.ShutdownBroker{ID: 3, Epoch: epoch(3)})
	w.want(&record.ShutdownBroker{ID: 3, Epoch: epoch(3)}, record.Already)
	w.want(&record.ShutdownBroker{ID: 3, Epoch: epoch(3) - 1}, record.StaleBrokerEpoch)
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 2}}, record.IneligibleReplica)
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 3}}, record.IneligibleReplica)
	before := epoch(2)
	w.ok(&record.RegisterBroker{ID: 2, Incarnation: ID{22}})
	w.ok(&record.UnfenceBroker{ID: 2, Epoch: epoch(2)})
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 2}, ISREpochs: []int64{epoch(1), before}}, record.IneligibleReplica)
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 2}, ISREpochs: []int64{epoch(1)}}, record.Invalid)
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 2}, ISREpochs: []int64{epoch(1), epoch(2)}}, record.OK)
	// A new process has left the shutdown behind, but not the draining.
	w.ok(&record.DrainBroker{ID: 3, Draining: true})
	w.want(&record.DrainBroker{ID: 3, Draining: true}, record.Already)
	w.want(&record.DrainBroker{ID: 9, Draining: true}, record.NoBroker)
	w.ok(&record.RegisterBroker{ID: 3, Incarnation: ID{33}})
	if b, _ := w.image.Broker(3); b.ShuttingDown || !b.Draining || !b.Fenced {
		t.Fatalf("%+v", b)
	}
}

// A broker whose log is gone is in no ISR and no ELR from the moment on that it
// is registered, and leads nothing.
func TestLostLog(t *testing.T) {
	w := eligibleWorld(t)
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 2}, ELR: []int32{3}}, record.OK)
	before := *w.partition()
	w.ok(&record.RegisterBroker{ID: 2, Incarnation: ID{22}}) // its log is whole
	if !slices.Equal(w.partition().ISR, before.ISR) || w.partition().PartitionEpoch != before.PartitionEpoch {
		t.Fatalf("%+v", w.partition())
	}
	w.ok(&record.RegisterBroker{ID: 2, Incarnation: ID{23}, LostLog: true})
	w.ok(&record.RegisterBroker{ID: 3, Incarnation: ID{33}, LostLog: true})
	p := w.partition()
	if !slices.Equal(p.ISR, []int32{1}) || len(p.ELR) != 0 || !slices.Equal(p.LastKnownELR, []int32{2, 3}) || p.Leader != 1 || p.LeaderEpoch != before.LeaderEpoch {
		t.Fatalf("%+v", p)
	}
	b, _ := w.image.Broker(2)
	w.ok(&record.UnfenceBroker{ID: 2, Epoch: b.Epoch})
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 2}, LastKnownELR: []int32{3}}, record.OK)
	w.ok(&record.RegisterBroker{ID: 2, Incarnation: ID{23}, LostLog: true}) // the same process again: nothing new
	if p := w.partition(); !slices.Equal(p.ISR, []int32{1, 2}) {
		t.Fatalf("%+v", p)
	}
	w.ok(&record.RegisterBroker{ID: 1, Incarnation: ID{11}, LostLog: true})
	if p := w.partition(); p.Leader != NoLeader || p.LeaderEpoch != before.LeaderEpoch+1 || !slices.Equal(p.ISR, []int32{2}) || w.image.LedCount(1) != 0 {
		t.Fatalf("%+v", p)
	}
}

// With another min.insync.replicas the high watermark may move without the ELR.
func TestMinISRClearsELR(t *testing.T) {
	w := eligibleWorld(t)
	minISR := record.ConfigChange{Key: MinISRKey, Value: "1"}
	shrink := record.PartitionChange{Leader: 1, ISR: []int32{1}, ELR: []int32{2, 3}}
	w.change(shrink, record.OK)
	stale := record.PartitionChange{Topic: w.topic, PartitionEpoch: w.partition().PartitionEpoch, Leader: 1, ISR: []int32{1, 2}, ELR: []int32{3}}
	w.ok(&record.SetTopicConfig{Topic: w.topic, Changes: []record.ConfigChange{{Key: "retention.ms", Value: "1"}}})
	if len(w.partition().ELR) != 2 {
		t.Fatalf("%+v", w.partition())
	}
	w.ok(&record.SetBrokerConfig{Broker: record.DefaultBroker, Changes: []record.ConfigChange{minISR}})
	if p := w.partition(); len(p.ELR) != 0 || p.Leader != 1 {
		t.Fatalf("%+v", p)
	}
	w.want(&record.ChangePartition{Entries: []record.PartitionChange{stale}}, record.StaleEpoch)
	w.ok(&record.SetTopicConfig{Topic: w.topic, Changes: []record.ConfigChange{minISR}})
	w.change(record.PartitionChange{Leader: 1, ISR: []int32{1, 2, 3}}, record.OK)
	w.change(shrink, record.OK)
	// The topic's own setting stands before that of the cluster.
	w.ok(&record.SetBrokerConfig{Broker: record.DefaultBroker, Changes: []record.ConfigChange{minISR}})
	w.ok(&record.SetBrokerConfig{Broker: 1, Changes: []record.ConfigChange{minISR}})
	if len(w.partition().ELR) != 2 {
		t.Fatalf("%+v", w.partition())
	}
	// Without a leader nothing moves, and who was eligible stays so.
	w.change(record.PartitionChange{Leader: NoLeader, ISR: []int32{}, ELR: []int32{1, 2, 3}}, record.OK)
	w.ok(&record.SetTopicConfig{Topic: w.topic, Changes: []record.ConfigChange{minISR}})
	if len(w.partition().ELR) != 3 {
		t.Fatalf("%+v", w.partition())
	}
}

// A new process of a broker leads nothing that the old one led, and loses no place in an ISR; a repeat
// of its registration changes nothing.
func TestRegisteredAnewLeadsNothing(t *testing.T) {
	w := eligibleWorld(t)
	before := *w.partition()
	w.ok(&record.RegisterBroker{ID: 1, Incarnation: ID{0xf1}})
	p := w.partition()
	if p.Leader != NoLeader || p.LeaderEpoch != before.LeaderEpoch+1 || p.PartitionEpoch != before.PartitionEpoch+1 || !slices.Equal(p.ISR, before.ISR) {
		t.Errorf("leader=%d epoch=%d partition epoch=%d isr=%v, before %+v", p.Leader, p.LeaderEpoch, p.PartitionEpoch, p.ISR, before)
	}
	w.ok(&record.RegisterBroker{ID: 1, Incarnation: ID{0xf1}, Rack: "another"})
	if again := w.partition(); again.PartitionEpoch != p.PartitionEpoch {
		t.Errorf("a repeat changed the partition: epoch=%d", again.PartitionEpoch)
	}
}
