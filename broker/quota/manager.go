package quota

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are the settings of a Manager.
type Options struct {
	Window     Window // of rates; 11 of 1 s
	Mutations  Window // of Mutation; 11 of 1 s
	MaxSensors int    // 10,000
	Registerer prometheus.Registerer
}

// Manager throttles the clients of one broker.
type Manager struct {
	window, mutations Window
	table             atomic.Pointer[Table] // nil: no limits
	listeners         atomic.Pointer[listenerLimits]
	sensors           *sensors
	metrics           *metrics
}

// sensorBytes is about what one costs without its samples.
const sensorBytes = 256

// sensorMemory bounds the memory of all sensors, also where a window has many samples.
const sensorMemory = 32 << 20

// New makes a Manager without limits.
func New(o Options) *Manager {
	for _, w := range []*Window{&o.Window, &o.Mutations} {
		if w.Samples <= 0 {
			w.Samples = 11
		}
		if w.Size <= 0 {
			w.Size = time.Second
		}
	}
	if o.MaxSensors <= 0 {
		o.MaxSensors = 10_000
	}
	o.MaxSensors = min(o.MaxSensors, sensorMemory/(sensorBytes+24*(o.Window.Samples+1)))
	m := &Manager{window: o.Window, mutations: o.Mutations, sensors: newSensors(o.MaxSensors)}
	m.metrics = newMetrics(m, o.Registerer)
	return m
}

// SetTable replaces the limits of clients and addresses. What was taken under the old ones still counts.
func (m *Manager) SetTable(t *Table) { m.table.Store(t) }

// Enabled reports whether anybody has a limit of a kind.
func (m *Manager) Enabled(k Kind) bool {
	if m == nil {
		return false
	}
	t := m.table.Load()
	return t != nil && t.levels[k] != 0
}

// Record counts an amount for a client, and returns how long the client must wait. Amounts of Request are in percent, see [Percent].
func (m *Manager) Record(k Kind, user, client string, amount float64, now time.Time) (throttle time.Duration) {
	if !m.Enabled(k) {
		return 0
	}
	limit, key, ok := m.table.Load().find(k, user, client)
	if !ok {
		return 0
	}
	ms := now.UnixMilli()
	m.sensors.with(key, ms, func(s *sensor) {
		s.rate.record(m.window, amount, ms)
		throttle = s.rate.throttle(m.window, limit, ms)
	})
	if k == Request {
		// It is over soon: a request that took long once must not shut its client out for long.
		throttle = min(throttle, m.window.Size)
	}
	return throttle
}

// Admit asks whether an amount may be given to a client now. When it would be too much it does not count, and throttle is how long the client must wait
// before it asks again. What alone is more than a window lets through, such as one large batch, is given to a client that took nothing lately:
// or it would never get it.
func (m *Manager) Admit(k Kind, user, client string, amount float64, now time.Time) (throttle time.Duration, ok bool) {
	if !m.Enabled(k) {
		return 0, true
	}
	limit, key, limited := m.table.Load().find(k, user, client)
	if !limited {
		return 0, true
	}
	ms := now.UnixMilli()
	m.sensors.with(key, ms, func(s *sensor) {
		before, _ := s.rate.measure(m.window, ms)
		s.rate.record(m.window, amount, ms)
		throttle = s.rate.throttle(m.window, limit, ms)
		if ok = throttle == 0 || before == 0; !ok {
			s.rate.record(m.window, -amount, ms)
		}
	})
	return throttle, ok
}

// MaxAtOnce returns the most that a client can be given in one go without being above its limit for certain. ok is false where it has none.
func (m *Manager) MaxAtOnce(k Kind, user, client string) (amount float64, ok bool) {
	if !m.Enabled(k) {
		return 0, false
	}
	limit, _, ok := m.table.Load().find(k, user, client)
	if !ok {
		return 0, false
	}
	return m.window.capacity(limit), true
}

// Percent is the amount of Request for time that was spent.
func Percent(spent time.Duration) float64 { return spent.Seconds() * 100 }

// Throttled counts a client that was told to wait, under the kind that was the reason.
func (m *Manager) Throttled(k Kind, d time.Duration) {
	m.metrics.throttled[k].Inc()
	m.metrics.seconds[k].Add(d.Seconds())
}
