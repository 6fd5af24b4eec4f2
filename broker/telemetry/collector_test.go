package telemetry

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// shelf is an exporter that keeps the sizes of what it was given.
type shelf struct {
	mu      sync.Mutex
	batches []int
	ended   bool
	err     error
	hold    chan struct{} // nil: it answers at once
}

func (s *shelf) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	s.mu.Lock()
	s.batches = append(s.batches, len(spans))
	hold, err := s.hold, s.err
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

func (s *shelf) Shutdown(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return nil
}

func (s *shelf) sum() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.batches {
		n += b
	}
	return n
}

// endSpans ends so many spans that are sampled.
func endSpans(c *collector, n int) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(c)).Tracer("")
	for range n {
		_, s := tracer.Start(context.Background(), "x")
		s.End()
	}
}

// TestCollector: spans are sent after a while, and sooner when a batch is full; the rest at the end.
func TestCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &shelf{err: errors.New("refused")} // which is no reason to stop
		c := newCollector(to, limitsOf(env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")), newCollectorMetrics(nil))
		endSpans(c, 9)
		<-time.After(4900 * time.Millisecond)
		synctest.Wait()
		if n := to.sum(); n != 0 {
			t.Errorf("%d were sent at once", n)
		}
		<-time.After(200 * time.Millisecond)
		synctest.Wait()
		if n := to.sum(); n != 9 {
			t.Errorf("%d were sent after the delay", n)
		}
		endSpans(c, 25)
		synctest.Wait()
		if n := to.sum(); n <= 9+25-10 { // it may have begun to send before all had ended; what is no batch waits
			t.Errorf("%d were sent when batches were full", n)
		}
		endSpans(c, 3)
		if err := c.ForceFlush(t.Context()); err != nil || to.sum() != 37 {
			t.Errorf("%d were sent: %v", to.sum(), err)
		}
		endSpans(c, 4)
		if err := c.Shutdown(t.Context()); err != nil || to.sum() != 41 || !to.ended {
			t.Errorf("%d were sent at the end: %v", to.sum(), err)
		}
		for _, n := range to.batches {
			if n > 10 {
				t.Errorf("a batch of %d", n)
			}
		}
		endSpans(c, 1)
		if err := errors.Join(c.ForceFlush(t.Context()), c.Shutdown(t.Context())); err != nil || to.sum() != 41 {
			t.Errorf("after the end: %d %v", to.sum(), err)
		}
	})
}

// TestCollectorIsBounded: an exporter that does not answer costs the spans, never those who end them.
func TestCollectorIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &shelf{hold: make(chan struct{})}
		c := newCollector(to, collectorLimits{delay: time.Second, timeout: time.Minute, queue: 20, batch: 8}, newCollectorMetrics(nil))
		endSpans(c, 8)
		synctest.Wait() // these are under way
		endSpans(c, 100)
		if n := len(c.waiting); n != 20 {
			t.Errorf("%d wait", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.ForceFlush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		close(to.hold)
		synctest.Wait()
		<-time.After(time.Second)
		synctest.Wait()
		if n := to.sum(); n != 28 || c.lost != 0 {
			t.Errorf("%d were sent, %d lost are untold", n, c.lost)
		}
		if n := testutil.ToFloat64(c.m.lost); n != 80 {
			t.Errorf("%v are counted as lost, want 80", n)
		}
		// The time of an export ends it, and the end does not wait for one that hangs.
		to.mu.Lock()
		to.hold = make(chan struct{})
		to.mu.Unlock()
		endSpans(c, 8)
		synctest.Wait()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) || !to.ended {
			t.Error(err)
		}
		<-c.done
	})
}

func TestCollectorLimits(t *testing.T) {
	if got := limitsOf(env()); got != (collectorLimits{5 * time.Second, 30 * time.Second, 2048, 512}) {
		t.Errorf("%+v", got)
	}
	got := limitsOf(env("OTEL_BSP_SCHEDULE_DELAY", "20", "OTEL_BSP_EXPORT_TIMEOUT", "x", "OTEL_BSP_MAX_QUEUE_SIZE", "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "-1"))
	if got != (collectorLimits{20 * time.Millisecond, 30 * time.Second, 100, 100}) {
		t.Errorf("%+v", got)
	}
}

// TestGateIsClosed: where nothing would be let in nobody needs to look for what it is.
func TestGateIsClosed(t *testing.T) {
	g, now := newGate(nil), time.Now()
	if g.Closed(now) {
		t.Error("both budgets are full")
	}
	for range 2 * begunPerSecond {
		g.Begin(t.Context())
	}
	if g.Closed(now) {
		t.Error("there is room for what clients began")
	}
	for range 2 * continuedPerSecond {
		g.Continue(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true}))
	}
	if !g.Closed(now) || !g.Closed(now.Add(time.Millisecond)) {
		t.Error("both budgets are spent")
	}
	if g.Closed(now.Add(time.Minute)) {
		t.Error("both budgets have grown")
	}
	if (&Gate{sampler: sdktrace.NeverSample()}).Closed(now) {
		t.Error("a sampler is asked")
	}
}
