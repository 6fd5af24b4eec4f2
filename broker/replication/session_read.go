package replication

import (
	"bufio"
	"fmt"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
)

// read takes what the follower says until the connection ends.
func (s *session) read() error {
	in := bufio.NewReaderSize(s.conn, 64<<10)
	var b []byte
	for {
		t, size, sum, err := readHead(in, 0)
		if err != nil {
			return err
		}
		if cap(b) < size {
			b = make([]byte, size)
		}
		if err := readPayload(in, t, b[:size], sum); err != nil {
			return err
		}
		if err := s.take(t, b[:size]); err != nil {
			return err
		}
	}
}

func (s *session) take(t frameType, b []byte) error {
	switch t {
	case typeAck:
		err := eachPair(b, s.acked)
		if s.inflight.Load() < s.l.s.o.WindowBytes {
			s.unstick()
		}
		return err
	case typeOpened:
		slot, h, err := parseOpened(b)
		if err != nil {
			return err
		}
		s.opened(slot, &h)
		return nil
	case typeRefused:
		slot, why, err := parseRefused(b)
		if err != nil {
			return err
		}
		s.refused(slot, why)
		return nil
	}
	return fmt.Errorf("%w: type=%d from a follower", errFrame, t)
}

// acked takes what is durable at the follower.
func (s *session) acked(a pair) {
	s.mu.Lock()
	f := s.slots[a.slot]
	if f == nil || f.state != feedStreaming {
		s.mu.Unlock()
		return
	}
	n := 0
	for n < len(f.sent) && f.sent[n].end <= a.offset {
		s.inflight.Add(-f.sent[n].bytes)
		n++
	}
	f.sent = append(f.sent[:0], f.sent[n:]...)
	f.showAcked(a.offset)
	s.mu.Unlock()
	s.useful.Store(true)
	f.p.Acked(f.epoch, s.l.broker, a.offset)
}

func (s *session) opened(slot uint32, h *partition.History) {
	s.mu.Lock()
	f := s.slots[slot]
	if f != nil && f.state == feedOpening {
		f.state, f.history = feedOpened, h
	}
	s.mu.Unlock()
	if f != nil {
		s.l.queue(f)
	}
}

// reopenPause is before a partition that was out of step is opened again: what is missing, a newer image
// for one, is on its way.
const reopenPause = 20 * time.Millisecond

func (s *session) refused(slot uint32, why refusal) {
	s.mu.Lock()
	f := s.slots[slot]
	if f != nil {
		s.forget(f)
		f.state = feedRefused
		if why == refusedAgain {
			delete(s.slots, slot)
			f.state = feedClosed
		}
	}
	s.mu.Unlock()
	if f == nil {
		return
	}
	if why == refusedAgain {
		s.l.s.m.reopened.Inc()
		time.AfterFunc(reopenPause, func() { s.l.queue(f) })
	}
}
