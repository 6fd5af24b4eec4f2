package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupConfig changes one setting of a group; a null value takes it back.
func groupConfig(group, key string, value *string) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = key, value
	if value == nil {
		c.Op = kmsg.IncrementalAlterConfigOpDelete
	}
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	return req
}

// TestGroupConfigs: a group may have settings of its own, within the broker's bounds, which
// its members are told, and which a restart keeps.
func TestGroupConfigs(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	c.create("a", 2, nil)
	text := func(s string) *string { return &s }
	for _, tt := range []struct {
		group, key string
		value      *string
		want       error
	}{
		{"g", "consumer.heartbeat.interval.ms", text("7000"), nil},
		{"g", "consumer.session.timeout.ms", text("50000"), nil},
		{"g", "consumer.session.timeout.ms", text("10000"), kerr.InvalidConfig},
		{"g", "consumer.session.timeout.ms", text("70000"), kerr.InvalidConfig},
		{"g", "consumer.session.timeout.ms", text("soon"), kerr.InvalidConfig},
		{"g", "session.timeout.ms", text("50000"), kerr.InvalidConfig},
		{"", "consumer.session.timeout.ms", text("50000"), kerr.InvalidRequest},
		{"h", "consumer.session.timeout.ms", text("50000"), nil},
		{"h", "consumer.session.timeout.ms", nil, nil},
	} {
		resp := do[*kmsg.IncrementalAlterConfigsResponse](c, groupConfig(tt.group, tt.key, tt.value))
		if got := kerr.ErrorForCode(resp.Resources[0].ErrorCode); !errors.Is(got, tt.want) {
			t.Errorf("%s %s: %v, want %v", tt.group, tt.key, got, tt.want)
		}
	}
	check := func() {
		t.Helper()
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Version = 4
		for _, group := range []string{"g", "h"} {
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
			req.Resources = append(req.Resources, r)
		}
		got := ""
		for _, r := range do[*kmsg.DescribeConfigsResponse](c, req).Resources {
			for _, e := range r.Configs {
				if !strings.HasPrefix(e.Name, "consumer.") {
					continue // those of other kinds of groups
				}
				got += fmt.Sprintf("%s %s=%s from %d\n", r.ResourceName, e.Name, *e.Value, e.Source)
			}
		}
		const want = `g consumer.session.timeout.ms=50000 from 8
g consumer.heartbeat.interval.ms=7000 from 8
g consumer.assignment.interval.ms=1000 from 5
h consumer.session.timeout.ms=45000 from 5
h consumer.heartbeat.interval.ms=5000 from 5
h consumer.assignment.interval.ms=1000 from 5
`
		if got != want {
			t.Errorf("got:\n%s", got)
		}
	}
	check()
	n.stop()
	n.start()
	c = n.dial()
	check()

	beat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	beat.Version, beat.Group, beat.MemberID, beat.RebalanceTimeoutMillis = 1, "g", "m", 60_000
	beat.SubscribedTopicNames, beat.Topics = []string{"a"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKeys = 4, []string{"g"}
	do[*kmsg.FindCoordinatorResponse](c, find)
	n.await("the group's coordinator", func() bool {
		resp := do[*kmsg.ConsumerGroupHeartbeatResponse](c, beat)
		if resp.ErrorCode == 0 && resp.HeartbeatIntervalMillis != 7000 {
			t.Fatalf("heartbeat interval is %d", resp.HeartbeatIntervalMillis)
		}
		return resp.ErrorCode == 0
	})
}

// TestConsumerProtocol: consumers share the partitions of their topics, also of one that
// comes later, and one that leaves hands its own over.
func TestConsumerProtocol(t *testing.T) {
	n := newNode(t, map[string]string{
		"group.consumer.min.heartbeat.interval.ms": "100", "group.consumer.heartbeat.interval.ms": "100",
	})
	c := n.dial()
	c.create("orders-eu", 4, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	consume := func(id string) *kgo.Client {
		cl := n.kafkaClient(kgo.ConsumerGroup("shop"), kgo.ConsumeTopics("orders-eu", "orders-us"), kgo.ClientID(id),
			kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
		go func() {
			for ctx.Err() == nil && !cl.PollFetches(ctx).IsClientClosed() {
			}
		}()
		return cl
	}
	one, two := consume("one"), consume("two")
	adm := kadm.NewClient(n.kafkaClient())
	shares := func(topics map[string]int32, members ...string) func() bool {
		return func() bool {
			described, err := adm.DescribeConsumerGroups(ctx, "shop")
			if err != nil || described["shop"].Err != nil || described["shop"].State != "Stable" {
				return false
			}
			count := map[string]int32{}
			sizes := map[string]int{}
			for _, m := range described["shop"].Members {
				m.Assignment.Each(func(topic string, _ int32) { count[topic]++; sizes[m.ClientID]++ })
			}
			low, high := 1<<30, 0
			for _, m := range members {
				low, high = min(low, sizes[m]), max(high, sizes[m])
			}
			if len(sizes) != len(members) || high > low+1 || len(count) != len(topics) {
				return false
			}
			for topic, partitions := range topics {
				if count[topic] != partitions {
					return false
				}
			}
			return true
		}
	}
	n.await("two members to share a topic", shares(map[string]int32{"orders-eu": 4}, "one", "two"))
	c.create("orders-us", 3, nil)
	n.await("two members to share two topics", shares(map[string]int32{"orders-eu": 4, "orders-us": 3}, "one", "two"))
	two.Close()
	n.await("one member to have all", shares(map[string]int32{"orders-eu": 4, "orders-us": 3}, "one"))
	one.Close()
	n.await("the group to be empty", func() bool {
		groups, err := adm.ListGroups(ctx, "Empty")
		return err == nil && len(groups) == 1
	})
}

// TestConsumerGroupMovesWithItsCoordinator: a member goes on with its epoch and what it has
// when its coordinator is gone, and may commit.
func TestConsumerGroupMovesWithItsCoordinator(t *testing.T) {
	c := newCluster(t, 3, nil)
	id := c.create("t")
	epoch := int32(0)
	beat := func() (has int, told bool) {
		c.retry("heartbeat", func(conn *conn) (int16, error) {
			req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
			req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, "g", "m", epoch
			if epoch == 0 {
				req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.Topics = 60_000, []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			}
			resp, err := conn.try(req)
			if err != nil {
				return 0, err
			}
			r := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
			if r.ErrorCode == 0 {
				epoch = r.MemberEpoch
				if r.Assignment != nil {
					told = true
					for _, topic := range r.Assignment.Topics {
						has += len(topic.Partitions)
					}
				}
			}
			return r.ErrorCode, nil
		})
		return has, told
	}
	if has, told := beat(); !told || has == 0 {
		t.Fatalf("the first heartbeat gave %d partitions", has)
	}
	for round := int64(1); round <= 3; round++ {
		c.retry("commit", func(conn *conn) (int16, error) {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Version, req.Group, req.MemberID, req.Generation = 10, "g", "m", epoch
			topic := kmsg.NewOffsetCommitRequestTopic()
			topic.TopicID = id
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Offset = round
			topic.Partitions = append(topic.Partitions, p)
			req.Topics = append(req.Topics, topic)
			resp, err := conn.try(req)
			if err != nil {
				return 0, err
			}
			return resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode, nil
		})
		coordinator := c.coordinator("g")
		coordinator.stop()
		before := epoch
		if _, told := beat(); told || epoch != before {
			t.Errorf("round %d: the member was told something new: epoch=%d before=%d", round, epoch, before)
		}
		coordinator.start()
	}
}
