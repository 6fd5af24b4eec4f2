package api

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	command "github.com/tidelinehq/tideline/metadata/record"
)

// TestCreateTopicsPlaced: what becomes of the replicas of a new topic, and of
// those that can not be placed, in a cluster of three brokers.
func TestCreateTopicsPlaced(t *testing.T) {
	topic := func(partitions int32, factor int16, assignments ...[]int32) kmsg.CreateTopicsRequestTopic {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = "a", partitions, factor
		for i, replicas := range assignments {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), replicas
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
		return t
	}
	assigned := func(lists ...[]int32) kmsg.CreateTopicsRequestTopic { return topic(-1, -1, lists...) }
	numbered := func(t kmsg.CreateTopicsRequestTopic, indexes ...int32) kmsg.CreateTopicsRequestTopic {
		for i, index := range indexes {
			t.ReplicaAssignment[i].Partition = index
		}
		return t
	}
	set := func(t kmsg.CreateTopicsRequestTopic, key, value string) kmsg.CreateTopicsRequestTopic {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = key, &value
		t.Configs = append(t.Configs, c)
		return t
	}
	none := func(*cluster) {}
	for name, x := range map[string]struct {
		prepare func(c *cluster)
		topic   kmsg.CreateTopicsRequestTopic
		want    string
		first   string // partition 0
	}{
		"as many as brokers":         {none, topic(3, 3), "NONE", ""},
		"more than brokers":          {none, topic(3, 4), "INVALID_REPLICATION_FACTOR", ""},
		"factor 0":                   {none, topic(3, 0), "INVALID_REPLICATION_FACTOR", ""},
		"factor -2":                  {none, topic(3, -2), "INVALID_REPLICATION_FACTOR", ""},
		"no partitions":              {none, topic(0, 1), "INVALID_PARTITIONS", ""},
		"partitions -2":              {none, topic(-2, 1), "INVALID_PARTITIONS", ""},
		"a broker is fenced":         {func(c *cluster) { c.fence(3) }, topic(3, 3), "NONE", ""},
		"all are fenced":             {func(c *cluster) { c.fence(1); c.fence(2); c.fence(3) }, topic(3, 3), "INVALID_REPLICATION_FACTOR", ""},
		"a broker drains":            {func(c *cluster) { c.apply(&command.DrainBroker{ID: 3, Draining: true}) }, topic(3, 3), "INVALID_REPLICATION_FACTOR", ""},
		"assigned":                   {none, assigned([]int32{3, 1}, []int32{2, 3}), "NONE", "[3 1][3 1]"},
		"assigned out of order":      {none, numbered(assigned([]int32{2, 3}, []int32{3, 1}), 1, 0), "NONE", "[3 1][3 1]"},
		"assigned to a fenced one":   {func(c *cluster) { c.fence(3) }, assigned([]int32{3, 1}), "NONE", "[3 1][1]"},
		"assigned to fenced ones":    {func(c *cluster) { c.fence(3); c.fence(1) }, assigned([]int32{2, 1}, []int32{3, 1}), "INVALID_REPLICA_ASSIGNMENT", ""},
		"assigned, all fenced":       {func(c *cluster) { c.fence(3); c.fence(1) }, assigned([]int32{3, 1}), "INVALID_REPLICA_ASSIGNMENT", ""},
		"assigned to nobody":         {none, assigned([]int32{}), "INVALID_REPLICA_ASSIGNMENT", ""},
		"assigned to an unknown one": {none, assigned([]int32{1, 9}), "INVALID_REPLICA_ASSIGNMENT", ""},
		"assigned twice":             {none, assigned([]int32{1, 1}), "INVALID_REPLICA_ASSIGNMENT", ""},
		"assigned unevenly":          {none, assigned([]int32{1, 2}, []int32{1}), "INVALID_REPLICA_ASSIGNMENT", ""},
		"assigned with a gap":        {none, numbered(assigned([]int32{1}, []int32{2}), 0, 2), "INVALID_REPLICA_ASSIGNMENT", ""},
		"assigned from 1":            {none, numbered(assigned([]int32{1}), 1), "INVALID_REPLICA_ASSIGNMENT", ""},
		"assigned and counted":       {none, topic(1, -1, []int32{1}), "INVALID_REQUEST", ""},
		"assigned and factored":      {none, topic(-1, 1, []int32{1}), "INVALID_REQUEST", ""},
		// What counts is the smaller of the two, see controller.Policy.EffectiveMinISR.
		"min.insync.replicas above":     {none, set(topic(1, 1), "min.insync.replicas", "3"), "NONE", ""},
		"min.insync.replicas too small": {none, set(topic(1, 1), "min.insync.replicas", "0"), "INVALID_CONFIG", ""},
		"unknown setting":               {none, set(topic(1, 1), "no.such.setting", "0"), "INVALID_CONFIG", ""},
		"unclean":                       {none, set(topic(1, 1), "unclean.leader.election.enable", "true"), "NONE", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			x.prepare(c)
			req := kmsg.NewPtrCreateTopicsRequest()
			req.TimeoutMillis, req.Topics = 10_000, []kmsg.CreateTopicsRequestTopic{x.topic}
			validate := *req
			validate.ValidateOnly = true
			dry := ask[*kmsg.CreateTopicsResponse](c, 7, &validate).Topics[0]
			if c.Image().TopicCount() != 0 {
				t.Fatal("created although it was only to be validated")
			}
			got := ask[*kmsg.CreateTopicsResponse](c, 7, req).Topics[0]
			if code(got.ErrorCode) != x.want || got.ErrorCode != dry.ErrorCode {
				t.Errorf("%s, validated %s, want %s", code(got.ErrorCode), code(dry.ErrorCode), x.want)
			}
			if (got.ErrorMessage == nil) != (got.ErrorCode == 0) {
				t.Error("message and code do not go together")
			}
			if x.first != "" {
				p := c.partition("a", 0)
				if placed := fmt.Sprintf("%v%v", p.Replicas, p.ISR); placed != x.first {
					t.Errorf("placed=%s want=%s", placed, x.first)
				}
			}
		})
	}
}

// A name that comes twice is refused once, and so for the other calls about topics.
func TestNamesThatComeTwice(t *testing.T) {
	c := newCluster(t, 1)
	id := c.topic("there", []int32{1})
	create := kmsg.NewPtrCreateTopicsRequest()
	grow := kmsg.NewPtrCreatePartitionsRequest()
	remove := kmsg.NewPtrDeleteTopicsRequest()
	for range 2 {
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "new", 1, 1
		create.Topics = append(create.Topics, topic)
		more := kmsg.NewCreatePartitionsRequestTopic()
		more.Topic, more.Count = "there", 2
		grow.Topics = append(grow.Topics, more)
		less := kmsg.NewDeleteTopicsRequestTopic()
		less.TopicID = id
		remove.Topics = append(remove.Topics, less)
	}
	created := ask[*kmsg.CreateTopicsResponse](c, 7, create).Topics
	if len(created) != 1 || code(created[0].ErrorCode) != "INVALID_REQUEST" || created[0].Configs == nil {
		t.Errorf("create: %+v", created)
	}
	if grown := ask[*kmsg.CreatePartitionsResponse](c, 3, grow).Topics; len(grown) != 1 || code(grown[0].ErrorCode) != "INVALID_REQUEST" {
		t.Errorf("grow: %+v", grown)
	}
	if removed := ask[*kmsg.DeleteTopicsResponse](c, 6, remove).Topics; len(removed) != 1 || code(removed[0].ErrorCode) != "INVALID_REQUEST" {
		t.Errorf("delete: %+v", removed)
	}
}
