package broker_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/metadata/record"
)

// TestClusterThatJudges: a client with just the rights that it needs has transactions over brokers that
// verify partitions and write markers for each other, which the client itself may not; and what one
// broker takes from it all refuse.
func TestClusterThatJudges(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"authorizer.class.name": config.StandardAuthorizer, "transaction.state.log.num.partitions": "3"})
	const who = "ANONYMOUS"
	c.nodes[0].bind(
		allow(who, right{acl.Topic, acl.Create}), allow(who, right{acl.Topic, acl.DescribeConfigs}), allow(who, right{acl.Topic, acl.Read}), allow(who, right{acl.Topic, acl.Write}),
		allow(who, right{acl.TransactionalID, acl.Write}),
	)
	for i := range 3 {
		topic := fmt.Sprintf("t-%d", i)
		c.create(topic)
		c.settled(topic, 0, 3)
	}
	producer := c.client(kgo.TransactionalID("x-1"))
	defer producer.Close()
	var want []string
	for round := range 4 {
		must(t, producer.BeginTransaction())
		for i := range 3 {
			r := &kgo.Record{Topic: fmt.Sprintf("t-%d", i), Value: fmt.Appendf(nil, "%d %d", round, i)}
			must(t, producer.ProduceSync(t.Context(), r).FirstErr())
			if i == 1 && round%2 == 0 {
				want = append(want, string(r.Value))
			}
		}
		must(t, producer.EndTransaction(t.Context(), round%2 == 0))
	}
	if got := c.committed("t-1", len(want)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	markers := &kmsg.WriteTxnMarkersRequest{Markers: []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 77, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: "t-1", Partitions: []int32{0}}}}}}
	for _, n := range c.nodes {
		resp := do[*kmsg.WriteTxnMarkersResponse](n.dial(), versioned(markers, 1))
		expect(t, "markers of a client", name(resp.Markers[0].Topics[0].Partitions[0].ErrorCode), "CLUSTER_AUTHORIZATION_FAILED")
	}
	if err := c.nodes[2].b.Propose(t.Context(), &record.ChangeACLs{Remove: []record.ACL{allow(who, right{acl.Topic, acl.Read}), allow(who, right{acl.Topic, acl.Write})}}); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		n.await("the broker knows of it", func() bool {
			return name(do[*kmsg.MetadataResponse](n.dial(), versioned(metadataRequest(false, "t-1"), 9)).Topics[0].ErrorCode) == "TOPIC_AUTHORIZATION_FAILED"
		})
	}
}
