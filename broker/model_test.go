package broker_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

var (
	modelSeed = flag.Uint64("model.seed", 0, "seed of the model test; 0: a new one")
	modelTime = flag.Duration("model.time", 4*time.Second, "how long the model test runs")
)

// modelLog is what one partition must hold.
type modelLog struct {
	start   int64
	records []record.Record // by offset
	bases   []int64         // base offsets of the batches
}

func (l *modelLog) end() int64 { return int64(len(l.records)) }

// base returns the base offset of the batch that holds offset.
func (l *modelLog) base(offset int64) int64 {
	base := int64(0)
	for _, b := range l.bases {
		if b <= offset {
			base = b
		}
	}
	return base
}

type modelTopic struct {
	name string
	id   [16]byte
	logs []*modelLog
}

// model runs one client against a broker and knows what must come back.
type model struct {
	t      *testing.T
	r      *rand.Rand
	n      *node
	c      *conn
	topics []*modelTopic
	made   int
	did    map[string]int
}

// TestModel: whatever mix of appends, deletions, settings and restarts, and
// whichever tier an offset is in, what is read is what was written.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed: -model.seed=%d", seed)
	m := &model{t: t, r: rand.New(rand.NewPCG(seed, 0)), did: map[string]int{}}
	m.n = newNode(t, map[string]string{"log.retention.check.interval.ms": "50", "log.retention.ms": "-1"})
	m.c = m.n.dial()
	type op struct {
		name   string
		weight int
		do     func()
	}
	ops := []op{
		{"create", 2, m.create}, {"delete", 1, m.delete}, {"produce", 60, m.produce}, {"fetch", 80, m.fetch}, {"times", 30, m.times},
		{"delete records", 6, m.deleteRecords}, {"configure", 4, m.configure}, {"tiered", 4, m.awaitTiered}, {"restart", 1, m.restart}, {"grow", 1, m.grow},
	}
	total := 0
	for _, o := range ops {
		total += o.weight
	}
	m.create()
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
	m.readAll()
	m.restart()
	m.readAll()
	t.Logf("did %v", m.did)
}

func (m *model) topic() *modelTopic { return m.topics[m.r.IntN(len(m.topics))] }

func (m *model) create() {
	if len(m.topics) >= 5 {
		return
	}
	// Names come again, as those of other topics.
	t := &modelTopic{name: fmt.Sprint("t", m.made%3)}
	m.made++
	for _, other := range m.topics {
		if other.name == t.name {
			return
		}
	}
	configs := map[string]string{}
	if m.r.IntN(2) == 0 {
		configs["local.retention.bytes"] = "0"
	}
	n := 1 + m.r.Int32N(3)
	t.id = m.c.create(t.name, n, configs)
	for range n {
		t.logs = append(t.logs, &modelLog{})
	}
	m.topics = append(m.topics, t)
}

func (m *model) delete() {
	if len(m.topics) < 2 {
		return
	}
	i := m.r.IntN(len(m.topics))
	m.c.delete(m.topics[i].name)
	m.topics = append(m.topics[:i], m.topics[i+1:]...)
}

func (m *model) grow() {
	t := m.topic()
	if len(t.logs) >= 5 {
		return
	}
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Version, req.TimeoutMillis = 3, 10_000
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = t.name, int32(len(t.logs)+1)
	req.Topics = append(req.Topics, rt)
	if code := do[*kmsg.CreatePartitionsResponse](m.c, req).Topics[0].ErrorCode; code != 0 {
		m.t.Fatalf("grow: %s", name(code))
	}
	t.logs = append(t.logs, &modelLog{})
}

func (m *model) produce() {
	t := m.topic()
	i := m.r.IntN(len(t.logs))
	l := t.logs[i]
	for range 1 + m.r.IntN(4) {
		codec := record.Codec(m.r.IntN(5))
		var rs []record.Record
		for k := range 1 + m.r.IntN(20) {
			value := make([]byte, 8+m.r.IntN(3000))
			binary.BigEndian.PutUint64(value, m.r.Uint64())
			rs = append(rs, record.Record{
				Offset: l.end() + int64(k), Key: fmt.Append(nil, t.name, i, l.end()+int64(k)), Value: value, Timestamp: 1 + m.r.Int64N(1_000_000),
			})
		}
		base := m.c.mustProduce(t.name, int32(i), build(record.Options{ProducerID: record.NoProducerID, Codec: codec}, rs...))
		if base != l.end() {
			m.t.Fatalf("%s/%d: base offset %d, want %d", t.name, i, base, l.end())
		}
		l.bases = append(l.bases, base)
		l.records = append(l.records, rs...)
	}
}

// fetch reads from random offsets of some partitions in one request.
func (m *model) fetch() {
	version := int16(4 + m.r.IntN(15))
	var asked []at
	var logs []*modelLog
	for _, t := range m.topics {
		for i, l := range t.logs {
			if m.r.IntN(3) == 0 {
				a := at{topic: t.name, id: t.id, index: int32(i), offset: m.offset(l), max: 1 + m.r.Int32N(1<<uint(m.r.IntN(20)))}
				asked, logs = append(asked, a), append(logs, l)
			}
		}
	}
	if len(asked) == 0 {
		return
	}
	req := fetchRequest(version, asked...)
	req.MaxBytes = 1 + m.r.Int32N(1<<uint(m.r.IntN(22)))
	req.IsolationLevel = int8(m.r.IntN(2))
	got := parts(m.c.fetch(req))
	if len(got) != len(asked) {
		m.t.Fatalf("fetch v%d: %d partitions, want %d", version, len(got), len(asked))
	}
	any, want := false, false
	for i := range got {
		any = m.check(asked[i], logs[i], &got[i], version) || any
		want = want || asked[i].offset >= logs[i].start && asked[i].offset < logs[i].end()
	}
	if want && !any {
		m.t.Fatalf("fetch v%d: there are records and none came: %+v", version, asked)
	}
}

// offset returns one that is mostly in the log.
func (m *model) offset(l *modelLog) int64 {
	switch m.r.IntN(12) {
	case 0:
		return l.end()
	case 1:
		return l.end() + 1 + m.r.Int64N(5)
	case 2:
		return m.r.Int64N(l.start + 1)
	case 3:
		return l.start
	}
	return l.start + m.r.Int64N(l.end()-l.start+1)
}

// check compares what came back of one partition, and reports whether there were
// records.
func (m *model) check(a at, l *modelLog, p *kmsg.FetchResponseTopicPartition, version int16) bool {
	m.t.Helper()
	where := fmt.Sprintf("%s/%d offset=%d max=%d start=%d end=%d v%d", a.topic, a.index, a.offset, a.max, l.start, l.end(), version)
	if a.offset < l.start || a.offset > l.end() {
		if p.ErrorCode != kerr.OffsetOutOfRange.Code {
			m.t.Fatalf("%s: %s", where, name(p.ErrorCode))
		}
		return false
	}
	if p.ErrorCode != 0 || p.HighWatermark != l.end() || p.LastStableOffset != l.end() || version >= 5 && p.LogStartOffset != l.start {
		m.t.Fatalf("%s: %s high watermark=%d stable=%d start=%d", where, name(p.ErrorCode), p.HighWatermark, p.LastStableOffset, p.LogStartOffset)
	}
	next := l.base(a.offset)
	for rest := p.RecordBatches; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err != nil {
			m.t.Fatalf("%s: %v", where, err)
		}
		if err := b.Validate(); err != nil {
			m.t.Fatalf("%s: %v", where, err)
		}
		if b.BaseOffset() != next {
			m.t.Fatalf("%s: batch at %d, want %d", where, b.BaseOffset(), next)
		}
		for r, err := range b.Records(1 << 30) {
			if err != nil {
				m.t.Fatalf("%s: %v", where, err)
			}
			if next >= l.end() {
				m.t.Fatalf("%s: a record at %d that nobody wrote", where, next)
			}
			if want := l.records[next]; r.Offset != next || !bytes.Equal(r.Key, want.Key) || !bytes.Equal(r.Value, want.Value) || r.Timestamp != want.Timestamp {
				m.t.Fatalf("%s: at %d is %q, want %q", where, r.Offset, r.Key, want.Key)
			}
			next++
		}
		rest = after
	}
	return len(p.RecordBatches) > 0
}

func (m *model) listOffset(t *modelTopic, index int, ts int64) kmsg.ListOffsetsResponseTopicPartition {
	m.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.TimeoutMillis = 10, 10_000
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = t.name
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = int32(index), ts, -1
	rt.Partitions = append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	got := do[*kmsg.ListOffsetsResponse](m.c, req).Topics[0].Partitions[0]
	if got.ErrorCode != 0 {
		m.t.Fatalf("list offsets %s/%d ts=%d: %s", t.name, index, ts, name(got.ErrorCode))
	}
	return got
}

// times looks records up by timestamp, over both tiers.
func (m *model) times() {
	t := m.topic()
	i := m.r.IntN(len(t.logs))
	l := t.logs[i]
	if got := m.listOffset(t, i, -1).Offset; got != l.end() {
		m.t.Fatalf("%s/%d: latest=%d, want %d", t.name, i, got, l.end())
	}
	if got := m.listOffset(t, i, -2).Offset; got != l.start {
		m.t.Fatalf("%s/%d: earliest=%d, want %d", t.name, i, got, l.start)
	}
	if l.start == 0 && l.end() > 0 { // with a log start, the greatest may be one of a deleted record's batch, as in Kafka
		want := l.records[0]
		for _, r := range l.records {
			if r.Timestamp > want.Timestamp {
				want = r
			}
		}
		if got := m.listOffset(t, i, -3); got.Offset != want.Offset || got.Timestamp != want.Timestamp {
			m.t.Fatalf("%s/%d end=%d: greatest timestamp is %d (%d), want %d (%d)", t.name, i, l.end(), got.Offset, got.Timestamp, want.Offset, want.Timestamp)
		}
	}
	ts := m.r.Int64N(1_000_100)
	if n := l.end() - l.start; n > 0 && m.r.IntN(2) == 0 {
		ts = l.records[l.start+m.r.Int64N(n)].Timestamp
	}
	want, wantTime := int64(-1), int64(-1)
	for o := l.start; o < l.end() && want < 0; o++ {
		if l.records[o].Timestamp >= ts {
			want, wantTime = o, l.records[o].Timestamp
		}
	}
	if got := m.listOffset(t, i, ts); got.Offset != want || got.Timestamp != wantTime {
		m.t.Fatalf("%s/%d start=%d end=%d: first since %d is %d (%d), want %d (%d)", t.name, i, l.start, l.end(), ts, got.Offset, got.Timestamp, want, wantTime)
	}
}

func (m *model) deleteRecords() {
	t := m.topic()
	i := m.r.IntN(len(t.logs))
	l := t.logs[i]
	offset := l.start + m.r.Int64N(l.end()-l.start+1)
	if m.r.IntN(4) == 0 {
		offset = -1
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Version, req.TimeoutMillis = 2, 10_000
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rt.Topic = t.name
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = int32(i), offset
	rt.Partitions = append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	if offset < 0 {
		offset = l.end()
	}
	got := do[*kmsg.DeleteRecordsResponse](m.c, req).Topics[0].Partitions[0]
	if got.ErrorCode != 0 || got.LowWatermark != offset {
		m.t.Fatalf("delete records %s/%d below %d: %s low watermark=%d", t.name, i, offset, name(got.ErrorCode), got.LowWatermark)
	}
	l.start = offset
}

func (m *model) configure() {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, m.topic().name
	kv := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	value := []string{"0", "100000", "-1"}[m.r.IntN(3)]
	kv.Name, kv.Value = "local.retention.bytes", &value
	r.Configs = append(r.Configs, kv)
	req.Resources = append(req.Resources, r)
	if code := do[*kmsg.IncrementalAlterConfigsResponse](m.c, req).Resources[0].ErrorCode; code != 0 {
		m.t.Fatalf("configure: %s", name(code))
	}
}

// awaitTiered waits until all of a partition is in the object store.
func (m *model) awaitTiered() {
	t := m.topic()
	i := m.r.IntN(len(t.logs))
	m.n.await(fmt.Sprintf("%s/%d is tiered start=%d end=%d", t.name, i, t.logs[i].start, t.logs[i].end()), func() bool {
		return m.listPending(t, i) == t.logs[i].end()
	})
}

// listPending returns the first offset that is not in the object store.
func (m *model) listPending(t *modelTopic, index int) int64 {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version, req.TimeoutMillis = 11, 10_000
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = t.name
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = int32(index), -6, -1
	rt.Partitions = append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	return do[*kmsg.ListOffsetsResponse](m.c, req).Topics[0].Partitions[0].Offset
}

func (m *model) restart() {
	m.n.stop()
	m.n.start()
	m.c = m.n.dial()
}

// readAll reads every log from its start to its end.
func (m *model) readAll() {
	for _, t := range m.topics {
		for i, l := range t.logs {
			for offset := l.start; offset < l.end(); {
				a := at{topic: t.name, index: int32(i), offset: offset, max: 1 << 20}
				p := parts(m.c.fetch(fetchRequest(12, a)))[0]
				if !m.check(a, l, &p, 12) {
					m.t.Fatalf("%s/%d: nothing at %d of %d", t.name, i, offset, l.end())
				}
				for rest := p.RecordBatches; len(rest) > 0; {
					b, after, err := record.Next(rest)
					if err != nil {
						m.t.Fatal(err)
					}
					offset, rest = b.NextOffset(), after
				}
			}
		}
	}
}
