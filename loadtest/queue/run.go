package queue

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/loadtest/lifeline"
	"github.com/tidelinehq/tideline/loadtest/stage"
)

// Options of a run.
type Options struct {
	Brokers           []string
	Topic, Group      string
	Partitions        int32
	ReplicationFactor int16
	Members           int
	// Limit is how often the group allows a record to be delivered.
	Limit int32
	// Rate is how many records are written a second.
	Rate int
}

// Run is one group and its producer.
type Run struct {
	o       Options
	random  *rand.Rand
	journal *journal
	members []*member

	client  *kgo.Client
	stop    context.CancelFunc
	writing sync.WaitGroup
}

// Start creates the topic, has the group begin at its start, and starts the members.
func Start(ctx context.Context, o Options, seed uint64) (*Run, error) {
	topic := stage.Topic{Name: o.Topic, Partitions: o.Partitions, ReplicationFactor: o.ReplicationFactor}
	client, err := topic.Producer(ctx, o.Brokers)
	if err != nil {
		return nil, err
	}
	if err := fromTheStart(ctx, client, o.Group); err != nil {
		client.Close()
		return nil, err
	}
	writing, stop := context.WithCancel(context.Background())
	r := &Run{o: o, random: rand.New(rand.NewPCG(seed, 13)), journal: newJournal(o.Limit), client: client, stop: stop}
	r.writing.Go(func() { r.write(writing) })
	return r, r.Grow()
}

// fromTheStart has a group begin with the first record.
func fromTheStart(ctx context.Context, client *kgo.Client, group string) error {
	earliest := "earliest"
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	resource := kmsg.NewIncrementalAlterConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	resource.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "share.auto.offset.reset", Value: &earliest}}
	req.Resources = append(req.Resources, resource)
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return fmt.Errorf("settings of group=%s: %w", group, err)
	}
	for _, x := range resp.Resources {
		if x.ErrorCode != 0 {
			return fmt.Errorf("settings of group=%s: code=%d", group, x.ErrorCode)
		}
	}
	return nil
}

// write produces numbered records.
func (r *Run) write(ctx context.Context) {
	for n := int64(0); stage.Wait(ctx, time.Second/time.Duration(r.o.Rate)) == nil; n++ {
		r.client.Produce(context.Background(), &kgo.Record{Partition: int32(n % int64(r.o.Partitions)), Value: strconv.AppendInt(nil, n, 10)},
			func(_ *kgo.Record, err error) {
				if err == nil {
					r.journal.produced(n)
				}
			})
	}
	_ = r.client.Flush(context.Background()) // a record that was not acknowledged is not missed
}

// Grow starts as many members as are missing.
func (r *Run) Grow() error {
	for len(r.members) < r.o.Members {
		m, err := r.start()
		if err != nil {
			return err
		}
		r.members = append(r.members, m)
	}
	return nil
}

// Kill kills a member.
func (r *Run) Kill() {
	i := r.random.IntN(len(r.members))
	m := r.members[i]
	r.members = slices.Delete(r.members, i, i+1)
	m.line.Cut(r.journal.kill)
	m.end()
}

// Disturbed says that a broker is killed.
func (r *Run) Disturbed() { r.journal.kill() }

// lookEvery is how often it is looked whether all is done.
const lookEvery = 200 * time.Millisecond

// Finish ends the writing, waits until nothing is left to do, and judges.
func (r *Run) Finish(ctx context.Context) *Result {
	r.stop()
	r.writing.Wait()
	for r.journal.open() > 0 && stage.Wait(ctx, lookEvery) == nil {
		// What nobody did in time is judged.
	}
	r.Stop()
	return r.journal.end()
}

// Stop ends everything. It may be called again.
func (r *Run) Stop() {
	r.stop()
	r.writing.Wait()
	for _, m := range r.members {
		m.line.Cut(nil)
		m.end()
	}
	r.members = nil
	r.client.Close()
}

// member takes records and does something with them.
type member struct {
	client  *kgo.Client
	line    *lifeline.Line
	journal *journal
	random  *rand.Rand
	stop    context.CancelFunc
	done    chan struct{}

	mu sync.Mutex
	// Partitions of whose acknowledgements, since they were sent, something failed, and something was confirmed. Those of a
	// partition that was taken away meanwhile fail without that anybody waits for it.
	failed, confirmed map[int32]bool
}

// What a member does with records: one in releaseOneIn is released, one in rejectOneIn rejected.
const (
	releaseOneIn = 10
	rejectOneIn  = 50
	flushWithin  = 20 * time.Second
)

func (r *Run) start() (*member, error) {
	m := &member{line: lifeline.New(), journal: r.journal, random: rand.New(rand.NewPCG(r.random.Uint64(), 0)), done: make(chan struct{}), failed: make(map[int32]bool), confirmed: make(map[int32]bool)}
	var err error
	if m.client, err = kgo.NewClient(kgo.SeedBrokers(r.o.Brokers...), kgo.ShareGroup(r.o.Group), kgo.ConsumeTopics(r.o.Topic), kgo.Dialer(m.line.Dial),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.DisableClientMetrics(), kgo.FetchMaxWait(200*time.Millisecond), kgo.ShareMaxRecords(100),
		kgo.ShareAckCallback(m.acknowledged)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go m.run(ctx)
	return m, nil
}

func (m *member) acknowledged(_ *kgo.Client, results kgo.ShareAckResults) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range results {
		if r.Err != nil {
			m.failed[r.Partition] = true
		} else {
			m.confirmed[r.Partition] = true
		}
	}
}

func (m *member) run(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		fetches := m.client.PollRecords(ctx, 100)
		if fetches.NumRecords() == 0 || m.line.IsCut() {
			continue
		}
		m.work(ctx, fetches.Records())
	}
}

// work does something with records and waits until that is acknowledged.
func (m *member) work(ctx context.Context, records []*kgo.Record) {
	does, given := make(map[*kgo.Record]status, len(records)), make(map[*kgo.Record]delivery, len(records))
	m.mu.Lock()
	clear(m.failed)
	clear(m.confirmed)
	m.mu.Unlock()
	for _, r := range records {
		id, err := strconv.ParseInt(string(r.Value), 10, 64)
		if err != nil {
			panic("queue: a record that nobody wrote: " + string(r.Value))
		}
		given[r] = m.journal.delivered(id, r.DeliveryCount())
		s, ack := accepts, kgo.AckAccept
		if m.random.IntN(releaseOneIn) == 0 {
			s, ack = releases, kgo.AckRelease
		} else if m.random.IntN(rejectOneIn) == 0 {
			s, ack = rejects, kgo.AckReject
		}
		does[r] = s
		r.Ack(ack)
	}
	flush, cancel := context.WithTimeout(ctx, flushWithin)
	defer cancel()
	err := m.client.FlushAcks(flush)
	m.mu.Lock()
	failed, confirmed := maps.Clone(m.failed), maps.Clone(m.confirmed)
	m.mu.Unlock()
	for _, r := range records {
		m.journal.answered(given[r], does[r], err == nil && confirmed[r.Partition] && !failed[r.Partition])
	}
}

// end waits for the member.
func (m *member) end() {
	m.stop()
	<-m.done
	m.client.Close()
}
