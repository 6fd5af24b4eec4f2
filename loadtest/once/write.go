package once

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/time/rate"
)

// writer writes the inputs, round robin over the partitions, in batches at a steady rate.
type writer struct {
	client *kgo.Client
	acked  atomic.Int64
	stop   context.CancelFunc
	done   chan struct{}

	once sync.Once
	err  error // the first; valid when done is closed
}

func startWriter(o *Options) (*writer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...), kgo.ClientID("once-writer"), kgo.DefaultProduceTopic(o.input()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(50*time.Millisecond), kgo.DialTimeout(time.Second),
		kgo.ProducerLinger(5*time.Millisecond), kgo.DisableClientMetrics(), kgo.MaxBufferedRecords(20_000))
	if err != nil {
		return nil, fmt.Errorf("writer: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{client: client, stop: cancel, done: make(chan struct{})}
	go w.run(ctx, o)
	return w, nil
}

func (w *writer) run(ctx context.Context, o *Options) {
	defer close(w.done)
	defer w.client.Close()
	limit := rate.NewLimiter(rate.Limit(o.Rate), max(int(o.Rate/20), 1))
	for n := int64(0); limit.Wait(ctx) == nil; n++ {
		text := strconv.AppendInt(nil, n, 10)
		w.client.Produce(context.Background(), &kgo.Record{Partition: int32(n % int64(o.Partitions)), Key: text, Value: text}, w.written)
	}
	if err := w.client.Flush(context.Background()); err != nil {
		w.fail(err)
	}
}

func (w *writer) written(_ *kgo.Record, err error) {
	if err != nil {
		w.fail(err)
		return
	}
	w.acked.Add(1)
}

func (w *writer) fail(err error) { w.once.Do(func() { w.err = err }) }

// end stops writing and waits for what is under way.
func (w *writer) end() error {
	w.stop()
	<-w.done
	return w.err
}
