package ownership

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/loadtest/stage"
)

// Options of a run.
type Options struct {
	Brokers           []string
	Topic, Group      string
	Partitions        int32
	ReplicationFactor int16
	Protocol          Protocol
	Members           int
	// Session is the members' session timeout; for the consumer protocol it is the group's, which this only repeats.
	Session time.Duration
	// Limit is how long a partition may be without owner.
	Limit time.Duration
}

// Run is one group.
type Run struct {
	o       Options
	random  *rand.Rand
	journal *journal
	members []groupMember
	next    int

	client *kgo.Client // produces and watches
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu        sync.Mutex
	committed map[int32]int64
	result    Result // commits and backwards
	backward  int32  // the first partition of which an offset went back, or -1
}

// Start creates the topic, and a group whose members it starts.
func Start(ctx context.Context, o Options, seed uint64) (*Run, error) {
	topic := stage.Topic{Name: o.Topic, Partitions: o.Partitions, ReplicationFactor: o.ReplicationFactor}
	client, err := topic.Producer(ctx, o.Brokers)
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.Background())
	r := &Run{
		o: o, random: rand.New(rand.NewPCG(seed, 11)), journal: newJournal(), client: client, stop: stop, committed: make(map[int32]int64), backward: -1,
	}
	r.done.Go(func() { r.produce(running) })
	r.done.Go(func() { r.watch(running) })
	return r, r.Grow()
}

// Grow starts as many members as are missing.
func (r *Run) Grow() error {
	for len(r.members) < r.o.Members {
		m, err := r.start()
		if err != nil {
			return err
		}
		r.next++
		r.members = append(r.members, m)
	}
	return nil
}

func (r *Run) start() (groupMember, error) {
	if r.o.Protocol == Streams {
		return startStreamsMember(&r.o, r.journal, r.next)
	}
	return startMember(&r.o, r.journal, r.next)
}

// Kill kills members.
func (r *Run) Kill(n int) {
	for range min(n, len(r.members)) {
		i := r.random.IntN(len(r.members))
		m := r.members[i]
		r.members = slices.Delete(r.members, i, i+1)
		m.kill()
	}
}

// Moved says that a coordinator that was killed has a successor.
func (r *Run) Moved() { r.journal.note(move, -1) }

const lookEvery = 50 * time.Millisecond

// Settle waits until each partition has one owner.
func (r *Run) Settle(ctx context.Context) error {
	for {
		one := r.journal.owned(r.o.Partitions)
		if one == r.o.Partitions {
			return nil
		}
		if err := stage.Wait(ctx, lookEvery); err != nil {
			return fmt.Errorf("partitions with one owner=%d of=%d: %w", one, r.o.Partitions, err)
		}
	}
}

// produce gives every partition a record now and then.
func (r *Run) produce(ctx context.Context) {
	for n := 0; stage.Wait(ctx, time.Second/200) == nil; n++ {
		r.client.Produce(ctx, &kgo.Record{Partition: int32(n) % r.o.Partitions, Value: strconv.AppendInt(nil, int64(n), 10)}, nil)
	}
}

// watch reads what is committed, which must not go back.
func (r *Run) watch(ctx context.Context) {
	for stage.Wait(ctx, 200*time.Millisecond) == nil {
		answer, err := kadm.NewClient(r.client).FetchOffsets(ctx, r.o.Group)
		if err != nil || answer.Error() != nil {
			continue // the coordinator is on its way
		}
		r.mu.Lock()
		for p, was := range r.committed {
			if got, _ := answer.Lookup(r.o.Topic, p); got.At < was {
				r.result.Backwards++
				if r.backward < 0 {
					r.backward = p
				}
				r.result.example("backward: partition=%d committed=%d after=%d at %v", p, got.At, was, time.Now())
			}
		}
		answer.Each(func(o kadm.OffsetResponse) {
			r.result.Commits++
			r.committed[o.Partition] = max(r.committed[o.Partition], o.At)
		})
		r.mu.Unlock()
	}
}

// Finish ends the group and judges.
func (r *Run) Finish() *Result {
	r.journal.mu.Lock()
	events, end := slices.Clone(r.journal.events), time.Now()
	r.journal.mu.Unlock()
	result := judge(events, r.o.Partitions, r.o.Session, r.o.Limit, end)
	r.Stop()
	result.Commits, result.Backwards = r.result.Commits, r.result.Backwards
	result.Examples = append(result.Examples, r.result.Examples...)
	if r.backward >= 0 {
		result.Examples = append(result.Examples, r.journal.story(r.backward)...)
	}
	return result
}

// Stop ends everything. It may be called again.
func (r *Run) Stop() {
	r.stop()
	r.done.Wait()
	for _, m := range r.members {
		m.end()
	}
	r.members = nil
	r.client.Close()
}
