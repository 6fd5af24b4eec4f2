package retry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// errTimeout marks an attempt that ran into its timeout, below ErrUnavailable.
var errTimeout = errors.New("attempt timed out")

// Store is an objstore.Store that repeats the calls to another.
type Store struct {
	inner   objstore.Store
	opts    Options
	metrics *metrics
	budget  *bucket
	log     *logLimiter
	hedger  *hedger // nil: reads are not hedged

	// losers are hedges that were not needed and have not ended yet. Each has been cancelled.
	losers sync.WaitGroup
}

// Wrap makes the wrapper. Closing it closes inner. Fails only when the metrics cannot be registered.
func Wrap(inner objstore.Store, opts Options) (*Store, error) {
	opts = opts.withDefaults()
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s := &Store{
		inner:   inner,
		opts:    opts,
		metrics: m,
		budget:  newBucket(opts.BudgetMax, opts.BudgetEarn, opts.BudgetPerSecond, opts.Now),
		log:     newLogLimiter(opts.Logger, opts.LogWindow, opts.Now),
	}
	m.budget.Set(opts.BudgetMax)
	if opts.HedgeMaxBytes > 0 {
		s.hedger = newHedger(opts)
	}
	return s, nil
}

// operation is one call with its repetitions.
type operation struct {
	s       *Store
	op, key string
	kind    string // label
	backoff backoff.BackOff
	attempt int // the number of the current one, from 1

	span   trace.Span // nil: nobody traces it
	denied bool       // a put was denied before
	bytes  int64      // moved
	status string     // of the last attempt that failed; only where there is a span
}

func (s *Store) begin(ctx context.Context, op, key string) *operation {
	s.budget.earn()
	s.metrics.inflight.WithLabelValues(op).Inc()
	o := &operation{s: s, op: op, key: key, kind: kindOf(key), backoff: s.opts.BackOff(), attempt: 1}
	o.watch(ctx)
	return o
}

// end counts the outcome.
func (o *operation) end(outcome string) {
	o.watched(outcome)
	o.s.metrics.inflight.WithLabelValues(o.op).Dec()
	o.s.metrics.operations.WithLabelValues(o.op, o.kind, outcome).Inc()
}

func (o *operation) succeeded() {
	if o.attempt > 1 {
		o.end(outcomeRecovered)
	} else {
		o.end(outcomeOK)
	}
}

// again is asked after an attempt that failed with err. It waits and returns nil when there may be another attempt, and else the error of
// the whole operation and its outcome.
func (o *operation) again(ctx context.Context, err error) (outcome string, final error) {
	o.failed(err)
	if ctx.Err() != nil {
		return outcomeCanceled, canceled(ctx, o.op, o.key, err)
	}
	if !objstore.Retriable(err) && !o.denial(err) {
		return outcomeRefused, err
	}
	o.s.log.retriable(ctx, o.op, statusOf(err), o.attempt, err)
	if o.attempt >= o.s.opts.Attempts {
		return outcomeExhausted, fmt.Errorf("%w attempts=%d", err, o.attempt)
	}
	ok := o.s.budget.take()
	o.s.metrics.budget.Set(o.s.budget.level())
	if !ok {
		return outcomeBudget, fmt.Errorf("%w attempts=%d (retry budget spent)", err, o.attempt)
	}
	delay := o.backoff.NextBackOff()
	if delay == backoff.Stop {
		return outcomeExhausted, fmt.Errorf("%w attempts=%d", err, o.attempt)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		o.attempt++
		return "", nil
	case <-ctx.Done():
		return outcomeCanceled, canceled(ctx, o.op, o.key, err)
	}
}

// denial tells the first denial of a put. MinIO denies one that makes a directory which a delete next to it takes away at that
// moment; who has no right is denied the second, too.
func (o *operation) denial(err error) bool {
	first := o.op == "put" && !o.denied && errors.Is(err, objstore.ErrDenied)
	o.denied = o.denied || first
	return first
}

// canceled is the error when the caller's context ended: its own, with what was tried last as text only, so that it has no class.
func canceled(ctx context.Context, op, key string, last error) error {
	if last == nil || objstore.Canceled(last) {
		return fmt.Errorf("%s: %w key=%s", op, ctx.Err(), key)
	}
	return fmt.Errorf("%s: %w key=%s last_error=%q", op, ctx.Err(), key, last.Error())
}

// timed runs one attempt under its timeout, and counts it.
func timed[T any](ctx context.Context, o *operation, timeout time.Duration, try func(context.Context) (T, error)) (T, error) {
	actx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	start := o.s.opts.Now()
	v, err := try(actx)
	if err != nil {
		err = o.s.timeout(ctx, actx, o.op, o.key, timeout, err)
	}
	o.s.metrics.attempt(o.op, o.kind, err, o.s.opts.Now().Sub(start))
	return v, err
}

// timeout turns the error of an attempt whose own context ended, while the caller's did not, into ErrUnavailable.
func (s *Store) timeout(ctx, actx context.Context, op, key string, timeout time.Duration, err error) error {
	if ctx.Err() == nil && actx.Err() != nil && (objstore.Canceled(err) || objstore.Retriable(err)) {
		return &objstore.Error{Class: objstore.ErrUnavailable, Op: op, Key: key, Detail: fmt.Sprintf("no answer within %s", timeout), Cause: errTimeout}
	}
	if ctx.Err() == nil && objstore.ClassOf(err) == nil {
		// A backend that returns an error without a class has a bug; it must not make the call look cancelled.
		return &objstore.Error{Class: objstore.ErrUnavailable, Op: op, Key: key, Cause: err}
	}
	return err
}

// run repeats try until it succeeds or again has had enough.
func run[T any](ctx context.Context, s *Store, op, key string, timeout time.Duration, try func(context.Context) (T, error)) (T, error) {
	o := s.begin(ctx, op, key)
	for {
		v, err := timed(ctx, o, timeout, try)
		if err == nil {
			o.succeeded()
			return v, nil
		}
		if outcome, err := o.again(ctx, err); err != nil {
			o.end(outcome)
			var zero T
			return zero, err
		}
	}
}

// transferTimeout is what an attempt that moves size bytes may take.
func (s *Store) transferTimeout(size int64) time.Duration {
	return s.opts.AttemptTimeout + time.Duration(float64(size)/float64(s.opts.MinThroughput)*float64(time.Second))
}

// Head implements objstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objstore.Info, error) {
	return run(ctx, s, "head", key, s.opts.AttemptTimeout, func(ctx context.Context) (objstore.Info, error) {
		return s.inner.Head(ctx, key)
	})
}

// List implements objstore.Store.
func (s *Store) List(ctx context.Context, prefix, after string, max int) ([]objstore.Info, bool, error) {
	type page struct {
		infos []objstore.Info
		more  bool
	}
	p, err := run(ctx, s, "list", "", s.opts.AttemptTimeout, func(ctx context.Context) (p page, err error) {
		p.infos, p.more, err = s.inner.List(ctx, prefix, after, max)
		return p, err
	})
	return p.infos, p.more, err
}

// Delete implements objstore.Store. Only keys that failed with ErrUnavailable are tried again.
func (s *Store) Delete(ctx context.Context, keys []string) (map[string]error, error) {
	first := ""
	if len(keys) > 0 {
		first = keys[0]
	}
	o := s.begin(ctx, "delete", first)
	final := make(map[string]error)
	for remaining := keys; ; {
		failed, err := timed(ctx, o, s.opts.AttemptTimeout, func(ctx context.Context) (map[string]error, error) {
			return s.inner.Delete(ctx, remaining)
		})
		var retriable []string
		if err == nil {
			for key, kerr := range failed {
				if objstore.Retriable(kerr) {
					retriable, err = append(retriable, key), kerr
				} else {
					final[key] = kerr
				}
			}
			if len(retriable) > 0 && len(retriable) < len(remaining) {
				o.attempt = 1 // progress: bounded, because remaining shrinks each time
				o.backoff.Reset()
			}
		}
		if err == nil {
			o.succeeded()
			break
		}
		outcome, stop := o.again(ctx, err)
		if stop == nil {
			if retriable != nil {
				remaining = retriable
			}
			continue
		}
		o.end(outcome)
		if retriable == nil {
			return nil, stop
		}
		for _, key := range retriable {
			final[key] = failed[key]
		}
		break
	}
	if len(final) == 0 {
		return nil, nil
	}
	return final, nil
}

// Close implements objstore.Store.
func (s *Store) Close() error {
	s.losers.Wait()
	return s.inner.Close()
}
