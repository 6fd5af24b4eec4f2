package trail

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/internal/record"
)

// batchOf is a batch of n records from base on, whose producer was in a span with the given flags; 0xff: in none.
func batchOf(t *testing.T, base int64, n int, flags byte) []byte {
	t.Helper()
	b := record.NewBuilder(record.Options{BaseOffset: base, ProducerID: record.NoProducerID})
	for range n {
		r := record.Record{Value: []byte("v")}
		if flags != 0xff {
			r.Headers = []record.Header{{Key: []byte("traceparent"), Value: fmt.Appendf(nil, "00-%032x-%016x-%02x", base+1, base+1, flags)}}
		}
		if err := b.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	return b.Build()
}

// TestLook: traces are found in the batches of a run, if they are sampled, and no more of them than were asked for.
func TestLook(t *testing.T) {
	var run []byte
	for _, b := range [][]byte{batchOf(t, 0, 2, 1), batchOf(t, 2, 1, 0), batchOf(t, 3, 1, 0xff), batchOf(t, 4, 3, 1), batchOf(t, 7, 1, 1)} {
		run = append(run, b...)
	}
	found := NewLooker(1000).Look(run, 4, 16)
	if len(found) != 2 || found[0].First != 0 || found[0].Last != 1 || found[1].First != 4 || found[1].Last != 6 {
		t.Fatalf("%+v", found)
	}
	c := found[1].Context
	if c.TraceID() != (trace.TraceID{15: 5}) || c.SpanID() != (trace.SpanID{7: 5}) || !c.IsSampled() || !c.IsRemote() {
		t.Errorf("%+v", c)
	}
	if found := NewLooker(1000).Look(run, 16, 1); len(found) != 1 || found[0].First != 0 {
		t.Errorf("%+v", found)
	}
	if found := NewLooker(1000).Look(run[:len(run)-1], 16, 16); len(found) != 2 {
		t.Errorf("in a torn run: %+v", found)
	}
	var off *Looker
	if found := off.Look(run, 16, 16); found != nil {
		t.Errorf("%+v", found)
	}
}

// TestLooksAreBounded: what a second may bring is used up, whoever asks.
func TestLooksAreBounded(t *testing.T) {
	l := NewLooker(3)
	run := batchOf(t, 0, 1, 1)
	found := 0
	for range 50 {
		found += len(l.Look(run, 1, 1))
	}
	if found < 3 || found > 6 {
		t.Errorf("%d looks of the 3 in the budget", found)
	}
}
