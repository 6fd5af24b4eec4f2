package verify

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fake is a cluster of three brokers in this process.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// story is a run of some thousand records, and its check.
func story(t *testing.T, o Options, during func(context.Context, *Run)) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Partitions, o.Producers, o.Rate, o.Records, o.ReadWithin, o.Drain = 3, 2, 3000, 3000, 5*time.Second, 20*time.Second
	r, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if during != nil {
		during(ctx, r)
	}
	select {
	case <-r.Done():
	case <-ctx.Done():
		t.Errorf("acknowledged=%d: %v", r.Acked(), ctx.Err())
	}
	if err := r.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	result, err := r.Check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestHonestCluster(t *testing.T) {
	c := fake(t)
	r := story(t, Options{Brokers: c.ListenAddrs(), Compression: "lz4"}, func(ctx context.Context, r *Run) {
		if err := r.Await(ctx, 1000); err != nil {
			t.Fatal(err)
		}
		if err := r.Mark("shuffle leaders"); err != nil {
			t.Fatal(err)
		}
		c.ShufflePartitionLeaders()
		if err := r.Read(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if !r.OK() || r.Acked != 3000 || r.Sent != 3000 || r.Read < 3*3000 {
		t.Errorf("violations=%v acked=%d sent=%d read=%d notices=%v\n%v", r.Counts, r.Acked, r.Sent, r.Read, r.Notices, r.Explained)
	}
	if len(r.Faults) != 1 || r.LatencyMS.Count != 3000 || r.EndToEndMS.Count == 0 || len(r.PerSecond()) == 0 {
		t.Errorf("faults=%v latency=%v end to end=%v", r.Faults, r.LatencyMS, r.EndToEndMS)
	}
}

// A broker that acknowledges what it throws away.
func TestClusterThatLoses(t *testing.T) {
	c := fake(t, kfake.NumBrokers(1))
	var next atomic.Int64
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if next.Add(1)%10 != 0 {
			c.KeepControl()
			return nil, nil, false
		}
		c.KeepControl()
		r := req.(*kmsg.ProduceRequest)
		resp := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.BaseOffset = p.Partition, 1<<20+next.Load()*1000
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	r := story(t, Options{Brokers: c.ListenAddrs(), NotIdempotent: true, Acks: AcksAll, ClientReaders: -1, RawReaders: -1}, nil)
	if r.Counts[Loss] == 0 || len(r.Counts) != 1 {
		t.Errorf("violations=%v\n%v", r.Counts, r.Explained)
	}
}

// tamper changes answers to fetches on their way to the readers.
func tamper(c *kfake.Cluster, change func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition) (code int16, ok bool)) {
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		r := req.(*kmsg.FetchRequest)
		if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
			return nil, nil, false
		}
		p := &r.Topics[0].Partitions[0]
		code, lie := change(r, p)
		if !lie {
			return nil, nil, false
		}
		resp := r.ResponseKind().(*kmsg.FetchResponse)
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = r.Topics[0].Topic, r.Topics[0].TopicID
		rp := kmsg.NewFetchResponseTopicPartition()
		rp.Partition, rp.ErrorCode, rp.HighWatermark = p.Partition, code, 0
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
}

// lieOnce answers one fetch that is not the first of its partition with a lie. The channel is closed at the partition's next fetch: the
// reader asks again when it has written down what it was told.
func lieOnce(c *kfake.Cluster, code int16) <-chan struct{} {
	noted, to := make(chan struct{}), int32(-1)
	tamper(c, func(_ *kmsg.FetchRequest, p *kmsg.FetchRequestTopicPartition) (int16, bool) { // the cluster calls it one at a time
		switch {
		case to == -1 && p.FetchOffset > 0:
			to = p.Partition
			return code, true
		case to == p.Partition:
			to = -2
			close(noted)
		}
		return 0, false
	})
	return noted
}

func TestClusterWhoseWatermarkGoesBack(t *testing.T) {
	c := fake(t, kfake.NumBrokers(1))
	noted := lieOnce(c, 0)
	r := story(t, Options{Brokers: c.ListenAddrs(), ClientReaders: -1}, func(ctx context.Context, _ *Run) { wait(t, ctx, noted) })
	if r.Counts[Watermark] != 1 || len(r.Counts) != 1 {
		t.Errorf("violations=%v\n%v", r.Counts, r.Explained)
	}
}

func TestClusterThatForgetsItsEnd(t *testing.T) {
	c := fake(t, kfake.NumBrokers(1))
	noted := lieOnce(c, kerr.OffsetOutOfRange.Code)
	r := story(t, Options{Brokers: c.ListenAddrs(), ClientReaders: -1}, func(ctx context.Context, _ *Run) { wait(t, ctx, noted) })
	if r.Counts[OutOfRange] != 1 || len(r.Counts) != 1 {
		t.Errorf("violations=%v\n%v", r.Counts, r.Explained)
	}
}

func wait(t *testing.T, ctx context.Context, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
}

// A cluster that cannot be read is a violation, not an error of the check.
func TestClusterThatCannotBeRead(t *testing.T) {
	c := fake(t, kfake.NumBrokers(1))
	r := story(t, Options{Brokers: c.ListenAddrs(), ClientReaders: -1, RawReaders: -1}, func(context.Context, *Run) {
		tamper(c, func(*kmsg.FetchRequest, *kmsg.FetchRequestTopicPartition) (int16, bool) {
			return kerr.KafkaStorageError.Code, true
		})
	})
	if r.Counts[Unread] != 3 || len(r.Counts) != 1 {
		t.Errorf("violations=%v\n%v", r.Counts, r.Explained)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, o := range map[string]Options{
		"no brokers":  {Dir: "d"},
		"no dir":      {Brokers: []string{"b"}},
		"partitions":  {Brokers: []string{"b"}, Dir: "d", Partitions: -1},
		"small":       {Brokers: []string{"b"}, Dir: "d", RecordBytes: MinRecordBytes - 1},
		"acks":        {Brokers: []string{"b"}, Dir: "d", Acks: "none"},
		"idempotent":  {Brokers: []string{"b"}, Dir: "d", Acks: AcksLeader},
		"compression": {Brokers: []string{"b"}, Dir: "d", Compression: "brotli"},
		"rate":        {Brokers: []string{"b"}, Dir: "d", Rate: -1},
	} {
		if _, err := Start(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
