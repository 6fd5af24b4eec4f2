package clientmetrics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/tidelinehq/tideline/internal/record"
)

// sink keeps what it is offered.
type sink struct {
	full bool
	got  []*otlp.MetricsData
}

func (s *sink) Offer(b []byte) bool {
	if s.full {
		return false
	}
	m := new(otlp.MetricsData)
	if err := proto.Unmarshal(b, m); err != nil {
		panic(err)
	}
	s.got = append(s.got, m)
	return true
}

// world is a manager with a clock.
type world struct {
	*Manager
	t    testing.TB
	sink *sink
	now  time.Time
	next uint64
}

func newWorld(t testing.TB, maxBytes int) *world {
	w := &world{t: t, sink: &sink{}, now: time.UnixMilli(1_700_000_000_000)}
	w.Manager = NewManager(Options{MaxBytes: maxBytes, NodeID: 3, Sink: w.sink, ClusterID: func() string { return "c" }})
	return w
}

func (w *world) subscribe(all ...map[string]string) {
	w.next++
	w.SetSubscriptions(w.next, func() (s []Subscription) {
		for i, settings := range all {
			one, err := Parse(fmt.Sprint(i), settings)
			if err != nil {
				w.t.Fatal(err)
			}
			s = append(s, one)
		}
		return s
	})
}

func (w *world) get(c Client, id ID) Wanted {
	w.t.Helper()
	got, err := w.Get(c, id, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *world) push(c Client, p *Push, want error) {
	w.t.Helper()
	if err := w.Push(w.t.Context(), c, p, w.now); !errors.Is(err, want) || (err == nil) != (want == nil) {
		w.t.Fatalf("push: %v, want %v", err, want)
	}
}

var someone = Client{ClientID: "a", HasClientID: true, SoftwareName: "kgo", SoftwareVersion: "1", Address: "1.2.3.4", Port: 5, Principal: "User:alice", Conn: 9}

func TestUnionOfSubscriptions(t *testing.T) {
	w := newWorld(t, 1000)
	none := w.get(someone, ID{})
	if len(none.Metrics) != 0 || none.Interval != 5*time.Minute || none.MaxBytes != 1000 || none.ID == (ID{}) || !slices.Equal(none.Codecs, []int8{4, 3, 1, 2}) {
		t.Errorf("nothing is wanted: %+v", none)
	}
	w.subscribe(
		map[string]string{"metrics": "b.,a.", "interval.ms": "2000"},
		map[string]string{"metrics": "a.,c.", "interval.ms": "1000", "match": "client_id=a"},
		map[string]string{"metrics": "*", "interval.ms": "500", "match": "client_id=b"},
	)
	// It may ask at once, since what is wanted has changed.
	some := w.get(someone, none.ID)
	if !slices.Equal(some.Metrics, []string{"a.", "b.", "c."}) || some.Interval != time.Second || some.SubscriptionID == none.SubscriptionID {
		t.Errorf("%+v", some)
	}
	other := someone
	other.ClientID, other.Conn = "b", 10
	if all := w.get(other, ID{}); !slices.Equal(all.Metrics, []string{"*"}) || all.Interval != 500*time.Millisecond {
		t.Errorf("%+v", all)
	}
	// Another broker gives the same id.
	there := newWorld(t, 1000)
	there.subscribe(map[string]string{"metrics": "a.,b.,c.", "interval.ms": "1000"})
	if again := there.get(someone, none.ID); again.SubscriptionID != some.SubscriptionID {
		t.Errorf("subscription ids %d and %d", some.SubscriptionID, again.SubscriptionID)
	}
}

// The numbers are what Apache Kafka 4.3.1 computes.
func TestSubscriptionID(t *testing.T) {
	id := ID{0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0x4d, 0xef, 0x81, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}
	if id.String() != "EjRWeJq8Te-BI0VniavN7w" || id.hash() != -2147445985 {
		t.Errorf("%s has the hash %d", id, id.hash())
	}
	for metric, want := range map[string]int32{"": -359181097, "*": -1299504730, "org.apache.kafka.producer.": -1456597402} {
		var metrics []string
		if metric != "" {
			metrics = []string{metric}
		}
		if got := subscriptionID(metrics, time.Second, id); got != want {
			t.Errorf("%q: subscription id %d, want %d", metric, got, want)
		}
	}
}

func TestIntervals(t *testing.T) {
	w := newWorld(t, 1000)
	w.subscribe(map[string]string{"metrics": "*", "interval.ms": "1000"})
	got := w.get(someone, ID{})
	if _, err := w.Get(someone, got.ID, w.now.Add(999*time.Millisecond)); !errors.Is(err, ErrTooOften) {
		t.Errorf("asked twice within an interval: %v", err)
	}
	p := &Push{ID: got.ID, SubscriptionID: got.SubscriptionID}
	w.push(someone, p, nil) // the first may come at once
	w.push(someone, p, ErrTooOften)
	w.now = w.now.Add(time.Second)
	w.push(someone, p, nil)
	// After a push the client waits as well before it asks.
	if _, err := w.Get(someone, got.ID, w.now); !errors.Is(err, ErrTooOften) {
		t.Errorf("asked right after a push: %v", err)
	}
	// The last push may come at any time, and nothing comes after it.
	p.Terminating = true
	w.push(someone, p, nil)
	w.now = w.now.Add(time.Minute)
	w.push(someone, p, ErrTerminated)
}

func TestPushesThatAreRefused(t *testing.T) {
	w := newWorld(t, 1000)
	w.subscribe(map[string]string{"metrics": "*", "interval.ms": "1000"})
	for _, id := range []ID{{}, {15: 1}} {
		w.push(someone, &Push{ID: id}, ErrInvalidID)
	}
	got := w.get(someone, ID{})
	for _, test := range []struct {
		change func(p *Push)
		want   error
		again  bool // it may ask at once
	}{
		{func(p *Push) { p.SubscriptionID++ }, ErrUnknownSubscription, true},
		{func(p *Push) { p.Codec = 5 }, ErrCodec, true},
		{func(p *Push) { p.Codec = -1 }, ErrCodec, true},
		{func(p *Push) { p.Metrics = make([]byte, 1001) }, ErrTooLarge, false},
		{func(p *Push) { p.Metrics = []byte{0xff} }, ErrMalformed, false},
		{func(p *Push) { p.Codec, p.Metrics = 4, []byte("not zstd") }, ErrMalformed, false},
	} {
		w.now = w.now.Add(time.Second)
		p := &Push{ID: got.ID, SubscriptionID: got.SubscriptionID}
		test.change(p)
		w.push(someone, p, test.want)
		if _, err := w.Get(someone, got.ID, w.now); (err == nil) != test.again {
			t.Errorf("%v: asking at once: %v", test.want, err)
		}
	}
	// What grows too much is refused before it has grown.
	for codec := record.Gzip; codec <= record.Zstd; codec++ {
		bomb, err := codec.Compress(nil, make([]byte, 1001))
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Second)
		w.push(someone, &Push{ID: got.ID, SubscriptionID: got.SubscriptionID, Codec: int8(codec), Metrics: bomb}, ErrTooLarge)
	}
	if len(w.sink.got) != 0 {
		t.Errorf("%d pushes were handed on", len(w.sink.got))
	}
}

func TestPushIsHandedOn(t *testing.T) {
	w := newWorld(t, 10_000)
	w.subscribe(map[string]string{"metrics": "*", "interval.ms": "1000"})
	got := w.get(someone, ID{})
	raw := encode(t, sample())
	for codec := record.None; codec <= record.Zstd; codec++ {
		b, err := codec.Compress(nil, raw)
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Second)
		w.push(someone, &Push{ID: got.ID, SubscriptionID: got.SubscriptionID, Codec: int8(codec), Metrics: b}, nil)
	}
	if len(w.sink.got) != 5 {
		t.Fatalf("%d pushes were handed on", len(w.sink.got))
	}
	r := w.sink.got[4].ResourceMetrics[0]
	attributes := map[string]string{}
	for _, a := range r.Resource.Attributes {
		attributes[a.Key] += a.Value.GetStringValue()
	}
	for key, want := range map[string]string{
		"group_id": "g", "client_id": "a", "client_instance_id": got.ID.String(), "client_software_name": "kgo", "client_software_version": "1",
		"client_source_address": "1.2.3.4", "client_source_port": "5", "principal": "User:alice", "broker_id": "3", "cluster_id": "c",
	} {
		if attributes[key] != want {
			t.Errorf("%s=%q, want %q", key, attributes[key], want)
		}
	}
	if !proto.Equal(r.ScopeMetrics[0], sample().ResourceMetrics[0].ScopeMetrics[0]) {
		t.Error("the metrics are others")
	}
	// A queue that is full drops the push, and the client is told nothing of it.
	w.sink.full = true
	w.now = w.now.Add(time.Second)
	w.push(someone, &Push{ID: got.ID, SubscriptionID: got.SubscriptionID, Metrics: raw}, nil)
	// Memory that others have until the caller goes away.
	if err := w.memory.Acquire(t.Context(), decompressing); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Push(ctx, someone, &Push{ID: got.ID, SubscriptionID: got.SubscriptionID, Metrics: raw}, w.now); !errors.Is(err, context.Canceled) {
		t.Errorf("push without memory: %v", err)
	}
}

func TestWithoutSink(t *testing.T) {
	m := NewManager(Options{MaxBytes: 100})
	now := time.UnixMilli(1)
	got, err := m.Get(someone, ID{}, now)
	if err != nil || m.Exports() {
		t.Fatal(err)
	}
	p := &Push{ID: got.ID, SubscriptionID: got.SubscriptionID, Metrics: []byte{0xff}}
	if err := m.Push(t.Context(), someone, p, now); err != nil {
		t.Errorf("what nobody reads was refused: %v", err)
	}
	// It is decompressed all the same.
	p.Codec = int8(record.Zstd)
	if err := m.Push(t.Context(), someone, p, now.Add(time.Hour)); !errors.Is(err, ErrMalformed) {
		t.Errorf("what is no zstd: %v", err)
	}
}

func TestInstancesAreBounded(t *testing.T) {
	w := newWorld(t, 1000)
	client := someone
	id := func(n int) ID { return ID{0: 1, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)} }
	for n := range MaxInstances + 10 {
		client.Conn = uint64(n + 1)
		w.get(client, id(n))
	}
	if len(w.instances) != MaxInstances || w.order.Len() != MaxInstances || len(w.conns) != MaxInstances {
		t.Errorf("%d instances, %d in order, %d connections", len(w.instances), w.order.Len(), len(w.conns))
	}
	// The oldest are gone, so that they may ask at once.
	client.Conn = 1
	w.get(client, id(0))
	// Silence ends all: three intervals of five minutes.
	w.now = w.now.Add(15*time.Minute + time.Millisecond)
	w.get(client, id(1))
	if len(w.instances) != 1 || len(w.conns) != 1 {
		t.Errorf("%d instances, %d connections", len(w.instances), len(w.conns))
	}
}

func TestEndOfConnection(t *testing.T) {
	w := newWorld(t, 1000)
	if !w.Watch(9) || w.Watch(9) {
		t.Error("a connection is to be watched once")
	}
	first := w.get(someone, ID{})
	second := w.get(someone, ID{})
	w.Disconnected(9)
	w.Disconnected(9)
	if _, err := w.Get(someone, first.ID, w.now); !errors.Is(err, ErrTooOften) {
		t.Errorf("the instance before the last: %v", err)
	}
	w.get(someone, second.ID) // forgotten, so that it may ask at once
	if !w.Watch(9) {
		t.Error("a new connection is not watched")
	}
}

// Subscriptions are read once for each change.
func TestSubscriptionsAreReadOnce(t *testing.T) {
	w := newWorld(t, 1000)
	w.subscribe(map[string]string{"metrics": "*"})
	w.SetSubscriptions(w.next, func() []Subscription { t.Error("read again"); return nil })
	w.SetSubscriptions(w.next-1, func() []Subscription { t.Error("read late"); return nil })
}
