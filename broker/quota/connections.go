package quota

import (
	"net/netip"
	"time"
)

// listenerLimits are the connections per second that the broker and its listeners take.
type listenerLimits struct {
	broker    float64 // 0: no limit
	listeners map[string]float64
}

// brokerSensor is the client of the sensor of all listeners: no listener has that name.
const brokerSensor = "\x00"

// SetConnectionRates limits the connections per second of the broker and of listeners by name; 0, and listeners that are not named, have no limit.
func (m *Manager) SetConnectionRates(broker float64, listeners map[string]float64) {
	m.listeners.Store(&listenerLimits{broker: broker, listeners: listeners})
}

// Connect counts a connection that arrived. wait is how long the listener must take no further one, and this one must wait, since the listener or the broker
// takes as many as it may. refuse is how long an address that makes too many must not be answered before the connection is closed; then the connection does not
// count.
func (m *Manager) Connect(listener string, a netip.Addr, now time.Time) (wait, refuse time.Duration) {
	ms := now.UnixMilli()
	if t := m.table.Load(); t != nil {
		if limit, ok := t.connection(a); ok {
			refuse = m.connect(sensorKey{kind: Connection, ip: a}, limit, ms, true)
		}
	}
	if refuse > 0 {
		return 0, refuse
	}
	l := m.listeners.Load()
	if l == nil {
		return 0, 0
	}
	if l.broker > 0 {
		wait = m.connect(sensorKey{kind: Connection, client: brokerSensor}, l.broker, ms, false)
	}
	if limit := l.listeners[listener]; limit > 0 {
		wait = max(wait, m.connect(sensorKey{kind: Connection, client: listener}, limit, ms, false))
	}
	return wait, 0
}

// connect counts one connection; unless it is too many and those do not count.
func (m *Manager) connect(key sensorKey, limit float64, ms int64, forget bool) (throttle time.Duration) {
	m.sensors.with(key, ms, func(s *sensor) {
		s.rate.record(m.window, 1, ms)
		throttle = min(s.rate.throttle(m.window, limit, ms), m.window.Size)
		if throttle > 0 && forget {
			s.rate.record(m.window, -1, ms)
		}
	})
	return throttle
}
