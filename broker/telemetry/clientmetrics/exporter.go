package clientmetrics

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// Bounds of the export. What waits is what clients push in some intervals while a collector restarts; a request
// stays below what collectors take by default.
const (
	queueBytes   = 64 << 20
	requestBytes = 1 << 20
	sendTries    = 5
	sendElapsed  = time.Minute
	warnInterval = 10 * time.Second
)

// ExporterOptions make an Exporter.
type ExporterOptions struct {
	Getenv     func(string) string // os.Getenv outside of tests
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
}

// Exporter sends encoded metrics to a collector.
type Exporter struct {
	logger *slog.Logger
	sender sender
	retry  func() backoff.BackOff
	sent   prometheus.Counter
	failed prometheus.Counter
	warn   rate.Sometimes // a collector that refuses must not fill the log

	ctx    context.Context // of the sending
	cancel context.CancelFunc
	wake   chan struct{} // cap 1
	ended  chan struct{}

	mu     sync.Mutex
	queue  [][]byte // guarded by mu
	bytes  int      // guarded by mu; of the queue
	closed bool     // guarded by mu
}

// sender sends one request. An error that is not worth another attempt is a backoff.PermanentError.
type sender interface {
	send(ctx context.Context, body []byte) error
	close()
}

// NewExporter starts the exporter that the environment asks for; nil when it asks for none.
func NewExporter(o ExporterOptions) (*Exporter, error) {
	env, err := readEnvironment(o.Getenv)
	if err != nil || env == nil {
		return nil, wrap(err)
	}
	var s sender
	if env.grpc {
		s, err = newGRPCSender(env)
	} else {
		s, err = newHTTPSender(env)
	}
	if err != nil {
		return nil, wrap(err)
	}
	e := newExporter(s, o)
	go e.run()
	return e, nil
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("export of client metrics: %w", err)
}

func newExporter(s sender, o ExporterOptions) *Exporter {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "tideline", Subsystem: "client_metrics", Name: name, Help: help})
	}
	e := &Exporter{
		logger: o.Logger, sender: s, retry: func() backoff.BackOff { return backoff.NewExponentialBackOff() },
		sent:   counter("exported_requests_total", "Requests with metrics of clients that the collector took."),
		failed: counter("failed_exports_total", "Requests with metrics of clients that were given up."),
		warn:   rate.Sometimes{Interval: warnInterval},
		wake:   make(chan struct{}, 1), ended: make(chan struct{}),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if o.Registerer != nil {
		o.Registerer.MustRegister(e.sent, e.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "tideline", Subsystem: "client_metrics", Name: "export_queue_bytes", Help: "Metrics of clients that wait for the collector.",
		}, func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return float64(e.bytes)
		}))
	}
	return e
}

// Offer implements Sink. The bytes must not change any more.
func (e *Exporter) Offer(metrics []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.bytes+len(metrics) > queueBytes {
		return false
	}
	e.queue = append(e.queue, metrics)
	e.bytes += len(metrics)
	e.poke()
	return true
}

func (e *Exporter) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// run sends until the exporter is closed and nothing waits.
func (e *Exporter) run() {
	defer close(e.ended)
	for {
		body, closed := e.next()
		switch {
		case len(body) > 0:
			e.export(body)
		case closed:
			return
		default:
			<-e.wake
		}
	}
}

// next takes what fits into one request off the queue: encoded metrics joined are encoded metrics.
func (e *Exporter) next() (body []byte, closed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, size := 0, 0
	for n < len(e.queue) && (n == 0 || size+len(e.queue[n]) <= requestBytes) {
		size += len(e.queue[n])
		n++
	}
	if n == 1 {
		body = e.queue[0]
	} else {
		body = make([]byte, 0, size)
		for _, one := range e.queue[:n] {
			body = append(body, one...)
		}
	}
	clear(e.queue[:n])
	if e.queue = e.queue[n:]; len(e.queue) == 0 {
		e.queue = nil
	}
	e.bytes -= size
	return body, e.closed
}

// export sends one request, again where that may help.
func (e *Exporter) export(body []byte) {
	_, err := backoff.Retry(e.ctx, func() (struct{}, error) {
		return struct{}{}, e.sender.send(e.ctx, body)
	}, backoff.WithBackOff(e.retry()), backoff.WithMaxTries(sendTries), backoff.WithMaxElapsedTime(sendElapsed))
	if err != nil {
		e.failed.Inc()
		e.warn.Do(func() { e.logger.Warn("metrics of clients were not exported", "bytes", len(body), "error", err) })
		return
	}
	e.sent.Inc()
}

// Close sends what waits, until ctx ends, and stops.
func (e *Exporter) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	e.poke()
	e.mu.Unlock()
	defer e.sender.close()
	select {
	case <-e.ended:
		e.cancel()
		return nil
	case <-ctx.Done():
		e.cancel()
		<-e.ended
		return fmt.Errorf("export of client metrics: %w", ctx.Err())
	}
}
