// Command franz puts franz-go behind the protocol of the compat workers.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

func main() { worker.Main(franz{}) }

type franz struct{}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

const adminTimeout = 30 * time.Second

// client connects as the options say.
func client(o worker.Options, more ...kgo.Opt) (*kgo.Client, error) {
	opts := append([]kgo.Opt{kgo.SeedBrokers(o.Brokers)}, more...)
	config, err := o.Security.TLS()
	if err != nil {
		return nil, err
	}
	if config != nil {
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	if s := o.Security; s != nil {
		switch s.Mechanism {
		case "PLAIN":
			opts = append(opts, kgo.SASL(plain.Auth{User: s.User, Pass: s.Password}.AsMechanism()))
		case "SCRAM-SHA-256":
			opts = append(opts, kgo.SASL(scram.Auth{User: s.User, Pass: s.Password, IsToken: s.Delegation}.AsSha256Mechanism()))
		case "SCRAM-SHA-512":
			opts = append(opts, kgo.SASL(scram.Auth{User: s.User, Pass: s.Password, IsToken: s.Delegation}.AsSha512Mechanism()))
		case "OAUTHBEARER":
			opts = append(opts, kgo.SASL(oauth.Oauth(func(context.Context) (oauth.Auth, error) {
				token, err := s.Token()
				return oauth.Auth{Token: token}, err
			})))
		}
	}
	return kgo.NewClient(opts...)
}

func (franz) Create(o worker.Options) error {
	c, err := client(o)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	configs := map[string]*string{}
	for key, value := range o.Configs {
		configs[key] = &value
	}
	_, err = kadm.NewClient(c).CreateTopic(ctx, int32(o.Partitions), 1, configs, o.Topic)
	return err
}

func (franz) Produce(o worker.Options, next func() (worker.Record, bool, error), emit func(any)) error {
	c, err := client(o,
		kgo.DefaultProduceTopic(o.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codecs[o.Codec]), kgo.ProducerLinger(20*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := 0; ; i++ {
		rec, more, err := next()
		if err != nil {
			return err
		}
		if !more {
			return c.Flush(context.Background())
		}
		r := &kgo.Record{Partition: rec.Partition, Key: rec.Key, Value: rec.Value, Timestamp: time.UnixMilli(rec.Timestamp)}
		for _, h := range rec.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		// Not RecordDeliveryTimeout: that counts from the record's timestamp, and these are old.
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(o.TimeoutMS)*time.Millisecond)
		c.Produce(ctx, r, func(r *kgo.Record, err error) {
			cancel()
			ack := worker.Ack{Index: i, Partition: r.Partition, Offset: r.Offset}
			if err != nil {
				ack.Error = err.Error()
				ack.Retriable = errors.Is(err, context.DeadlineExceeded) || kerr.IsRetriable(err)
			}
			emit(ack)
		})
	}
}

func (franz) Consume(o worker.Options, emit func(any)) error {
	c, err := client(o)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
	defer cancel()
	starts, err := kadm.NewClient(c).ListStartOffsets(ctx, o.Topic)
	if err != nil {
		return err
	}
	if err := starts.Error(); err != nil {
		return err
	}
	at := map[int32]kgo.Offset{}
	starts.Each(func(l kadm.ListedOffset) {
		switch o.From {
		case "beginning":
			at[l.Partition] = kgo.NewOffset().AtStart()
		case "offset":
			at[l.Partition] = kgo.NewOffset().At(o.Offsets[l.Partition])
		case "time":
			at[l.Partition] = kgo.NewOffset().AfterMilli(o.Time)
		}
	})
	c.AddConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: at})
	for left := o.Count; left > 0; {
		fetches := c.PollRecords(context.Background(), left)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			emit(record(r))
			left--
		})
	}
	return nil
}

func (franz) Group(o worker.Options, emit func(any), stop <-chan struct{}) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-stop
		cancel()
	}()
	var has map[int32]bool
	told := func(add bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			if has == nil {
				has = map[int32]bool{}
			}
			for _, p := range changed[o.Topic] {
				if add {
					has[p] = true
				} else {
					delete(has, p)
				}
			}
			if add {
				all := worker.Assigned{Partitions: []int32{}}
				for p := range has {
					all.Partitions = append(all.Partitions, p)
				}
				emit(all)
			}
		}
	}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(o.Group), kgo.ConsumeTopics(o.Topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(told(true)), kgo.OnPartitionsRevoked(told(false)), kgo.OnPartitionsLost(told(false)),
	}
	if o.Protocol == "consumer" {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer()))
	} else {
		opts = append(opts, kgo.SessionTimeout(time.Duration(o.SessionMS)*time.Millisecond), kgo.HeartbeatInterval(500*time.Millisecond))
	}
	c, err := client(o, opts...)
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := c.PollRecords(ctx, 1000)
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				return fmt.Errorf("fetch: %w partition=%d", e.Err, e.Partition)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) { emit(record(r)) })
		if fetches.NumRecords() > 0 {
			if err := c.CommitUncommittedOffsets(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, "commit:", err) // a rebalance: the next owner gets these records again
			}
		}
		c.AllowRebalance()
	}
	return nil
}

func record(r *kgo.Record) worker.Record {
	out := worker.Record{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli()}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, worker.Header{Name: h.Key, Value: h.Value})
	}
	return out
}
