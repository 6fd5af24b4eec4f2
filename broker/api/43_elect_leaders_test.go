package api

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/quorum"
	command "github.com/tidelinehq/tideline/metadata/record"
)

func electRequest(kind int8, topics ...string) *kmsg.ElectLeadersRequest {
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType, req.TimeoutMillis = kind, 10_000
	for _, name := range topics {
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = name, []int32{0, 1, 7}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// elected shows an answer in one line.
func elected(r *kmsg.ElectLeadersResponse) string {
	out := code(r.ErrorCode)
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			out += fmt.Sprintf(" %s-%d=%s", t.Topic, p.Partition, code(p.ErrorCode))
			if (p.ErrorMessage == nil) != (p.ErrorCode == 0) {
				out += "!message"
			}
		}
	}
	return out
}

func TestElectLeaders(t *testing.T) {
	const notNeeded = "NONE a-0=ELECTION_NOT_NEEDED a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION"
	second := func(x *command.PartitionChange) { x.Leader = 2 }
	for name, x := range map[string]struct {
		prepare func(c *cluster)
		version int16
		req     *kmsg.ElectLeadersRequest
		want    string
		leaders string
	}{
		"preferred leads":   {func(*cluster) {}, 2, electRequest(0, "a"), notNeeded, "1 2"},
		"no such topic":     {func(*cluster) {}, 2, electRequest(0, "b"), "NONE b-0=UNKNOWN_TOPIC_OR_PARTITION b-1=UNKNOWN_TOPIC_OR_PARTITION b-7=UNKNOWN_TOPIC_OR_PARTITION", "1 2"},
		"no topics":         {func(*cluster) {}, 2, &kmsg.ElectLeadersRequest{Topics: []kmsg.ElectLeadersRequestTopic{}}, "NONE", "1 2"},
		"all, none needed":  {func(*cluster) {}, 1, electRequest(0), "NONE", "1 2"},
		"preferred":         {func(c *cluster) { c.change("a", 0, second) }, 2, electRequest(0, "a"), "NONE a-0=NONE a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION", "1 2"},
		"version 0":         {func(c *cluster) { c.change("a", 0, second) }, 0, electRequest(0, "a"), "NONE a-0=NONE a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION", "1 2"},
		"all":               {func(c *cluster) { c.change("a", 0, second) }, 2, electRequest(0), "NONE a-0=NONE", "1 2"},
		"preferred is away": {func(c *cluster) { c.change("a", 0, second); c.fence(1) }, 2, electRequest(0, "a"), "NONE a-0=PREFERRED_LEADER_NOT_AVAILABLE a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION", "2 2"},
		"preferred not in": {func(c *cluster) {
			c.change("a", 0, func(x *command.PartitionChange) { x.Leader, x.ISR = 2, []int32{2} })
		}, 2, electRequest(0, "a"), "NONE a-0=PREFERRED_LEADER_NOT_AVAILABLE a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION", "2 2"},
		"unclean, led":       {func(*cluster) {}, 2, electRequest(1, "a"), notNeeded, "1 2"},
		"unclean":            {leaderless, 2, electRequest(1, "a"), "NONE a-0=NONE a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION", "3 2"},
		"unclean, nobody":    {func(c *cluster) { leaderless(c); c.fence(3) }, 2, electRequest(1, "a"), "NONE a-0=ELIGIBLE_LEADERS_NOT_AVAILABLE a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION", "-1 2"},
		"unknown kind":       {func(*cluster) {}, 2, electRequest(9, "a"), "INVALID_REQUEST a-0=INVALID_REQUEST a-1=INVALID_REQUEST a-7=INVALID_REQUEST", "1 2"},
		"unknown kind, all":  {func(*cluster) {}, 1, electRequest(9), "INVALID_REQUEST", "1 2"},
		"leader of metadata": {func(c *cluster) { c.change("a", 0, second); c.fail = quorum.ErrNotLeader }, 2, electRequest(0, "a"), "NONE a-0=NOT_CONTROLLER a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION", "2 2"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			c.topic("a", []int32{1, 2, 3}, []int32{2, 3})
			x.prepare(c)
			if got := elected(ask[*kmsg.ElectLeadersResponse](c, x.version, x.req)); got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
			if got := fmt.Sprint(c.partition("a", 0).Leader, c.partition("a", 1).Leader); got != x.leaders {
				t.Errorf("leaders=%s want=%s", got, x.leaders)
			}
		})
	}
}

// leaderless leaves partition 0 of topic a to a replica that may lack records.
func leaderless(c *cluster) {
	c.change("a", 0, func(x *command.PartitionChange) { x.ISR = []int32{1} })
	c.fence(1)
	c.change("a", 0, func(x *command.PartitionChange) { x.Leader, x.ISR, x.ELR = -1, []int32{}, []int32{1} })
	c.fence(2)
	c.change("a", 1, func(x *command.PartitionChange) { x.Leader, x.ISR = 3, []int32{3} })
	b, _ := c.Image().Broker(2)
	c.apply(&command.UnfenceBroker{ID: 2, Epoch: b.Epoch})
	c.change("a", 1, func(x *command.PartitionChange) { x.ISR = []int32{3, 2} })
	c.change("a", 1, func(x *command.PartitionChange) { x.Leader = 2 })
	c.fence(2)
}

// TestOvertakenDecisions: a change that was decided on an image that is old by now
// is decided about again, and not for ever.
func TestOvertakenDecisions(t *testing.T) {
	c := newCluster(t, 3)
	c.topic("a", []int32{1, 2, 3}, []int32{2, 3})
	c.change("a", 0, func(x *command.PartitionChange) { x.Leader = 2 })
	c.first = func() { c.change("a", 0, func(x *command.PartitionChange) { x.Leader = 3 }) }
	if got, want := elected(ask[*kmsg.ElectLeadersResponse](c, 2, electRequest(0, "a"))), "NONE a-0=NONE a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION"; got != want {
		t.Errorf("overtaken once: %s", got)
	}
	if leader := c.partition("a", 0).Leader; leader != 1 {
		t.Errorf("leader=%d", leader)
	}
	// From now on somebody is always faster.
	c.change("a", 0, func(x *command.PartitionChange) { x.Leader = 2 })
	times := 0
	faster := func() {
		times++
		c.change("a", 0, func(x *command.PartitionChange) { x.Leader, x.Elect = 2, true })
	}
	c.api.Metadata = racing{c, faster}
	if got, want := elected(ask[*kmsg.ElectLeadersResponse](c, 2, electRequest(0, "a"))), "NONE a-0=REQUEST_TIMED_OUT a-1=ELECTION_NOT_NEEDED a-7=UNKNOWN_TOPIC_OR_PARTITION"; got != want {
		t.Errorf("overtaken again and again: %s", got)
	}
	if times != maxDecisions {
		t.Errorf("decided %d times", times)
	}
}

// racing lets somebody else be first with every change of partitions.
type racing struct {
	*cluster
	faster func()
}

// AlterPartitions implements Metadata.
func (r racing) AlterPartitions(ctx context.Context, changes []command.PartitionChange) ([]command.EntryResult, error) {
	r.faster()
	return r.cluster.AlterPartitions(ctx, changes)
}
