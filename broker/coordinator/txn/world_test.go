package txn

import (
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

// world is one shard driven by hand: the log, the markers that are to be written, and the
// time are the test's.
type world struct {
	t       testing.TB
	cfg     Config
	level   int16
	nextID  int64
	log     []record.Batch
	end     int64
	now     time.Time
	epoch   int32 // of the coordinator
	m       *machine
	stepped *coordinator.Stepped
	held    []*coordinator.SteppedWrite
	hold    bool // appends wait

	jobs    []*job                   // whose markers are not written
	written map[int64]map[string]int // producer id → markers that were written: "epoch result"
	refills []func(int64) coordinator.Event
	onBatch func(record.Batch)
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, cfg: Defaults(), level: 2, nextID: 1000, now: time.UnixMilli(1_700_000_000_000), written: map[int64]map[string]int{}}
	w.cfg.AbortInterval = time.Second
	w.load()
	return w
}

// fakeEdge collects what the shard of one epoch wants done.
type fakeEdge struct {
	w     *world
	epoch int32
}

func (e *fakeEdge) write(id string, t *transaction) {
	e.w.jobs = append(e.w.jobs, &job{
		shard: shardID{0, e.epoch}, id: id, producerID: t.producerID, epoch: t.epoch,
		commit: t.state == PrepareCommit, version: t.version, left: len(t.partitions),
	})
}

func (e *fakeEdge) refill(_ string, fn func(int64) coordinator.Event) {
	e.w.refills = append(e.w.refills, fn)
}

func (e *fakeEdge) forget() {
	e.w.jobs = slices.DeleteFunc(e.w.jobs, func(j *job) bool { return j.shard.epoch == e.epoch })
}

func (w *world) newMachine(e edge) *machine {
	return &machine{cfg: &w.cfg, metrics: newMetrics(nil), log: slog.New(slog.DiscardHandler), edge: e,
		level: func() int16 { return w.level }, txns: map[string]*transaction{}}
}

// load makes this the coordinator, at the next epoch.
func (w *world) load() {
	w.t.Helper()
	w.epoch++
	w.m = w.newMachine(&fakeEdge{w, w.epoch})
	s, err := coordinator.NewStepped(coordinator.Options{Subsystem: "test"}, w.m, w.now, w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	w.stepped, w.held, w.hold = s, nil, false
}

// failover ends the coordinator and begins the next; appends that are held are lost, or survive.
func (w *world) failover(keep bool) {
	w.stepped.Flush()
	w.stepped.Unload()
	for _, h := range w.held {
		if keep {
			w.append(h.Batch)
		}
	}
	w.load()
	w.run()
}

func (w *world) append(b record.Batch) {
	b.SetBaseOffset(w.end)
	w.end = b.NextOffset()
	w.log = append(w.log, b)
	if w.onBatch != nil {
		w.onBatch(b)
	}
}

// run appends what the shard wants appended.
func (w *world) run() {
	for {
		writes := w.stepped.Flush()
		if len(writes) == 0 {
			return
		}
		for _, h := range writes {
			if w.hold {
				w.held = append(w.held, h)
				continue
			}
			w.append(h.Batch)
			h.Commit()
		}
	}
}

// settle commits what is held, or refuses it.
func (w *world) settle(err error) {
	held := w.held
	w.held, w.hold = nil, false
	for _, h := range held {
		if err != nil {
			h.Fail(err)
			continue
		}
		w.append(h.Batch)
		h.Commit()
	}
	w.run()
}

func (w *world) tick(d time.Duration) {
	for d > 0 {
		d = w.stepped.Advance(d)
		w.run()
	}
	w.now = w.stepped.Now()
}

// submit hands an event to the shard.
func (w *world) submit(ev coordinator.Event) {
	w.stepped.Submit(ev)
	w.run()
}

// world is the shards of a Coordinator.
func (w *world) Elected(int32, int32)                 {}
func (w *world) Resigned(int32, int32)                {}
func (w *world) Partitions() []int32                  { return []int32{0} }
func (w *world) Close()                               {}
func (w *world) Submit(_ int32, ev coordinator.Event) { w.submit(ev) }

// send has the shard answer a request; answers are collected in what is returned.
func (w *world) send(req kmsg.Request) *[]kmsg.Response {
	var got []kmsg.Response
	c := &Coordinator{cfg: w.cfg, metrics: w.m.metrics, log: w.m.log, Topic: coordinator.Topic{Runtime: w}, opts: Options{
		GroupPartition: func(string) (string, int32) { return "__consumer_offsets", 7 },
	}}
	c.TopicCreated(1)
	c.takeID = func(done func(int64, error)) {
		w.nextID++
		done(w.nextID, nil)
	}
	if !c.Handle(req, func(r kmsg.Response) { got = append(got, r) }) {
		w.t.Fatalf("%T is not handled", req)
	}
	return &got
}

// markers carries out what is decided: all markers are written, and the shard is told.
func (w *world) markers() {
	jobs := w.jobs
	w.jobs = nil
	for _, j := range jobs {
		w.write(j)
		w.submit(w.markersWritten(j))
	}
}

// write notes that a job's markers are written.
func (w *world) write(j *job) {
	of := w.written[j.producerID]
	if of == nil {
		of = map[string]int{}
		w.written[j.producerID] = of
	}
	result := "abort"
	if j.commit {
		result = "commit"
	}
	of[fmt.Sprintf("%d %s", j.epoch, result)]++
}

func (w *world) markersWritten(j *job) coordinator.Event {
	return coordinator.Event{Key: j.id, Access: coordinator.Exclusive, Body: markersWritten{id: j.id, producerID: j.producerID, epoch: j.epoch}}
}

// refill gives producer ids to those that wait for one.
func (w *world) refill() {
	fns := w.refills
	w.refills = nil
	for _, fn := range fns {
		w.nextID++
		w.submit(fn(w.nextID))
	}
}

// checkReplay compares the state with what the log makes of an empty machine.
func (w *world) checkReplay() {
	w.t.Helper()
	fresh := w.newMachine(&fakeEdge{w, 0})
	for _, b := range w.log {
		for r, err := range b.Records(1 << 20) {
			if err == nil {
				err = fresh.Replay(b, r.Offset, r.Key, r.Value)
			}
			if err != nil {
				w.t.Fatal(err)
			}
		}
	}
	if len(fresh.txns) != len(w.m.txns) {
		w.t.Fatalf("replay has %d ids, the state %d", len(fresh.txns), len(w.m.txns))
	}
	for id, t := range w.m.txns {
		if r := fresh.txns[id]; r == nil || !equal(r, t, w.level) {
			w.t.Fatalf("id %s: replay has %+v, the state %+v", id, r, t)
		}
	}
}

// equal compares all but lastEpoch, which the log does not have, nor the ids before level 1.
func equal(a, b *transaction, level int16) bool {
	x, y := *a, *b
	x.partitions, y.partitions, x.lastEpoch, y.lastEpoch = nil, nil, 0, 0
	if level < firstFlexible {
		x.previousID, y.previousID, x.version, y.version = 0, 0, 0, 0
	}
	return reflect.DeepEqual(x, y) && slices.Equal(a.partitions, b.partitions)
}
