package broker_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestMovesAreThrottled: a replica that is added copies no faster than the rates allow, of its leader or of its
// own broker, and as fast as it can when they go.
func TestMovesAreThrottled(t *testing.T) {
	c := newCluster(t, 2, map[string]string{
		"default.replication.factor": "1", "min.insync.replicas": "1", "auto.balance.enable": "false", "auto.leader.rebalance.enable": "false",
		"tier.roll.ms": "3600000", "tier.roll.bytes": "2147483648", // nothing is in the object store, so all is copied
	})
	for _, rate := range []string{"leader", "follower"} {
		t.Run(rate, func(t *testing.T) {
			topic := "moved-" + rate
			c.nodes[0].dial().create(topic, 1, map[string]string{
				"leader.replication.throttled.replicas": "*", "follower.replication.throttled.replicas": "*",
			})
			leader := c.settled(topic, 0, 1)
			follower := c.nodes[0]
			if leader == follower {
				follower = c.nodes[1]
			}
			conn := leader.dial()
			for range 8 {
				conn.mustProduce(topic, 0, values(500<<10, "x"))
			}
			limited := map[string]*node{"leader": leader, "follower": follower}[rate]
			key, id := rate+".replication.throttled.rate", limited.settings["node.id"]
			want(t, "throttle", limited.dial().incremental(brokerKind, id, false, key+"=1000"), "NONE")
			before := leader.gauge("tideline_replication_throttled_total")

			move := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			move.Version, move.TimeoutMillis = 1, 10_000
			mt := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			for _, n := range []*node{leader, follower} {
				var b int32
				if _, err := fmt.Sscan(n.settings["node.id"], &b); err != nil {
					t.Fatal(err)
				}
				p.Replicas = append(p.Replicas, b)
			}
			mt.Topic, mt.Partitions = topic, append(mt.Partitions, p)
			move.Topics = append(move.Topics, mt)
			if code := do[*kmsg.AlterPartitionAssignmentsResponse](conn, move).Topics[0].Partitions[0].ErrorCode; code != 0 {
				t.Fatalf("move: %s", name(code))
			}
			leader.await("the follower is held back", func() bool { return leader.gauge("tideline_replication_throttled_total") > before })
			if isr := c.describe(topic, 0)[0].ISR; len(isr) != 1 { // four megabytes take more than an hour
				t.Errorf("in sync are %v", isr)
			}
			want(t, "let go", limited.dial().incremental(brokerKind, id, false, "-"+key), "NONE")
			c.settled(topic, 0, 2)
		})
	}
}
