package replication

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/semaphore"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/wal"
)

// ReceiverOptions are the parts and bounds of a Receiver.
type ReceiverOptions struct {
	// Replica returns a partition that this broker follows, once its metadata have
	// reached index; nil when it is none of its replicas. ctx ends with the Sender.
	Replica func(ctx context.Context, id wal.ID, index uint64) (*partition.Partition, error)
	// WaitRoom waits while the write-ahead log has no room for so many bytes.
	WaitRoom func(ctx context.Context, bytes int) error
	// MaxAppendBytes bounds the batches of one append: what the log could take.
	MaxAppendBytes int
	// MemoryBytes bounds what was received, over all connections, and is not durable yet.
	MemoryBytes int64
	Logger      *slog.Logger
	Tracer      trace.Tracer // that of Options
}

// maxSlots bounds the partitions of one connection: all that two brokers can share.
const maxSlots = 1 << 20

// Receiver takes what leaders push.
type Receiver struct {
	ctx    context.Context // ends with the Sender
	o      ReceiverOptions
	m      *metrics
	memory *semaphore.Weighted
}

func newReceiver(ctx context.Context, o ReceiverOptions, m *metrics) *Receiver {
	return &Receiver{ctx: ctx, o: o, m: m, memory: semaphore.NewWeighted(o.MemoryBytes)}
}

// Serve takes what comes on a connection until it ends. It is a handler of
// peer.Replication.
func (r *Receiver) Serve(c *peer.Conn) { r.serve(c, false) }

// ServeTraced is Serve for peer.TracedReplication.
func (r *Receiver) ServeTraced(c *peer.Conn) { r.serve(c, true) }

func (r *Receiver) serve(c *peer.Conn, traced bool) {
	ctx, cancel := context.WithCancel(r.ctx)
	s := &intake{r: r, conn: c, traced: traced, ctx: ctx, slots: make(map[uint32]*inbound), wake: make(chan struct{}, 1)}
	var acks sync.WaitGroup
	acks.Go(s.acknowledge)
	err := s.read()
	cancel()
	_ = c.Close() // nothing more is said on it
	acks.Wait()
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		r.o.Logger.Info("replication stream ended", "leader", c.Peer.Node, "error", err)
	}
}

// intake is one accepted connection.
type intake struct {
	r     *Receiver
	conn  *peer.Conn
	ctx   context.Context
	slots map[uint32]*inbound // of the reader

	traced   bool     // traced frames may come
	arriving *arrival // of the reader; nil: nothing is known of the next append

	wake chan struct{}
	mu   sync.Mutex // guards what follows
	due  []*inbound // have something to acknowledge
	out  []byte     // other frames to send
}

// inbound is one partition that is taken from the connection.
type inbound struct {
	s     *intake
	p     *partition.Partition
	slot  uint32
	epoch int32
	end   int64 // durable; guarded by s.mu, as is due
	due   bool
}

// taken is one append under way, with the memory that it holds.
type taken struct {
	partition.Append
	in     *inbound
	buf    *buffer
	weight int64
	// users of buf: the write-ahead log, which may be done with it at once, and Replicate,
	// which still reads it then. The last gives it back.
	users atomic.Int32
}

var takens = sync.Pool{New: func() any { return new(taken) }}

// Appended implements partition.Owner.
func (t *taken) Appended(a *partition.Append, err error) {
	in, end := t.in, a.End()
	t.leave()
	if err != nil {
		_ = in.s.conn.Close() // the log has failed, or is closing; the reader sees it
		return
	}
	in.ack(end)
}

// leave ends one use of the buffer.
func (t *taken) leave() {
	if t.users.Add(-1) > 0 {
		return
	}
	t.in.s.r.memory.Release(t.weight)
	t.buf.release()
	*t = taken{}
	takens.Put(t)
}

// ack notes what is durable. It does not block.
func (in *inbound) ack(end int64) {
	s := in.s
	s.mu.Lock()
	in.end = end
	if !in.due {
		in.due = true
		s.due = append(s.due, in)
	}
	s.mu.Unlock()
	s.signal()
}

func (s *intake) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// say queues a frame.
func (s *intake) say(add func(dst []byte) []byte) {
	s.mu.Lock()
	s.out = add(s.out)
	s.mu.Unlock()
	s.signal()
}

// writeTimeout is for a peer that reads nothing, because it is stopped or the network is
// gone: longer than any pause that it comes back from.
const writeTimeout = 30 * time.Second

// acknowledge sends what is to be said: one frame for all that became durable meanwhile.
func (s *intake) acknowledge() {
	var pairs []pair
	var out []byte
	for {
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			return
		}
		pairs, out = pairs[:0], out[:0]
		s.mu.Lock()
		for _, in := range s.due {
			in.due = false
			pairs = append(pairs, pair{in.slot, in.end})
		}
		s.due = s.due[:0]
		out = append(out, s.out...)
		s.out = s.out[:0]
		s.mu.Unlock()
		if len(pairs) > 0 {
			out = appendPairs(out, typeAck, pairs)
		}
		if err := s.write(out); err != nil {
			_ = s.conn.Close() // the reader sees it
			return
		}
	}
}

func (s *intake) write(b []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// read takes frames until the connection ends.
func (s *intake) read() error {
	in := bufio.NewReaderSize(s.conn, 64<<10)
	var control []byte
	for {
		t, size, sum, err := readHead(in, s.r.o.MaxAppendBytes+frameHead+pairBytes)
		if err != nil {
			return err
		}
		if t == typeAppend {
			if err := s.takeAppend(in, size, sum); err != nil {
				return err
			}
			continue
		}
		if cap(control) < size || cap(control) > 64<<10 && size < 4<<10 {
			control = make([]byte, size)
		}
		control = control[:size]
		if err := readPayload(in, t, control, sum); err != nil {
			return err
		}
		if err := s.control(t, control); err != nil {
			return err
		}
	}
}

// control carries out a frame without batches. An error ends the connection.
func (s *intake) control(t frameType, b []byte) error {
	switch t {
	case typeOpen:
		o, err := parseOpen(b)
		if err != nil {
			return err
		}
		return s.open(&o)
	case typeCut, typeRestart:
		d, err := parseDirective(b, t)
		if err != nil {
			return err
		}
		return s.direct(&d, t)
	case typeCommit:
		return eachPair(b, func(c pair) {
			if in := s.slots[c.slot]; in != nil {
				if err := in.p.Commit(in.epoch, c.offset); err != nil {
					s.refuse(in.slot, refusedStale)
				}
			}
		})
	case typeTraced:
		if s.traced {
			return s.showTraced(b)
		}
	case typeClose:
		slot, err := parseSlot(b)
		delete(s.slots, slot)
		return err
	}
	return fmt.Errorf("%w: type=%d from a leader", errFrame, t)
}

func (s *intake) open(o *opening) error {
	if len(s.slots) >= maxSlots {
		return fmt.Errorf("%w: slots=%d", errFrame, len(s.slots))
	}
	p, err := s.r.o.Replica(s.ctx, o.id, o.index)
	if err != nil {
		return err
	}
	if p == nil {
		s.refuse(o.slot, refusedUnknown)
		return nil
	}
	h, err := p.Describe(o.epoch)
	if err != nil {
		s.refuse(o.slot, why(err))
		return nil
	}
	s.slots[o.slot] = &inbound{s: s, p: p, slot: o.slot, epoch: o.epoch}
	s.say(func(dst []byte) []byte { return appendOpened(dst, o.slot, &h) })
	return nil
}

// why is the refusal that an error of a partition means.
func why(err error) refusal {
	switch {
	case errors.Is(err, partition.ErrFencedEpoch):
		return refusedStale
	case errors.Is(err, partition.ErrStopped), errors.Is(err, wal.ErrDropped):
		return refusedUnknown
	}
	return refusedAgain
}

// refuse ends a slot from this side.
func (s *intake) refuse(slot uint32, why refusal) {
	delete(s.slots, slot)
	s.say(func(dst []byte) []byte { return appendRefused(dst, slot, why) })
}

func (s *intake) direct(d *directive, t frameType) error {
	in := s.slots[d.slot]
	if in == nil {
		return nil // refused meanwhile
	}
	done := func(end int64, err error) {
		if err != nil {
			_ = s.conn.Close() // the log has failed, or is closing; the reader sees it
			return
		}
		in.ack(end)
	}
	var err error
	if t == typeRestart {
		s.r.m.restarts.Inc()
		err = in.p.Restart(in.epoch, d.at, d.highWatermark, d.state, done)
	} else {
		err = in.p.Cut(in.epoch, d.at, d.highWatermark, done)
	}
	if err != nil {
		s.r.o.Logger.Info("replica refuses its leader", "topic", in.p.Topic(), "partition", in.p.ID().Partition, "leader", s.conn.Peer.Node, "error", err)
		s.refuse(d.slot, why(err))
	}
	return nil
}

// takeAppend reads an append frame and appends it. It waits while too much is under way
// in this broker, and while the write-ahead log is full.
func (s *intake) takeAppend(in io.Reader, size int, sum uint32) error {
	arrival := s.arrives()
	weight := min(int64(size), s.r.o.MemoryBytes)
	if err := s.r.memory.Acquire(s.ctx, weight); err != nil {
		return err
	}
	buf := getBuffer(size)
	held := true
	defer func() {
		if held {
			buf.release()
			s.r.memory.Release(weight)
		}
	}()
	if err := readPayload(in, typeAppend, buf.b, sum); err != nil {
		return err
	}
	a, err := parseAppend(buf.b)
	if err != nil {
		return err
	}
	to := s.slots[a.slot]
	if to == nil {
		return nil // refused meanwhile
	}
	t := takens.Get().(*taken)
	t.in, t.buf, t.weight = to, buf, weight
	t.users.Store(2)
	var handed func(error)
	t.Trace, handed = arrival.show(s, a.slot, to, len(a.records))
	held = false // what accepts it gives it back
	for {
		err = to.p.Replicate(&t.Append, to.epoch, a.records, a.highWatermark, t)
		if !errors.Is(err, wal.ErrFull) {
			break
		}
		s.r.m.stalls.Inc()
		if err := s.r.o.WaitRoom(s.ctx, len(a.records)); err != nil {
			held = true
			handed(err)
			return err
		}
	}
	handed(err)
	if err != nil {
		held = true
		*t = taken{}
		takens.Put(t)
		s.r.o.Logger.Info("replica refuses an append", "topic", to.p.Topic(), "partition", to.p.ID().Partition, "leader", s.conn.Peer.Node, "error", err)
		s.refuse(a.slot, why(err))
		return nil
	}
	s.r.m.receivedBytes.Add(float64(len(a.records)))
	t.leave()
	return nil
}
