package partition

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

var (
	modelSeed  = flag.Uint64("model.seed", 0, "seed of the model test; 0: a new one")
	modelSteps = flag.Int("model.steps", 2000, "steps of the model test")
)

// modelBatch is one batch of the log as it must be.
type modelBatch struct {
	base, end int64
	id        int64
	epoch     int16
	sequence  int32
	kind      byte // p plain, t transactional, c commit, a abort
}

// modelTxn is a transaction as the log has it.
type modelTxn struct {
	id                 int64
	first, marker, end int64 // marker, end: none while it is open
	aborted            bool
}

// modelProducer is what a producer would do next.
type modelProducer struct {
	id       int64
	epoch    int16
	sequence int32
	tv       int8
	open     bool
	decided  byte // the coordinator has decided, and sends the marker until it is written
}

// modelSection is what an upload left in the object store.
type modelSection struct {
	base, end int64
	records   []byte
	Snapshot
}

// replicaModel has two replicas of a partition, an object store, and what must be in them.
type replicaModel struct {
	t         *testing.T
	r         *rand.Rand
	log       []modelBatch
	producers []*modelProducer
	bucket    []modelSection
	w         [2]*world // w[0] leads
	epoch     int32
	start     int64       // what is deleted ends here
	small     bool        // what memory has no room for is derived, or known less exactly
	away      atomic.Bool // the object store does not answer
	did       map[string]int
	trace     []string
}

var errAway = errors.New("the object store is away")

// TestTransactionsOfReplicas: whoever leads, whatever is cut, restarted, uploaded or lost, the last
// stable offset and what a reader of committed records sees follow from the log.
func TestTransactionsOfReplicas(t *testing.T) { testTransactionsOfReplicas(t, false) }

// TestTransactionsBeyondBounds: the same where memory has room for a handful of markers and aborted
// transactions.
func TestTransactionsBeyondBounds(t *testing.T) {
	decisions, aborted, ranges := maxDecisions, maxAborted, maxDecidedRanges
	maxDecisions, maxAborted, maxDecidedRanges = 8, 4, 2
	defer func() { maxDecisions, maxAborted, maxDecidedRanges = decisions, aborted, ranges }()
	testTransactionsOfReplicas(t, true)
}

func testTransactionsOfReplicas(t *testing.T, small bool) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed: -model.seed=%d", seed)
	m := &replicaModel{t: t, r: rand.New(rand.NewPCG(seed, 2)), epoch: 1, did: map[string]int{}, small: small}
	for i := range m.w {
		m.w[i] = &world{t: t, now: time.UnixMilli(1_700_000_000_000), fs: memfs.New(0)}
		m.open(m.w[i])
	}
	defer func() {
		for _, w := range m.w {
			if err := w.log.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range 6 {
		m.producers = append(m.producers, &modelProducer{id: int64(i + 1), tv: int8(1 + i%2)})
	}
	m.elect(0)
	ops := []struct {
		name   string
		weight int
		do     func()
	}{
		{"append", 50, m.append}, {"plain", 5, m.plain}, {"mark", 30, m.mark}, {"late", 3, m.late}, {"replicate", 30, m.replicate},
		{"read", 40, m.read}, {"upload", 6, m.upload}, {"free", 4, m.free}, {"save", 4, m.save}, {"fail over", 3, func() { m.elect(1) }},
		{"elect again", 2, func() { m.elect(0) }}, {"crash", 3, m.crash}, {"delete", 2, m.deleteRecords}, {"lose", 1, m.lose}, {"lose all", 1, m.loseAll},
	}
	total := 0
	for _, o := range ops {
		total += o.weight
	}
	for range *modelSteps {
		pick := m.r.IntN(total)
		for _, o := range ops {
			if pick -= o.weight; pick < 0 {
				m.did[o.name]++
				m.trace = append(m.trace, o.name)
				o.do()
				break
			}
		}
		m.check()
	}
	t.Logf("did %v, log end %d, sections %d", m.did, m.end(), len(m.bucket))
}

// open opens a replica of what is on its disk, which does nothing until it is told.
func (m *replicaModel) open(w *world) {
	var err error
	if w.log, err = wal.Open(wal.Options{FS: w.fs, Dir: "wal", FileBytes: 1 << 20, MaxBytes: 16 << 20, TailBytes: 1 << 20}); err != nil {
		m.t.Fatal(err)
	}
	w.Partition, err = Open(Options{
		Topic: "t", ID: testID, Log: w.log, LogStart: m.start, Tiered: m.tiered(),
		Settings: Settings{MaxMessageBytes: 1 << 20, TimestampAfterMax: time.Hour, TimestampBeforeMax: 1 << 62},
		Now:      func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
		Restore: func() ([]EpochStart, []byte, error) {
			if m.away.Load() {
				return nil, nil, errAway
			}
			s := m.bucket[len(m.bucket)-1]
			return s.Epochs, s.Producers, nil
		},
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *replicaModel) end() int64 {
	if len(m.log) == 0 {
		return 0
	}
	return m.log[len(m.log)-1].end
}

func (m *replicaModel) tiered() int64 {
	if len(m.bucket) == 0 {
		return 0
	}
	return m.bucket[len(m.bucket)-1].end
}

// transactions returns those of the log below end.
func (m *replicaModel) transactions(end int64) (all []*modelTxn) {
	open := map[int64]*modelTxn{}
	for _, b := range m.log {
		if b.base >= end {
			break
		}
		switch x := open[b.id]; {
		case b.kind == 't' && x == nil:
			x = &modelTxn{id: b.id, first: b.base, marker: none, end: none}
			open[b.id] = x
			all = append(all, x)
		case (b.kind == 'c' || b.kind == 'a') && x != nil:
			x.marker, x.end, x.aborted = b.base, b.end, b.kind == 'a'
			delete(open, b.id)
		}
	}
	return all
}

// stable is the last stable offset where high is the high watermark.
func (m *replicaModel) stable(high int64) int64 {
	for _, x := range m.transactions(high) {
		if x.marker == none {
			return max(x.first, min(m.start, high))
		}
	}
	return high
}

func (m *replicaModel) check() {
	for i, w := range m.w {
		m.checkOpen(w, i)
		m.checkPending(w, i)
		if got, want := w.LastStable(), m.stable(w.HighWatermark()); got != want && !(m.small && got < want && w.HighWatermark() < w.End()) {
			m.t.Fatalf("replica %d: last stable offset=%d, want %d: high watermark=%d end=%d; did %v; log %v", i, got, want, w.HighWatermark(), w.End(), m.trace[max(0, len(m.trace)-30):], m.log)
		}
	}
	leader := m.w[0]
	if leader.End() != m.end() {
		m.t.Fatalf("log end=%d, want %d", leader.End(), m.end())
	}
	open := map[int64]int64{}
	for _, x := range m.transactions(m.end()) {
		if x.marker == none {
			open[x.id] = x.first
		}
	}
	for _, p := range leader.Producers() {
		first, ok := open[p.ID]
		if !ok {
			first = none
		}
		if p.TxnStart != first && first >= m.start {
			m.t.Fatalf("producer %d: transaction from %d, want %d", p.ID, p.TxnStart, first)
		}
		delete(open, p.ID)
	}
	maps.DeleteFunc(open, func(_, first int64) bool { return first < m.start })
	if len(open) > 0 {
		m.t.Fatalf("open transactions are not known: %v", open)
	}
}

// openAt returns the transactions that are open at end, and the producers of those that began below the log start: of
// them it does not matter where.
func (m *replicaModel) openAt(end int64) (open []openTransaction, begun map[int64]bool) {
	begun = map[int64]bool{}
	for _, x := range m.transactions(end) {
		switch {
		case x.marker != none:
		case x.first < m.start:
			begun[x.id] = true
		default:
			open = append(open, openTransaction{x.first, x.id})
		}
	}
	return open, begun
}

func (m *replicaModel) checkOpen(w *world, i int) {
	for id, e := range w.producers.entries {
		if known := slices.Contains(w.producers.ongoing.list, openTransaction{e.first, id}); e.first != none && !known {
			m.t.Fatalf("replica %d: producer %d has a transaction from %d that is not in the list; did %v", i, id, e.first, m.trace[max(0, len(m.trace)-6):])
		}
	}
	want, begun := m.openAt(w.End())
	have := slices.DeleteFunc(slices.Clone(w.producers.ongoing.list), func(x openTransaction) bool { return begun[x.id] || x.id == none })
	if !slices.Equal(have, want) {
		m.t.Fatalf("replica %d with end=%d has %v open, want %v; floor=%d log start=%d tiered=%d did %v", i, w.End(), have, want, w.producers.ended.floor, m.start, m.tiered(), m.trace[max(0, len(m.trace)-20):])
	}
}

// checkPending: what is committed and not in the object store is counted there, be it too high, or nobody uploads it.
func (m *replicaModel) checkPending(w *world, i int) {
	bytes, since := w.Pending()
	if high := w.HighWatermark(); high > max(w.Tiered(), w.LogStart()) && (bytes <= 0 || since.IsZero()) {
		m.t.Fatalf("replica %d: pending=%d since=%v, high watermark=%d tiered=%d log start=%d; did %v", i, bytes, since, high, w.Tiered(), w.LogStart(), m.trace[max(0, len(m.trace)-20):])
	}
}

// durable waits until all that was appended is on the disk.
func durable(w *world) {
	for {
		w.acks.Lock()
		done := w.acks.durable >= w.End() && w.acks.cuts == 0
		w.acks.Unlock()
		if done {
			return
		}
		runtime.Gosched()
	}
}

func (m *replicaModel) producer() *modelProducer { return m.producers[m.r.IntN(len(m.producers))] }

func (m *replicaModel) append() {
	p := m.producer()
	if p.decided != 0 {
		return
	}
	w := m.w[0]
	n := 1 + m.r.IntN(4)
	g, needed, err := w.VerificationGuard(p.id, p.epoch, p.sequence, p.tv >= 2)
	if err != nil || needed == p.open {
		m.t.Fatalf("guard of %+v: needed=%v %v", p, needed, err)
	}
	b := batch(record.Options{ProducerID: p.id, ProducerEpoch: p.epoch, Sequence: p.sequence, Transactional: true}, n, 1000)
	a := &Append{Guard: g}
	err = w.Append(a, b, FromClient, make(owner, 1))
	if errors.Is(err, ErrTooManyTransactions) && m.small {
		m.did["too many"]++
		if txns, _ := w.Aborted(nil, m.tiered(), m.end()); len(txns) < maxAborted {
			m.t.Fatalf("%d aborted transactions are not tiered: %v", len(txns), err)
		}
		return
	}
	if err != nil || a.Duplicate {
		m.t.Fatalf("append of %+v: duplicate=%v %v", p, a.Duplicate, err)
	}
	durable(w)
	m.log = append(m.log, modelBatch{base: a.BaseOffset, end: a.End(), id: p.id, epoch: p.epoch, sequence: p.sequence, kind: 't'})
	p.open, p.sequence = true, p.sequence+int32(n)
}

func (m *replicaModel) plain() {
	a := &Append{}
	if err := m.w[0].Append(a, plain(1+m.r.IntN(3), 1000), FromClient, make(owner, 1)); err != nil {
		m.t.Fatal(err)
	}
	durable(m.w[0])
	m.log = append(m.log, modelBatch{base: a.BaseOffset, end: a.End(), id: none, kind: 'p'})
}

// mark ends a transaction, or repeats a marker that was lost.
func (m *replicaModel) mark() {
	p := m.producer()
	if !p.open {
		return
	}
	if p.decided == 0 {
		p.decided = "ca"[m.r.IntN(2)]
	}
	epoch := p.epoch
	if p.tv >= 2 {
		epoch++
	}
	a := &Append{}
	err := m.w[0].AppendMarker(a, Marker{ProducerID: p.id, ProducerEpoch: epoch, CoordinatorEpoch: m.epoch, Commit: p.decided == 'c', TransactionVersion: p.tv}, make(owner, 1))
	if err != nil {
		m.t.Fatalf("marker of %+v: %v", p, err)
	}
	durable(m.w[0])
	m.log = append(m.log, modelBatch{base: a.BaseOffset, end: a.End(), id: p.id, epoch: epoch, kind: p.decided})
	if p.tv >= 2 {
		p.epoch, p.sequence = epoch, 0
	}
	p.open, p.decided = false, 0
}

func (m *replicaModel) late() {
	p := m.producer()
	if !p.open || p.tv < 2 {
		return
	}
	if err := m.w[0].AppendMarker(&Append{}, Marker{ProducerID: p.id, ProducerEpoch: p.epoch, CoordinatorEpoch: m.epoch, TransactionVersion: 2}, make(owner, 1)); !errors.Is(err, ErrInvalidProducerEpoch) {
		m.t.Fatalf("a late marker of %+v: %v", p, err)
	}
}

func (m *replicaModel) replicate() {
	copyTo(m.t, m.w[0], m.w[1], m.epoch, 2, m.w[1].End())
	if m.r.IntN(2) == 0 {
		if err := m.w[1].Commit(m.epoch, m.w[0].HighWatermark()); err != nil {
			m.t.Fatal(err)
		}
	}
}

// elect begins a leader epoch: of the same leader, or of the other replica, which may lack what is not committed.
func (m *replicaModel) elect(winner int) {
	m.epoch++
	if winner == 1 {
		m.w[0], m.w[1] = m.w[1], m.w[0]
	}
	w := m.w[0]
	if w.End() < m.tiered() {
		m.t.Fatalf("who is in sync lacks what is tiered: end=%d tiered=%d", w.End(), m.tiered())
	}
	m.shorten(w.End())
	w.Lead(Leadership{Epoch: m.epoch, PartitionEpoch: m.epoch * 10, Followers: []int32{2}, ISR: []int32{1, 2}, MinISR: 1}, nil, nil)
	durable(w)
	m.follow()
}

// follow brings the follower into line. One that can not be cut where it should be leaves the ISR and starts over.
func (m *replicaModel) follow() {
	leader, w := m.w[0], m.w[1]
	w.Follow(m.epoch)
	if m.small {
		h, err := w.Describe(m.epoch)
		if err != nil {
			m.t.Fatal(err)
		}
		leader.Opened(m.epoch, 2, [16]byte{2})
		plan, err := leader.Reconcile(m.epoch, 2, h)
		if err == nil && !plan.Restart && plan.To < w.producers.ended.floor {
			if err := w.Cut(m.epoch, plan.To, leader.HighWatermark(), func(int64, error) {}); !errors.Is(err, ErrOffsetOutOfRange) {
				m.t.Fatalf("cut at %d, where nothing is known: %v", plan.To, err)
			}
			if h, err = w.Describe(m.epoch); err != nil {
				m.t.Fatal(err)
			}
			_, err = leader.Reconcile(m.epoch, 2, h)
			m.did["begin anew"]++
		}
		if err == nil && plan.Restart {
			m.checkState("a plan", plan.State, plan.To)
		}
		if errors.Is(err, ErrUnfit) {
			leader.Lead(Leadership{Epoch: m.epoch, PartitionEpoch: m.epoch*10 + 1, Followers: []int32{2}, ISR: []int32{1}, MinISR: 1}, nil, nil)
			if plan, err = leader.Reconcile(m.epoch, 2, h); err != nil {
				m.t.Fatal(err)
			}
			m.checkState("a plan", plan.State, plan.To)
			follow(m.t, leader, w, m.epoch, 2)
			leader.Lead(Leadership{Epoch: m.epoch, PartitionEpoch: m.epoch*10 + 2, Followers: []int32{2}, ISR: []int32{1, 2}, MinISR: 1}, nil, nil)
			return
		}
	}
	follow(m.t, leader, w, m.epoch, 2)
}

// shorten drops what the new leader does not have. The producers go on from what is left.
func (m *replicaModel) shorten(end int64) {
	for len(m.log) > 0 && m.log[len(m.log)-1].base >= end {
		b := m.log[len(m.log)-1]
		m.log = m.log[:len(m.log)-1]
		if b.kind == 'c' || b.kind == 'a' {
			m.producers[b.id-1].decided = b.kind
		}
	}
	for _, p := range m.producers {
		p.open = false
	}
	for _, x := range m.transactions(end) {
		m.producers[x.id-1].open = x.marker == none
	}
	for _, p := range m.producers {
		if !p.open {
			p.decided = 0
		}
		p.epoch, p.sequence = m.after(p)
	}
}

// after returns with what a producer goes on.
func (m *replicaModel) after(p *modelProducer) (epoch int16, sequence int32) {
	for i := len(m.log) - 1; i >= 0; i-- {
		switch b := m.log[i]; {
		case b.id != p.id:
		case b.kind == 't':
			return b.epoch, b.sequence + int32(b.end-b.base)
		case p.tv >= 2:
			return b.epoch, 0
		}
	}
	return p.epoch, 0
}

// deleteRecords raises the log start, to what is committed everywhere.
func (m *replicaModel) deleteRecords() {
	high := min(m.w[0].HighWatermark(), m.w[1].HighWatermark())
	m.start = max(m.start, min(high, m.start+m.r.Int64N(30)))
	for _, w := range m.w {
		w.SetLogStart(m.start)
	}
}

func (m *replicaModel) save() { m.w[m.r.IntN(2)].SaveState() }

// upload puts what is committed, or a part of it, into the object store.
func (m *replicaModel) upload() {
	w, from := m.w[0], max(m.tiered(), m.start)
	var ends []int64
	for _, b := range m.log {
		if b.base < from && b.end > from {
			from = b.base // the section begins with a whole batch
		}
		if b.end > from && b.end <= w.HighWatermark() {
			ends = append(ends, b.end)
		}
	}
	if len(ends) == 0 {
		return
	}
	to := ends[m.r.IntN(len(ends))]
	s := modelSection{base: from, end: to}
	for at := max(from, m.start); at < to; {
		c, err := w.ReadLocal(at, to, 1<<20)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, b := range c.Buffers {
			s.records = append(s.records, b...)
		}
		at = c.NextOffset
		c.Release()
	}
	var err error
	if s.Snapshot, err = w.Snapshot(from, to); err != nil {
		m.t.Fatal(err)
	}
	m.checkState("a snapshot", s.Producers, to)
	m.bucket = append(m.bucket, s)
	for _, w := range m.w {
		w.SetTiered(to)
	}
}

// checkState compares the open transactions of a state at end.
func (m *replicaModel) checkState(what string, payload []byte, end int64) {
	m.t.Helper()
	got, err := decodeState(payload)
	if err != nil {
		m.t.Fatal(err)
	}
	want, begun := m.openAt(end)
	have := slices.DeleteFunc(got.producers.ongoing.list, func(x openTransaction) bool { return begun[x.id] })
	if !slices.Equal(have, want) {
		m.t.Fatalf("%s at %d has %v open, want %v; log start=%d tiered=%d did %v", what, end, have, want, m.start, m.tiered(), m.trace[max(0, len(m.trace)-20):])
	}
}

func (m *replicaModel) free() {
	w := m.w[m.r.IntN(2)]
	w.FreeLocal(w.LocalStart() + m.r.Int64N(max(1, m.tiered()-w.LocalStart()+1)))
}

// crash has the power of a replica fail. All that was appended is durable; what the log holds besides may not be.
func (m *replicaModel) crash() {
	i := m.r.IntN(2)
	w := m.w[i]
	fs := w.fs.Crash(m.r.IntN)
	if err := w.log.Close(); err != nil {
		m.t.Fatal(err)
	}
	w.fs = fs
	m.open(w)
	if i == 0 {
		m.elect(m.r.IntN(2))
		return
	}
	m.follow()
}

// lose gives the follower a new disk.
func (m *replicaModel) lose() {
	m.wipe(m.w[1])
	m.follow()
}

func (m *replicaModel) wipe(w *world) {
	if err := w.log.Close(); err != nil {
		m.t.Fatal(err)
	}
	w.fs = memfs.New(0)
	m.open(w)
}

// loseAll gives both new disks: what is in the object store is all there is.
func (m *replicaModel) loseAll() {
	if m.tiered() <= m.start {
		return
	}
	for _, w := range m.w {
		m.wipe(w)
	}
	m.shorten(m.tiered())
	if m.r.IntN(2) == 0 {
		m.leadWithoutStore()
	}
	m.elect(0)
}

// leadWithoutStore has a leader that does not know yet what is open below its log. It takes what has nothing to
// do with transactions, and shows none of it to readers of committed records.
func (m *replicaModel) leadWithoutStore() {
	m.away.Store(true)
	m.epoch++
	w, seam := m.w[0], m.tiered()
	w.Lead(alone(m.epoch), nil, nil)
	m.plain()
	if w.LastStable() != seam || w.HighWatermark() != m.end() {
		m.t.Fatalf("last stable offset=%d high watermark=%d, want %d %d", w.LastStable(), w.HighWatermark(), seam, m.end())
	}
	p := m.producer()
	if _, _, err := w.VerificationGuard(p.id, p.epoch, 0, true); !errors.Is(err, ErrNotRecalled) {
		m.t.Fatalf("a transactional batch: %v", err)
	}
	if err := w.AppendMarker(&Append{}, Marker{ProducerID: p.id, ProducerEpoch: p.epoch + 1}, make(owner, 1)); !errors.Is(err, ErrNotRecalled) {
		m.t.Fatalf("a marker: %v", err)
	}
	if _, err := w.Snapshot(seam, m.end()); !errors.Is(err, ErrNotRecalled) {
		m.t.Fatalf("an upload: %v", err)
	}
	m.away.Store(false)
	if err := w.Recall(); err != nil {
		m.t.Fatal(err)
	}
}

// read compares what a consumer of committed records sees from a random offset on, at either replica.
func (m *replicaModel) read() {
	w := m.w[m.r.IntN(2)]
	limit := w.LastStable()
	if limit <= m.start {
		return
	}
	offset := m.start + m.r.Int64N(limit-m.start)
	records, to, aborted := m.local(w, offset)
	if records == nil {
		records, to, aborted = m.cold(w, offset, limit)
	}
	where := fmt.Sprintf("read [%d, %d) stable=%d local=%d tiered=%d", offset, to, limit, w.LocalStart(), m.tiered())
	slices.SortFunc(aborted, func(a, b AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
	txns, all := m.transactions(m.end()), slices.Clone(aborted)
	dropping := map[int64]bool{}
	for b, err := range record.All(records) {
		if err != nil {
			m.t.Fatal(err)
		}
		if b.NextOffset() <= offset || b.BaseOffset() >= to {
			continue
		}
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			dropping[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if b.Control() {
			delete(dropping, b.ProducerID())
			continue
		}
		want := false
		for _, x := range txns {
			if b.Transactional() && x.id == b.ProducerID() && x.first <= b.BaseOffset() && b.BaseOffset() < x.marker {
				want = x.aborted
			}
		}
		if got := b.Transactional() && dropping[b.ProducerID()]; got != want {
			m.t.Fatalf("%s: at %d producer %d dropped=%v, want %v; aborted %+v; log %v", where, b.BaseOffset(), b.ProducerID(), got, want, all, m.log)
		}
	}
}

// local reads what the disk has.
func (m *replicaModel) local(w *world, offset int64) ([]byte, int64, []AbortedTxn) {
	c, err := w.Read(offset, 1+m.r.IntN(2000), true, ReadCommitted)
	if errors.Is(err, ErrCold) {
		return nil, 0, nil
	}
	if err != nil || c == nil {
		m.t.Fatalf("read at %d: %v %v", offset, c, err)
	}
	defer c.Release()
	var records []byte
	for _, b := range c.Buffers {
		records = append(records, b...)
	}
	txns, since := w.Aborted(nil, offset, c.NextOffset)
	if since > offset || m.r.IntN(4) == 0 {
		if txns, err = w.ScanAborted(offset, c.NextOffset); err != nil {
			m.t.Fatal(err)
		}
	}
	return records, c.NextOffset, txns
}

// cold reads what the object store has, as the cold reader does.
func (m *replicaModel) cold(w *world, offset, limit int64) ([]byte, int64, []AbortedTxn) {
	i := slices.IndexFunc(m.bucket, func(s modelSection) bool { return s.end > offset })
	if i < 0 {
		m.t.Fatalf("offset %d is nowhere: local start=%d tiered=%d", offset, w.LocalStart(), m.tiered())
	}
	records, to := m.bucket[i].records, min(m.bucket[i].end, limit)
	var txns []AbortedTxn
	add := func(x AbortedTxn) {
		if x.LastOffset >= offset && x.FirstOffset < to && !slices.ContainsFunc(txns, func(y AbortedTxn) bool { return x.ProducerID == y.ProducerID && x.LastOffset == y.LastOffset }) {
			txns = append(txns, x)
		}
	}
	for ; i < len(m.bucket); i++ {
		for _, x := range m.bucket[i].Aborted {
			add(x)
		}
		if m.bucket[i].end >= to && m.bucket[i].Stable >= to {
			return records, to, txns
		}
	}
	local, since := w.Aborted(nil, offset, to)
	if since > m.tiered() {
		m.t.Fatalf("aborted transactions between %d and %d are not known", m.tiered(), since)
	}
	for _, x := range local {
		add(x)
	}
	return records, to, txns
}
