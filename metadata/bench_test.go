package metadata

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/metadata/record"
)

// bigImage has topics with partitions on 3 of brokers 1..6, each with hot
// segments, all in one object per round.
func bigImage(b testing.TB, topics, partitions, hot int) *Image {
	m, _ := Apply(new(Image), 1, &record.InitCluster{ClusterID: "bench"})
	e := m.edit(new(changes))
	index := uint64(1)
	run := func(c record.Command) Result {
		index++
		r := e.apply(index, c)
		if r.Reason != record.OK || r.Accepted() != len(r.Entries) {
			b.Fatalf("%s: %v", c.Type(), r)
		}
		return r
	}
	for n := int32(1); n <= 6; n++ {
		r := run(&record.RegisterBroker{ID: n, Incarnation: ID{byte(n)}})
		run(&record.UnfenceBroker{ID: n, Epoch: r.BrokerEpoch})
	}
	for t := range topics {
		a := make([][]int32, partitions)
		for p := range a {
			n := int32(t + p)
			a[p] = []int32{1 + n%6, 1 + (n+1)%6, 1 + (n+2)%6}
		}
		run(&record.CreateTopic{ID: benchID(t), Name: fmt.Sprintf("topic-%06d", t), Assignments: a})
	}
	for h := range hot {
		object := ID{0xff, byte(h)}
		run(&record.BeginUpload{Object: object, Kind: record.KindData, Broker: 1, BrokerEpoch: 1})
		all := &record.CommitUpload{Object: object, Bytes: 1 << 20, Last: true}
		for t := range topics {
			for p := range partitions {
				all.Entries = append(all.Entries, benchEntry(object, benchID(t), int32(p), int64(h)))
			}
		}
		for _, c := range record.ChunkCommit(all) {
			run(c)
		}
	}
	return e.done()
}

func benchID(n int) (id ID) {
	binary.BigEndian.PutUint64(id[4:], uint64(n)*0x9e3779b97f4a7c15)
	id[0] = 1
	return id
}

func benchEntry(object, topic ID, partition int32, round int64) record.CommitEntry {
	base := round * 10_000
	s := Segment{
		Object: object, Position: 1 << 20, Size: 900_000, Base: base, End: base + 10_000, LogBytes: 1_000_000,
		MinTimestamp: 1_700_000_000_000 + base, MaxTimestamp: 1_700_000_005_000 + base, MaxTimestampOffset: base + 9_999, CRC: 0xdeadbeef,
	}
	binary.BigEndian.PutUint64(s.Chain[:], uint64(base))
	return record.CommitEntry{Topic: topic, Partition: partition, Expected: base, Segment: s}
}

// BenchmarkApplyCommit applies commits of 500 entries to images with 1,000 and
// 100,000 partitions: the cost is that of the entries.
func BenchmarkApplyCommit(b *testing.B) {
	for _, topics := range []int{10, 1000} {
		b.Run(fmt.Sprint("partitions=", topics*100), func(b *testing.B) {
			m := bigImage(b, topics, 100, 1)
			b.ReportAllocs()
			round := int64(0)
			for b.Loop() {
				b.StopTimer()
				round++
				object := ID{0xee, byte(round), byte(round >> 8)}
				m, _ = Apply(m, m.Index()+1, &record.BeginUpload{Object: object, Kind: record.KindData, Broker: 1, BrokerEpoch: 1})
				c := &record.CommitUpload{Object: object, Bytes: 1, Last: true}
				for i := range record.MaxCommitEntries {
					topic := benchID((i / 100 * 7) % topics)
					p, _ := m.Partition(topic, int32(i%100))
					e := benchEntry(object, topic, p.Index, 0)
					e.Expected, e.Segment.Base, e.Segment.End = p.Ledger.Tiered, p.Ledger.Tiered, p.Ledger.Tiered+1
					c.Entries = append(c.Entries, e)
				}
				if p, _ := m.Partition(c.Entries[0].Topic, 0); len(p.Ledger.Hot) > 60 { // as spilling keeps it
					b.StartTimer()
					m = bigImage(b, topics, 100, 1)
					b.StopTimer()
					continue
				}
				b.StartTimer()
				var r Result
				if m, r = Apply(m, m.Index()+1, c); r.Accepted() != record.MaxCommitEntries {
					b.Fatal(r)
				}
			}
		})
	}
}

// BenchmarkCreateTopics creates 1,000 topics of one partition, one command and
// one image each.
func BenchmarkCreateTopics(b *testing.B) {
	base := bigImage(b, 0, 0, 0)
	b.ReportAllocs()
	for b.Loop() {
		m := base
		for t := range 1000 {
			m, _ = Apply(m, m.Index()+1, &record.CreateTopic{ID: benchID(t), Name: fmt.Sprint("t", t), Assignments: [][]int32{{1, 2, 3}}})
		}
		if m.TopicCount() != 1000 {
			b.Fatal(m.TopicCount())
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/topic")
}

// BenchmarkBrokerDies moves the leadership of a third of 100,000 partitions.
func BenchmarkBrokerDies(b *testing.B) {
	base := bigImage(b, 1000, 100, 0)
	var all []record.PartitionChange
	for _, p := range base.LedPartitions(1) {
		all = append(all, record.PartitionChange{Topic: p.Topic, Partition: p.Index, Leader: p.Replicas[1], ISR: p.Replicas[1:]})
	}
	for b.Loop() {
		m := base
		for _, c := range record.ChunkChange(all) {
			m, _ = Apply(m, m.Index()+1, c)
		}
		if m.LedCount(1) != 0 {
			b.Fatal(m.LedCount(1))
		}
	}
	b.ReportMetric(float64(len(all)), "partitions")
}

// BenchmarkSnapshot writes and reads 100,000 partitions with one hot segment.
func BenchmarkSnapshot(b *testing.B) {
	var m *Image
	perPartition := heapOf(func() { m = bigImage(b, 1000, 100, 1) }) / 100_000
	data := snapshotBytes(b, m)
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.WriteTo(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(perPartition), "image-B/partition")
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ReadImage(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// imageBudget is what a partition of three replicas may take in an image, in
// bytes: every broker has all of them.
const imageBudget = 1024

// The memory of 10,000 partitions with three replicas each, whose ISRs have
// changed, read from the bytes of commands as on every broker.
func TestImageMemory(t *testing.T) {
	const partitions = 10_000
	var m *Image
	per := heapOf(func() {
		m = bigImage(t, 100, partitions/100, 0)
		for _, isr := range []int{1, 3} {
			var all []record.PartitionChange
			for _, p := range m.AllPartitions() {
				all = append(all, record.PartitionChange{Topic: p.Topic, Partition: p.Index, PartitionEpoch: p.PartitionEpoch, Leader: p.Leader,
					ISR: p.Replicas[:isr], ELR: append([]int32{}, p.Replicas[isr:]...)})
			}
			for _, c := range record.ChunkChange(all) {
				b, err := record.Append(nil, c)
				if err != nil {
					t.Fatal(err)
				}
				decoded, err := record.Decode(b)
				if err != nil {
					t.Fatal(err)
				}
				m, _ = Apply(m, m.Index()+1, decoded)
			}
		}
	}) / partitions
	t.Logf("%d bytes for a partition, %d for a replica", per, per/3)
	if m.ReplicaCount() != 3*partitions || per > imageBudget && !raceEnabled {
		t.Fatalf("replicas=%d bytes per partition=%d budget=%d", m.ReplicaCount(), per, imageBudget)
	}
}

// heapOf returns what a function leaves on the heap.
func heapOf(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fn()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return after.HeapAlloc - before.HeapAlloc
}

// BenchmarkLookup finds a partition among 100,000.
func BenchmarkLookup(b *testing.B) {
	m := bigImage(b, 1000, 100, 0)
	i := 0
	id := benchID(500)
	b.ReportAllocs()
	for b.Loop() {
		i++
		if _, ok := m.Partition(id, int32(i%100)); !ok {
			b.Fatal("not found")
		}
	}
}

// A snapshot is written with bounded memory: a frame, whatever the image.
func TestSnapshotMemoryIsBounded(t *testing.T) {
	m := bigImage(t, 100, 100, 2)
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	before := stats.TotalAlloc
	n, err := m.WriteTo(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&stats)
	if got := stats.TotalAlloc - before; got > 4*maxFrame {
		t.Fatalf("allocated %d bytes to write %d", got, n)
	}
}

// openBudget is what opening 1,000 partitions with 64 hot segments each may
// take: snapshot and log.
const openBudget = 200 * time.Millisecond

// openFixture fills a directory with 1,000 partitions of 64 hot segments, of
// which the last ones are in the log behind the snapshot.
func openFixture(t testing.TB) string {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, NodeID: 1})
	ctx := testContext(t)
	epoch, _ := seed(t, s, 1)
	for i := range 10 {
		if err := s.CreateTopic(ctx, &record.CreateTopic{ID: benchID(i), Name: fmt.Sprint("t", i), Assignments: assign(100, 1)}); err != nil {
			t.Fatal(err)
		}
	}
	for h := range int64(64) {
		object := ID{0xff, byte(h)}
		if err := s.BeginUpload(ctx, &record.BeginUpload{Object: object, Kind: record.KindData, Broker: 1, BrokerEpoch: epoch}); err != nil {
			t.Fatal(err)
		}
		c := &record.CommitUpload{Object: object, Bytes: 1 << 20, Last: true}
		for i := range 1000 {
			c.Entries = append(c.Entries, benchEntry(object, benchID(i/100), int32(i%100), h))
		}
		r, err := s.CommitUpload(ctx, c)
		if err != nil || r[999].Reason != record.OK {
			t.Fatal(err, r)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func BenchmarkOpen(b *testing.B) {
	dir := openFixture(b)
	for b.Loop() {
		s, err := Open(context.Background(), Options{Dir: dir, NodeID: 1})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if p, ok := s.Image().Partition(benchID(9), 99); !ok || len(p.Ledger.Hot) != 64 {
			b.Fatal("state lost")
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// The budget is compared with the processor time of this process: other
// processes on the machine can not spend it.
func TestOpenIsFast(t *testing.T) {
	dir := openFixture(t)
	best := time.Hour
	for range 3 {
		runtime.GC() // of what came before
		start, began := cpuTime(t), time.Now()
		s, err := Open(testContext(t), Options{Dir: dir, NodeID: 1})
		if err != nil {
			t.Fatal(err)
		}
		used, wall := cpuTime(t)-start, time.Since(began)
		best = min(best, used, wall)
		t.Logf("opened in %v, processor time %v", wall, used)
		if p, ok := s.Image().Partition(benchID(9), 99); !ok || len(p.Ledger.Hot) != 64 {
			t.Fatal("state lost")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if best > openBudget && !raceEnabled {
		t.Fatalf("opening took %v, budget %v", best, openBudget)
	}
}

// cpuTime is what the process has used.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
