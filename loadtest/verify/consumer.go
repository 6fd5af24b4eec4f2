package verify

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientReader reads all partitions through a whole Kafka client, with its fetch sessions, its search for leaders and its own
// discovery of truncations (KIP-320).
type clientReader struct {
	client    *kgo.Client
	journal   *journal
	run       RunID
	positions []atomic.Int64
	told      []fetched
}

const pollRecords = 5000

func (r *Run) newClientReader(number uint16) (*clientReader, error) {
	o := &r.options
	from := map[int32]kgo.Offset{}
	for p := range o.Partitions {
		from[p] = kgo.NewOffset().At(0)
	}
	j, err := createJournal(o.Dir, header{role: roleReader, number: number, run: r.id})
	if err != nil {
		return nil, err
	}
	client, err := newClient(o.Brokers, o.Client, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.KeepControlRecords(), kgo.FetchMaxWait(fetchWait), kgo.FetchMaxPartitionBytes(fetchBytes))
	if err != nil {
		return nil, closeAfter(j, err)
	}
	told := slices.Repeat([]fetched{{epoch: -1, highWatermark: -1}}, int(o.Partitions))
	return &clientReader{client: client, journal: j, run: r.id, positions: make([]atomic.Int64, o.Partitions), told: told}, nil
}

// read goes on until the context ends.
func (c *clientReader) read(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := c.client.PollRecords(ctx, pollRecords)
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if int(p.Partition) < len(c.positions) && p.Partition >= 0 && ctx.Err() == nil {
				c.take(p.FetchPartition)
			}
		})
	}
}

func (c *clientReader) take(p kgo.FetchPartition) {
	at, position := c.journal.now(), &c.positions[p.Partition]
	failure := p.Err
	p.Err = nil
	if len(p.Records) > 0 {
		e := fetched{partition: p.Partition, epoch: -1, at: at, highWatermark: p.HighWatermark, logStart: p.LogStartOffset}
		position.Store(takeRecords(c.journal, e, &c.told[p.Partition], c.run, p, position.Load(), true))
	}
	if failure == nil {
		return
	}
	var lost *kgo.ErrDataLoss
	if errors.As(failure, &lost) {
		c.journal.put(refused{p.Partition, -1, at, position.Load(), codeTruncated, bounded(lost.Error())})
		c.journal.put(seek{p.Partition, at, lost.ResetTo})
		position.Store(lost.ResetTo)
		return
	}
	c.journal.put(refused{p.Partition, -1, at, position.Load(), codeOf(failure), textOf(failure)})
}
