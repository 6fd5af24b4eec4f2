package controller

import (
	"time"

	"github.com/tidelinehq/tideline/metadata"
)

// Sessions tracks which brokers are alive, on the broker that leads the
// metadata. It is pure state: every input comes with the time and the newest
// image, and the answer says what to propose. It is not for concurrent use.
//
//	           heartbeat that caught up
//	fenced ───────────────────────────────▶ in service ──┐
//	  ▲                                         │        │ heartbeat: session goes on
//	  │ no heartbeat for the session timeout,   │ ◀──────┘
//	  │ connection lost and a new one refused,  │ wants to shut down
//	  │ or nothing left to hand over            ▼
//	  └─────────────────────────────────── shutting down
//
// What was said is said again at the next input until the image shows it done,
// so a proposal that failed needs no memory elsewhere. Its size is bounded by
// that of the brokers in the image.
type Sessions struct {
	policy  Policy
	timeout time.Duration
	brokers map[int32]*session
	leading bool
}

// session is what is known of one broker process.
type session struct {
	epoch    int64
	ends     time.Time
	need     uint64 // index that it must have reached to come into service
	reached  uint64
	gone     bool   // refuses connections: its process is dead
	looked   bool   // somebody has seen that its time is over
	fence    bool   // wants to be fenced
	shutdown bool   // wants to shut down
	handed   uint64 // index at which it had nothing left to hand over, 0: not yet
	stops    bool   // was told that it may stop
}

// BrokerEpoch names a broker process.
type BrokerEpoch struct {
	Broker int32
	Epoch  int64
}

// Verdicts are the commands that are due: FenceBroker, with Policy.Fenced after
// it; UnfenceBroker, with Policy.Unfenced after it; ShutdownBroker, with
// Policy.Shutdown after it, again and again until it is done. In id order.
type Verdicts struct {
	Fence, Unfence, Shutdown []BrokerEpoch
}

// Heartbeat is a sign of life of a broker process.
type Heartbeat struct {
	Broker int32
	Epoch  int64
	// Reached is the index of its newest image.
	Reached uint64
	// WantFence: it is not ready to serve, or does not want to any more.
	WantFence bool
	// WantShutdown: it asks for a controlled shutdown.
	WantShutdown bool
}

// HeartbeatReply answers a heartbeat.
type HeartbeatReply struct {
	// Stale: this process is not the one that is registered. Register anew, or
	// stop if another process did.
	Stale bool
	// Fenced and ShuttingDown are the state of the broker in the image.
	Fenced, ShuttingDown bool
	// CaughtUp: it has all the metadata that it needs to come into service.
	CaughtUp bool
	// MayStop: nothing depends on it any more, and all others know.
	MayStop bool
}

// NewSessions returns a tracker that does not lead yet. A broker is fenced when
// it was silent for the timeout (broker.session.timeout.ms).
func NewSessions(policy Policy, timeout time.Duration) *Sessions {
	return &Sessions{policy: policy, timeout: timeout, brokers: map[int32]*session{}}
}

// Lead begins, with leading unset ends, the time in which this broker leads the
// metadata. Sessions do not outlive their leader: all start anew, as nobody
// knows what the last one heard.
func (s *Sessions) Lead(m *metadata.Image, leading bool, now time.Time) {
	s.leading = leading
	clear(s.brokers)
	if leading {
		s.follow(m, now)
	}
}

// follow adopts the brokers of the image: new processes get a session, those
// that are not there any more lose theirs.
func (s *Sessions) follow(m *metadata.Image, now time.Time) {
	for b := range m.Brokers() {
		if x, ok := s.brokers[b.ID]; !ok || x.epoch != b.Epoch {
			// Until a process has seen its registration, and what was decided
			// before it, it knows too little to serve.
			s.brokers[b.ID] = &session{epoch: b.Epoch, ends: now.Add(s.timeout), need: m.Index()}
		}
	}
	if len(s.brokers) > m.BrokerCount() {
		for id := range s.brokers {
			if _, ok := m.Broker(id); !ok {
				delete(s.brokers, id)
			}
		}
	}
}

// Heartbeat takes a sign of life. When this broker does not lead it changes
// nothing, and the reply is only that of the image.
func (s *Sessions) Heartbeat(m *metadata.Image, h Heartbeat, now time.Time) HeartbeatReply {
	b, ok := m.Broker(h.Broker)
	if !ok || b.Epoch != h.Epoch {
		return HeartbeatReply{Stale: true}
	}
	r := HeartbeatReply{Fenced: b.Fenced, ShuttingDown: b.ShuttingDown}
	if !s.leading {
		return r
	}
	s.follow(m, now)
	x := s.brokers[h.Broker]
	x.reached = max(x.reached, h.Reached)
	x.gone = false
	x.shutdown = x.shutdown || h.WantShutdown
	// A shutdown in order is better than the fence.
	x.fence = h.WantFence && !x.shutdown
	x.ends, x.looked = now.Add(s.timeout), false
	r.CaughtUp = x.reached >= x.need
	x.stops = x.stops || s.mayStop(m, b, x)
	r.MayStop = x.stops
	return r
}

// mayStop notes when a broker in shutdown has handed over all that others can
// take, and reports whether every other broker in service has heard of it:
// until then clients would still be sent to it.
func (s *Sessions) mayStop(m *metadata.Image, b *metadata.Broker, x *session) bool {
	if !x.shutdown || !b.ShuttingDown && !b.Fenced {
		return false
	}
	if b.Fenced {
		return true
	}
	if x.handed == 0 {
		if _, done := s.policy.Shutdown(m, b.ID); !done {
			return false
		}
		x.handed = m.Index()
	}
	for id, other := range s.brokers {
		if o, ok := m.Broker(id); ok && id != b.ID && o.Active() && other.reached < x.handed {
			return false
		}
	}
	return true
}

// Lost takes the loss of the connection to a process. With refused, a new
// connection was refused by its machine: the process is dead, and is not waited
// for. Otherwise it may be the network, and the session decides.
func (s *Sessions) Lost(m *metadata.Image, broker int32, epoch int64, refused bool, now time.Time) {
	if !s.leading {
		return
	}
	s.follow(m, now)
	if x, ok := s.brokers[broker]; ok && x.epoch == epoch && refused {
		x.gone = true
	}
}

// Tick returns what is due. Call it after every input, and at Next.
func (s *Sessions) Tick(m *metadata.Image, now time.Time) Verdicts {
	var v Verdicts
	if !s.leading {
		return v
	}
	s.follow(m, now)
	for b := range m.Brokers() {
		x := s.brokers[b.ID]
		s.excuse(x, now)
		dead := x.gone || !now.Before(x.ends)
		name := BrokerEpoch{b.ID, b.Epoch}
		switch {
		case !b.Fenced && (dead || x.fence || x.stops):
			v.Fence = append(v.Fence, name)
		case b.Fenced && !dead && !x.fence && !x.shutdown && !b.ShuttingDown && x.reached >= x.need:
			v.Unfence = append(v.Unfence, name)
		case !b.Fenced && x.shutdown && !b.ShuttingDown:
			v.Shutdown = append(v.Shutdown, name)
		}
	}
	return v
}

// excuse gives a session more time, once, when its end is first looked at late: this process
// slept or starved meanwhile, and signs of life may wait to be read, those of its own
// broker among them.
func (s *Sessions) excuse(x *session, now time.Time) {
	late := now.Sub(x.ends)
	if x.looked || late < 0 {
		return
	}
	if x.looked = true; late >= s.timeout/4 {
		x.ends = now.Add(min(late, s.timeout))
	}
}

// Next returns when the next session ends, the zero time when there is none.
func (s *Sessions) Next(m *metadata.Image) time.Time {
	var next time.Time
	for id, x := range s.brokers {
		if b, ok := m.Broker(id); ok && !b.Fenced && b.Epoch == x.epoch && (next.IsZero() || x.ends.Before(next)) {
			next = x.ends
		}
	}
	return next
}
