package quota

import "time"

// Mutations is the share of one request that creates or deletes partitions. A nil one is without limit. It belongs to one goroutine.
type Mutations struct {
	manager      *Manager
	user, client string
	strict       bool
	throttle     time.Duration
	at           time.Time
}

// Mutations returns the share of a request. A strict one refuses what comes while the bucket is below zero; clients that do not know that refusal
// get what they ask for, and are told to wait.
func (m *Manager) Mutations(user, client string, strict bool) *Mutations {
	if !m.Enabled(Mutation) {
		return nil
	}
	return &Mutations{manager: m, user: user, client: client, strict: strict}
}

// Take counts n partitions. It reports false when they must not be created or deleted.
func (q *Mutations) Take(n int, now time.Time) bool {
	if q == nil {
		return true
	}
	m := q.manager
	t := m.table.Load()
	limit, key, ok := t.find(Mutation, q.user, q.client)
	if !ok {
		return true
	}
	ms := now.UnixMilli()
	allowed := true
	m.sensors.with(key, ms, func(s *sensor) {
		if q.strict {
			if d := s.bucket.throttle(m.mutations, limit, ms); d > 0 {
				q.throttle, q.at, allowed = d, now, false
				return
			}
			s.bucket.take(m.mutations, limit, float64(n), ms)
			return
		}
		s.bucket.take(m.mutations, limit, float64(n), ms)
		if d := s.bucket.throttle(m.mutations, limit, ms); d > 0 {
			q.throttle, q.at = d, now
		}
	})
	return allowed
}

// Throttle returns for how long from now on the client must wait.
func (q *Mutations) Throttle(now time.Time) time.Duration {
	if q == nil {
		return 0
	}
	return max(q.throttle-now.Sub(q.at), 0)
}
