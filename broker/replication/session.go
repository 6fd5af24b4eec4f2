package replication

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/wal"
)

// session is one connection of a link.
type session struct {
	l      *link
	conn   *peer.Conn
	ctx    context.Context
	cancel context.CancelFunc

	inflight atomic.Int64 // bytes sent and not acknowledged
	full     atomic.Bool  // the writer waits for room in the window
	useful   atomic.Bool  // something was acknowledged
	traced   bool         // traces may be told of

	mu    sync.Mutex // guards what follows
	slots map[uint32]*feed
	last  uint32
	stuck []*feed // wait for room in the window; of the writer

	// Of the writer, until the next flush.
	arena   []byte
	bufs    net.Buffers
	chunks  []*wal.Chunk
	commits []pair
	bytes   int
}

func newSession(l *link, conn *peer.Conn) *session {
	s := &session{l: l, conn: conn, slots: make(map[uint32]*feed)}
	s.ctx, s.cancel = context.WithCancel(l.s.ctx)
	return s
}

const (
	// turnBytes is what one partition may send before the others have their turn.
	turnBytes = 512 << 10
	// flushBytes is about what goes into one system call.
	flushBytes = 1 << 20
)

// run feeds until the connection ends, and returns the feeds that the next one needs.
func (s *session) run(known []*feed) ([]*feed, error) {
	for _, f := range known {
		s.l.queue(f)
	}
	stop := context.AfterFunc(s.ctx, func() { _ = s.conn.Close() })
	defer stop()
	var reader sync.WaitGroup
	var readErr error
	reader.Go(func() {
		readErr = s.read()
		s.cancel()
	})
	err := s.write()
	s.cancel()
	_ = s.conn.Close() // the reader ends with it
	reader.Wait()
	s.discard()
	left := s.l.take(nil)
	s.mu.Lock()
	for _, f := range s.slots {
		f.showLost()
		left = append(left, f)
	}
	s.mu.Unlock()
	left = append(left, s.stuck...)
	if readErr != nil && !errors.Is(readErr, net.ErrClosed) {
		err = readErr
	}
	return left, err
}

// write sends what is queued until the connection ends.
func (s *session) write() error {
	var batch []*feed
	for {
		batch = s.l.take(batch[:0])
		if len(batch) == 0 {
			select {
			case <-s.l.wake:
			case <-s.ctx.Done():
				return context.Cause(s.ctx)
			}
			continue
		}
		for i, f := range batch {
			if err := s.turn(f); err != nil {
				s.keep(batch[i:])
				return err
			}
			if s.bytes >= flushBytes {
				if err := s.flush(); err != nil {
					s.keep(batch[i:])
					return err
				}
			}
		}
		if err := s.flush(); err != nil {
			s.keep(batch)
			return err
		}
		clear(batch)
	}
}

// keep puts feeds back for the next session.
func (s *session) keep(batch []*feed) {
	for _, f := range batch {
		s.l.queue(f)
	}
}

// turn does the next thing for a feed.
func (s *session) turn(f *feed) error {
	if f.gone.Load() {
		s.end(f)
		return nil
	}
	s.mu.Lock()
	if f.session != s {
		f.session, f.state, f.history, f.sent = s, feedClosed, nil, nil
	}
	state := f.state
	if state == feedClosed {
		s.last++
		f.slot, f.state = s.last, feedOpening
		s.slots[f.slot] = f
	}
	s.mu.Unlock()
	switch state {
	case feedClosed:
		s.control(func(dst []byte) []byte { return appendOpen(dst, f.slot, f.p.ID(), f.epoch, s.l.s.o.Index()) })
	case feedOpened:
		s.plan(f)
	case feedStreaming:
		return s.stream(f)
	case feedOpening, feedRefused:
	}
	return nil
}

// end closes the slot of a feed that is gone.
func (s *session) end(f *feed) {
	s.mu.Lock()
	open := f.session == s && s.slots[f.slot] == f
	if open {
		delete(s.slots, f.slot)
		s.forget(f)
	}
	s.mu.Unlock()
	if open {
		s.control(func(dst []byte) []byte { return appendClose(dst, f.slot) })
	}
}

// forget takes what a feed has sent off the window. The mutex is held.
func (s *session) forget(f *feed) {
	for _, x := range f.sent {
		s.inflight.Add(-x.bytes)
	}
	f.sent = nil
	f.showLost()
}

// plan tells a follower how it comes into line.
func (s *session) plan(f *feed) {
	s.mu.Lock()
	h := f.history
	s.mu.Unlock()
	f.p.Opened(f.epoch, s.l.broker, s.conn.Peer.Incarnation)
	plan, err := f.p.Reconcile(f.epoch, s.l.broker, *h)
	if err != nil {
		// Not led under this epoch any more: another feed follows, or none. Or the
		// follower must leave the ISR first: the feed is looked at again when it has.
		return
	}
	s.carry(f, &plan)
}

// carry sends a plan; the feed goes on from where it leads.
func (s *session) carry(f *feed, plan *partition.Plan) {
	if plan.Restart {
		s.l.s.m.rejoins.Inc()
	}
	high := f.p.HighWatermark()
	s.mu.Lock()
	s.forget(f)
	f.state, f.next, f.told = feedStreaming, plan.To, high
	s.mu.Unlock()
	s.control(func(dst []byte) []byte { return appendPlan(dst, f.slot, plan, high) })
	s.l.queue(f)
}

// stream sends what a follower lacks, or the high watermark where it lacks nothing.
func (s *session) stream(f *feed) error {
	high := f.p.HighWatermark()
	if f.p.ReplicaLacks(f.next) {
		if s.inflight.Load() >= s.l.s.o.WindowBytes {
			s.wait(f)
		} else if err := s.send(f, high); err != nil {
			return err
		}
		return nil
	}
	if high != f.told {
		f.told = high
		s.commits = append(s.commits, pair{f.slot, high})
		s.bytes += pairBytes
	}
	return nil
}

// wait keeps a feed until the window has room again.
func (s *session) wait(f *feed) {
	s.mu.Lock()
	s.stuck = append(s.stuck, f)
	s.mu.Unlock()
	s.full.Store(true)
	if s.inflight.Load() < s.l.s.o.WindowBytes { // an acknowledgement came meanwhile
		s.unstick()
	}
}

// unstick queues what waited for the window.
func (s *session) unstick() {
	if !s.full.Swap(false) {
		return
	}
	s.mu.Lock()
	stuck := s.stuck
	s.stuck = nil
	s.mu.Unlock()
	for _, f := range stuck {
		s.l.queue(f)
	}
}

// send adds the next batches of a feed to the flush.
func (s *session) send(f *feed, high int64) error {
	turn, wait := s.l.s.throttled(f)
	if wait {
		return nil // it is queued again when its time has come
	}
	chunk, err := f.p.ReadReplica(f.next, turn)
	if err != nil {
		return s.unreadable(f, err)
	}
	if chunk == nil {
		return nil // it is queued again when there is something
	}
	if chunk.Bytes == 0 {
		chunk.Release()
		return nil
	}
	s.showSent(f, f.next, chunk.NextOffset, chunk.Bytes)
	from := len(s.arena)
	s.arena = appendHead(s.arena, f.slot, high, chunk.Buffers)
	s.bufs = append(s.bufs, s.arena[from:len(s.arena):len(s.arena)])
	s.bufs = append(s.bufs, chunk.Buffers...)
	s.chunks = append(s.chunks, chunk)
	s.bytes += chunk.Bytes + frameHead
	s.inflight.Add(int64(chunk.Bytes))
	s.mu.Lock()
	f.sent = append(f.sent, sent{chunk.NextOffset, int64(chunk.Bytes)})
	f.next, f.told = chunk.NextOffset, high
	s.mu.Unlock()
	s.l.s.m.sentBytes.Add(float64(chunk.Bytes))
	s.l.s.throttle.sent(f, chunk.Bytes)
	if f.p.ReplicaLacks(f.next) {
		s.l.queue(f)
	}
	return nil
}

// unreadable decides about a feed whose next batches the local log does not give.
func (s *session) unreadable(f *feed, err error) error {
	corrupt := (*wal.CorruptError)(nil)
	switch {
	case errors.Is(err, wal.ErrDropped), errors.Is(err, wal.ErrClosed):
		return nil // the metadata say so, too, in a moment
	case errors.Is(err, wal.ErrBelowStart), errors.As(err, &corrupt) && f.next < f.p.Tiered():
		plan, failed := f.p.Rejoin()
		if failed == nil {
			s.carry(f, &plan)
			return nil
		}
		err = failed
	}
	// Nothing can be done from here: it stays out of the ISR until this broker's log is
	// mended or another one leads.
	s.l.s.m.unreadable.Inc()
	s.l.s.o.Logger.Error("a follower can not be fed", "topic", f.p.Topic(), "partition", f.p.ID().Partition, "follower", s.l.broker, "offset", f.next, "error", err)
	s.mu.Lock()
	f.state = feedRefused
	s.mu.Unlock()
	return nil
}

// control adds a frame without batches to the flush.
func (s *session) control(add func(dst []byte) []byte) {
	from := len(s.arena)
	s.arena = add(s.arena)
	s.bufs = append(s.bufs, s.arena[from:len(s.arena):len(s.arena)])
	s.bytes += len(s.arena) - from
}

// keepArena is how much memory for heads is kept from flush to flush.
const keepArena = 256 << 10

// flush sends what was added.
func (s *session) flush() error {
	if len(s.commits) > 0 {
		commits := s.commits
		s.control(func(dst []byte) []byte { return appendPairs(dst, typeCommit, commits) })
		s.commits = s.commits[:0]
	}
	if len(s.bufs) == 0 {
		return nil
	}
	defer s.discard()
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	bufs := s.bufs
	_, err := bufs.WriteTo(s.conn.Conn)
	return err
}

// discard gives the memory of a flush back.
func (s *session) discard() {
	for _, c := range s.chunks {
		c.Release()
	}
	clear(s.chunks)
	clear(s.bufs)
	s.chunks, s.bufs, s.commits, s.bytes = s.chunks[:0], s.bufs[:0], s.commits[:0], 0
	if cap(s.arena) > keepArena {
		s.arena = nil
	}
	s.arena = s.arena[:0]
}
