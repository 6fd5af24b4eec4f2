package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/internal/otlptest"
	"github.com/tidelinehq/tideline/internal/record"
)

// traceTo has the brokers of a test send their spans to a receiver, all of them.
func traceTo(t *testing.T) *otlptest.Receiver {
	t.Helper()
	r := exportTo(t, "http/protobuf")
	t.Setenv("OTEL_TRACES_SAMPLER", "always_on")
	return r
}

// await returns the first span that is meant.
func awaitSpan(t *testing.T, r *otlptest.Receiver, what string, meant func(s otlptest.Span) bool) otlptest.Span {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	spans, err := r.Await(ctx, func(all []otlptest.Span) bool { return slices.ContainsFunc(all, meant) })
	if err != nil {
		t.Fatalf("no span: %s; there are\n%s", what, listed(spans))
	}
	return spans[slices.IndexFunc(spans, meant)]
}

func listed(spans []otlptest.Span) string {
	var b strings.Builder
	for _, s := range spans {
		fmt.Fprintln(&b, s)
	}
	return b.String()
}

// childOf returns the child of a span with a name.
func childOf(t *testing.T, r *otlptest.Receiver, parent otlptest.Span, name string) otlptest.Span {
	t.Helper()
	return awaitSpan(t, r, name+" below "+parent.String(), func(s otlptest.Span) bool {
		return s.Name == name && s.TraceID == parent.TraceID && s.ParentID == parent.SpanID
	})
}

// inTrace is a batch of one record that was sent within a span.
func inTrace(trace, span int) []byte {
	return build(record.Options{ProducerID: record.NoProducerID}, record.Record{
		Value: make([]byte, 100), Timestamp: 1000,
		Headers: []record.Header{{Key: []byte("traceparent"), Value: fmt.Appendf(nil, "00-%032x-%016x-01", trace, span)}},
	})
}

// TestFetchIsTraced: a fetch is a trace with the stages that it went through, wherever the records were.
func TestFetchIsTraced(t *testing.T) {
	r := traceTo(t)
	n := newNode(t, map[string]string{"log.local.retention.bytes": "0"})
	c := n.dial()
	id := c.create("orders", 1, nil)

	waiting := n.dial()
	req := fetchRequest(13, at{id: id})
	req.MaxWaitMillis = 60_000
	if err := waiting.send(req); err != nil {
		t.Fatal(err)
	}
	n.await("the fetch waits", func() bool { return n.gauge("tideline_purgatory_parked_requests") == 1 })
	c.mustProduce("orders", 0, inTrace(7, 9))
	if resp, err := waiting.receive(req, waiting.id); err != nil || len(parts(resp.(*kmsg.FetchResponse))[0].RecordBatches) == 0 {
		t.Fatalf("%+v %v", resp, err)
	}
	tail := awaitSpan(t, r, "a fetch of the tail", func(s otlptest.Span) bool { return s.Name == "kafka.Fetch" && s.ParentID == "" })
	wait, read, send := childOf(t, r, tail, "fetch.purgatory"), childOf(t, r, tail, "fetch.tail"), childOf(t, r, tail, "fetch.send")
	if tail.Kind != "server" || wait.End.After(read.Start) || read.End.After(send.Start) || send.End != tail.End || wait.Start.Before(tail.Start) {
		t.Errorf("stages are out of order:\n%s", listed([]otlptest.Span{tail, wait, read, send}))
	}
	if got := read.Attributes["tideline.bytes"]; got != int64(len(inTrace(7, 9))) {
		t.Errorf("bytes of the tail: %v", got)
	}

	n.await("the records are in the object store only", func() bool { return n.earliestLocal(c, "orders") == 1 })
	for _, want := range []string{"fetch.object", "fetch.cache"} {
		if resp := c.fetch(fetchRequest(13, at{id: id})); len(parts(resp)[0].RecordBatches) == 0 {
			t.Fatalf("%s: %+v", want, resp)
		}
		stage := awaitSpan(t, r, want, func(s otlptest.Span) bool { return s.Name == want && s.TraceID != producerTrace(7) })
		fetch := awaitSpan(t, r, "the fetch of "+want, func(s otlptest.Span) bool { return s.SpanID == stage.ParentID })
		childOf(t, r, fetch, "fetch.send")
		copied := awaitSpan(t, r, "the producer's "+want, func(s otlptest.Span) bool {
			return s.Name == "kafka.Fetch" && s.TraceID == producerTrace(7) && s.LinksTo(fetch)
		})
		childOf(t, r, copied, want)
		if !fetch.LinksTo(otlptest.Span{TraceID: copied.TraceID, SpanID: copied.ParentID}) || copied.Kind != "consumer" || copied.ParentID != fmt.Sprintf("%016x", 9) || copied.Attributes["messaging.destination.name"] != "orders" ||
			copied.Attributes["messaging.kafka.offset"] != int64(0) || copied.Start != fetch.Start || copied.End != fetch.End {
			t.Errorf("%s\n%s", fetch, copied)
		}
		requests, hits := stage.Attributes["tideline.object.requests"], stage.Attributes["tideline.cache.hits"]
		if want == "fetch.object" {
			get := childOf(t, r, stage, "objstore.get")
			if requests != int64(1) || hits != int64(0) || get.Attributes["tideline.object.kind"] != "data" || get.Attributes["tideline.object.outcome"] != "ok" {
				t.Errorf("%s\n%s", stage, get)
			}
		} else if requests != int64(0) || hits != int64(1) {
			t.Errorf("%s", stage)
		}
	}
}

// TestShareFetchIsTraced: records that members of a share group work off are seen to be taken, as those of other consumers are.
func TestShareFetchIsTraced(t *testing.T) {
	r := traceTo(t)
	n := newNode(t, map[string]string{"share.coordinator.state.topic.num.partitions": "1", "offsets.topic.num.partitions": "1", "log.local.retention.bytes": "0"})
	c := n.dial()
	topic := c.create("jobs", 1, map[string]string{"retention.ms": "-1"})
	joinShare(n, c, "workers", "a", 1, "jobs")
	a := n.member("workers", "a", topic)
	for range 4 { // the group begins at the latest offset, which was found by the first fetch
		a.acquired(100 * time.Millisecond)
	}

	waiting := a.fetchRequest()
	waiting.MaxWaitMillis = 60_000
	if err := a.send(waiting); err != nil {
		t.Fatal(err)
	}
	n.await("the fetch waits", func() bool { return n.gauge("tideline_purgatory_parked_requests") == 1 })
	c.mustProduce("jobs", 0, inTrace(7, 9))
	if resp, err := a.receive(waiting, a.conn.id); err != nil || len(resp.(*kmsg.ShareFetchResponse).Topics) == 0 {
		t.Fatalf("%+v %v", resp, err)
	}
	a.epoch++
	tail := awaitSpan(t, r, "a share fetch", func(s otlptest.Span) bool {
		return s.Name == "kafka.ShareFetch" && s.ParentID == "" && s.Attributes["tideline.bytes"] != int64(0)
	})
	wait, read, send := childOf(t, r, tail, "fetch.purgatory"), childOf(t, r, tail, "fetch.tail"), childOf(t, r, tail, "fetch.send")
	if tail.Kind != "server" || tail.Attributes["messaging.consumer.group.name"] != "workers" || wait.End.After(read.Start) || read.End.After(send.Start) || send.End != tail.End {
		t.Errorf("stages are out of order:\n%s", listed([]otlptest.Span{tail, wait, read, send}))
	}
	copied := awaitSpan(t, r, "the share fetch in the producer's trace", func(s otlptest.Span) bool {
		return s.Name == "kafka.ShareFetch" && s.TraceID == producerTrace(7) && s.LinksTo(tail)
	})
	if copied.Kind != "consumer" || copied.ParentID != fmt.Sprintf("%016x", 9) || copied.Attributes["messaging.destination.name"] != "jobs" ||
		copied.Attributes["messaging.consumer.group.name"] != "workers" || copied.Attributes["messaging.kafka.offset"] != int64(0) {
		t.Error(copied)
	}

	// Given back when only the object store has it, and taken from there.
	n.await("the record is in the object store only", func() bool { return n.earliestLocal(c, "jobs") == 1 })
	expect(t, "release", a.acknowledge(ack(0, 0, share.Release)), "NONE")
	expect(t, "second delivery", a.acquired(10*time.Second), "0-0:2")
	stage := awaitSpan(t, r, "a read of the object store", func(s otlptest.Span) bool { return s.Name == "fetch.object" && s.TraceID != producerTrace(7) })
	cold := awaitSpan(t, r, "the share fetch of it", func(s otlptest.Span) bool { return s.SpanID == stage.ParentID })
	childOf(t, r, stage, "objstore.get")
	childOf(t, r, awaitSpan(t, r, "the second delivery in the producer's trace", func(s otlptest.Span) bool {
		return s.Name == "kafka.ShareFetch" && s.TraceID == producerTrace(7) && s.LinksTo(cold)
	}), "fetch.object")
}

func producerTrace(n int) string { return fmt.Sprintf("%032x", n) }

// earliestLocal is the first offset that the disk has.
func (n *node) earliestLocal(c *conn, topic string) int64 {
	n.tb.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 8
	lt := kmsg.NewListOffsetsRequestTopic()
	lt.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp, p.CurrentLeaderEpoch = -4, -1
	lt.Partitions = append(lt.Partitions, p)
	req.Topics = append(req.Topics, lt)
	return do[*kmsg.ListOffsetsResponse](c, req).Topics[0].Partitions[0].Offset
}

// TestUploadShowsInTheTraceOfItsProducer: who looks at the trace of a record sees when it went to the object store, though the broker
// that takes it there was not asked by the producer.
func TestUploadShowsInTheTraceOfItsProducer(t *testing.T) {
	r := traceTo(t)
	n := newNode(t, nil)
	c := n.dial()
	c.create("orders", 1, nil)
	c.mustProduce("orders", 0, inTrace(5, 6))
	roll := awaitSpan(t, r, "a roll in the trace of the producer", func(s otlptest.Span) bool {
		return s.Name == "tiering.roll" && s.TraceID == producerTrace(5) && s.ParentID == fmt.Sprintf("%016x", 6)
	})
	if built, uploaded := roll.When("tiering.built"), roll.When("tiering.uploaded"); built.Before(roll.Start) || uploaded.Before(built) || roll.End.Before(uploaded) {
		t.Error(roll)
	}
	shared := awaitSpan(t, r, "the roll itself", func(s otlptest.Span) bool { return s.Name == "tiering.roll" && roll.LinksTo(s) })
	for _, stage := range []string{"tiering.build", "tiering.commit"} {
		childOf(t, r, shared, stage)
	}
	put := childOf(t, r, childOf(t, r, shared, "tiering.upload"), "objstore.put")
	if !shared.LinksTo(otlptest.Span{TraceID: roll.TraceID, SpanID: roll.ParentID}) || put.Attributes["tideline.object.kind"] != "data" || put.Kind != "client" || roll.Attributes["messaging.destination.name"] != "orders" {
		t.Errorf("%s\n%s\n%s", shared, roll, put)
	}
}
