package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/tidelinehq/tideline/broker/partition"
)

// Timestamps of ListOffsets with a meaning of their own, and the first version
// that knows them.
const (
	latestTimestamp          = -1
	earliestTimestamp        = -2
	maxTimestamp             = -3 // KIP-734
	earliestLocalTimestamp   = -4 // KIP-405
	latestTieredTimestamp    = -5 // KIP-1005
	earliestPendingTimestamp = -6 // KIP-1023
)

var specialSince = map[int64]int16{
	latestTimestamp: 1, earliestTimestamp: 1, maxTimestamp: 7,
	earliestLocalTimestamp: 8, latestTieredTimestamp: 9, earliestPendingTimestamp: 11,
}

// Bounds of the look-ups by timestamp of one request: they may read the object
// store.
const (
	lookupParallelism = 16
	lookupTimeout     = 30 * time.Second
)

// listOffsets answers ListOffsets.
func listOffsets(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ListOffsetsRequest)
	resp := kmsg.NewPtrListOffsetsResponse()
	timeout := lookupTimeout
	if c.Version >= 10 && req.TimeoutMillis > 0 {
		timeout = min(timeout, time.Duration(req.TimeoutMillis)*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(c.Context, timeout)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(lookupParallelism)
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	duplicate := duplicatePartitions(req)
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			p, rp := &t.Partitions[j], &rt.Partitions[j]
			*rp = kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Timestamp, rp.Offset, rp.LeaderEpoch = p.Partition, -1, -1, -1
			if duplicate[topicPartition{t.Topic, p.Partition}] {
				rp.ErrorCode = kerr.InvalidRequest.Code
				continue
			}
			group.Go(func() error {
				c.API.listOffset(ctx, t.Topic, p, partition.Isolation(req.IsolationLevel), c.Version, rp)
				return nil
			})
		}
		resp.Topics[i] = rt
	}
	_ = group.Wait() // the functions above return no error: each partition has its own code
	return resp
}

type topicPartition struct {
	topic string
	index int32
}

// duplicatePartitions returns the partitions that a request names more than once;
// none of these is answered, as in Kafka.
func duplicatePartitions(req *kmsg.ListOffsetsRequest) map[topicPartition]bool {
	duplicate := make(map[topicPartition]bool)
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			key := topicPartition{t.Topic, t.Partitions[j].Partition}
			_, again := duplicate[key]
			duplicate[key] = again
		}
	}
	return duplicate
}

func (a *API) listOffset(ctx context.Context, topic string, p *kmsg.ListOffsetsRequestTopicPartition, isolation partition.Isolation, version int16, rp *kmsg.ListOffsetsResponseTopicPartition) {
	led := a.Partitions.Get(topic, p.Partition)
	if !leads(led) {
		rp.ErrorCode = a.missing(topic, p.Partition)
		return
	}
	if err := led.CheckEpoch(p.CurrentLeaderEpoch); err != nil {
		rp.ErrorCode = errorCode(err)
		return
	}
	if since, ok := specialSince[p.Timestamp]; p.Timestamp < 0 && (!ok || version < since) {
		rp.ErrorCode = kerr.UnsupportedVersion.Code
		return
	}
	found, err := a.offsetFor(ctx, led, p.Timestamp, isolation)
	if errors.Is(err, errNotYetKnown) {
		rp.ErrorCode = kerr.OffsetNotAvailable.Code
		if version < 5 {
			rp.ErrorCode = kerr.LeaderNotAvailable.Code
		}
		return
	}
	if err != nil {
		rp.ErrorCode = errorCode(err)
		a.logger.WarnContext(ctx, "offset look-up failed", "topic", topic, "partition", p.Partition, "timestamp", p.Timestamp, "error", err)
		return
	}
	rp.Timestamp, rp.Offset, rp.LeaderEpoch = found.Timestamp, found.Offset, found.Epoch
}

// none is the answer when no record matches.
var none = partition.TimeOffset{Offset: -1, Timestamp: -1, Epoch: -1}

// errNotYetKnown says that a new leader does not know yet how far the log is committed: it
// could answer less than an older leader has (KIP-207).
var errNotYetKnown = errors.New("the high watermark is not known yet")

// offsetFor finds what a timestamp asks for.
func (a *API) offsetFor(ctx context.Context, p *partition.Partition, timestamp int64, isolation partition.Isolation) (partition.TimeOffset, error) {
	at := func(offset int64) partition.TimeOffset {
		found := partition.TimeOffset{Offset: offset, Timestamp: -1, Epoch: p.EpochAt(offset)}
		if found.Epoch < 0 && offset == p.End() {
			found.Epoch = p.Epoch() // that of the record to come
		}
		return found
	}
	if timestamp == latestTimestamp || timestamp == maxTimestamp || timestamp >= 0 {
		if !p.Begun() {
			return none, errNotYetKnown
		}
	}
	switch timestamp {
	case latestTimestamp:
		latest := at(p.Limit(isolation))
		latest.Epoch = p.Epoch()
		return latest, nil
	case earliestTimestamp:
		return at(p.LogStart()), nil
	case earliestLocalTimestamp:
		return at(p.LocalStart()), nil
	case latestTieredTimestamp:
		if p.Tiered() <= p.LogStart() {
			return none, nil
		}
		return at(p.Tiered() - 1), nil
	case earliestPendingTimestamp:
		return at(max(p.Tiered(), p.LogStart())), nil
	}
	var found partition.TimeOffset
	var err error
	if timestamp == maxTimestamp {
		found, err = a.maxTimestamp(ctx, p)
	} else {
		found, err = a.firstSince(ctx, p, timestamp, isolation)
	}
	if err == nil && found.Offset >= p.Limit(isolation) {
		return none, nil // in an open transaction, as Apache Kafka answers
	}
	return found, err
}

// firstSince finds the first record whose timestamp is at least ts, in the object
// store for what the disk does not have, then on the disk. The seam is where the
// disk begins at that moment; should it move on meanwhile, the look-up starts
// over from there.
func (a *API) firstSince(ctx context.Context, p *partition.Partition, ts int64, isolation partition.Isolation) (partition.TimeOffset, error) {
	from := p.LogStart()
	for ctx.Err() == nil {
		seam := p.LocalStart()
		from = max(from, p.LogStart())
		if from < seam {
			found, ok, err := a.History.FindTime(ctx, p.ID(), ts, from)
			if err != nil {
				return none, fmt.Errorf("look up timestamp in the object store: %w", err)
			}
			if ok {
				return found, nil
			}
			from = max(seam, p.Tiered())
		}
		found, ok, err := p.FindTime(ctx, ts, max(from, seam), isolation)
		switch {
		case errors.Is(err, partition.ErrCold):
			continue
		case err != nil:
			return none, err
		case ok:
			return found, nil
		}
		return none, nil
	}
	return none, ctx.Err()
}

// FirstSince returns the offset of the first committed record that is not older than
// ts (ms); false: there is none.
func (a *API) FirstSince(ctx context.Context, p *partition.Partition, ts int64) (int64, bool, error) {
	found, err := a.firstSince(ctx, p, ts, partition.ReadUncommitted)
	return found.Offset, found.Offset >= 0, err
}

// maxTimestamp finds the record with the greatest timestamp over both tiers.
func (a *API) maxTimestamp(ctx context.Context, p *partition.Partition) (partition.TimeOffset, error) {
	local, ok, err := p.MaxTime(ctx)
	if err != nil {
		return none, err
	}
	if !ok {
		local = none
	}
	tiered, ok, err := a.History.MaxTime(ctx, p.ID())
	if err != nil {
		return none, err
	}
	if ok && tiered.Offset >= p.LogStart() && (tiered.Timestamp > local.Timestamp || tiered.Timestamp == local.Timestamp && tiered.Offset < local.Offset) {
		tiered.Epoch = p.EpochAt(tiered.Offset)
		return tiered, nil
	}
	return local, nil
}
