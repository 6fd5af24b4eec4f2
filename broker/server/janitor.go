package server

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

const (
	janitorTickMin = 10 * time.Millisecond
	janitorTickMax = time.Second
)

// janitorTick is an eighth of the shortest time-out, within bounds.
func janitorTick(o Options) time.Duration {
	t := min(o.IdleTimeout, o.FrameTimeout, o.WriteTimeout, o.AuthenticationTimeout) / 8
	return max(janitorTickMin, min(t, janitorTickMax))
}

// janitor sets the clock that deadlines are made from, and closes the
// connections whose deadline has passed. Deadlines are late by up to two ticks,
// never early.
func (s *Server) janitor() {
	defer close(s.janitorDone)
	t := time.NewTicker(s.tick)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.janitorStop:
			return
		}
		now := s.options.Now().UnixNano()
		s.clock.Store(now)
		s.held.sweep(now)
		s.sweep(now - int64(s.tick)) // deadlines may be made from a clock one tick old
		s.makeWay(now)
	}
}

// arrival is a frame that has been admitted and has not arrived as a whole.
type arrival struct {
	lane  atomic.Pointer[lane] // nil: there is none
	bytes atomic.Int64         // admitted
	since atomic.Int64         // of the clock
}

func (a *arrival) begin(l *lane, bytes, now int64) {
	a.bytes.Store(bytes)
	a.since.Store(now)
	a.lane.Store(l)
	l.arriving(bytes)
}

func (a *arrival) end(l *lane, bytes int64) {
	a.lane.Store(nil)
	l.arriving(-bytes)
}

// arrivalGrace is how long a frame may take whoever waits: the rest of one whose client is there is under way.
const arrivalGrace = 2 * time.Second

// makeWay closes the connections whose frames take longest, where frames that do not arrive hold more than half of a lane and others wait. Without that a few clients
// that announce great frames, and send them as slowly as they may, would keep everybody else's out.
func (s *Server) makeWay(now int64) {
	for _, l := range s.admission.all() {
		excess := l.excess()
		if excess <= 0 {
			continue
		}
		type slow struct {
			conn         *Conn
			bytes, since int64
		}
		var all []slow
		s.mu.Lock()
		for c := range s.conns {
			if a := &c.arriving; a.lane.Load() == l && a.since.Load()+int64(arrivalGrace) < now {
				all = append(all, slow{c, a.bytes.Load(), a.since.Load()})
			}
		}
		s.mu.Unlock()
		slices.SortFunc(all, func(a, b slow) int { return cmp.Compare(a.since, b.since) })
		for _, x := range all {
			if excess <= 0 {
				break
			}
			excess -= x.bytes
			s.limiter.log(s, "connection closed", "reason", closedInTheWay, "conn", x.conn.id, "client", x.conn.RemoteAddr().String())
			x.conn.close(closedInTheWay)
		}
	}
}

// sweep closes the connections whose deadline lies before now.
func (s *Server) sweep(now int64) {
	s.mu.Lock()
	var late []*Conn
	for c := range s.conns {
		if c.lateness(now) != "" {
			late = append(late, c)
		}
	}
	s.mu.Unlock()
	for _, c := range late {
		reason := c.lateness(now)
		if reason == "" {
			continue // it moved meanwhile
		}
		if reason == closedIdle {
			s.options.Logger.Debug("connection closed", "reason", reason, "conn", c.id, "client", c.RemoteAddr().String())
		} else {
			s.limiter.log(s, "connection closed", "reason", reason, "conn", c.id, "client", c.RemoteAddr().String())
		}
		c.close(reason)
	}
}

// lateness is the reason to close the connection, "" when there is none.
func (c *Conn) lateness(now int64) string {
	if d := c.writeDeadline.Load(); d != 0 && d < now {
		return closedSlowPeer
	}
	if !c.authenticated.Load() && c.authenticateBy.Load() < now {
		return closedUnproven
	}
	if d := c.readDeadline.Load(); d == 0 || d >= now {
		return ""
	}
	if c.inFrame.Load() {
		return closedSlowFrame
	}
	if c.lastWrite.Load()+int64(c.server.options.IdleTimeout) >= now {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight > 0 {
		return "" // it waits for us
	}
	return closedIdle
}
