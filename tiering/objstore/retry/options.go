package retry

import (
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Options of the wrapper. Zero values are the defaults.
type Options struct {
	Attempts       int           // per call, the first one included; default 6
	AttemptTimeout time.Duration // default 15 s; see the package page
	MinThroughput  int64         // bytes per second that a body must reach; default 1 MiB
	BackOff        func() backoff.BackOff

	BudgetMax       float64 // tokens in the full bucket; default 32
	BudgetEarn      float64 // tokens earned by each call; default 0.2
	BudgetPerSecond float64 // tokens that come back by themselves; default 1

	HedgeMaxBytes int64         // longest range that is hedged; default 4 MiB, negative: none
	HedgeMin      time.Duration // never hedge sooner; default 5 ms
	HedgeEarn     float64       // tokens earned by each Get that could be hedged: the share of extra requests; default 0.05

	LogWindow  time.Duration // default 30 s
	Now        func() time.Time
	Logger     *slog.Logger          // nil: no log
	Registerer prometheus.Registerer // nil: metrics are kept and not registered
	// Tracer makes a span objstore.<operation> of each call whose context has a sampled span; nil: none.
	Tracer trace.Tracer
}

const (
	initialBackOff = 100 * time.Millisecond
	maxBackOff     = 10 * time.Second

	// hedgeTokens is how many hedges may come at once: enough for one bad moment, not for a bad minute.
	hedgeTokens = 8
)

func (o Options) withDefaults() Options {
	def(&o.Attempts, 6)
	def(&o.AttemptTimeout, 15*time.Second)
	def(&o.MinThroughput, 1<<20)
	def(&o.BudgetMax, 32)
	def(&o.BudgetEarn, 0.2)
	def(&o.BudgetPerSecond, 1)
	def(&o.HedgeMaxBytes, 4<<20)
	def(&o.HedgeMin, 5*time.Millisecond)
	def(&o.HedgeEarn, 0.05)
	def(&o.LogWindow, 30*time.Second)
	if o.BackOff == nil {
		o.BackOff = func() backoff.BackOff {
			b := backoff.NewExponentialBackOff()
			b.InitialInterval, b.Multiplier, b.MaxInterval, b.RandomizationFactor = initialBackOff, 2, maxBackOff, 0.5
			return b
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// def gives *v its default when it is not set.
func def[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
