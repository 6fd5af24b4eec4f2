package api

import (
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/quota"
)

// meter is the time that a request has taken of the broker's goroutines. The zero value measures nothing, so that requests read no clock where nobody
// has a quota of it. A handler that answers later may be answered before it has returned, so pause and spent may meet.
type meter struct {
	now    func() time.Time // nil: off
	since  int64            // ns, atomic; 0: paused
	passed int64            // ns, atomic
}

// newMeter returns a meter that runs, if somebody has a quota of time.
func (a *API) newMeter() meter {
	if !a.Quotas.Enabled(quota.Request) {
		return meter{}
	}
	return meter{now: a.now, since: a.now().UnixNano()}
}

// resume goes on measuring, on the goroutine that goes on with the request.
func (m *meter) resume() {
	if m.now != nil {
		atomic.StoreInt64(&m.since, m.now().UnixNano())
	}
}

// pause stops measuring: the request waits for others.
func (m *meter) pause() {
	if m.now == nil {
		return
	}
	if since := atomic.SwapInt64(&m.since, 0); since != 0 {
		atomic.AddInt64(&m.passed, m.now().UnixNano()-since)
	}
}

// spent is what was measured so far.
func (m *meter) spent(now time.Time) time.Duration {
	passed := atomic.LoadInt64(&m.passed)
	if since := atomic.LoadInt64(&m.since); since != 0 {
		passed += now.UnixNano() - since
	}
	return time.Duration(max(passed, 0))
}
