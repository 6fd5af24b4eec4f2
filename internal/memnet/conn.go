package memnet

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// windowBytes is what one direction of a connection holds: the buffers of two sockets.
const windowBytes = 4 << 20

// packet is one write on its way.
type packet struct {
	data []byte
	at   time.Time // when it arrives
}

// half is one direction of a connection.
type half struct {
	n        *Network
	from, to netip.Addr

	mu      sync.Mutex // guards what follows
	queue   []packet
	bytes   int
	last    time.Time     // when the newest packet arrives
	fin     bool          // the writer has closed, or gone
	deaf    bool          // the reader has closed
	broken  bool          // reset
	dropped bool          // what is written goes nowhere, and nothing comes
	changed chan struct{} // closed and replaced with every change
}

func newHalf(n *Network, from, to netip.Addr) *half {
	return &half{n: n, from: from, to: to, changed: make(chan struct{})}
}

// update changes the state and wakes who waits.
func (h *half) update(f func()) {
	h.mu.Lock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
	h.mu.Unlock()
}

// conn is one end of a connection.
type conn struct {
	host          *Host
	local, remote *net.TCPAddr
	in, out       *half
	peer          *conn
	doomed        atomic.Bool // the machine at the other end does not know it any more
	closed        atomic.Bool
	readBy        deadline
	writeBy       deadline
}

// deadline is a time that may change while somebody waits for it.
type deadline struct {
	mu      sync.Mutex // guards what follows
	at      time.Time
	changed chan struct{} // made when somebody waits
}

func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
	if d.changed != nil {
		close(d.changed)
		d.changed = nil
	}
}

// get returns the time, and a channel that is closed when it changes.
func (d *deadline) get() (time.Time, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changed == nil {
		d.changed = make(chan struct{})
	}
	return d.at, d.changed
}

// wait waits until something changes, or it is later than the deadline or than until.
func (d *deadline) wait(until time.Time, changed ...<-chan struct{}) error {
	at, moved := d.get()
	now := time.Now()
	if !at.IsZero() && !at.After(now) {
		return os.ErrDeadlineExceeded
	}
	if until.IsZero() || !at.IsZero() && at.Before(until) {
		until = at
	}
	var timer <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(until.Sub(now))
		defer t.Stop()
		timer = t.C
	}
	var a, b <-chan struct{}
	a = changed[0]
	if len(changed) > 1 {
		b = changed[1]
	}
	select {
	case <-a:
	case <-b:
	case <-moved:
	case <-timer:
	}
	return nil
}

// passage tells whether bytes arrive in a direction at the moment, and when that may change.
func (h *half) passage() (open bool, l Link, changed <-chan struct{}) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	x := h.n.link(h.from, h.to)
	return !x.cut || h.from == h.to, x.Link, x.changed
}

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	for {
		n, until, changed, passing, err := c.tryRead(b)
		if n > 0 || err != nil {
			return n, c.error("read", err)
		}
		if len(b) == 0 {
			return 0, nil
		}
		if err := c.readBy.wait(until, changed, passing); err != nil {
			return 0, c.error("read", err)
		}
	}
}

// tryRead reads what has arrived, or says until when or for what to wait.
func (c *conn) tryRead(b []byte) (n int, until time.Time, changed, passing <-chan struct{}, err error) {
	if at, _ := c.readBy.get(); !at.IsZero() && !at.After(time.Now()) {
		return 0, until, nil, nil, os.ErrDeadlineExceeded
	}
	open, _, passing := c.in.passage()
	h := c.in
	h.mu.Lock()
	defer h.mu.Unlock()
	changed = h.changed
	switch {
	case c.closed.Load():
		return 0, until, changed, passing, net.ErrClosed
	case h.broken:
		return 0, until, changed, passing, os.NewSyscallError("read", syscall.ECONNRESET)
	case !open || h.dropped:
		return 0, until, changed, passing, nil
	case len(h.queue) == 0 && h.fin:
		if now := time.Now(); h.last.After(now) {
			return 0, h.last, changed, passing, nil
		}
		return 0, until, changed, passing, io.EOF
	case len(h.queue) == 0:
		return 0, until, changed, passing, nil
	case h.queue[0].at.After(time.Now()):
		return 0, h.queue[0].at, changed, passing, nil
	}
	p := &h.queue[0]
	n = copy(b, p.data)
	p.data = p.data[n:]
	if len(p.data) == 0 {
		h.queue = h.queue[1:]
	}
	if h.bytes >= windowBytes && h.bytes-n < windowBytes {
		close(h.changed)
		h.changed = make(chan struct{})
	}
	h.bytes -= n
	return n, until, changed, passing, nil
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	written := 0
	for {
		n, changed, err := c.tryWrite(b[written:])
		written += n
		if err != nil || written == len(b) {
			return written, c.error("write", err)
		}
		if err := c.writeBy.wait(time.Time{}, changed); err != nil {
			return written, c.error("write", err)
		}
	}
}

// tryWrite takes what there is room for, or says for what to wait.
func (c *conn) tryWrite(b []byte) (int, <-chan struct{}, error) {
	if at, _ := c.writeBy.get(); !at.IsZero() && !at.After(time.Now()) {
		return 0, nil, os.ErrDeadlineExceeded
	}
	open, link, _ := c.out.passage()
	if open && c.doomed.Load() {
		c.reset()
	}
	jitter := c.host.n.jitter(link.Jitter)
	h := c.out
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case c.closed.Load():
		return 0, h.changed, net.ErrClosed
	case h.broken:
		return 0, h.changed, os.NewSyscallError("write", syscall.ECONNRESET)
	case h.dropped:
		return len(b), h.changed, nil
	case h.deaf && open:
		return 0, h.changed, os.NewSyscallError("write", syscall.EPIPE)
	}
	room := windowBytes - h.bytes
	if room <= 0 && len(b) > 0 {
		return 0, h.changed, nil
	}
	n := min(room, len(b))
	if n > 0 {
		h.queue = append(h.queue, packet{data: append([]byte(nil), b[:n]...), at: h.arrival(link, jitter, n)})
		h.bytes += n
		close(h.changed)
		h.changed = make(chan struct{})
	}
	return n, h.changed, nil
}

// arrival is when what is written now comes to the other end: never before what was written earlier. The mutex is held.
func (h *half) arrival(l Link, jitter time.Duration, n int) time.Time {
	at := time.Now().Add(l.Latency + jitter)
	if h.last.After(at) {
		at = h.last
	}
	if l.Rate > 0 {
		at = at.Add(time.Duration(int64(n) * int64(time.Second) / l.Rate))
	}
	h.last = at
	return at
}

func (n *Network) jitter(upTo time.Duration) time.Duration {
	if upTo <= 0 {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Duration(n.random.Int64N(int64(upTo)))
}

// Close implements net.Conn. What was written still arrives.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return c.error("close", net.ErrClosed)
	}
	c.hangUp()
	c.forget()
	return nil
}

// hangUp tells the other side that nothing more comes, and nothing is read any more.
func (c *conn) hangUp() {
	c.closed.Store(true)
	_, link, _ := c.out.passage()
	c.out.update(func() {
		c.out.fin = true
		c.out.arrival(link, 0, 0)
	})
	c.in.update(func() {
		c.in.deaf = true
		c.in.queue, c.in.bytes = nil, 0
	})
}

// dropped ends this side without a word to the other, whose bytes go nowhere from now on.
func (c *conn) dropped() {
	c.closed.Store(true)
	c.in.update(func() { c.in.dropped = true })
	c.out.update(func() { c.out.dropped = true })
}

// reset ends this side as by the network.
func (c *conn) reset() {
	c.in.update(func() { c.in.broken, c.in.queue, c.in.bytes = true, nil, 0 })
	c.out.update(func() { c.out.broken, c.out.queue, c.out.bytes = true, nil, 0 })
	c.forget()
}

// forget takes the connection off its machine's list.
func (c *conn) forget() {
	c.host.n.mu.Lock()
	defer c.host.n.mu.Unlock()
	delete(c.host.n.machine(c.host.ip).conns, c)
}

func (c *conn) error(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadline(&c.readBy, t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(&c.writeBy, t) }

func (c *conn) setDeadline(d *deadline, t time.Time) error {
	if c.closed.Load() {
		return c.error("set", net.ErrClosed)
	}
	d.set(t)
	return nil
}
