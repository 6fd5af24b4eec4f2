package partition

import (
	"errors"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/internal/record"
)

func originOf(n byte) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{n}, SpanID: trace.SpanID{n}, TraceFlags: trace.FlagsSampled})
}

// remembered is the offsets that the trail has of a world's partition, with the traces.
func (w *world) remembered() (out []trail.Entry) {
	return w.trail.Between(testID.Topic, testID.Partition, 0, 1<<60, 100)
}

func sameEntries(a []trail.Entry, b ...trail.Entry) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].First != b[i].First || a[i].Last != b[i].Last || !a[i].Context.Equal(b[i].Context) {
			return false
		}
	}
	return true
}

// TestTrace: whoever asks learns when an append was where, and the trail knows whose offsets are whose,
// as long as they are.
func TestTrace(t *testing.T) {
	w := newWorld(t)
	w.trail = trail.New(16)
	w.mustAppend(plain(5, 1000))

	tr, done := &Trace{Origins: []trail.Entry{AllOf(originOf(1))}}, make(owner, 1)
	a := &Append{Trace: tr}
	if err := w.Append(a, plain(3, 1000), FromClient, done); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if tr.Validated.IsZero() || tr.Queued.IsZero() || tr.Written.IsZero() || tr.Durable.Before(tr.Written) {
		t.Errorf("%+v", tr)
	}
	first := trail.Entry{First: 5, Last: 7, Context: originOf(1)}
	if got := w.remembered(); !sameEntries(got, first) {
		t.Errorf("remembered: %v", got)
	}

	// Found good, and not appended: the offsets are for others.
	w.leads(5, 5, 2)
	tr = &Trace{Origins: []trail.Entry{AllOf(originOf(2))}}
	if err := w.Append(&Append{Trace: tr}, plain(3, 1000), FromClient, done); !errors.Is(err, ErrNotEnoughReplicas) {
		t.Fatal(err)
	}
	if tr.Validated.IsZero() || !tr.Queued.IsZero() || !sameEntries(w.remembered(), first) {
		t.Errorf("%+v, remembered: %v", tr, w.remembered())
	}
	// Not even good.
	tr = &Trace{}
	if err := w.Append(&Append{Trace: tr}, []byte("no batch"), FromClient, done); err == nil || !tr.Validated.IsZero() {
		t.Errorf("%v %+v", err, tr)
	}

	// A follower remembers what its leader says, and forgets what it must drop.
	w.Follow(6)
	b := plain(4, 1000)
	b.SetBaseOffset(8)
	tr = &Trace{Origins: []trail.Entry{{First: 9, Last: 9, Context: originOf(3)}, {First: 11, Last: 11, Context: originOf(4)}}}
	if err := w.Replicate(&Append{Trace: tr}, 6, b, 0, done); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || tr.Durable.IsZero() {
		t.Fatal(err)
	}
	if got := w.remembered(); !sameEntries(got, first, tr.Origins[0], tr.Origins[1]) {
		t.Errorf("remembered by a follower: %v", got)
	}
	w.mustCut(6, 11, 0)
	if got := w.remembered(); !sameEntries(got, first, tr.Origins[0]) {
		t.Errorf("remembered after a cut: %v", got)
	}
}

// TestTraceOfDuplicate: what was there already is not in the log once more, nor in the trail.
func TestTraceOfDuplicate(t *testing.T) {
	w := newWorld(t)
	w.trail = trail.New(16)
	b := func() record.Batch { return batch(record.Options{ProducerID: 9}, 2, 1000) }
	w.mustAppend(b())
	tr, done := &Trace{Origins: []trail.Entry{AllOf(originOf(1))}}, make(owner, 1)
	a := &Append{Trace: tr}
	if err := w.Append(a, b(), FromClient, done); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || !a.Duplicate {
		t.Fatal(err, a.Duplicate)
	}
	if tr.Validated.IsZero() || !tr.Queued.IsZero() || len(w.remembered()) != 0 {
		t.Errorf("%+v, remembered: %v", tr, w.remembered())
	}
}
