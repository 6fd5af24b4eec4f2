package verify

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidelinehq/tideline/loadtest/stage"
)

// flushEvery is how much of a history is lost when this process is killed. A cluster is never accused for what is missing.
const flushEvery = 100 * time.Millisecond

// Run is a run under way: producers write, readers read, and all write down what they see.
type Run struct {
	options Options
	id      RunID
	began   time.Time
	marks   *journal

	producers []*producer
	clients   []*clientReader
	raw       []*rawReader // one for each raw reader and partition
	journals  []*journal   // of the readers, and marks

	acked atomic.Int64
	ends  []atomic.Int64 // by partition: behind the highest acknowledged offset

	mu      sync.Mutex
	waiting map[chan struct{}]int64 // guarded by mu: who waits for how many acknowledgements

	stopSending context.CancelFunc
	giveUp      context.CancelFunc // waiting for acknowledgements
	stopReading context.CancelFunc
	sending     errgroup.Group
	sent        chan struct{} // closed when all producers have ended
	reading     sync.WaitGroup
	flushing    sync.WaitGroup
	stop        sync.Once
	stopped     error
}

// Start creates the topic and begins to write and to read. The context is that of the start alone; the run ends with Stop.
func Start(ctx context.Context, o Options) (_ *Run, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	r := &Run{options: o, began: time.Now(), ends: make([]atomic.Int64, o.Partitions), waiting: map[chan struct{}]int64{}, sent: make(chan struct{})}
	if _, err := rand.Read(r.id[:]); err != nil {
		return nil, err
	}
	if r.options.Topic == "" {
		r.options.Topic = "verify-" + hex.EncodeToString(r.id[:4])
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	p := &plan{Run: hex.EncodeToString(r.id[:]), Began: r.began.UTC(), Topic: r.options.Topic, Partitions: o.Partitions, Producers: o.Producers,
		Idempotent: !o.NotIdempotent, Acks: o.Acks, Gaps: o.Gaps, Command: o.Command}
	if err := p.write(o.Dir); err != nil {
		return nil, err
	}
	if err := createTopic(ctx, &r.options); err != nil {
		return nil, errors.Join(err, os.Remove(filepath.Join(o.Dir, planFile)))
	}
	if err := r.prepare(); err != nil {
		return nil, errors.Join(err, r.abandon())
	}
	r.launch()
	return r, nil
}

// prepare makes all that takes part.
func (r *Run) prepare() (err error) {
	o := &r.options
	if r.marks, err = createJournal(o.Dir, header{role: roleRun, run: r.id}); err != nil {
		return err
	}
	r.journals = append(r.journals, r.marks)
	for n := range o.Producers {
		p, err := r.newProducer(uint16(n))
		if err != nil {
			return err
		}
		r.producers = append(r.producers, p)
	}
	for n := range max(o.ClientReaders, 0) {
		c, err := r.newClientReader(uint16(n))
		if err != nil {
			return err
		}
		r.clients, r.journals = append(r.clients, c), append(r.journals, c.journal)
	}
	for n := range max(o.RawReaders, 0) {
		j, err := createJournal(o.Dir, header{role: roleReader, number: uint16(max(o.ClientReaders, 0) + n), run: r.id})
		if err != nil {
			return err
		}
		r.journals = append(r.journals, j)
		for partition := range o.Partitions {
			client, err := newClient(o.Brokers, o.Client)
			if err != nil {
				return err
			}
			r.raw = append(r.raw, &rawReader{client: client, journal: j, run: r.id, topic: o.Topic, partition: partition, live: true, gaps: o.Gaps})
		}
	}
	return nil
}

// launch sets everything going.
func (r *Run) launch() {
	var stopping, drained, reading context.Context
	stopping, r.stopSending = context.WithCancel(context.Background())
	drained, r.giveUp = context.WithCancel(context.Background())
	reading, r.stopReading = context.WithCancel(context.Background())
	for _, c := range r.clients {
		r.reading.Go(func() { c.read(reading) })
	}
	for _, one := range r.raw {
		r.reading.Go(func() { _ = one.read(reading, -1, 0) }) // it ends with the context alone
	}
	for _, p := range r.producers {
		r.sending.Go(func() error { return p.produce(stopping, drained) })
	}
	go func() {
		r.stopped = r.sending.Wait()
		close(r.sent)
	}()
	r.flushing.Go(func() {
		ticker := time.NewTicker(flushEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				r.flush()
			case <-reading.Done():
				return
			}
		}
	})
}

// flush hands the journals to the system. A journal that fails says so when it is closed.
func (r *Run) flush() {
	for _, j := range r.journals {
		_ = j.flush()
	}
	for _, p := range r.producers {
		_ = p.journal.flush()
	}
}

// Topic is the name of the run's topic.
func (r *Run) Topic() string { return r.options.Topic }

// Acked is how many records have been acknowledged so far.
func (r *Run) Acked() int64 { return r.acked.Load() }

// Done is closed when the producers have sent all records, if their number is limited, and have been told what became of them.
func (r *Run) Done() <-chan struct{} { return r.sent }

// Await returns when a number of records have been acknowledged.
func (r *Run) Await(ctx context.Context, acked int64) error {
	enough := make(chan struct{})
	r.mu.Lock()
	r.waiting[enough] = acked
	r.mu.Unlock()
	r.wake(r.acked.Load())
	defer func() {
		r.mu.Lock()
		delete(r.waiting, enough)
		r.mu.Unlock()
	}()
	select {
	case <-enough:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for acknowledgements wanted=%d are=%d: %w", acked, r.acked.Load(), context.Cause(ctx))
	}
}

// acknowledged counts an acknowledgement.
func (r *Run) acknowledged(partition int32, offset int64) {
	for end := &r.ends[partition]; ; {
		was := end.Load()
		if was > offset || end.CompareAndSwap(was, offset+1) {
			break
		}
	}
	r.wake(r.acked.Add(1))
}

func (r *Run) wake(acked int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for enough, wanted := range r.waiting {
		if acked >= wanted {
			delete(r.waiting, enough)
			close(enough)
		}
	}
}

// Mark writes down that something is done to the cluster now: gaps in the acknowledgements are attributed to it. Marks that begin
// with the same word are summed up together.
func (r *Run) Mark(text string) error {
	r.marks.put(mark{r.marks.now(), bounded(text)})
	return r.marks.flush()
}

// Stop ends the producers, waits until all that they sent is acknowledged and was read, at most as long as Options.Drain each, and ends the
// readers. An error means that the histories are not complete; that the cluster did not answer is for the check to judge.
func (r *Run) Stop(ctx context.Context) error {
	r.stop.Do(func() {
		drain, cancel := context.WithTimeout(ctx, r.options.Drain)
		defer cancel()
		defer context.AfterFunc(drain, r.giveUp)()
		r.stopSending()
		<-r.sent
		r.giveUp()
		r.catchUp(ctx)
		r.stopReading()
		r.reading.Wait()
		r.flushing.Wait()
		r.stopped = errors.Join(r.stopped, r.abandon())
	})
	return r.stopped
}

// catchUp waits until the readers have read what was acknowledged, and has those that do not get there write it down.
func (r *Run) catchUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Drain)
	defer cancel()
	for r.behind(nil) > 0 {
		if stage.Wait(ctx, lastBackoff/10) == nil {
			continue
		}
		n := r.behind(func(j *journal, partition int32, position int64) {
			j.put(refused{partition, -1, j.now(), position, codeStuck, "reader did not get to the end of the log in time"})
		})
		r.say("%d readers of a partition did not get to its end", n)
		return
	}
}

// behind is how many readers of a partition are not at its end.
func (r *Run) behind(each func(j *journal, partition int32, position int64)) (n int) {
	look := func(j *journal, partition int32, position int64) {
		if position >= r.ends[partition].Load() {
			return
		}
		n++
		if each != nil {
			each(j, partition, position)
		}
	}
	for _, c := range r.clients {
		for partition := range r.ends {
			look(c.journal, int32(partition), c.positions[partition].Load())
		}
	}
	for _, one := range r.raw {
		look(one.journal, one.partition, one.position.Load())
	}
	return n
}

// abandon closes what is open.
func (r *Run) abandon() error {
	var errs []error
	for _, p := range r.producers {
		p.client.Close()
		errs = append(errs, p.journal.close())
	}
	for _, c := range r.clients {
		c.client.Close()
	}
	for _, one := range r.raw {
		one.client.Close()
	}
	for _, j := range r.journals {
		errs = append(errs, j.close())
	}
	return errors.Join(errs...)
}

// Read reads everything from the beginning, as the function of that name does. It may be called while the run goes on.
func (r *Run) Read(ctx context.Context) error {
	return Read(ctx, r.options.Dir, ReadOptions{Brokers: r.options.Brokers, Within: r.options.ReadWithin, Client: r.options.Client})
}

// Check reads everything from the beginning and compares all histories. The run must have been stopped.
func (r *Run) Check(ctx context.Context) (*Result, error) {
	if err := r.Read(ctx); err != nil {
		return nil, err
	}
	return Check(ctx, r.options.Dir, CheckOptions{Explain: r.options.Explain})
}

// say tells whoever watches.
func (r *Run) say(format string, args ...any) { slog.Warn("verify: " + fmt.Sprintf(format, args...)) }

// Mark writes down in the directory of a run that something is done to the cluster, for those who are not the process that runs it.
func Mark(dir, text string) error {
	p, err := readPlan(dir)
	if err != nil {
		return err
	}
	id, err := p.id()
	if err != nil {
		return err
	}
	j, err := nextJournal(dir, header{role: roleRun, number: 1, run: id})
	if err != nil {
		return err
	}
	j.put(mark{j.now(), bounded(text)})
	return j.close()
}

// nextJournal begins the journal of the next number that is free.
func nextJournal(dir string, h header) (*journal, error) {
	for ; ; h.number++ {
		j, err := createJournal(dir, h)
		if err == nil || !errors.Is(err, fs.ErrExist) || h.number >= maxWitnesses {
			return j, err
		}
	}
}

func closeAfter(j *journal, err error) error { return errors.Join(err, j.close()) }
