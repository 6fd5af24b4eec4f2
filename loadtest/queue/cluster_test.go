package queue

import (
	"context"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/brokertest/inprocess"
	"github.com/tidelinehq/tideline/loadtest/stage"
)

// TestGroupOutlivesBrokers: members are killed and brokers restarted under a share group.
func TestGroupOutlivesBrokers(t *testing.T) {
	c := inprocess.StartCluster(t, 3, map[string]string{
		"offsets.topic.num.partitions": "3", "share.coordinator.state.topic.num.partitions": "3",
		"group.share.min.heartbeat.interval.ms": "200", "group.share.heartbeat.interval.ms": "200",
		"group.share.min.session.timeout.ms": "3000", "group.share.session.timeout.ms": "3000",
		"group.share.min.record.lock.duration.ms": "1000", "group.share.record.lock.duration.ms": "5000",
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := Start(ctx, Options{
		Brokers: c.Addresses(), Topic: "jobs", Group: "g", Partitions: 6, ReplicationFactor: 3, Members: 4, Limit: 5, Rate: 500,
	}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	for round := range 3 {
		if err := stage.Wait(ctx, 2*time.Second); err != nil {
			t.Fatal(err)
		}
		r.Kill()
		r.Disturbed()
		c.Stop(round)
		if err := r.Grow(); err != nil {
			t.Fatal(err)
		}
		if err := stage.Wait(ctx, 2*time.Second); err != nil {
			t.Fatal(err)
		}
		c.Restart(round)
	}
	result := r.Finish(ctx)
	t.Logf("%+v", *result)
	if !result.OK() {
		t.Errorf("%+v", *result)
	}
}
