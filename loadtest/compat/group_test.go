package compat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

const (
	groupPartitions = 6
	groupMembers    = 3
	perPartition    = 20 // records that are written to each partition at once
	sessionTimeout  = 3 * time.Second
	// groupTimeout bounds a wait: session timeout, rebalance, and a busy machine.
	groupTimeout = 90 * time.Second
)

// TestGroup has three members of one group share a topic. One is killed, the others take over what it had; all leave; a new member goes
// on where they have stopped.
func TestGroup(t *testing.T) {
	p := brokertest.Start(t, brokertest.Options{Settings: quick})
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testGroup(t, p, c, "")
		})
	}
}

// TestGroupConsumerProtocol does the same by the consumer protocol (KIP-848), with the clients that have it.
func TestGroupConsumerProtocol(t *testing.T) {
	settings := maps.Clone(quick)
	ms := strconv.FormatInt(sessionTimeout.Milliseconds(), 10)
	settings["group.consumer.min.session.timeout.ms"], settings["group.consumer.session.timeout.ms"] = ms, ms
	settings["group.consumer.min.heartbeat.interval.ms"], settings["group.consumer.heartbeat.interval.ms"] = "500", "500"
	p := brokertest.Start(t, brokertest.Options{Settings: settings})
	for _, name := range []string{"java", "librdkafka", "franz-go"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testGroup(t, p, clientNamed(t, name), "consumer")
		})
	}
}

func testGroup(t *testing.T, p *brokertest.Process, c client, protocol string) {
	topic := "group-" + c.name
	o := worker.Options{
		Brokers: p.Addr(), Topic: topic, Group: "readers-" + c.name, SessionMS: int(sessionTimeout.Milliseconds()), Partitions: groupPartitions,
		Protocol: protocol,
	}
	client := newClient(t, p.Addr())
	admin := kadm.NewClient(client)
	ctx, cancel := context.WithTimeout(t.Context(), 2*workerTimeout)
	defer cancel()
	if _, err := admin.CreateTopic(ctx, groupPartitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	writer := &partitionWriter{client: client, topic: topic, partitions: groupPartitions}

	writer.write(t, perPartition, "before")
	members := make([]*session, groupMembers)
	for i := range members {
		members[i] = c.start(t, "group", o)
	}
	waitFor(t, groupTimeout, func() string { return "each member has its share: " + assignments(t, members) }, outputs(members), func() bool {
		for _, m := range members {
			if len(assigned(t, m)) != groupPartitions/groupMembers {
				return false
			}
		}
		return true
	})
	writer.write(t, perPartition, "together")
	waitFor(t, groupTimeout, func() string { return "all read by three: " + progress(t, members, writer.written) }, outputs(members), func() bool {
		return reads(t, members, writer.written)
	})

	members[0].kill()
	writer.write(t, perPartition, "after the death")
	waitFor(t, groupTimeout, func() string { return "all read by two: " + progress(t, members, writer.written) }, outputs(members), func() bool {
		return reads(t, members, writer.written)
	})
	for _, m := range members {
		for _, r := range recordsOf(t, m) {
			if want := writer.at(r); want == nil || !equal(r, *want) {
				t.Fatalf("%s read what was not written: %s", c.name, show(r))
			}
		}
	}
	for _, m := range members[1:] {
		m.finish()
	}

	committed, err := admin.FetchOffsets(ctx, o.Group)
	if err != nil {
		t.Fatal(err)
	}
	for partition := range int32(groupPartitions) {
		if at, ok := committed.Lookup(topic, partition); !ok || at.At != 3*perPartition {
			t.Errorf("committed in partition %d: %d, want %d", partition, at.At, 3*perPartition)
		}
	}

	before := len(writer.written)
	writer.write(t, perPartition, "resumed")
	next := c.start(t, "group", o)
	waitFor(t, groupTimeout, func() string { return "resumed: " + progress(t, []*session{next}, writer.written[before:]) }, outputs([]*session{next}), func() bool {
		return reads(t, []*session{next}, writer.written[before:])
	})
	next.finish()
	same(t, c.name+" resumed", recordsOf(t, next), writer.written[before:])
}

// newClient is the test's own client.
func newClient(t testing.TB, addr string) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// partitionWriter writes to all partitions of a topic and knows what it wrote.
type partitionWriter struct {
	client     *kgo.Client
	topic      string
	partitions int32
	next       int64 // offset, the same in all partitions
	written    []worker.Record
}

func (w *partitionWriter) write(t testing.TB, each int, label string) {
	t.Helper()
	var batch []*kgo.Record
	for partition := range w.partitions {
		for _, r := range makeRecords(partition, w.next, each, label) {
			w.written = append(w.written, r)
			out := &kgo.Record{Topic: w.topic, Partition: partition, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
			for _, h := range r.Headers {
				out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
			}
			batch = append(batch, out)
		}
	}
	w.next += int64(each)
	if err := w.client.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// at returns what was written at the place of r.
func (w *partitionWriter) at(r worker.Record) *worker.Record {
	i := slices.IndexFunc(w.written, func(one worker.Record) bool { return one.Partition == r.Partition && one.Offset == r.Offset })
	if i < 0 {
		return nil
	}
	return &w.written[i]
}

func outputs(members []*session) []*lineBuffer {
	var all []*lineBuffer
	for _, m := range members {
		all = append(all, m.output)
	}
	return all
}

// groupLine is a record or an assignment.
type groupLine struct {
	worker.Record
	Assigned []int32 `json:"assigned"`
}

// assigned is what the member had after its last rebalance.
func assigned(t testing.TB, m *session) []int32 {
	t.Helper()
	var last []int32
	for _, line := range decode[groupLine](t, m.name, m.output.all()) {
		if line.Assigned != nil {
			last = line.Assigned
		}
	}
	return last
}

func recordsOf(t testing.TB, m *session) []worker.Record {
	t.Helper()
	var all []worker.Record
	for _, line := range decode[groupLine](t, m.name, m.output.all()) {
		if line.Assigned == nil {
			all = append(all, line.Record)
		}
	}
	return all
}

type place struct {
	partition int32
	offset    int64
}

// reads reports whether the members together have read all of want, maybe more than once.
func reads(t testing.TB, members []*session, want []worker.Record) bool {
	t.Helper()
	return len(missing(t, members, want)) == 0
}

func missing(t testing.TB, members []*session, want []worker.Record) map[place]bool {
	t.Helper()
	left := map[place]bool{}
	for _, r := range want {
		left[place{r.Partition, r.Offset}] = true
	}
	for _, m := range members {
		for _, r := range recordsOf(t, m) {
			delete(left, place{r.Partition, r.Offset})
		}
	}
	return left
}

func progress(t testing.TB, members []*session, want []worker.Record) string {
	t.Helper()
	return fmt.Sprintf("%d of %d records are missing; assigned: %s", len(missing(t, members, want)), len(want), assignments(t, members))
}

func assignments(t testing.TB, members []*session) string {
	t.Helper()
	var all [][]int32
	for _, m := range members {
		all = append(all, assigned(t, m))
	}
	return fmt.Sprint(all)
}
