package server

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
	"slices"
	"sync"

	"github.com/tidelinehq/tideline/broker/wire"
)

const (
	// joinBytes is the size up to which a buffer is copied beside its neighbours
	// instead of being an element of a vectored write.
	joinBytes = 4 << 10

	// roundReplies and roundBytes bound what one round of writing takes from the line.
	roundReplies = 64
	roundBytes   = 1 << 20

	// pieceBytes is the most that one write hands to the socket, and what
	// the peer must take within Options.WriteTimeout.
	pieceBytes = 1 << 20

	// joinedBytes is how much is copied for one write, at most and but for one buffer: a peer that takes
	// nothing has a reply of many small buffers copied no further than that.
	joinedBytes = 48 << 10

	// nowBytes is the most that the goroutine that made a reply ready hands to the
	// socket itself.
	nowBytes = 16 << 10

	// joinedKeep is what a round's joined bytes grow to, when they need more than a little, and up to which they are pooled.
	joinedKeep = 64 << 10
)

// round is the working memory of a writer: some replies, and the piece of them that is written next.
type round struct {
	replies []*Request

	// The next piece begins in this reply, behind its header if that is laid out, at this offset of this buffer.
	reply, buffer, offset int
	headed                bool
	last                  bool // the connection has to be closed behind what is laid out

	joined []byte      // headers and small buffers
	refs   []reference // great buffers, and where among the joined bytes they go
	bufs   net.Buffers
	rest   net.Buffers // of bufs, while they are written

	owed int // bytes that the peer has to take before it is given more time
}

type reference struct {
	at  int
	buf []byte
}

var roundPool = sync.Pool{New: func() any { return &round{joined: make([]byte, 0, 4<<10)} }}

var errReplyTooLarge = errors.New("reply exceeds the protocol's 2 GiB")

// write writes replies until the head of the line is not ready. The caller has
// set c.writing.
func (c *Conn) write() {
	w := roundPool.Get().(*round)
	defer w.release()
	for c.take(w) {
		more, err := w.lay()
		c.sent(w, c.sendAll(w, more, err))
	}
}

// sendAll sends the piece that is laid out, and what follows of the round.
func (c *Conn) sendAll(w *round, more bool, err error) error {
	for {
		if err == nil {
			err = c.send(w)
		}
		if err != nil || !more {
			return err
		}
		more, err = w.lay()
	}
}

// sent ends a round: its replies left, or never will.
func (c *Conn) sent(w *round, err error) {
	c.writeDeadline.Store(0)
	c.lastWrite.Store(c.server.clock.Load())
	n, bytes := len(w.replies), 0
	for i, r := range w.replies {
		bytes += r.resp.size()
		c.finish(r)
		w.replies[i] = nil
	}
	last := w.last
	w.reset()
	if err != nil {
		c.server.connError(c, "write failed", err)
		c.close(closedIO)
	} else if last {
		c.close(closedByHandler)
	}
	c.written(n, bytes)
}

// writeNow writes what is ready at the head of the line on the goroutine that made
// it so, as far as the socket takes it without waiting: a short reply is handed to
// the kernel in less time than to another goroutine. Long replies, and what the
// socket did not take, are left to a writer goroutine. The caller has set
// c.writing and counted the goroutine.
func (c *Conn) writeNow() {
	w := roundPool.Get().(*round)
	if !c.take(w) {
		w.release()
		c.server.goroutines.Done()
		return
	}
	more, err := w.lay()
	if err == nil && !more && !w.last && len(w.refs) == 0 && len(w.joined) <= nowBytes {
		var n int
		if n, err = c.source.tryWrite(w.joined); n == len(w.joined) || err != nil {
			c.server.metrics.sentBytes.Add(float64(n))
			c.sent(w, err)
			w.release()
			c.resume()
			return
		}
		c.server.metrics.sentBytes.Add(float64(n))
		w.joined = w.joined[:copy(w.joined, w.joined[n:])]
	}
	go func() {
		c.sent(w, c.sendAll(w, more, err))
		w.release()
		c.writer()
	}()
}

// resume goes on behind writeNow: whatever became ready meanwhile is left to a
// writer goroutine.
func (c *Conn) resume() {
	c.mu.Lock()
	more := c.head != nil && c.head.ready && !c.closed
	if !more {
		c.writing = false
	}
	leave := !more && c.drained && c.head == nil && !c.closed
	c.mu.Unlock()
	if more {
		go c.writer()
		return
	}
	if leave {
		c.close(closedByShutdown)
	}
	c.server.goroutines.Done()
}

// take pops the replies of one round; when there are none it ends the writing.
func (c *Conn) take(w *round) bool {
	c.mu.Lock()
	bytes := 0
	for r := c.head; r != nil && r.ready && len(w.replies) < roundReplies && bytes < roundBytes; r = c.head {
		if c.head = r.next; c.head == nil {
			c.tail = nil
		}
		r.next = nil
		w.replies = append(w.replies, r)
		bytes += r.resp.size()
	}
	more := len(w.replies) > 0
	if !more {
		c.writing = false
	}
	leave := !more && c.drained && c.head == nil && !c.closed
	c.mu.Unlock()
	if leave {
		c.close(closedByShutdown)
	}
	return more
}

// written counts replies that left, and wakes the reader if it waits for room.
func (c *Conn) written(n, bytes int) {
	c.mu.Lock()
	c.inFlight -= n
	c.unsent -= bytes
	c.mu.Unlock()
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// lay lays out the next piece of the round; more says that others follow.
func (w *round) lay() (more bool, err error) {
	w.unlay()
	for room := pieceBytes; w.reply < len(w.replies) && !w.last; w.reply, w.buffer, w.headed = w.reply+1, 0, false {
		r := w.replies[w.reply]
		w.last = r.resp.Close
		if r.resp.None {
			continue
		}
		if !w.headed {
			if err := w.head(r); err != nil {
				return false, err
			}
		}
		for ; w.buffer < len(r.resp.Buffers); w.buffer, w.offset = w.buffer+1, 0 {
			b := r.resp.Buffers[w.buffer][w.offset:]
			switch {
			case len(b) > 0 && (room == 0 || len(w.joined) >= joinedBytes):
				w.last = false
				return true, nil
			case len(b) <= joinBytes:
				w.join(b)
				room -= min(len(b), room)
			case len(b) <= room:
				w.refs = append(w.refs, reference{at: len(w.joined), buf: b})
				room -= len(b)
			default:
				w.refs = append(w.refs, reference{at: len(w.joined), buf: b[:room]})
				w.offset += room
				w.last = false
				return true, nil
			}
		}
	}
	return false, nil
}

// head lays out what comes before a reply's body.
func (w *round) head(r *Request) error {
	size := r.resp.size()
	switch {
	case size > math.MaxInt32-wire.MaxResponseHeader:
		return errReplyTooLarge
	case r.Bare:
		w.joined = binary.BigEndian.AppendUint32(w.joined, uint32(size))
	default:
		w.joined = wire.AppendFrame(w.joined, r.Key, r.Version, r.CorrelationID, size)
	}
	w.headed = true
	return nil
}

func (w *round) join(b []byte) {
	if need := len(w.joined) + len(b); need > cap(w.joined) && need <= joinedKeep {
		w.joined = slices.Grow(w.joined, joinedKeep-len(w.joined))
	}
	w.joined = append(w.joined, b...)
}

// send writes what is laid out.
func (c *Conn) send(w *round) error {
	bytes := len(w.joined)
	for _, ref := range w.refs {
		bytes += len(ref.buf)
	}
	if bytes == 0 {
		return nil
	}
	if w.owed <= 0 {
		c.writeDeadline.Store(c.server.clock.Load() + int64(c.server.options.WriteTimeout))
		w.owed = pieceBytes
	}
	w.owed -= bytes
	var err error
	if len(w.refs) == 0 {
		_, err = c.conn.Write(w.joined)
	} else {
		w.interleave()
		w.rest = w.bufs // WriteTo consumes the field; bufs keeps the memory
		_, err = w.rest.WriteTo(c.conn)
		w.rest = nil
	}
	if err == nil {
		c.server.metrics.sentBytes.Add(float64(bytes))
	}
	return err
}

// interleave puts the joined bytes between the great buffers.
func (w *round) interleave() {
	at := 0
	for _, ref := range w.refs {
		if at < ref.at {
			w.bufs = append(w.bufs, w.joined[at:ref.at])
		}
		w.bufs = append(w.bufs, ref.buf)
		at = ref.at
	}
	if at < len(w.joined) {
		w.bufs = append(w.bufs, w.joined[at:])
	}
}

// unlay forgets what was laid out.
func (w *round) unlay() {
	clear(w.refs)
	clear(w.bufs)
	w.joined, w.refs, w.bufs = w.joined[:0], w.refs[:0], w.bufs[:0]
}

func (w *round) reset() {
	w.unlay()
	w.replies = w.replies[:0]
	w.reply, w.buffer, w.offset, w.headed, w.last, w.owed = 0, 0, 0, false, false, 0
}

func (w *round) release() {
	if cap(w.joined) > joinedKeep {
		w.joined = make([]byte, 0, 4<<10)
	}
	roundPool.Put(w)
}
