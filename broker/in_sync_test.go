package broker_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
)

func TestBehind(t *testing.T) {
	image, index := new(metadata.Image), uint64(0)
	apply := func(c command.Command) metadata.Result {
		t.Helper()
		index++
		var r metadata.Result
		if image, r = metadata.Apply(image, index, c); r.Reason != command.OK {
			t.Fatalf("%T: %v", c, r.Reason)
		}
		return r
	}
	apply(&command.InitCluster{ClusterID: "c", At: 1})
	for id := int32(1); id <= 3; id++ {
		r := apply(&command.RegisterBroker{ID: id, Incarnation: metadata.ID{byte(id)}})
		apply(&command.UnfenceBroker{ID: id, Epoch: r.BrokerEpoch})
	}
	topic := metadata.ID{1}
	apply(&command.CreateTopic{ID: topic, Name: "a", Assignments: [][]int32{{1, 2}, {2, 3}}, At: 1})
	expect := func(what string, counts ...int) {
		t.Helper()
		for i, want := range counts {
			if n, name, _ := broker.Behind(image, int32(i+1)); n != want || (n > 0) != (name == "a") {
				t.Errorf("%s: broker %d is behind with %d partitions, want %d; the first of %q", what, i+1, n, want, name)
			}
		}
	}
	change := func(p int32, c command.PartitionChange) {
		t.Helper()
		now, _ := image.Partition(topic, p)
		c.Topic, c.Partition, c.PartitionEpoch = topic, p, now.PartitionEpoch
		if r := apply(&command.ChangePartition{Entries: []command.PartitionChange{c}}); r.Entries[0].Reason != command.OK {
			t.Fatalf("%+v: %v", c, r.Entries[0].Reason)
		}
	}
	expect("all in sync", 0, 0, 0)
	change(0, command.PartitionChange{Leader: 1, ISR: []int32{1}})
	expect("2 left the ISR", 0, 1, 0)
	change(1, command.PartitionChange{Leader: 2, ISR: []int32{2}})
	expect("3 left one, too", 0, 1, 1)
	change(0, command.PartitionChange{Leader: 1, Replicas: []int32{1, 2, 3}, Adding: []int32{3}})
	expect("a replica comes to 3", 0, 1, 1)
	change(0, command.PartitionChange{Leader: metadata.NoLeader})
	expect("nobody leads the first", 0, 0, 1)
	change(1, command.PartitionChange{Leader: 2, ISR: []int32{2, 3}})
	expect("3 has caught up", 0, 0, 0)
}

// TestReadiness: a broker is ready when it serves, in sync when it has caught up, and not ready from when it begins to stop.
func TestReadiness(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"broker.session.timeout.ms": "1000", "broker.heartbeat.interval.ms": "100"})
	probe := func(web, path string) (status int, text string) {
		t.Helper()
		resp, err := http.Get("http://" + web + path)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		return resp.StatusCode, string(body)
	}
	c.create("a")
	leader := c.settled("a", 0, 3)
	var follower *node
	for _, x := range c.nodes {
		if x != leader {
			follower = x
		}
	}
	follower.stop()
	leader.dial().mustProduce("a", 0, build(record.Options{}, record.Record{Value: []byte("while it was away"), Timestamp: 1000}))
	follower.start()
	_, web := follower.b.Addresses()
	follower.await("it is in sync", func() bool {
		status, text := probe(web, "/readyz/in-sync")
		if status != http.StatusOK && !strings.Contains(text, "topic=a") {
			t.Errorf("status %d: %s", status, text)
		}
		return status == http.StatusOK
	})
	if n, _, _ := broker.Behind(follower.b.Image(), follower.b.NodeID()); n != 0 {
		t.Errorf("said to be in sync, and behind with %d", n)
	}
	// The last two can hand over to nobody, so that the end of one takes as long as a session.
	for _, x := range c.nodes {
		if x != follower {
			x.stop()
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		follower.stop()
	}()
	var seen bool
	follower.await("it has stopped", func() bool {
		if status, text := probe(web, "/readyz"); status == http.StatusServiceUnavailable && strings.Contains(text, "stopping") {
			seen = true
			if status, _ := probe(web, "/healthz"); status != http.StatusOK && status != 0 {
				t.Errorf("a broker that hands over is not alive: status %d", status)
			}
		}
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if !seen {
		t.Error("it was ready to its end")
	}
}
