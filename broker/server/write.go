package server

import (
	"encoding/binary"
	"errors"
	"math"
	"net"
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

	// pieceBytes is the most that one write hands to the socket, and thus what
	// the peer must take within Options.WriteTimeout.
	pieceBytes = 1 << 20

	// nowBytes is the most that the goroutine that made a reply ready hands to the
	// socket itself.
	nowBytes = 16 << 10

	// joinedKeep is the size up to which a round's joined bytes are pooled.
	joinedKeep = 64 << 10
)

// round is the working memory of a writer.
type round struct {
	replies []*Request
	joined  []byte      // headers and small buffers
	refs    []reference // great buffers, and where among the joined bytes they go
	bufs    net.Buffers
	piece   net.Buffers
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
		last, err := w.encode()
		if err == nil {
			err = c.send(w)
		}
		c.sent(w, last, err)
	}
}

// sent ends a round: its replies left, or never will.
func (c *Conn) sent(w *round, last bool, err error) {
	c.writeDeadline.Store(0)
	c.lastWrite.Store(c.server.clock.Load())
	n, bytes := len(w.replies), 0
	for i, r := range w.replies {
		bytes += r.resp.size()
		c.finish(r)
		w.replies[i] = nil
	}
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
	last, err := w.encode()
	if err == nil && !last && len(w.refs) == 0 && len(w.joined) <= nowBytes {
		var n int
		if n, err = c.source.tryWrite(w.joined); n == len(w.joined) || err != nil {
			c.server.metrics.sentBytes.Add(float64(n))
			c.sent(w, false, err)
			w.release()
			c.resume()
			return
		}
		c.server.metrics.sentBytes.Add(float64(n))
		w.joined = w.joined[:copy(w.joined, w.joined[n:])]
	}
	go func() {
		if err == nil {
			err = c.send(w)
		}
		c.sent(w, last, err)
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

// encode lays out the round's replies; last says that the connection has to be
// closed after them.
func (w *round) encode() (last bool, err error) {
	for _, r := range w.replies {
		if !r.resp.None {
			size := r.resp.size()
			if size > math.MaxInt32-wire.MaxResponseHeader {
				return false, errReplyTooLarge
			}
			if r.Bare {
				w.joined = binary.BigEndian.AppendUint32(w.joined, uint32(size))
			} else {
				w.joined = wire.AppendFrame(w.joined, r.Key, r.Version, r.CorrelationID, size)
			}
			for _, b := range r.resp.Buffers {
				if len(b) <= joinBytes {
					w.joined = append(w.joined, b...)
				} else {
					w.refs = append(w.refs, reference{at: len(w.joined), buf: b})
				}
			}
		}
		if r.resp.Close {
			return true, nil
		}
	}
	return false, nil
}

// send writes the round, with one system call when it is small.
func (c *Conn) send(w *round) error {
	if len(w.refs) == 0 {
		return c.sendBytes(w.joined)
	}
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
	return c.sendBuffers(w)
}

func (c *Conn) sendBytes(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), pieceBytes)
		c.extendWrite()
		if _, err := c.conn.Write(b[:n]); err != nil {
			return err
		}
		c.server.metrics.sentBytes.Add(float64(n))
		b = b[n:]
	}
	return nil
}

// sendBuffers writes w.bufs in pieces of at most pieceBytes.
func (c *Conn) sendBuffers(w *round) error {
	for i := 0; i < len(w.bufs); {
		piece, room := w.piece[:0], pieceBytes
		for i < len(w.bufs) && room > 0 {
			b := w.bufs[i]
			if len(b) > room {
				piece = append(piece, b[:room])
				w.bufs[i] = b[room:]
				room = 0
				break
			}
			piece = append(piece, b)
			room -= len(b)
			i++
		}
		c.extendWrite()
		w.piece = piece // WriteTo consumes the field; piece keeps the memory
		_, err := w.piece.WriteTo(c.conn)
		clear(piece)
		w.piece = piece[:0]
		if err != nil {
			return err
		}
		c.server.metrics.sentBytes.Add(float64(pieceBytes - room))
	}
	return nil
}

func (c *Conn) extendWrite() {
	c.writeDeadline.Store(c.server.clock.Load() + int64(c.server.options.WriteTimeout))
}

func (w *round) reset() {
	w.replies, w.joined = w.replies[:0], w.joined[:0]
	clear(w.refs)
	clear(w.bufs)
	w.refs, w.bufs = w.refs[:0], w.bufs[:0]
}

func (w *round) release() {
	if cap(w.joined) > joinedKeep {
		w.joined = make([]byte, 0, 4<<10)
	}
	roundPool.Put(w)
}
