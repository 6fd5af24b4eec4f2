package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/quota"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// Bounds of one request, as Kafka has one, too: its answer describes every topic,
// and even a request that only validates places all partitions.
const (
	maxCreatedTopics     = 10_000
	maxCreatedPartitions = 1_000_000
)

// createTopics answers CreateTopics.
func createTopics(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.CreateTopicsRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrCreateTopicsResponse()
	share := c.mutations(strictCreateTopics)
	seen := make(map[string]int, len(req.Topics))
	partitions := int64(0)
	for i := range req.Topics {
		seen[req.Topics[i].Topic]++
		partitions += max(int64(req.Topics[i].NumPartitions), 1)
	}
	tooMany := len(req.Topics) > maxCreatedTopics || len(req.Topics) > 1 && partitions > maxCreatedPartitions
	told := make(map[string]bool, len(seen))
	for i := range req.Topics {
		t := &req.Topics[i]
		if told[t.Topic] {
			continue
		}
		told[t.Topic] = true
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.Topic, -1, -1
		rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // null would mean that they may not be seen
		var created *command.CreateTopic
		err := error(nil)
		switch {
		case tooMany:
			err = fmt.Errorf("%w: one request may create %d topics and %d partitions", kerr.PolicyViolation, maxCreatedTopics, maxCreatedPartitions)
		case seen[t.Topic] > 1:
			err = fmt.Errorf("%w: duplicate topic name: %s", kerr.InvalidRequest, t.Topic)
		default:
			created, err = c.API.createRequested(ctx, t, req.ValidateOnly, share)
		}
		if rt.ErrorCode, rt.ErrorMessage = errorCode(err), message(err); err == nil {
			c.API.describeCreated(&rt, created)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (a *API) createRequested(ctx context.Context, t *kmsg.CreateTopicsRequestTopic, validateOnly bool, share *quota.Mutations) (*command.CreateTopic, error) {
	if isInternal(t.Topic) {
		return nil, fmt.Errorf("%w: %s is created by the broker", kerr.InvalidTopicException, t.Topic)
	}
	n := &newTopic{name: t.Topic, partitions: t.NumPartitions, replication: t.ReplicationFactor, configs: make(map[string]string, len(t.Configs)), share: share}
	for _, kv := range t.Configs {
		if kv.Value == nil {
			return nil, fmt.Errorf("%w: null value not supported for topic config %s", kerr.InvalidConfig, kv.Name)
		}
		n.configs[kv.Name] = *kv.Value // of two, the later counts, as in Kafka
	}
	if len(t.ReplicaAssignment) > 0 {
		if t.NumPartitions != -1 || t.ReplicationFactor != -1 {
			return nil, fmt.Errorf("%w: with a manual assignment the number of partitions and the replication factor must be -1", kerr.InvalidRequest)
		}
		n.assignments = make([][]int32, len(t.ReplicaAssignment))
		for _, ra := range t.ReplicaAssignment {
			if ra.Partition < 0 || int(ra.Partition) >= len(n.assignments) || n.assignments[ra.Partition] != nil {
				return nil, fmt.Errorf("%w: partitions must be 0 to %d, each once", kerr.InvalidReplicaAssignment, len(n.assignments)-1)
			}
			n.assignments[ra.Partition] = append([]int32{}, ra.Replicas...)
		}
	}
	return a.createTopic(ctx, n, validateOnly)
}

// describeCreated tells what became of the defaults (KIP-525).
func (a *API) describeCreated(rt *kmsg.CreateTopicsResponseTopic, c *command.CreateTopic) {
	rt.TopicID, rt.NumPartitions, rt.ReplicationFactor = c.ID, int32(len(c.Assignments)), int16(len(c.Assignments[0]))
	for _, e := range a.settings().TopicEntries(c.Configs.Map()) {
		rc := kmsg.NewCreateTopicsResponseTopicConfig()
		rc.Name, rc.Source, rc.IsSensitive = e.Name, int8(e.Source), e.Setting.Sensitive
		if !e.Null {
			rc.Value = &e.Value
		}
		rc.ReadOnly = e.Setting.Update == config.ReadOnly && e.Setting.TopicKey == ""
		rt.Configs = append(rt.Configs, rc)
	}
}
