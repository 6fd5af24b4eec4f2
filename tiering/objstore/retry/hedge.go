package retry

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// latencySamples are remembered; after every latencyRefresh of them the quantile is computed anew.
	latencySamples = 512
	latencyRefresh = 64
	hedgeQuantile  = 0.95

	// hedgeMargin is how much slower than the quantile an answer must be. Five percent of all answers are slower than the quantile by
	// definition, most by very little; hedging those would spend the tokens that the real tail needs.
	hedgeMargin = 1.25
)

// hedger knows when a read is slow, and how many may be sent twice.
type hedger struct {
	maxBytes int64
	min      time.Duration
	tokens   *bucket

	mu        sync.Mutex
	samples   [latencySamples]time.Duration // a ring
	n         int                           // all samples ever
	threshold time.Duration                 // 0 until there are enough samples
}

func newHedger(opts Options) *hedger {
	return &hedger{maxBytes: opts.HedgeMaxBytes, min: opts.HedgeMin, tokens: newBucket(hedgeTokens, opts.HedgeEarn, 0, opts.Now)}
}

// after is how long to wait before a second request; 0: there must not be one.
func (h *hedger) after(n int64) time.Duration {
	if h == nil || n <= 0 || n > h.maxBytes {
		return 0
	}
	h.tokens.earn()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.threshold
}

// observe learns how long the first byte took.
func (h *hedger) observe(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples[h.n%latencySamples] = d
	h.n++
	if h.n%latencyRefresh != 0 {
		return
	}
	sorted := slices.Clone(h.samples[:min(h.n, latencySamples)])
	slices.Sort(sorted)
	quantile := sorted[int(hedgeQuantile*float64(len(sorted)-1))]
	h.threshold = max(h.min, time.Duration(hedgeMargin*float64(quantile)))
}

// answer of one of two racing attempts.
type answer struct {
	st    *stream
	err   error
	hedge bool
}

// openHedged is open, with a second attempt beside the first when that is slow.
func (s *Store) openHedged(ctx context.Context, o *operation, off, n int64) (*stream, error) {
	start := s.opts.Now()
	after := s.hedger.after(n)
	if after == 0 {
		st, err := s.open(ctx, o, off, n)
		if err == nil && s.hedger != nil && n > 0 && n <= s.hedger.maxBytes {
			s.hedger.observe(s.opts.Now().Sub(start))
		}
		return st, err
	}

	answers := make(chan answer, 2)
	try := func(ctx context.Context, hedge bool) {
		st, err := s.open(ctx, o, off, n)
		answers <- answer{st, err, hedge}
	}
	// Each has a context of its own: that of the winner lives on in its stream.
	var cancels [2]context.CancelFunc
	var ctxs [2]context.Context
	for i := range ctxs {
		ctxs[i], cancels[i] = context.WithCancel(ctx)
	}
	go try(ctxs[0], false)
	timer := time.NewTimer(after)
	defer timer.Stop()
	running := 1
	for {
		select {
		case <-timer.C:
			if !s.hedger.tokens.take() {
				s.metrics.hedges.WithLabelValues("denied").Inc()
				o.hedged("denied")
				continue
			}
			running++
			go try(ctxs[1], true)
		case a := <-answers:
			running--
			if a.err != nil && running > 0 {
				continue // the other may still do it
			}
			winner, loser := 0, 1
			if a.hedge {
				winner, loser = 1, 0
			}
			cancels[loser]()
			if running > 0 {
				how := map[bool]string{true: "won", false: "lost"}[a.hedge]
				s.metrics.hedges.WithLabelValues(how).Inc()
				o.hedged(how)
				s.losers.Go(func() {
					if lost := <-answers; lost.err == nil {
						// It was cancelled; nobody is left to tell that its connection did not close well.
						_ = lost.st.close()
					}
				})
			}
			if a.err != nil {
				cancels[winner]()
				return nil, a.err
			}
			s.hedger.observe(s.opts.Now().Sub(start))
			cancel := a.st.cancel
			a.st.cancel = func(cause error) {
				cancel(cause)
				cancels[winner]()
			}
			return a.st, nil
		}
	}
}
