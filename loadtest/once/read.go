package once

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// reading is what a reader of committed records was given of a topic, by partition, in the order of the offsets.
type reading struct {
	topic      string
	partitions map[int32][]seen
}

// seen is one record that a reader was given.
type seen struct {
	offset  int64 // of the output
	input   input
	attempt int32 // see sightings
}

// input names a record of the input topic.
type input struct {
	partition int32
	offset    int64
}

// sightings are the attempts of which some reader was given records. A reader and its successors share one.
type sightings struct {
	index    map[attempt]int32
	attempts []attempt
	earliest []int64 // when the first record of the attempt was seen, ns
}

func newSightings() *sightings { return &sightings{index: make(map[attempt]int32)} }

func (s *sightings) see(a attempt, at int64) int32 {
	i, ok := s.index[a]
	if !ok {
		i = int32(len(s.attempts))
		s.index[a] = i
		s.attempts, s.earliest = append(s.attempts, a), append(s.earliest, at)
	}
	s.earliest[i] = min(s.earliest[i], at)
	return i
}

// reader reads the committed records of a topic.
type reader struct {
	client *kgo.Client
	all    *sightings
	got    reading
	next   map[int32]int64 // the offset behind the last record or marker
}

func newReader(brokers []string, topic string, all *sightings) (*reader, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ClientID("once-reader"), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.DialTimeout(time.Second), kgo.DisableClientMetrics(), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("reader: %w", err)
	}
	return &reader{client: client, all: all, got: reading{topic: topic, partitions: make(map[int32][]seen)}, next: make(map[int32]int64)}, nil
}

func (r *reader) close() { r.client.Close() }

// poll takes what there is, waiting for it if need be.
func (r *reader) poll(ctx context.Context) error {
	fetches := r.client.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	at := time.Now().UnixNano()
	var bad error
	fetches.EachRecord(func(record *kgo.Record) {
		p := record.Partition
		r.next[p] = record.Offset + 1
		if record.Attrs.IsControl() {
			return
		}
		o, err := parseOutput(record.Value)
		if err != nil && bad == nil {
			bad = fmt.Errorf("topic=%s partition=%d offset=%d: %w", record.Topic, p, record.Offset, err)
		}
		r.got.partitions[p] = append(r.got.partitions[p], seen{record.Offset, input{o.partition, o.offset}, r.all.see(o.attempt, at)})
	})
	return bad
}

// until reads up to the last stable offsets of the moment.
func (r *reader) until(ctx context.Context) error {
	ends, err := kadm.NewClient(r.client).ListCommittedOffsets(ctx, r.got.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("committed offsets topic=%s: %w", r.got.topic, err)
	}
	left := make(map[int32]int64)
	ends.Each(func(e kadm.ListedOffset) { left[e.Partition] = e.Offset })
	for {
		maps.DeleteFunc(left, func(p int32, end int64) bool { return r.next[p] >= end })
		if len(left) == 0 {
			return nil
		}
		if err := r.poll(ctx); err != nil {
			return fmt.Errorf("read topic=%s partitions left=%v: %w", r.got.topic, slices.Sorted(maps.Keys(left)), err)
		}
	}
}

// readAll reads a topic from its beginning.
func readAll(ctx context.Context, brokers []string, topic string, all *sightings) (*reading, error) {
	r, err := newReader(brokers, topic, all)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.until(ctx); err != nil {
		return nil, err
	}
	return &r.got, nil
}
