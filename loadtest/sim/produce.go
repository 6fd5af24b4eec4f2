package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

// style is how a producer produces.
type style struct {
	acks       int16
	idempotent bool
}

// The styles that are run. Plain ones never send a record again, so that a duplicate is never theirs.
var styles = []style{{acks: -1, idempotent: true}, {acks: -1}, {acks: 1}}

// producer writes to the partitions of one topic, one batch at a time.
type producer struct {
	c     *cluster
	cl    *client
	name  string
	topic string
	parts int32
	style

	id       int64
	epoch    int16
	sequence map[int32]int32
	number   map[int32]int // of the next record of each partition
	problem  string        // the last that kept a batch from being acknowledged
}

func (c *cluster) producer(name, topic string, parts int32, s style) *producer {
	return &producer{
		c: c, cl: c.client(name), name: name, topic: topic, parts: parts, style: s,
		id: record.NoProducerID, sequence: make(map[int32]int32), number: make(map[int32]int),
	}
}

// run produces until ctx ends; what is under way then must be acknowledged before hard ends.
func (p *producer) run(ctx, hard context.Context) {
	defer p.cl.close()
	for ctx.Err() == nil {
		index := p.cl.random.Int32N(p.parts)
		if !p.batch(hard, spot{p.topic, index}) {
			p.c.violate("convergence", "producer %s can not get a batch acknowledged: %s", p.name, p.problem)
			return
		}
		pause(ctx, time.Duration(p.cl.random.Int64N(int64(p.c.pace))))
	}
}

// batch sends one batch. It is false when there was no time for it any more.
func (p *producer) batch(ctx context.Context, s spot) bool {
	if p.idempotent && p.id == record.NoProducerID && !p.initialize(ctx) {
		return false
	}
	records, entries := p.make(s)
	for try := 0; ; try++ {
		l, ok := p.cl.find(ctx, s, try > 0)
		if !ok {
			return false
		}
		req := produceRequest(s, p.acks, records)
		resp, err := p.cl.call(ctx, l.node, req, requestTimeout+time.Duration(req.TimeoutMillis)*time.Millisecond)
		if err != nil {
			p.problem = err.Error()
		} else {
			r := &resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			p.problem = fmt.Sprintf("%v %s", kerr.ErrorForCode(r.ErrorCode), message(r.ErrorMessage))
			if done := p.answer(s, r, entries); done {
				return true
			}
		}
		if !p.idempotent {
			return true // whatever became of it
		}
		pause(ctx, time.Duration(p.cl.random.Int64N(int64(200*time.Millisecond))))
	}
}

// answer takes an answer. It reports whether the batch is settled.
func (p *producer) answer(s spot, r *kmsg.ProduceResponseTopicPartition, entries []entry) bool {
	err := kerr.ErrorForCode(r.ErrorCode)
	switch {
	case err == nil:
		if p.acks == -1 && r.BaseOffset >= 0 {
			p.c.history.ack(s, r.BaseOffset, entries)
		}
		p.c.acked.Add(int64(len(entries)))
		if p.idempotent {
			p.sequence[s.index] = record.AddSequence(p.sequence[s.index], int32(len(entries)))
		}
		return true
	case err == kerr.DuplicateSequenceNumber && p.idempotent:
		p.sequence[s.index] = record.AddSequence(p.sequence[s.index], int32(len(entries)))
		return true
	case err == kerr.OutOfOrderSequenceNumber, err == kerr.UnknownProducerID:
		p.c.violate("acknowledged", "%s: %s sent the batch that follows what was acknowledged, and is told %s (sequence=%d)", s, p.name, err, p.sequence[s.index])
		return true
	case !kerr.IsRetriable(err):
		p.c.violate("errors", "%s: %s is told %s: %s", s, p.name, err, message(r.ErrorMessage))
		return true
	}
	return false
}

func message(m *string) string {
	if m == nil {
		return ""
	}
	return *m
}

// make makes the next batch of a partition.
func (p *producer) make(s spot) (record.Batch, []entry) {
	o := record.Options{ProducerID: p.id, ProducerEpoch: p.epoch, Sequence: p.sequence[s.index]}
	b := record.NewBuilder(o)
	var entries []entry
	for range 1 + p.cl.random.IntN(12) {
		n := p.number[s.index]
		p.number[s.index]++
		size := 10 + p.cl.random.IntN(200)
		if p.cl.random.IntN(10) == 0 {
			size = p.cl.random.IntN(12_000)
		}
		value := make([]byte, size)
		for i := 0; i < len(value); i += 16 {
			value[i] = byte(p.cl.random.Uint32())
		}
		r := record.Record{Key: fmt.Appendf(nil, "%s.%d:%d", p.name, s.index, n), Value: value, Timestamp: time.Now().UnixMilli()}
		if err := b.Add(r); err != nil {
			panic(err) // a batch has room for so little
		}
		entries = append(entries, entryOf(&r, -1, "ack to "+p.name))
	}
	return b.Build(), entries
}

// initialize gets a producer id.
func (p *producer) initialize(ctx context.Context) bool {
	for ctx.Err() == nil {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version = 3
		if resp, err := p.cl.call(ctx, p.cl.any(), req, requestTimeout); err != nil {
			p.problem = err.Error()
		} else if r := resp.(*kmsg.InitProducerIDResponse); r.ErrorCode == 0 {
			p.id, p.epoch = r.ProducerID, r.ProducerEpoch
			p.c.unique(p)
			return true
		} else {
			p.problem = kerr.ErrorForCode(r.ErrorCode).Error()
		}
		pause(ctx, 100*time.Millisecond)
	}
	return false
}

func produceRequest(s spot, acks int16, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, acks, 3000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = s.topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = s.index, batch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}
