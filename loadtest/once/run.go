package once

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/loadtest/stage"
)

// WorkerVariable of the environment holds a Worker as JSON: the program that has it is one, and calls WorkFromEnvironment.
const WorkerVariable = "TIDELINE_ONCE_WORKER"

// WorkFromEnvironment works as WorkerVariable says.
func WorkFromEnvironment(ctx context.Context) error {
	var w Worker
	if err := json.Unmarshal([]byte(os.Getenv(WorkerVariable)), &w); err != nil {
		return fmt.Errorf("%s: %w", WorkerVariable, err)
	}
	return Work(ctx, w)
}

// Process is a worker that runs.
type Process interface {
	// Kill returns when it is gone; one that has ended stays so.
	Kill() error
	Suspend() error
	Resume() error
	// Done is closed when it has ended.
	Done() <-chan struct{}
}

// Run is one run: topics, a writer, workers and readers.
type Run struct {
	o      Options
	spawn  func(env string) (Process, error)
	random *rand.Rand
	writer *writer
	slots  []Process
	// zombies are suspended; others have their transactional ids. Those that woke find that out.
	zombies, woken []Process
	kills          int

	tail    *reader // along with the writing
	stop    context.CancelFunc
	tailEnd chan error

	all    *sightings // of the readings from the beginning
	last   map[string]*reading
	result Result
}

// Start creates the topics and begins to write. spawn starts a process whose environment has one more variable, as NAME=value.
func Start(ctx context.Context, o Options, seed uint64, spawn func(env string) (Process, error)) (*Run, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	if err := createTopics(ctx, &o); err != nil {
		return nil, err
	}
	r := &Run{
		o: o, spawn: spawn, random: rand.New(rand.NewPCG(seed, 7)), slots: make([]Process, o.Workers), all: newSightings(),
		last: make(map[string]*reading), tailEnd: make(chan error, 1),
	}
	var err error
	if r.tail, err = newReader(o.Brokers, o.hot(), newSightings()); err != nil {
		return nil, err
	}
	if r.writer, err = startWriter(&o); err != nil {
		return nil, err
	}
	tailing, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.tailEnd <- r.follow(tailing) }()
	return r, r.Tend()
}

func createTopics(ctx context.Context, o *Options) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(o.Brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	for _, topic := range []string{o.input(), o.hot(), o.cold()} {
		configs := map[string]*string{"retention.ms": kadm.StringPtr("-1"), "min.insync.replicas": kadm.StringPtr(strconv.Itoa(max(o.MinInSync, 1)))}
		if topic == o.cold() {
			configs["local.retention.bytes"], configs["local.retention.ms"] = kadm.StringPtr("1"), kadm.StringPtr("1")
		}
		t := stage.Topic{Name: topic, Partitions: o.Partitions, ReplicationFactor: o.ReplicationFactor, Configs: configs}
		if err := t.Create(ctx, client); err != nil {
			return err
		}
	}
	return nil
}

// follow reads the hot topic as it is written.
func (r *Run) follow(ctx context.Context) error {
	for {
		if err := r.tail.poll(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// Topics are the topics whose leaders are of interest to whoever makes faults.
func (r *Run) Topics() (input, hot, cold string) { return r.o.input(), r.o.hot(), r.o.cold() }

// Group is the group of the workers; TransactionalID that of a slot.
func (r *Run) Group() string { return r.o.group() }

// TransactionalID names the transactional id of one of the slots.
func (r *Run) TransactionalID(slot int) string { return r.o.Name + "-" + strconv.Itoa(slot) }

// Slots is how many transactional ids there are.
func (r *Run) Slots() int { return len(r.slots) }

// Kills is how many workers were killed, or suspended and replaced.
func (r *Run) Kills() int { return r.kills }

// Written is how many inputs were acknowledged.
func (r *Run) Written() int64 { return r.writer.acked.Load() }

// Tend starts a process in each slot that has none: a worker ends by itself when it was fenced or a commit's outcome is not known.
func (r *Run) Tend() error {
	for slot := range r.slots {
		if p := r.slots[slot]; p != nil {
			select {
			case <-p.Done():
			default:
				continue
			}
		}
		if err := r.start(slot); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) start(slot int) error {
	name := uuid.NewString()[:8]
	w := Worker{
		Brokers: r.o.Brokers, Group: r.o.group(), Input: r.o.input(), Hot: r.o.hot(), Cold: r.o.cold(), TransactionalID: r.TransactionalID(slot),
		Attempt: name, Journal: filepath.Join(r.o.Dir, fmt.Sprintf("%d-%s.journal", slot, name)), Seed: r.random.Uint64(),
	}
	text, err := json.Marshal(w)
	if err != nil {
		return err
	}
	if r.slots[slot], err = r.spawn(WorkerVariable + "=" + string(text)); err != nil {
		return fmt.Errorf("start of a worker: %w", err)
	}
	return nil
}

// KillOne kills a worker and starts another in its slot.
func (r *Run) KillOne() error {
	slot := r.random.IntN(len(r.slots))
	r.kills++
	if err := r.slots[slot].Kill(); err != nil {
		return err
	}
	return r.start(slot)
}

// maxZombies bounds the processes that are suspended.
const maxZombies = 4

// MakeZombie suspends a worker and starts another in its slot; the zombies wake up at WakeZombies.
func (r *Run) MakeZombie() error {
	if len(r.zombies) >= maxZombies {
		return r.WakeZombies()
	}
	slot := r.random.IntN(len(r.slots))
	r.kills++
	if err := r.slots[slot].Suspend(); err != nil {
		return err
	}
	r.zombies = append(r.zombies, r.slots[slot])
	return r.start(slot)
}

// WakeZombies has the suspended workers go on: what they do is in vain.
func (r *Run) WakeZombies() error {
	var errs []error
	for _, z := range r.zombies {
		errs = append(errs, z.Resume())
	}
	r.woken, r.zombies = append(r.woken, r.zombies...), nil
	return errors.Join(errs...)
}

// Look reads a topic from its beginning and compares that with what was read before.
func (r *Run) Look(ctx context.Context, topic string) error {
	got, err := readAll(ctx, r.o.Brokers, topic, r.all)
	if err != nil {
		return err
	}
	r.result.count(got)
	if was := r.last[topic]; was != nil {
		r.result.compare(was, got)
	}
	r.last[topic] = got
	return nil
}

// Finish ends the writing, waits until the workers have processed everything, and judges.
func (r *Run) Finish(ctx context.Context) (*Result, error) {
	if err := r.writer.end(); err != nil {
		return nil, fmt.Errorf("writer: %w", err)
	}
	if err := r.WakeZombies(); err != nil {
		return nil, err
	}
	ends, err := r.caughtUp(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range append(r.woken, r.slots...) {
		if err := p.Kill(); err != nil {
			return nil, err
		}
	}
	// The coordinator ends what the workers left open, at the latest when it has run out of time.
	if err := r.settled(ctx); err != nil {
		return nil, err
	}
	for _, topic := range []string{r.o.hot(), r.o.cold()} {
		if err := r.Look(ctx, topic); err != nil {
			return nil, err
		}
	}
	r.stop()
	if err := <-r.tailEnd; err != nil {
		return nil, fmt.Errorf("reader along with the writing: %w", err)
	}
	if err := r.tail.until(ctx); err != nil {
		return nil, err
	}
	r.tail.close()
	j, err := readJournals(r.o.Dir)
	if err != nil {
		return nil, err
	}
	tail := r.translate(&r.tail.got)
	r.result.count(tail)
	r.result.compare(tail, r.last[r.o.hot()])
	r.result.compare(r.last[r.o.hot()], tail)
	r.result.judge(ends, []*reading{r.last[r.o.hot()], r.last[r.o.cold()]}, r.all, j)
	return &r.result, nil
}

// translate takes the sightings of the reader along with the writing to the others.
func (r *Run) translate(got *reading) *reading {
	own := r.tail.all
	to := make([]int32, len(own.attempts))
	for i, a := range own.attempts {
		to[i] = r.all.see(a, own.earliest[i])
	}
	for _, p := range got.partitions {
		for i := range p {
			p[i].attempt = to[p[i].attempt]
		}
	}
	return got
}

// lookEvery is how often it is looked whether the workers are done.
const lookEvery = 250 * time.Millisecond

// caughtUp waits until the group has committed the ends of the input, and tends the workers meanwhile.
func (r *Run) caughtUp(ctx context.Context) (map[int32]int64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.o.Brokers...))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for {
		if err := r.Tend(); err != nil {
			return nil, err
		}
		listed, err := admin.ListEndOffsets(ctx, r.o.input())
		var have kadm.OffsetResponses
		if err == nil {
			have, err = admin.FetchOffsets(ctx, r.o.group())
		}
		if err == nil {
			ends, behind := make(map[int32]int64), int64(0)
			listed.Each(func(e kadm.ListedOffset) {
				ends[e.Partition] = e.Offset
				at, _ := have.Lookup(r.o.input(), e.Partition)
				behind += max(e.Offset-max(at.At, 0), 0)
			})
			if listed.Error() == nil && have.Error() == nil && behind == 0 {
				return ends, nil
			}
			err = fmt.Errorf("records not yet processed=%d", behind)
		}
		if waited := stage.Wait(ctx, lookEvery); waited != nil {
			return nil, fmt.Errorf("wait for the workers: %w: %w", waited, err)
		}
	}
}

// settled waits until no transaction is open in the outputs: the last stable offsets are the high watermarks.
func (r *Run) settled(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(r.o.Brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	for {
		ends, err := admin.ListEndOffsets(ctx, r.o.hot(), r.o.cold())
		var stable kadm.ListedOffsets
		if err == nil {
			stable, err = admin.ListCommittedOffsets(ctx, r.o.hot(), r.o.cold())
		}
		if err == nil && ends.Error() == nil && stable.Error() == nil {
			open := 0
			ends.Each(func(e kadm.ListedOffset) {
				if s, ok := stable.Lookup(e.Topic, e.Partition); !ok || s.Offset < e.Offset {
					open++
				}
			})
			if open == 0 {
				return nil
			}
			err = fmt.Errorf("partitions with an open transaction=%d", open)
		}
		if waited := stage.Wait(ctx, lookEvery); waited != nil {
			return fmt.Errorf("wait for the last transactions: %w: %w", waited, err)
		}
	}
}

// Stop ends all processes, for a run that is given up.
func (r *Run) Stop() {
	r.stop()
	r.writer.stop()
	for _, p := range slices.Concat(r.zombies, r.woken, r.slots) {
		if p != nil {
			_ = p.Kill() // it may have ended
		}
	}
}
