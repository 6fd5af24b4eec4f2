package api

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/wal"
)

// maxAskedEnds bounds the partitions of one question to a leader.
const maxAskedEnds = 1000

// PartitionEnds calls found with the high watermarks of partitions. Of those that have a replica here that is in sync it is that
// replica's, which is what the leader said last; the leaders of the others are asked, each for all of its partitions at
// once. What is not known is left out. It is for metrics.
func (a *API) PartitionEnds(ctx context.Context, ids []wal.ID, found func(id wal.ID, end int64)) {
	image := a.Metadata.Image()
	asked := make(map[int32][]wal.ID)
	var leaders []int32
	for _, id := range ids {
		p, ok := image.Partition(id.Topic, id.Partition)
		if !ok || p.Leader < 0 {
			continue
		}
		if here := a.Partitions.GetByID(id); here != nil && slices.Contains(p.ISR, a.Config.NodeID) {
			found(id, here.HighWatermark())
			continue
		}
		if p.Leader == a.Config.NodeID {
			continue // it is about to lead
		}
		if asked[p.Leader] == nil {
			leaders = append(leaders, p.Leader)
		}
		asked[p.Leader] = append(asked[p.Leader], id)
	}
	for _, leader := range leaders {
		for part := range slices.Chunk(asked[leader], maxAskedEnds) {
			if ctx.Err() != nil {
				return
			}
			if err := a.askEnds(ctx, image, leader, part, found); err != nil {
				a.logger.DebugContext(ctx, "ends of partitions are not known", "leader", leader, "partitions", len(part), "error", err)
				break // the rest of its partitions would fail likewise
			}
		}
	}
}

func (a *API) askEnds(ctx context.Context, image *metadata.Image, leader int32, ids []wal.ID, found func(id wal.ID, end int64)) error {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.ReplicaID = 10, -1
	for _, id := range ids {
		t, ok := image.TopicByID(id.Topic)
		if !ok {
			continue
		}
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = id.Partition, latestTimestamp
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != t.Name {
			req.Topics = append(req.Topics, kmsg.ListOffsetsRequestTopic{Topic: t.Name})
		}
		last := &req.Topics[len(req.Topics)-1]
		last.Partitions = append(last.Partitions, rp)
	}
	answer, err := a.Ask(ctx, leader, req)
	if err != nil {
		return err
	}
	resp, ok := answer.(*kmsg.ListOffsetsResponse)
	if !ok {
		return errNotForwarded
	}
	for _, t := range resp.Topics {
		topic, ok := image.Topic(t.Topic)
		if !ok {
			continue
		}
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 && p.Offset >= 0 {
				found(wal.ID{Topic: topic.ID, Partition: p.Partition}, p.Offset)
			}
		}
	}
	return nil
}
