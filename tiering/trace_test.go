package tiering_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
)

// remembered are traces of producers as a test has them.
type remembered struct {
	between map[manifest.ID][]tiering.ProducerTrace
	within  func(id manifest.ID, batches []byte) (tiering.ProducerTrace, bool)
}

func (r *remembered) Between(id manifest.ID, from, to int64, most int) (out []tiering.ProducerTrace) {
	for _, p := range r.between[id] {
		if p.First < to && p.Last >= from && len(out) < most {
			out = append(out, p)
		}
	}
	return out
}

func (r *remembered) Within(id manifest.ID, batches []byte) (tiering.ProducerTrace, bool) {
	return r.within(id, batches)
}

func producer(n byte, first, last int64) tiering.ProducerTrace {
	return tiering.ProducerTrace{Topic: "orders", First: first, Last: last, Parent: trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{n}, SpanID: trace.SpanID{n}, TraceFlags: trace.FlagsSampled, Remote: true,
	})}
}

// TestRollIsToldToItsProducers: a roll is one trace with a span for each of its stages, and shows as one span in the traces of
// those who wrote what it uploaded: of those that are remembered, and of one that is found in the batches where none is.
func TestRollIsToldToItsProducers(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		known, unknown := w.create(0, 4), w.create(1, 0)
		traces := &remembered{between: map[manifest.ID][]tiering.ProducerTrace{known.id: {producer(1, 0, 0), producer(1, 1, 2), producer(2, 3, 3), producer(9, 100, 100)}}}
		traces.within = func(id manifest.ID, batches []byte) (tiering.ProducerTrace, bool) {
			b, _, err := record.Next(batches)
			if id != unknown.id || err != nil || b.BaseOffset() != 3 {
				return tiering.ProducerTrace{}, false
			}
			return producer(3, 3, 4), true
		}
		o := w.options(w.state.Broker(1, true))
		o.Tracer, o.Traces = provider.Tracer("test"), traces
		_, stop := w.run(o)
		for _, l := range w.logs {
			l.append(3, 100)
			l.append(2, 100)
			l.append(1, 100)
		}
		pass(61 * time.Second)
		synctest.Wait()
		w.allTiered()
		stop()
	})
	spans := map[trace.SpanID]sdktrace.ReadOnlySpan{}
	for _, s := range recorder.Ended() {
		spans[s.SpanContext().SpanID()] = s
	}
	var shared sdktrace.ReadOnlySpan
	copies := map[trace.TraceID]sdktrace.ReadOnlySpan{}
	stages := map[trace.SpanID][]string{} // by parent
	for _, s := range spans {
		switch {
		case s.Name() != "tiering.roll":
			stages[s.Parent().SpanID()] = append(stages[s.Parent().SpanID()], s.Name())
		case s.Parent().IsValid():
			if copies[s.SpanContext().TraceID()] != nil {
				t.Errorf("two rolls in the trace of producer %d", s.SpanContext().TraceID()[0])
			}
			copies[s.SpanContext().TraceID()] = s
		case shared != nil:
			t.Fatal("more than one roll")
		default:
			shared = s
		}
	}
	if shared == nil || len(copies) != 3 || len(shared.Links()) != 3 {
		t.Fatalf("shared=%v copies=%d of %d spans", shared, len(copies), len(spans))
	}
	for n := range byte(3) {
		c := copies[trace.TraceID{n + 1}]
		if c == nil || c.Parent().SpanID() != (trace.SpanID{n + 1}) || !c.StartTime().Equal(shared.StartTime()) || !c.EndTime().Equal(shared.EndTime()) {
			t.Fatalf("the trace of producer %d: %v", n+1, c)
		}
		if len(c.Links()) != 1 || c.Links()[0].SpanContext.SpanID() != shared.SpanContext().SpanID() ||
			!slices.ContainsFunc(shared.Links(), func(l sdktrace.Link) bool { return l.SpanContext.SpanID() == c.Parent().SpanID() }) {
			t.Errorf("producer %d is not linked", n+1)
		}
		if !slices.Contains(c.Attributes(), attribute.String("messaging.destination.name", "orders")) {
			t.Errorf("producer %d: %v", n+1, c.Attributes())
		}
		at := c.StartTime()
		for i, e := range c.Events() {
			if e.Name != []string{"tiering.built", "tiering.uploaded"}[i] || e.Time.Before(at) || e.Time.After(c.EndTime()) {
				t.Errorf("producer %d: %v", n+1, e)
			}
			at = e.Time
		}
		if len(c.Events()) != 2 || len(stages[c.SpanContext().SpanID()]) != 0 {
			t.Errorf("producer %d: stages %v %v", n+1, c.Events(), stages[c.SpanContext().SpanID()])
		}
	}
	got := stages[shared.SpanContext().SpanID()]
	if slices.Sort(got); !slices.Equal(got, []string{"tiering.build", "tiering.commit", "tiering.upload"}) {
		t.Errorf("stages %v", got)
	}
}

// TestCopiesAreBounded: however many producers wrote what is uploaded, few are told.
func TestCopiesAreBounded(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		traces := &remembered{between: map[manifest.ID][]tiering.ProducerTrace{}}
		for i := range 5 {
			l := w.create(i, 0)
			for n := range byte(10) {
				traces.between[l.id] = append(traces.between[l.id], producer(byte(i)*10+n+1, int64(n), int64(n)))
			}
		}
		o := w.options(w.state.Broker(1, true))
		o.Tracer, o.Traces = provider.Tracer("test"), traces
		_, stop := w.run(o)
		for _, l := range w.logs {
			l.append(10, 10)
		}
		pass(61 * time.Second)
		synctest.Wait()
		w.allTiered()
		stop()
	})
	copies := 0
	for _, s := range recorder.Ended() {
		if s.Name() == "tiering.roll" && s.Parent().IsValid() {
			copies++
		}
	}
	if copies != 16 {
		t.Errorf("%d producers were told", copies)
	}
}

// TestUpkeepIsTraced: retention and the collection of garbage are traces of their own, where they had something to do.
func TestUpkeepIsTraced(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.create(0, 0)
		l.settings.RetentionMs = time.Hour.Milliseconds()
		o := w.options(w.state.Broker(1, true))
		o.Tracer = provider.Tracer("test")
		_, stop := w.run(o)
		l.append(3, 100)
		pass(4 * time.Hour)
		synctest.Wait()
		stop()
		w.clean()
	})
	var names []string
	for _, s := range recorder.Ended() {
		if !s.Parent().IsValid() {
			names = append(names, s.Name())
		}
	}
	if !slices.Equal(names, []string{"tiering.roll", "tiering.retain", "tiering.collect"}) {
		t.Errorf("traces %v", names)
	}
}
