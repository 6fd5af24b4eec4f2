package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/internal/record"
)

// answers are a coordinator that says what a test has it say, and remembers the questions.
type answers struct {
	mu     sync.Mutex
	asked  []api.Verification
	answer func(api.TopicPartition) int16
}

// Verify implements api.Transactions.
func (c *answers) Verify(_ context.Context, v api.Verification) []int16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, v)
	codes := make([]int16, len(v.Partitions))
	for i, p := range v.Partitions {
		if c.answer != nil {
			codes[i] = c.answer(p)
		}
	}
	return codes
}

func (c *answers) questions() []api.Verification {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// transactional makes a request of a transactional producer.
func transactional(version int16, topic string, parts map[int32][]byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	id := "txn"
	req.Version, req.Acks, req.TimeoutMillis, req.TransactionID = version, -1, 10_000, &id
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	for _, index := range slices.Sorted(mapKeys(parts)) {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = index, parts[index]
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func mapKeys(m map[int32][]byte) func(func(int32) bool) {
	return func(yield func(int32) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// keyOf spreads values over twenty keys.
func keyOf(value string) []byte { return fmt.Append(nil, len(value)%20) }

func txnBatch(id int64, epoch int16, seq int32, values ...string) []byte {
	var rs []record.Record
	for _, v := range values {
		rs = append(rs, record.Record{Key: keyOf(v), Value: []byte(v), Timestamp: 1000})
	}
	return build(record.Options{ProducerID: id, ProducerEpoch: epoch, Sequence: seq, Transactional: true}, rs...)
}

func markers(ms ...kmsg.WriteTxnMarkersRequestMarker) *kmsg.WriteTxnMarkersRequest {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Version, req.Markers = 2, ms
	return req
}

func markerOf(id int64, epoch int16, commit bool, tv int8, topic string, partitions ...int32) kmsg.WriteTxnMarkersRequestMarker {
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.Committed, m.TransactionVersion, m.CoordinatorEpoch = id, epoch, commit, tv, 1
	t := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	t.Topic, t.Partitions = topic, partitions
	m.Topics = append(m.Topics, t)
	return m
}

// end writes one marker and returns the codes of its partitions.
func (c *conn) end(m kmsg.WriteTxnMarkersRequestMarker) (codes []int16) {
	c.tb.Helper()
	for _, t := range do[*kmsg.WriteTxnMarkersResponse](c, markers(m)).Markers[0].Topics {
		for _, p := range t.Partitions {
			codes = append(codes, p.ErrorCode)
		}
	}
	return codes
}

// TestTransactionalProduce: the coordinator is asked once for each partition of a transaction, all partitions of a
// request together, and what it says decides.
func TestTransactionalProduce(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	c.create("a", 3, nil)
	one := func(version int16, index int32, batch []byte) int16 {
		t.Helper()
		return do[*kmsg.ProduceResponse](c, transactional(version, "a", map[int32][]byte{index: batch})).Topics[0].Partitions[0].ErrorCode
	}
	if code := c.produce("a", 0, txnBatch(1, 0, 0, "x")).ErrorCode; code != kerr.TransactionalIDAuthorizationFailed.Code {
		t.Errorf("a transactional batch without a transactional id: %s", name(code))
	}
	n.b.SetTransactions(nil)
	if code := one(12, 0, txnBatch(1, 0, 0, "x")); code != kerr.InvalidTxnState.Code {
		t.Errorf("without a coordinator: %s", name(code))
	}
	k := &answers{answer: func(p api.TopicPartition) int16 {
		if p.Index == 2 {
			return kerr.InvalidTxnState.Code
		}
		return 0
	}}
	n.b.SetTransactions(k)
	resp := do[*kmsg.ProduceResponse](c, transactional(12, "a", map[int32][]byte{0: txnBatch(1, 0, 0, "a"), 1: txnBatch(1, 0, 0, "b"), 2: txnBatch(1, 0, 0, "c")}))
	for i, want := range []int16{0, 0, kerr.InvalidTxnState.Code} {
		if code := resp.Topics[0].Partitions[i].ErrorCode; code != want {
			t.Errorf("partition %d: %s", i, name(code))
		}
	}
	if code := one(12, 0, txnBatch(1, 0, 1, "d")); code != 0 {
		t.Errorf("the second batch: %s", name(code))
	}
	asked := k.questions()
	if len(asked) != 1 || len(asked[0].Partitions) != 3 || !asked[0].Add || asked[0].ProducerID != 1 || asked[0].TransactionalID != "txn" {
		t.Errorf("questions = %+v", asked)
	}
	mixed := do[*kmsg.ProduceResponse](c, transactional(12, "a", map[int32][]byte{0: txnBatch(1, 0, 2, "e"), 1: txnBatch(2, 0, 0, "f")}))
	if a, b := mixed.Topics[0].Partitions[0].ErrorCode, mixed.Topics[0].Partitions[1].ErrorCode; a != 0 || b != kerr.InvalidProducerIDMapping.Code {
		t.Errorf("two producers in a request: %s, %s", name(a), name(b))
	}
	for _, tc := range []struct {
		version      int16
		answer, want *kerr.Error
	}{
		{9, kerr.NotCoordinator, kerr.NotEnoughReplicas}, {9, kerr.ConcurrentTransactions, kerr.NotEnoughReplicas}, {9, kerr.TransactionAbortable, kerr.InvalidTxnState},
		{11, kerr.TransactionAbortable, kerr.TransactionAbortable}, {11, kerr.ProducerFenced, kerr.InvalidProducerEpoch},
		{12, kerr.ConcurrentTransactions, kerr.ConcurrentTransactions}, {12, kerr.InvalidProducerIDMapping, kerr.InvalidProducerIDMapping},
	} {
		k := &answers{answer: func(api.TopicPartition) int16 { return tc.answer.Code }}
		n.b.SetTransactions(k)
		if code := one(tc.version, 0, txnBatch(9, 0, 0, "x")); code != tc.want.Code {
			t.Errorf("v%d: the coordinator says %s, the producer hears %s", tc.version, tc.answer.Message, name(code))
		}
		if tries := len(k.questions()); (tries > 1) != (tc.version >= 12 && tc.answer == kerr.ConcurrentTransactions) || k.asked[0].Add != (tc.version >= 12) {
			t.Errorf("v%d %s: asked %d times: %+v", tc.version, tc.answer.Message, tries, k.asked[0])
		}
	}
}

// TestWriteTxnMarkers: markers end transactions, each partition has its own answer, and who wants to know of a marker
// hears of it before whoever wrote it.
func TestWriteTxnMarkers(t *testing.T) {
	n := newNode(t, nil)
	n.b.SetTransactions(&answers{})
	var mu sync.Mutex
	var heard []string
	n.b.MarkersWritten(func(topic string, index int32, id int64, epoch int16, commit bool) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, fmt.Sprint(topic, index, " ", id, " ", epoch, " ", commit))
	})
	c := n.dial()
	c.create("a", 2, nil)
	do[*kmsg.ProduceResponse](c, transactional(12, "a", map[int32][]byte{0: txnBatch(1, 0, 0, "a", "b"), 1: txnBatch(1, 0, 0, "c")}))
	if got := c.end(markerOf(1, 1, true, 2, "a", 0, 7)); got[0] != 0 || got[1] != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("codes = %v", got)
	}
	stale := markerOf(1, 0, false, 2, "a", 0, 1)
	if got := c.end(stale); got[0] != kerr.InvalidProducerEpoch.Code || got[1] != kerr.InvalidProducerEpoch.Code {
		t.Errorf("an epoch that is not above the transaction's: %v", got)
	}
	old := markerOf(1, 1, true, 2, "a", 0)
	old.CoordinatorEpoch = 0
	if got := c.end(old); got[0] != kerr.TransactionCoordinatorFenced.Code {
		t.Errorf("an older coordinator: %v", got)
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	rt := kmsg.NewDescribeProducersRequestTopic()
	rt.Topic, rt.Partitions = "a", []int32{0, 1, 2}
	req.Topics = append(req.Topics, rt)
	described := do[*kmsg.DescribeProducersResponse](c, req).Topics[0].Partitions
	closed, open := described[0].ActiveProducers[0], described[1].ActiveProducers[0]
	if closed.ProducerEpoch != 1 || closed.CurrentTxnStartOffset != -1 || closed.CoordinatorEpoch != 1 || closed.LastSequence != -1 {
		t.Errorf("ended: %+v", closed)
	}
	if open.ProducerEpoch != 0 || open.CurrentTxnStartOffset != 0 || open.CoordinatorEpoch != -1 || open.LastSequence != 0 || open.LastTimestamp != 1000 {
		t.Errorf("open: %+v", open)
	}
	if described[2].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("no such partition: %s", name(described[2].ErrorCode))
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(heard, []string{"a0 1 1 true"}) {
		t.Errorf("heard %q", heard)
	}
}

// TestCommittedReadersWait: a reader of committed records only is woken when a transaction ends, not before.
func TestCommittedReadersWait(t *testing.T) {
	n := newNode(t, nil)
	n.b.SetTransactions(&answers{})
	c, reader := n.dial(), n.dial()
	id := c.create("a", 1, nil)
	do[*kmsg.ProduceResponse](c, transactional(12, "a", map[int32][]byte{0: txnBatch(1, 0, 0, "a")}))
	req := fetchRequest(12, at{topic: "a", id: id})
	req.IsolationLevel, req.MaxWaitMillis, req.MinBytes = 1, 60_000, 1
	if err := reader.send(req); err != nil {
		t.Fatal(err)
	}
	n.await("the fetch is parked", func() bool { return n.gauge("tideline_purgatory_parked_requests") == 1 })
	c.mustProduce("a", 0, values(10, "not yet"))
	if got := n.gauge("tideline_purgatory_parked_requests"); got != 1 {
		t.Errorf("%v are parked: an open transaction does not make anything readable", got)
	}
	if got := c.end(markerOf(1, 1, true, 2, "a", 0)); got[0] != 0 {
		t.Fatalf("marker: %s", name(got[0]))
	}
	resp, err := reader.receive(req, reader.id)
	if err != nil {
		t.Fatal(err)
	}
	p := parts(resp.(*kmsg.FetchResponse))[0]
	if p.LastStableOffset != 3 || p.HighWatermark != 3 || len(p.RecordBatches) == 0 || p.AbortedTransactions == nil || len(p.AbortedTransactions) != 0 {
		t.Errorf("code=%d stable=%d high=%d bytes=%d aborted=%v", p.ErrorCode, p.LastStableOffset, p.HighWatermark, len(p.RecordBatches), p.AbortedTransactions)
	}
}

// txnEntry is one record of a log, or a marker.
type txnEntry struct {
	value  string
	txn    *txnState // nil: none
	marker bool
}

// txnState is what became of a transaction on one partition.
type txnState struct {
	producer, first, end int64 // end: offset of the marker; -1: open
	aborted              bool
}

// txnProducer is one producer with at most one transaction.
type txnProducer struct {
	id    int64
	epoch int16
	tv    int8
	seq   []int32     // by partition
	open  []*txnState // by partition
}

// txnModel runs transactions against a broker and knows what a reader of committed records may see.
type txnModel struct {
	t         *testing.T
	r         *rand.Rand
	n         *node
	c         *conn
	id        [16]byte
	logs      [][]txnEntry
	producers []*txnProducer
	compacted bool             // records may be gone, but the last committed one of each key
	last      map[string]int64 // while everything is read: where the last value of each key was seen
	written   int
	did       map[string]int
}

// TestTransactionModel: over memory, disk and object store and whatever is restarted or lost, a reader of
// committed records gets those of committed transactions in their order and no others, up to the
// first record of the oldest open transaction.
func TestTransactionModel(t *testing.T) {
	transactionModel(t, nil, map[string]string{"local.retention.bytes": "0"}, false)
}

// TestTransactionModelCompacted: the same of a topic that is compacted all the while, of which only the last committed value of each key must
// be there.
func TestTransactionModelCompacted(t *testing.T) {
	transactionModel(t, map[string]string{"log.cleaner.backoff.ms": "10"}, map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "1000",
	}, true)
}

func transactionModel(t *testing.T, settings, topic map[string]string, compacted bool) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed: -model.seed=%d", seed)
	m := &txnModel{t: t, r: rand.New(rand.NewPCG(seed, 1)), did: map[string]int{}, compacted: compacted}
	all := map[string]string{"log.retention.ms": "-1"}
	maps.Copy(all, settings)
	m.n = newNode(t, all)
	m.n.b.SetTransactions(&answers{})
	m.c = m.n.dial()
	m.id = m.c.create("a", 2, topic)
	m.logs = make([][]txnEntry, 2)
	for i := range 5 {
		m.producers = append(m.producers, &txnProducer{id: int64(100 + i), tv: int8(1 + i%2), seq: make([]int32, 2), open: make([]*txnState, 2)})
	}
	ops := []struct {
		name   string
		weight int
		do     func()
	}{
		{"append", 60, m.append}, {"plain", 10, m.plain}, {"end", 25, m.end}, {"fetch", 60, m.fetch}, {"latest", 5, m.latest},
		{"tiered", 3, m.awaitTiered}, {"all", 2, m.readAll}, {"restart", 1, m.restart}, {"lose", 1, m.loseDisk}, {"late", 3, m.late},
	}
	total := 0
	for _, o := range ops {
		total += o.weight
	}
	for end := time.Now().Add(*modelTime); time.Now().Before(end); {
		pick := m.r.IntN(total)
		for _, o := range ops {
			if pick -= o.weight; pick < 0 {
				o.do()
				m.did[o.name]++
				break
			}
		}
	}
	for _, p := range m.producers {
		m.finish(p, m.r.IntN(2) == 0)
	}
	m.readAll()
	m.restart()
	m.readAll()
	t.Logf("did %v", m.did)
}

func (m *txnModel) values() (out []string) {
	for range 1 + m.r.IntN(3) {
		m.written++
		out = append(out, fmt.Sprintf("value %d %s", m.written, bytes.Repeat([]byte{'x'}, m.r.IntN(300))))
	}
	return out
}

// append adds a batch to the transaction of some producer.
func (m *txnModel) append() {
	p, i := m.producers[m.r.IntN(len(m.producers))], m.r.IntN(len(m.logs))
	values := m.values()
	base := int64(len(m.logs[i]))
	version := int16(12)
	if p.tv == 1 {
		version = 11
	}
	got := do[*kmsg.ProduceResponse](m.c, transactional(version, "a", map[int32][]byte{int32(i): txnBatch(p.id, p.epoch, p.seq[i], values...)})).Topics[0].Partitions[0]
	if got.ErrorCode != 0 || got.BaseOffset != base {
		m.t.Fatalf("append to %d: %s at=%d, want %d", i, name(got.ErrorCode), got.BaseOffset, base)
	}
	p.seq[i] += int32(len(values))
	if p.open[i] == nil {
		p.open[i] = &txnState{producer: p.id, first: base, end: -1}
	}
	for _, v := range values {
		m.logs[i] = append(m.logs[i], txnEntry{value: v, txn: p.open[i]})
	}
}

// plain appends without a producer.
func (m *txnModel) plain() {
	i := m.r.IntN(len(m.logs))
	var rs []record.Record
	for _, v := range m.values() {
		rs = append(rs, record.Record{Key: keyOf(v), Value: []byte(v), Timestamp: 1000})
		m.logs[i] = append(m.logs[i], txnEntry{value: v})
	}
	m.c.mustProduce("a", int32(i), build(record.Options{ProducerID: record.NoProducerID}, rs...))
}

func (m *txnModel) end() { m.finish(m.producers[m.r.IntN(len(m.producers))], m.r.IntN(2) == 0) }

// finish ends a producer's transaction on all partitions, in the way of its transaction version.
func (m *txnModel) finish(p *txnProducer, commit bool) {
	var partitions []int32
	for i, open := range p.open {
		if open != nil {
			partitions = append(partitions, int32(i))
		}
	}
	if len(partitions) == 0 {
		return
	}
	if p.tv >= 2 {
		p.epoch++
		clear(p.seq)
	}
	for _, code := range m.c.end(markerOf(p.id, p.epoch, commit, p.tv, "a", partitions...)) {
		if code != 0 {
			m.t.Fatalf("marker of %d: %s", p.id, name(code))
		}
	}
	for _, i := range partitions {
		p.open[i].end, p.open[i].aborted = int64(len(m.logs[i])), !commit
		m.logs[i] = append(m.logs[i], txnEntry{txn: p.open[i], marker: true})
		p.open[i] = nil
	}
}

// late sends a marker that must be refused.
func (m *txnModel) late() {
	p := m.producers[m.r.IntN(len(m.producers))]
	for i, open := range p.open {
		if open == nil || p.tv < 2 {
			continue
		}
		if got := m.c.end(markerOf(p.id, p.epoch, m.r.IntN(2) == 0, 2, "a", int32(i))); got[0] != kerr.InvalidProducerEpoch.Code {
			m.t.Fatalf("a late marker: %s", name(got[0]))
		}
	}
}

func (m *txnModel) stable(i int) int64 {
	stable := int64(len(m.logs[i]))
	for o, e := range m.logs[i] {
		if e.txn != nil && e.txn.end < 0 {
			return min(stable, int64(o))
		}
	}
	return stable
}

// fetch reads committed records from a random offset.
func (m *txnModel) fetch() {
	i := m.r.IntN(len(m.logs))
	m.read(i, m.r.Int64N(int64(len(m.logs[i]))+1), 1+m.r.Int32N(1<<uint(m.r.IntN(18))))
}

// read compares what a consumer makes of one answer, and returns where it goes on.
func (m *txnModel) read(i int, offset int64, maxBytes int32) int64 {
	req := fetchRequest(12, at{topic: "a", id: m.id, index: int32(i), offset: offset, max: maxBytes})
	req.IsolationLevel = 1
	p := parts(m.c.fetch(req))[0]
	stable := m.stable(i)
	where := fmt.Sprintf("partition=%d offset=%d stable=%d end=%d", i, offset, stable, len(m.logs[i]))
	if p.ErrorCode != 0 || p.LastStableOffset != stable || p.HighWatermark != int64(len(m.logs[i])) {
		m.t.Fatalf("%s: %s last stable=%d high watermark=%d", where, name(p.ErrorCode), p.LastStableOffset, p.HighWatermark)
	}
	if len(p.RecordBatches) == 0 && offset < stable {
		m.t.Fatalf("%s: nothing came", where)
	}
	next := offset
	dropping := map[int64]bool{}
	slices.SortFunc(p.AbortedTransactions, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
		return int(a.FirstOffset - b.FirstOffset)
	})
	aborted := p.AbortedTransactions
	for b, err := range record.All(p.RecordBatches) {
		if err != nil {
			m.t.Fatalf("%s: %v", where, err)
		}
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			dropping[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		for r, err := range b.Records(math.MaxInt32) {
			if err != nil {
				m.t.Fatalf("%s: %v", where, err)
			}
			if r.Offset < offset {
				continue
			}
			if r.Offset != next && (!m.compacted || r.Offset < next) || r.Offset >= stable {
				m.t.Fatalf("%s: a record at %d, want %d", where, r.Offset, next)
			}
			next = r.Offset + 1
			e := m.logs[i][r.Offset]
			seen := !b.Control() && (!b.Transactional() || !dropping[b.ProducerID()])
			if want := !e.marker && (e.txn == nil || !e.txn.aborted); seen != want || seen && string(r.Value) != e.value {
				m.t.Fatalf("%s: at %d seen=%v %q, want %v %q; transaction %+v; aborted %+v", where, r.Offset, seen, r.Value, want, e.value, e.txn, p.AbortedTransactions)
			}
			if seen && m.last != nil {
				m.last[string(r.Key)] = r.Offset
			}
		}
		if m.compacted {
			next = max(next, b.NextOffset())
		}
		if b.Control() {
			delete(dropping, b.ProducerID())
		}
	}
	return next
}

func (m *txnModel) readAll() {
	for i := range m.logs {
		m.last = map[string]int64{}
		for offset := int64(0); offset < m.stable(i); {
			offset = m.read(i, offset, 1<<20)
		}
		want := map[string]int64{}
		for offset, e := range m.logs[i][:m.stable(i)] {
			if !e.marker && (e.txn == nil || !e.txn.aborted) {
				want[string(keyOf(e.value))] = int64(offset)
			}
		}
		if !maps.Equal(m.last, want) {
			m.t.Fatalf("partition=%d: the last values are at %v, want %v", i, m.last, want)
		}
		m.last = nil
	}
}

// latest asks for the end of what each kind of reader sees.
func (m *txnModel) latest() {
	for i := range m.logs {
		for level, want := range []int64{int64(len(m.logs[i])), m.stable(i)} {
			req := kmsg.NewPtrListOffsetsRequest()
			req.Version, req.TimeoutMillis, req.IsolationLevel = 10, 10_000, int8(level)
			rt := kmsg.NewListOffsetsRequestTopic()
			rt.Topic = "a"
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp, p.CurrentLeaderEpoch = int32(i), -1, -1
			rt.Partitions = append(rt.Partitions, p)
			req.Topics = append(req.Topics, rt)
			if got := do[*kmsg.ListOffsetsResponse](m.c, req).Topics[0].Partitions[0]; got.ErrorCode != 0 || got.Offset != want {
				m.t.Fatalf("latest of %d at level %d: %s %d, want %d", i, level, name(got.ErrorCode), got.Offset, want)
			}
		}
	}
}

func (m *txnModel) awaitTiered() {
	whole := &model{t: m.t, n: m.n, c: m.c}
	for i := range m.logs {
		m.n.await("all is tiered", func() bool { return whole.listPending(&modelTopic{name: "a"}, i) == int64(len(m.logs[i])) })
	}
}

func (m *txnModel) restart() {
	m.n.stop()
	m.n.start()
	m.n.b.SetTransactions(&answers{})
	m.c = m.n.dial()
}

// loseDisk has only what is in the object store survive, which is all.
func (m *txnModel) loseDisk() {
	m.awaitTiered()
	m.n.stop()
	if err := os.RemoveAll(filepath.Join(m.n.settings["data.dir"], "wal")); err != nil {
		m.t.Fatal(err)
	}
	m.n.start()
	m.n.b.SetTransactions(&answers{})
	m.c = m.n.dial()
}
