package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// collectorLimits are what the standard has for processors that send spans in batches, by the names and defaults of its
// environment variables.
type collectorLimits struct {
	delay   time.Duration // OTEL_BSP_SCHEDULE_DELAY, ms: spans wait no longer
	timeout time.Duration // OTEL_BSP_EXPORT_TIMEOUT, ms: of one export
	queue   int           // OTEL_BSP_MAX_QUEUE_SIZE: spans that wait at most; more are lost
	batch   int           // OTEL_BSP_MAX_EXPORT_BATCH_SIZE: spans of one export
}

func limitsOf(getenv func(string) string) collectorLimits {
	positive := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(getenv(name)); err == nil && n > 0 {
			return n
		}
		return otherwise // as the standard wants it of what is not understood
	}
	l := collectorLimits{
		delay:   time.Duration(positive("OTEL_BSP_SCHEDULE_DELAY", 5000)) * time.Millisecond,
		timeout: time.Duration(positive("OTEL_BSP_EXPORT_TIMEOUT", 30_000)) * time.Millisecond,
		queue:   positive("OTEL_BSP_MAX_QUEUE_SIZE", 2048),
	}
	l.batch = min(positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512), l.queue)
	return l
}

// collector keeps spans that have ended, and sends them to an exporter now and then.
//
//	span ends ─▶ OnEnd ─▶ [ waiting, in memory ] ─ each delay, or a batch is full ─▶ run ─▶ exporter
//
// It is the SDK's batch processor but for one thing: that one is told of each span through a channel, so each span wakes
// a goroutine, and that costs as much as the span. Here a span takes a mutex for three steps, and nobody is woken before there is
// something to send.
type collector struct {
	exporter sdktrace.SpanExporter
	limits   collectorLimits
	full     chan struct{} // there is a batch
	flush    chan chan struct{}
	stop     chan struct{}
	stopOnce sync.Once
	done     chan struct{}
	m        *collectorMetrics

	mu      sync.Mutex
	waiting []sdktrace.ReadOnlySpan
	spare   []sdktrace.ReadOnlySpan // takes turns with waiting
	lost    int                     // since the last export
	stopped bool
}

// collectorMetrics exist whether or not anything is traced, so that their pages do.
type collectorMetrics struct {
	exporting prometheus.Gauge
	lost      prometheus.Counter
}

func newCollectorMetrics(r prometheus.Registerer) *collectorMetrics {
	m := &collectorMetrics{
		exporting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "tideline_trace_spans_exporting", Help: "Spans that are being exported."}),
		lost:      prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_trace_spans_lost_total", Help: "Spans that were lost because too many waited to be exported."}),
	}
	if r != nil {
		r.MustRegister(m.exporting, m.lost)
	}
	return m
}

func newCollector(exporter sdktrace.SpanExporter, limits collectorLimits, m *collectorMetrics) *collector {
	c := &collector{
		exporter: exporter, limits: limits, m: m,
		full: make(chan struct{}, 1), flush: make(chan chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go c.run()
	return c
}

var _ sdktrace.SpanProcessor = (*collector)(nil)

// OnStart implements sdktrace.SpanProcessor.
func (c *collector) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd takes a span; it waits for nobody.
func (c *collector) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	if len(c.waiting) == c.limits.queue {
		c.lost++
		return
	}
	c.waiting = append(c.waiting, s)
	if len(c.waiting)%c.limits.batch == 0 {
		select {
		case c.full <- struct{}{}:
		default: // it knows already
		}
	}
}

// run sends what waits.
func (c *collector) run() {
	defer close(c.done)
	tick := time.NewTicker(c.limits.delay)
	defer tick.Stop()
	for {
		var flushed chan struct{}
		select {
		case <-tick.C:
		case <-c.full:
		case flushed = <-c.flush:
		case <-c.stop:
			c.send()
			return
		}
		c.send()
		if flushed != nil {
			close(flushed)
		}
	}
}

// send exports what waits, a batch at a time. Only run calls it.
func (c *collector) send() {
	c.mu.Lock()
	spans, lost := c.waiting, c.lost
	c.waiting, c.spare, c.lost = c.spare[:0], nil, 0
	c.mu.Unlock()
	c.m.exporting.Set(float64(len(spans)))
	c.m.lost.Add(float64(lost))
	if lost > 0 {
		otel.Handle(fmt.Errorf("telemetry: spans were lost, too many waited spans=%d max=%d", lost, c.limits.queue))
	}
	for at := 0; at < len(spans); at += c.limits.batch {
		if err := c.export(spans[at:min(at+c.limits.batch, len(spans))]); err != nil {
			otel.Handle(err)
		}
	}
	clear(spans) // the next ones come into the same place, and these are not to be kept by it
	c.m.exporting.Set(0)
	c.mu.Lock()
	c.spare = spans[:0]
	c.mu.Unlock()
}

func (c *collector) export(batch []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), c.limits.timeout, errors.New("telemetry: an export took too long"))
	defer cancel()
	return c.exporter.ExportSpans(ctx, batch)
}

// ForceFlush returns when all spans that had ended were sent.
func (c *collector) ForceFlush(ctx context.Context) error {
	flushed := make(chan struct{})
	select {
	case c.flush <- flushed:
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-flushed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Shutdown sends what waits and ends the exporter. Spans that end later are lost.
func (c *collector) Shutdown(ctx context.Context) error {
	c.stopOnce.Do(func() {
		c.mu.Lock()
		c.stopped = true
		c.mu.Unlock()
		close(c.stop)
	})
	select {
	case <-c.done:
	case <-ctx.Done():
		return errors.Join(ctx.Err(), c.exporter.Shutdown(ctx)) // which ends the export that is under way
	}
	return c.exporter.Shutdown(ctx)
}
