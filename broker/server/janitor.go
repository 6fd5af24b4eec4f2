package server

import "time"

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
			s.options.Logger.Debug("connection closed", "reason", reason, "conn", c.id, "remote", c.RemoteAddr().String())
		} else {
			s.limiter.log(s, "connection closed", "reason", reason, "conn", c.id, "remote", c.RemoteAddr().String())
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
