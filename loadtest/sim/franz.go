package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/internal/record"
)

// franz makes a client of a kind that applications use: it sends the next batch while the last is under way.
func (c *cluster) franz(name string, more ...kgo.Opt) (*kgo.Client, error) {
	raw := c.client(name)
	options := []kgo.Opt{
		kgo.ClientID(name), kgo.SeedBrokers(c.kafka(1), c.kafka(2), c.kafka(3)),
		kgo.Dialer(func(ctx context.Context, _, address string) (net.Conn, error) { return raw.host.Dial(ctx, address) }),
		kgo.DialTimeout(dialTimeout), kgo.RequestTimeoutOverhead(requestTimeout), kgo.RetryTimeout(requestTimeout),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.MetadataMaxAge(5 * time.Second),
	}
	return kgo.NewClient(append(options, more...)...)
}

// stream produces to one topic by franz-go, idempotent, with up to five requests under way.
type stream struct {
	c     *cluster
	name  string
	topic string
	parts int32
}

// streamPending is how many records may wait for their acknowledgement.
const streamPending = 500

func (p *stream) run(ctx, hard context.Context) {
	client, err := p.c.franz(p.name,
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(streamPending),
		kgo.ProducerLinger(0), kgo.UnknownTopicRetries(-1), kgo.ProduceRequestTimeout(3*time.Second))
	if err != nil {
		p.c.violate("errors", "%s: %v", p.name, err)
		return
	}
	defer client.Close()
	p.c.uniqueName(p.name, p.parts)
	// Before anything is sent: franz-go holds a lock while it asks, for which others would wait.
	if _, _, err := client.ProducerID(hard); err != nil {
		p.c.violate("convergence", "%s: no producer id: %v", p.name, err)
		return
	}
	random := p.c.client(p.name + "-pace").random
	numbers := make(map[int32]int)
	for ctx.Err() == nil {
		for range 1 + random.IntN(30) {
			index := random.Int32N(p.parts)
			r := &kgo.Record{
				Topic: p.topic, Partition: index, Key: fmt.Appendf(nil, "%s.%d:%d", p.name, index, numbers[index]),
				Value: make([]byte, 10+random.IntN(300)),
			}
			numbers[index]++
			r.Value[0] = byte(random.Uint32())
			e := entryOf(&record.Record{Key: r.Key, Value: r.Value}, -1, "ack to "+p.name)
			client.Produce(hard, r, func(r *kgo.Record, err error) {
				switch {
				case err == nil:
					p.c.history.ack(spot{p.topic, r.Partition}, r.Offset, []entry{e})
					p.c.acked.Add(1)
				case hard.Err() == nil && !errors.Is(err, kgo.ErrClientClosed):
					p.c.violate("errors", "%s/%d: %s is told %v", p.topic, r.Partition, p.name, err)
				}
			})
		}
		pause(ctx, time.Duration(random.Int64N(int64(p.c.pace))))
	}
	if err := client.Flush(hard); err != nil {
		p.c.violate("convergence", "%s can not get its records acknowledged: buffered=%d: %v", p.name, client.BufferedProduceRecords(), err)
	}
}
