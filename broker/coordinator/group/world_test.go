package group

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

// world is a coordinator of one partition with everything around it in the
// test's hands: time, the log, the fate of each append, failover. No goroutine, no clock.
type world struct {
	t       testing.TB
	co      *Coordinator
	machine *machine
	step    *coordinator.Stepped
	down    bool // between leaders
	ids     int
	topics  fakeTopics
	shares  *fakeShares

	log     []record.Batch // committed
	end     int64
	hold    bool // appends wait for ack or fail
	held    []*coordinator.SteppedWrite
	onBatch func(record.Batch) // sees what is committed
}

type fakeTopics map[string]fakeTopic

type fakeTopic struct {
	id         [16]byte
	partitions int32
	racks      []string // of the partitions, in turn
}

func (f fakeTopics) Lookup(name string) ([16]byte, int32, bool) {
	t, ok := f[name]
	return t.id, t.partitions, ok
}

func (f fakeTopics) Name(id [16]byte) (string, bool) {
	for name, t := range f {
		if t.id == id {
			return name, true
		}
	}
	return "", false
}

var epoch = time.UnixMilli(1_700_000_000_000)

func newWorld(t testing.TB, cfg Config) *world {
	cfg.Partitions = 1
	w := &world{t: t, topics: fakeTopics{}}
	w.co = &Coordinator{cfg: cfg, topics: w.topics, metrics: newMetrics(nil), Topic: coordinator.Topic{Runtime: w}}
	w.co.TopicCreated(cfg.Partitions)
	w.serveShares()
	w.load(epoch)
	return w
}

func (w *world) newID() string { w.ids++; return strconv.Itoa(w.ids) }

func (w *world) options() coordinator.Options {
	return coordinator.Options{Subsystem: "test", CommitTimeout: w.co.cfg.CommitTimeout}
}

// load starts a new leader from the log.
func (w *world) load(now time.Time) {
	w.machine = newMachine(&w.co.cfg, w.topics.Image, w.co.metrics, slog.New(slog.DiscardHandler), w.newID)
	var err error
	if w.step, err = coordinator.NewStepped(w.options(), w.machine, now, w.log); err != nil {
		w.t.Fatalf("load: %v", err)
	}
	w.pump()
}

// failover ends this leader and starts the next. Appends that nobody was told
// about are lost, or with keep survive.
func (w *world) failover(keep bool) {
	w.resign(keep)
	w.load(w.step.Now())
}

func (w *world) resign(keep bool) {
	w.pump()
	for _, b := range w.held {
		if keep {
			w.append(b.Batch)
		}
	}
	w.held = nil
	w.step.Unload()
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
	if w.down {
		if ev.Call != nil {
			ev.Call.Answer(ev.Refuse(coordinator.ErrLoading))
		}
		return
	}
	w.step.Submit(ev)
	w.pump()
}

// durable is what of a machine's state a replay must bring back, as text by group.
func (m *machine) durable() map[string]string {
	out := make(map[string]string)
	for id, g := range m.groups {
		text := ""
		if g.membership.durable != nil {
			text = string(groupRecord(id, g.membership.durable).Value)
		}
		if g.modern != nil {
			for _, r := range g.modern.records(id) {
				text += fmt.Sprintf("%x=%x\n", r.Key, r.Value)
			}
		}
		for _, tp := range g.offsets.sorted() {
			text += fmt.Sprintf("%v=%+v\n", tp, g.offsets[tp])
		}
		if text != "" {
			out[id] = text
		}
	}
	if text := m.txn.durable(); text != "" {
		out["\xff pending"] = text
	}
	return out
}

// checkReplay replays the log and compares what comes of it with the state.
func (w *world) checkReplay() {
	w.t.Helper()
	again := newMachine(&w.co.cfg, w.topics.Image, newMetrics(nil), slog.New(slog.DiscardHandler), w.newID)
	for _, b := range w.log {
		for r, err := range b.Records(1 << 24) {
			if err == nil {
				err = again.Replay(b, r.Offset, r.Key, r.Value)
			}
			if err != nil {
				w.t.Fatalf("replay: %v", err)
			}
		}
	}
	if diff := cmp.Diff(w.machine.durable(), again.durable()); diff != "" {
		w.t.Fatalf("state differs after replay (-is +replayed):\n%s", diff)
	}
	for id, g := range w.machine.groups {
		if (g.state == Stable || g.state == Empty && g.generation > 0) && g.membership.durable != g.membership {
			if diff := cmp.Diff(groupRecord(id, g.membership.durable).Value, groupRecord(id, g.membership).Value); diff != "" {
				w.t.Fatalf("group %q is %v but the log has another state of it:\n%s", id, g.state, diff)
			}
		}
	}
}

// checkGroups asserts the package's invariants.
func (w *world) checkGroups() {
	w.t.Helper()
	for id, g := range w.machine.groups {
		if !slices.IsSortedFunc(g.members, func(a, b *member) int { return cmpString(a.id, b.id) }) || !slices.IsSorted(g.pending) {
			w.t.Fatalf("group %q is out of order", id)
		}
		if s, ok := g.modern.(*shareGroup); ok {
			w.checkShareGroup(id, s)
			continue
		}
		if c, ok := g.modern.(*consumerGroup); ok {
			w.checkConsumerGroup(id, c)
			continue
		}
		if s, ok := g.modern.(*streamsGroup); ok {
			w.checkStreamsGroup(id, s)
			continue
		}
		if (g.state == Empty) != (len(g.members) == 0) && g.state != PreparingRebalance {
			w.t.Fatalf("group %q is %v with %d members", id, g.state, len(g.members))
		}
		if len(g.members) > 0 && g.member(g.leader) == nil {
			w.t.Fatalf("group %q has no leader among its members: %q", id, g.leader)
		}
		if (g.state == Stable || g.state == CompletingRebalance) && !g.supportedByAll(g.protocol) {
			w.t.Fatalf("group %q: not all members support %q", id, g.protocol)
		}
		instances := map[string]bool{}
		for _, m := range g.members {
			if m.instance != nil {
				if instances[*m.instance] {
					w.t.Fatalf("group %q: instance %q twice", id, *m.instance)
				}
				instances[*m.instance] = true
			}
			if m.sync.waits() && g.state != CompletingRebalance || m.join.waits() && g.state != PreparingRebalance {
				w.t.Fatalf("group %q: member %q is parked in state %v", id, m.id, g.state)
			}
			if g.isPending(m.id) {
				w.t.Fatalf("group %q: member %q is pending too", id, m.id)
			}
		}
	}
}

func cmpString(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
