package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	command "github.com/tidelinehq/tideline/metadata/record"
)

// highWatermarkOffset asks DeleteRecords to delete all that is visible.
const highWatermarkOffset = -1

// requestTimeout turns the timeout of an admin request into a bounded duration.
func requestTimeout(ms int32) time.Duration {
	const longest = 5 * time.Minute
	return min(time.Duration(max(ms, 0))*time.Millisecond, longest)
}

// deleteRecords answers DeleteRecords (KIP-107): it moves log starts ahead through
// the Raft group, whatever tier holds what falls below.
func deleteRecords(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DeleteRecordsRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrDeleteRecordsResponse()
	for _, t := range req.Topics {
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition, rp.LowWatermark = p.Partition, -1
			start, err := c.API.deleteBelow(ctx, t.Topic, p.Partition, p.Offset)
			if rp.ErrorCode = errorCode(err); err == nil {
				rp.LowWatermark = start
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// deleteBelow moves the log start of one partition to offset and returns where it
// is then.
func (a *API) deleteBelow(ctx context.Context, topic string, index int32, offset int64) (int64, error) {
	p := a.Partitions.Get(topic, index)
	if !leads(p) {
		return 0, kerr.ErrorForCode(a.missing(topic, index))
	}
	if isInternal(topic) {
		return 0, fmt.Errorf("%w: records of an internal topic cannot be deleted: topic=%s", kerr.InvalidTopicException, topic)
	}
	if t, ok := a.Metadata.Image().TopicByID(p.ID().Topic); ok {
		if s, _ := a.settings().Topic(t.Configs.Map()); !slices.Contains(s.CleanupPolicy, "delete") && s.Compact {
			return 0, fmt.Errorf("%w: topic=%s has cleanup.policy=compact", kerr.PolicyViolation, topic)
		}
	}
	high := p.HighWatermark()
	if offset == highWatermarkOffset {
		offset = high
	}
	if offset < 0 || offset > high {
		return 0, fmt.Errorf("%w: offset=%d high_watermark=%d", kerr.OffsetOutOfRange, offset, high)
	}
	if offset <= p.LogStart() {
		return p.LogStart(), nil
	}
	id := p.ID()
	result, err := a.Metadata.Propose(ctx, &command.SetLogStart{Entries: []command.LogStartEntry{{
		Topic: id.Topic, Partition: id.Partition, LeaderEpoch: p.Epoch(), LogStart: offset,
	}}})
	if err == nil && len(result.Entries) == 1 {
		err = result.Entries[0].Reason.Err()
	}
	if err != nil {
		return 0, fmt.Errorf("move log start topic=%s partition=%d: %w", topic, index, err)
	}
	return max(offset, p.LogStart()), nil
}
