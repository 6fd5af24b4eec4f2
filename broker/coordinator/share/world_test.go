package share

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

// world is a coordinator of one partition with everything around it in the test's
// hands: time, the log, the fate of each append, failover. No goroutine, no clock.
type world struct {
	t       testing.TB
	co      *Coordinator
	machine *machine
	step    *coordinator.Stepped
	topics  fakeTopics

	log     []record.Batch // committed
	end     int64
	start   int64 // of the log: what was pruned is below
	hold    bool  // appends wait for ack or fail
	held    []*coordinator.SteppedWrite
	onBatch func(record.Batch) // sees what is committed
}

// fakeTopics are the partitions of topics by id.
type fakeTopics map[[16]byte]int32

func (f fakeTopics) Partitions(id [16]byte) (int32, bool) { n, ok := f[id]; return n, ok }

var epoch = time.UnixMilli(1_700_000_000_000)

func newWorld(t testing.TB, cfg Config) *world {
	cfg.Partitions = 1
	w := &world{t: t, topics: fakeTopics{}}
	w.co = &Coordinator{cfg: cfg, topics: w.topics, metrics: newMetrics(nil), Topic: coordinator.Topic{Runtime: w}}
	w.co.TopicCreated(cfg.Partitions)
	w.load(epoch)
	return w
}

// load starts a new leader from the log, of which only what was not pruned is there.
func (w *world) load(now time.Time) {
	w.machine = newMachine(&w.co.cfg, w.co.metrics, slog.New(slog.DiscardHandler), w.prune)
	var err error
	w.step, err = coordinator.NewStepped(coordinator.Options{Subsystem: "test", CommitTimeout: w.co.cfg.CommitTimeout}, w.machine, now, w.kept())
	if err != nil {
		w.t.Fatalf("load: %v", err)
	}
	w.pump()
}

// kept are the batches with anything at or above the log's start; the first record may be
// in the middle of the first one.
func (w *world) kept() []record.Batch {
	for i, b := range w.log {
		if b.LastOffset() >= w.start {
			return w.log[i:]
		}
	}
	return nil
}

func (w *world) prune(below int64) {
	if below < w.start || below > w.end {
		w.t.Fatalf("pruned below %d: the log is [%d, %d)", below, w.start, w.end)
	}
	w.start = below
}

// failover ends this leader and starts the next. Appends that nobody was told
// about are lost, or with keep survive.
func (w *world) failover(keep bool) {
	w.pump()
	for _, b := range w.held {
		if keep {
			w.append(b.Batch)
		}
	}
	w.held = nil
	w.step.Unload()
	w.load(w.step.Now())
}

func (w *world) append(b record.Batch) {
	b.SetBaseOffset(w.end)
	w.end = b.NextOffset()
	w.log = append(w.log, b)
	if w.onBatch != nil {
		w.onBatch(b)
	}
}

// pump commits all that is to be appended, unless appends are held.
func (w *world) pump() {
	for {
		ws := w.step.Flush()
		w.held = append(w.held, ws...)
		if w.hold || len(w.held) == 0 {
			return
		}
		w.ack()
	}
}

// ack commits what is held; fail refuses it.
func (w *world) ack() {
	held := w.held
	w.held = nil
	for _, b := range held {
		w.append(b.Batch)
		b.Commit()
	}
}

func (w *world) fail(err error) {
	held := w.held
	w.held = nil
	for _, b := range held {
		b.Fail(err)
	}
	w.pump()
}

func (w *world) pass(d time.Duration) {
	for {
		d = w.step.Advance(d)
		w.pump()
		if d <= 0 {
			return
		}
	}
}

func (w *world) Elected(int32, int32)  {}
func (w *world) Resigned(int32, int32) {}
func (w *world) Close()                {}
func (w *world) Partitions() []int32   { return []int32{0} }
func (w *world) Submit(_ int32, ev coordinator.Event) {
	w.step.Submit(ev)
	w.pump()
}

// check asserts the package's invariants, among them that a replay gives the same.
func (w *world) check() {
	w.t.Helper()
	batches := 0
	for k, s := range w.machine.states {
		batches += len(s.batches)
		if s.snapshotAt < w.start {
			w.t.Fatalf("%v: its snapshot was pruned", k)
		}
		for i, x := range s.batches {
			if x.Last < x.First || x.First < s.start || i > 0 && s.batches[i-1].Last >= x.First ||
				i > 0 && s.batches[i-1].Last+1 == x.First && s.batches[i-1].like(x) {
				w.t.Fatalf("%v: batches are not in order from %d: %v", k, s.start, s.batches)
			}
		}
	}
	if batches != w.machine.batches {
		w.t.Fatalf("%d batches are counted as %d", batches, w.machine.batches)
	}
	again := newMachine(&w.co.cfg, newMetrics(nil), slog.New(slog.DiscardHandler), nil)
	for _, b := range w.kept() {
		for r, err := range b.Records(1 << 24) {
			if err == nil && r.Offset >= w.start {
				err = again.Replay(b, r.Offset, r.Key, r.Value)
			}
			if err != nil {
				w.t.Fatalf("replay: %v", err)
			}
		}
	}
	if diff := cmp.Diff(w.machine.states, again.states, cmp.AllowUnexported(state{}), cmp.Transformer("", func(b []StateBatch) string { return fmt.Sprint(b) })); diff != "" {
		w.t.Fatalf("state differs after replay (-is +replayed):\n%s", diff)
	}
}
