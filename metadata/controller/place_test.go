package controller

import (
	"errors"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

// Brokers out of service get replicas only where there are no others, and never
// lead; brokers being decommissioned get none.
func TestPlacementOnSpares(t *testing.T) {
	c := newCluster(t, 4, "a", "b")
	b, _ := c.Broker(3)
	c.apply(&record.FenceBroker{ID: 3, Epoch: b.Epoch})
	for x := range c.Partitions(c.create("t", 12, 3)) {
		if slices.Contains(x.Replicas, 3) {
			t.Fatalf("a fenced broker was taken without need: %v", x.Replicas)
		}
	}
	for x := range c.Partitions(c.create("u", 12, 4)) {
		if x.Replicas[3] != 3 || len(x.ISR) != 3 {
			t.Fatalf("%v isr=%v", x.Replicas, x.ISR)
		}
	}
	c.apply(&record.DrainBroker{ID: 2, Draining: true})
	for x := range c.Partitions(c.create("v", 12, 2)) {
		if slices.Contains(x.Replicas, 2) || slices.Contains(x.Replicas, 3) {
			t.Fatalf("%v", x.Replicas)
		}
	}
	ask := &CreateTopic{ID: [16]byte{9}, Name: "w", Partitions: 1, ReplicationFactor: 4}
	if _, err := Create(c.Image, ask, Defaults{}, DefaultLimits, now); !errors.Is(err, ErrInvalidReplicationFactor) {
		t.Fatal(err)
	}
	for _, id := range []int32{0, 1} {
		b, _ := c.Broker(id)
		c.apply(&record.FenceBroker{ID: id, Epoch: b.Epoch})
	}
	ask.ReplicationFactor = 1
	if _, err := Create(c.Image, ask, Defaults{}, DefaultLimits, now); !errors.Is(err, ErrNoBrokers) {
		t.Fatal(err)
	}
}

// Small topics find the broker that has little.
func TestPlacementIsLight(t *testing.T) {
	var brokers []Candidate
	for i := range int32(8) {
		brokers = append(brokers, Candidate{ID: i, Hosted: 100})
	}
	brokers[5].Hosted = 0
	found := 0
	for spread := range uint32(80) {
		a, err := PlaceLightly(brokers, 1, 1, 0, spread*7919)
		if err != nil {
			t.Fatal(err)
		}
		if a[0][0] == 5 {
			found++
		}
	}
	if found < 20 || found > 60 { // by chance it would be 10; always would be a rush
		t.Fatalf("%d of 80 topics went to the empty broker", found)
	}
}
