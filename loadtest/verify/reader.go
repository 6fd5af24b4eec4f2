package verify

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/loadtest/stage"
)

// A rawReader reads one partition by requests of its own, one after the other, so that it sees every answer, knows which leader
// gave it, and writes down all in the order in which it was told: what a Kafka client hides is what is looked for. Because the
// answer to a fetch was read before the end of the log is asked for, an end below the fetched offsets is a contradiction.
//
//	find leader ─► fetch at the position ─► write down ─► (now and then) ListOffsets ─► …
//	    ▲                  │ error
//	    └──────────────────┘
type rawReader struct {
	client    *kgo.Client
	journal   *journal
	run       RunID
	topic     string
	partition int32
	live      bool // measures how old records are when they arrive
	gaps      bool

	leader   leadership
	position atomic.Int64
	told     fetched // what was written down last of the watermark
	asked    time.Time
	failures int
}

// leadership is who leads the partition, as far as the reader knows.
type leadership struct {
	known  bool
	broker int32
	epoch  int32
	topic  [16]byte
}

const (
	fetchWait    = 250 * time.Millisecond // how long a broker may wait for records
	fetchBytes   = 1 << 20
	listEvery    = 250 * time.Millisecond // how often the end of the log is asked for
	latestOffset = -1                     // of ListOffsets
	earliest     = -2
	codeClient   = -1001 // the request got no answer
	codeStuck    = -1002 // a reader gives up
)

var decompressor = kgo.DefaultDecompressor()

// read goes on until the context ends, or the reader has read up to an offset if there is one. A reader that has not got on for
// the time given ends with errStuck.
func (r *rawReader) read(ctx context.Context, until int64, within time.Duration) error {
	r.told = fetched{epoch: -1, highWatermark: -1}
	progress, last := time.Now(), r.position.Load()
	var failure error
	for ctx.Err() == nil && (until < 0 || r.position.Load() < until) {
		done, err := r.step(ctx, until)
		if done {
			return nil
		}
		if err != nil {
			failure = err
			r.failures++
			if err := stage.Wait(ctx, backoff(r.failures)); err != nil {
				break
			}
		} else {
			r.failures = 0
		}
		if now := r.position.Load(); now != last {
			progress, last = time.Now(), now
		}
		if within > 0 && time.Since(progress) > within {
			return fmt.Errorf("%w partition=%d offset=%d end=%d: %w", errStuck, r.partition, last, until, errors.Join(failure, context.DeadlineExceeded))
		}
	}
	return ctx.Err()
}

var errStuck = errors.New("reader does not get on")

// step makes one request, or two. It is done where nothing can follow although the offset was not reached.
func (r *rawReader) step(ctx context.Context, until int64) (done bool, err error) {
	if err := r.find(ctx); err != nil {
		return false, err
	}
	p, err := r.fetch(ctx)
	if err != nil {
		r.refuse(r.position.Load(), err)
		return false, err
	}
	at := r.journal.now()
	seen, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: r.position.Load(), Topic: r.topic, Partition: r.partition,
	}, p, decompressor, nil)
	e := fetched{partition: r.partition, epoch: r.leader.epoch, at: at, highWatermark: p.HighWatermark, logStart: p.LogStartOffset}
	r.position.Store(takeRecords(r.journal, e, &r.told, r.run, seen, r.position.Load(), r.live))
	if r.gaps && until >= 0 && len(seen.Records) == 0 && seen.Err == nil && p.HighWatermark >= until {
		return true, nil // what is left was removed, or is not for us
	}
	if until < 0 && time.Since(r.asked) >= listEvery {
		r.asked = time.Now()
		end, err := r.list(ctx, latestOffset)
		if err != nil {
			r.refuse(r.position.Load(), err)
			return false, err
		}
		r.journal.put(listed{r.partition, r.leader.epoch, r.journal.now(), end})
	}
	return false, nil
}

// takeRecords writes down an answer, unless it says nothing new, and returns the offset behind it.
func takeRecords(j *journal, e fetched, told *fetched, id RunID, seen kgo.FetchPartition, position int64, live bool) int64 {
	now := time.Now().UnixMicro()
	put := func() {
		j.put(e)
		e.runs = nil
	}
	for _, record := range seen.Records {
		one, sent := describe(id, e.partition, record)
		if live && one.kind == runOurs {
			one.age = max(now-sent, 1)
		}
		if n := len(e.runs); n == 0 || !e.runs[n-1].continues(one) {
			if n == runsPerFrame || one.text != "" && n >= runsPerFrame/8 {
				put()
			}
			e.runs = append(e.runs, one)
		} else {
			e.runs[n-1].count++
		}
		position = record.Offset + 1
	}
	if seen.Err != nil {
		// The rest of the answer cannot be read. The offset is passed over, so that the reader sees what lies behind.
		e.runs = append(e.runs, run{kind: runCorrupt, base: position, count: 1, text: bounded(seen.Err.Error())})
		position++
	}
	if len(e.runs) > 0 || e.highWatermark != told.highWatermark || e.epoch != told.epoch {
		*told = fetched{epoch: e.epoch, highWatermark: e.highWatermark}
		put()
	}
	return position
}

// continues tells whether a record is the next of a run.
func (r run) continues(next run) bool {
	return r.kind == next.kind && next.text == "" && r.text == "" && next.base == r.base+r.count &&
		(r.kind != runOurs || next.producer == r.producer && next.sequence == r.sequence+r.count)
}

// describe says what a record is.
func describe(id RunID, partition int32, record *kgo.Record) (one run, sent int64) {
	one = run{base: record.Offset, count: 1}
	if record.Attrs.IsControl() {
		one.kind = runControl
		return one, 0
	}
	who, sent, err := checkRecord(id, partition, record)
	switch {
	case errors.Is(err, errForeign):
		one.kind, one.text = runForeign, bounded(err.Error())
	case err != nil:
		one.kind, one.text = runCorrupt, bounded(err.Error())
	default:
		one.producer, one.sequence = who.producer, who.sequence
	}
	return one, sent
}

func bounded(text string) string { return text[:min(len(text), maxText)] }

// refuse writes down an error, and forgets the leader that answered with it, or did not.
func (r *rawReader) refuse(position int64, err error) {
	r.leader.known = false
	if codeOf(err) == codeClient {
		return // a broker that is gone: the gaps in the acknowledgements tell of it
	}
	r.journal.put(refused{r.partition, r.leader.epoch, r.journal.now(), position, codeOf(err), textOf(err)})
}

// find asks any broker for the leader, unless it is known.
func (r *rawReader) find(ctx context.Context) error {
	if r.leader.known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &r.topic
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, r.client)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return err
		}
		for _, p := range t.Partitions {
			if p.Partition != r.partition {
				continue
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
			if p.Leader < 0 {
				return kerr.LeaderNotAvailable
			}
			r.leader = leadership{known: true, broker: p.Leader, epoch: p.LeaderEpoch, topic: t.TopicID}
			return nil
		}
	}
	return kerr.UnknownTopicOrPartition
}

// fetch asks the leader for records. Because it names the epoch, no other leader's answer is taken for one of it.
func (r *rawReader) fetch(ctx context.Context) (*kmsg.FetchResponseTopicPartition, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = int32(fetchWait.Milliseconds()), 1, fetchBytes, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = r.topic, r.leader.topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.PartitionMaxBytes = r.partition, r.leader.epoch, r.position.Load(), fetchBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := r.client.Broker(int(r.leader.broker)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 || resp.Topics[0].Partitions[0].Partition != r.partition {
		return nil, fmt.Errorf("answer to a fetch names other partitions topics=%d", len(resp.Topics))
	}
	got := &resp.Topics[0].Partitions[0]
	return got, kerr.ErrorForCode(got.ErrorCode)
}

// list asks the leader where the log begins or ends.
func (r *rawReader) list(ctx context.Context, what int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = r.topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = r.partition, r.leader.epoch, what
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	answer, err := r.client.Broker(int(r.leader.broker)).Request(ctx, req)
	if err != nil {
		return 0, err
	}
	resp := answer.(*kmsg.ListOffsetsResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("answer to ListOffsets names other partitions topics=%d", len(resp.Topics))
	}
	got := resp.Topics[0].Partitions[0]
	return got.Offset, kerr.ErrorForCode(got.ErrorCode)
}
