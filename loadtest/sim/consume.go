package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumer reads all partitions of a topic from the start, again and again, from leaders and from followers.
type consumer struct {
	c     *cluster
	cl    *client
	name  string
	topic string
	parts int32
	at    map[int32]int64
	last  map[int32]int32 // leader epoch of the last record that was read
}

func (c *cluster) consumer(name, topic string, parts int32) *consumer {
	return &consumer{c: c, cl: c.client(name), name: name, topic: topic, parts: parts, at: make(map[int32]int64), last: make(map[int32]int32)}
}

func (k *consumer) run(ctx context.Context) {
	defer k.cl.close()
	for ctx.Err() == nil {
		s := spot{k.topic, k.cl.random.Int32N(k.parts)}
		l, ok := k.cl.find(ctx, s, k.cl.random.IntN(10) == 0)
		if !ok {
			return
		}
		node := l.node
		if len(l.replicas) > 0 && k.cl.random.IntN(4) == 0 {
			node = l.replicas[k.cl.random.IntN(len(l.replicas))]
		}
		k.fetch(ctx, s, node, l)
		if k.cl.random.IntN(200) == 0 {
			k.at[s.index], k.last[s.index] = 0, -1 // all of it once more
		}
		pause(ctx, time.Duration(k.cl.random.Int64N(int64(k.c.pace))))
	}
}

// fetch reads on from where the consumer is.
func (k *consumer) fetch(ctx context.Context, s spot, node int32, l leader) {
	from := k.at[s.index]
	epoch := int32(-1)
	if node == l.node && k.cl.random.IntN(2) == 0 {
		epoch = l.epoch
	}
	resp, err := k.cl.call(ctx, node, fetchRequest(s, from, epoch, 200), requestTimeout)
	if err != nil {
		delete(k.cl.leaders, s)
		return
	}
	r, ok := fetched(resp, s)
	if !ok {
		return
	}
	switch err := kerr.ErrorForCode(r.ErrorCode); {
	case err == kerr.OffsetOutOfRange:
		k.outOfRange(ctx, s, node, l, from)
		return
	case err != nil:
		delete(k.cl.leaders, s)
		return
	}
	source := fmt.Sprintf("%s from broker=%d", k.name, node)
	next, err := eachRecord(complete(r.RecordBatches), from, source, func(offset int64, e entry) {
		if offset >= r.HighWatermark {
			k.c.violate("one history", "%s offset=%d: %s was shown it, though the high watermark is %d", s, offset, source, r.HighWatermark)
		}
		k.c.history.see(s, offset, e)
		k.c.read.Add(1)
		k.last[s.index] = e.epoch
	})
	if err != nil {
		k.c.violate("one history", "%s: %s from offset=%d: %v", s, source, from, err)
	}
	k.at[s.index] = next
}

// outOfRange is for an offset that a broker does not have. Where it leads, the log has been moved ahead, or
// records that were shown are gone.
func (k *consumer) outOfRange(ctx context.Context, s spot, node int32, l leader, from int64) {
	if node != l.node {
		return // a follower that is behind
	}
	if l.epoch < k.last[s.index] {
		delete(k.cl.leaders, s)
		return // one that does not know yet that it leads no more
	}
	start, end, err := k.cl.bounds(ctx, s, node, l.epoch)
	if err != nil {
		delete(k.cl.leaders, s)
		return
	}
	switch {
	case from < start:
		k.at[s.index] = start
	case from > end:
		k.c.violate("one history", "%s: %s has read as far as offset=%d, and the log of broker=%d ends at %d", s, k.name, from, node, end)
		k.at[s.index] = 0
	}
}

// bounds returns the log start and the high watermark, as the leader of an epoch says.
func (c *client) bounds(ctx context.Context, s spot, node, epoch int32) (start, end int64, err error) {
	for _, x := range []struct {
		timestamp int64
		to        *int64
	}{{-2, &start}, {-1, &end}} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = 5, -1
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = s.topic
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp, p.CurrentLeaderEpoch = s.index, x.timestamp, epoch
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		resp, err := c.call(ctx, node, req, requestTimeout)
		if err != nil {
			return 0, 0, err
		}
		r := &resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return 0, 0, err
		}
		*x.to = r.Offset
	}
	return start, end, nil
}

// leaderBounds is bounds of whoever leads. It asks again until ctx ends: leadership moves in the background.
func (c *client) leaderBounds(ctx context.Context, s spot) (start, end int64, err error) {
	for {
		l, ok := c.find(ctx, s, true)
		if !ok {
			return 0, 0, errors.Join(err, ctx.Err())
		}
		if start, end, err = c.bounds(ctx, s, l.node, l.epoch); err == nil {
			return start, end, nil
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func fetchRequest(s spot, offset int64, epoch, wait int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 12, wait, 1, 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = s.topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch, p.LastFetchedEpoch = s.index, offset, 256<<10, epoch, -1
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func fetched(resp kmsg.Response, s spot) (*kmsg.FetchResponseTopicPartition, bool) {
	r := resp.(*kmsg.FetchResponse)
	if r.ErrorCode != 0 || len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 || r.Topics[0].Partitions[0].Partition != s.index {
		return nil, false
	}
	return &r.Topics[0].Partitions[0], true
}
