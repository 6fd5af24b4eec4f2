package compat

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

const (
	crashPartitions = 3
	feedInterval    = 20 * time.Millisecond
	feedEach        = 20 // records for one producer in each interval
	upAtLeast       = 1500 * time.Millisecond
	upAtMost        = 4 * time.Second
	crashesAtLeast  = 3
)

// long tells whether the long forms of the tests are wanted.
func long() bool { return os.Getenv("TIDELINE_LONG") != "" }

// TestCrashes kills the broker with SIGKILL every few seconds while two idempotent producers write with acks=all, one to a topic whose
// records stay on the disk and one to a topic whose records leave it at once. Afterwards each partition has exactly the records that were
// written, once, in order, at the offsets that were acknowledged.
func TestCrashes(t *testing.T) {
	duration := 20 * time.Second
	if long() {
		duration = 5 * time.Minute
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	settings := map[string]string{"tier.roll.ms": "500", "tier.roll.bytes": "65536", "wal.file.bytes": "16MiB", "log.retention.check.interval.ms": "500"}
	p := brokertest.Start(t, brokertest.Options{Settings: settings})
	c := newClient(t, p.Addr())
	createTopic(t, c, "stays", crashPartitions, nil)
	createTopic(t, c, "leaves", crashPartitions, onlyRemote)
	feeds := []*feed{
		startFeed(t, p, clientNamed(t, "franz-go"), "stays"),
		startFeed(t, p, clientNamed(t, "java"), "leaves"),
	}

	end := time.Now().Add(duration)
	tick := time.NewTicker(feedInterval)
	defer tick.Stop()
	nextKill := func() time.Duration { return upAtLeast + time.Duration(random.Int64N(int64(upAtMost-upAtLeast))) }
	kill := time.NewTimer(nextKill())
	crashes := 0
	for crashes < crashesAtLeast || time.Now().Before(end) {
		select {
		case <-tick.C:
			for _, f := range feeds {
				f.feed()
			}
		case <-kill.C:
			p.Kill()
			for _, f := range feeds {
				f.feed() // into the void, for now
			}
			p.Restart()
			crashes++
			kill.Reset(nextKill())
		}
	}
	p.Kill()
	p.Restart()
	for _, f := range feeds {
		f.check()
	}
	t.Logf("%d crashes, %d and %d records", crashes, feeds[0].count, feeds[1].count)
	ends, err := kadm.NewClient(c).ListEndOffsets(t.Context(), "stays", "leaves")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range feeds {
		for partition, want := range f.next {
			if end, ok := ends.Lookup(f.o.Topic, int32(partition)); !ok || end.Err != nil || end.Offset != want {
				t.Errorf("%s/%d ends at %+v, want %d", f.o.Topic, partition, end, want)
			}
		}
	}
	verify(t, p)
}

// feed is a producer that writes numbered records to all partitions of a topic for as long as it is told to.
type feed struct {
	t      *testing.T
	client client
	o      worker.Options
	s      *session
	count  int
	next   [crashPartitions]int64 // number of the next record in each partition, which is its offset
	places []place                // of each record, in the order of writing
}

func startFeed(t *testing.T, p *brokertest.Process, c client, topic string) *feed {
	o := worker.Options{Brokers: p.Addr(), Topic: topic, Codec: "lz4", TimeoutMS: int((2 * time.Minute).Milliseconds())}
	return &feed{t: t, client: c, o: o, s: c.start(t, "produce", o)}
}

func (f *feed) feed() {
	f.t.Helper()
	for range feedEach {
		partition := f.count % crashPartitions
		f.s.send(numbered(int32(partition), f.next[partition]))
		f.places = append(f.places, place{int32(partition), f.next[partition]})
		f.next[partition]++
		f.count++
	}
	f.s.flush()
}

// numbered is a record that says where it belongs, with a value that can be told from any other's.
func numbered(partition int32, n int64) worker.Record {
	value := make([]byte, 16+n%200)
	binary.BigEndian.PutUint64(value, uint64(n))
	for i := range value[8:] {
		value[8+i] = byte(n + int64(i)*7)
	}
	return worker.Record{Partition: partition, Offset: n, Key: fmt.Appendf(nil, "%d/%d", partition, n), Value: value, Timestamp: epoch + n}
}

// check ends the producer and compares what it was told, and what can be read, with what it wrote.
func (f *feed) check() {
	f.t.Helper()
	acks := decode[worker.Ack](f.t, f.s.name, f.s.finish())
	if len(acks) != f.count {
		f.t.Errorf("%s: %d acknowledgements of %d records", f.s.name, len(acks), f.count)
	}
	wrong := 0
	for _, a := range acks {
		if want := f.places[a.Index]; a.Error != "" || a.Partition != want.partition || a.Offset != want.offset {
			if wrong++; wrong <= 5 {
				f.t.Errorf("%s: acknowledgement %+v of record %+v", f.s.name, a, want)
			}
		}
	}
	var want []worker.Record
	for partition, n := range f.next {
		for i := range n {
			want = append(want, numbered(int32(partition), i))
		}
	}
	o := f.o
	o.From, o.Count = "beginning", f.count
	same(f.t, f.o.Topic, clientNamed(f.t, "librdkafka").consume(f.t, o), want)
}
