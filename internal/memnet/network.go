package memnet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Link is what one direction between two machines is like.
type Link struct {
	Latency time.Duration // of every write
	Jitter  time.Duration // up to so much more
	Rate    int64         // bytes per second; 0: no limit
}

// keepalive is the longest time after which a connection to a machine that was gone and is
// back is noticed to be dead by who does not write: Go's default for TCP.
const keepalive = 15 * time.Second

// firstPort is the first that is given to those who dial, or listen on port 0.
const firstPort = 32768

// Network connects machines. Its zero value is not usable; New makes one.
type Network struct {
	mu       sync.Mutex // guards what follows
	random   *rand.Rand
	usual    Link
	machines map[netip.Addr]*machine
	links    map[route]*link
}

type route struct{ from, to netip.Addr }

// machine is what is at an address.
type machine struct {
	host     *Host // the process; nil: none
	vanished bool
	ports    map[uint16]*listener
	next     uint16
	conns    map[*conn]struct{} // of this machine's side
}

// link is the state of one direction. It is guarded by the network's mutex.
type link struct {
	Link
	set     bool
	cut     bool
	changed chan struct{} // closed and replaced when a cut begins or ends
}

// New makes a network whose links are all like usual. The seed decides jitter.
func New(seed uint64, usual Link) *Network {
	return &Network{
		random: rand.New(rand.NewPCG(seed, 0x6e6574)), usual: usual,
		machines: make(map[netip.Addr]*machine), links: make(map[route]*link),
	}
}

// machine returns the one at an address. The mutex is held.
func (n *Network) machine(ip netip.Addr) *machine {
	m := n.machines[ip]
	if m == nil {
		m = &machine{ports: make(map[uint16]*listener), next: firstPort, conns: make(map[*conn]struct{})}
		n.machines[ip] = m
	}
	return m
}

// link returns one direction. The mutex is held.
func (n *Network) link(from, to netip.Addr) *link {
	l := n.links[route{from, to}]
	if l == nil {
		l = &link{changed: make(chan struct{})}
		n.links[route{from, to}] = l
	}
	if !l.set {
		l.Link = n.usual
	}
	return l
}

// Attach makes a process at an IP address. One that was there before must have ended.
func (n *Network) Attach(ip string) (*Host, error) {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.machine(addr)
	if m.host != nil {
		return nil, fmt.Errorf("attach a process: %w: ip=%s", syscall.EADDRINUSE, ip)
	}
	m.host = &Host{n: n, ip: addr, closed: make(chan struct{})}
	if m.vanished {
		m.vanished = false
		n.wake(addr)
		for c := range m.conns { // of the life before
			n.doom(c.peer)
			delete(m.conns, c)
		}
	}
	return m.host, nil
}

// doom has a connection reset of which the other machine knows nothing any more. The mutex is held.
func (n *Network) doom(c *conn) {
	c.doomed.Store(true)
	time.AfterFunc(time.Duration(n.random.Int64N(int64(keepalive))), c.reset)
}

// SetLink changes what the direction between two machines is like from now on.
func (n *Network) SetLink(from, to string, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	x := n.link(netip.MustParseAddr(from), netip.MustParseAddr(to))
	x.Link, x.set = l, true
}

// Cut lets nothing through in one direction. Heal ends it.
func (n *Network) Cut(from, to string) { n.setCut(from, to, true) }

// Heal ends a cut of one direction.
func (n *Network) Heal(from, to string) { n.setCut(from, to, false) }

func (n *Network) setCut(from, to string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.link(netip.MustParseAddr(from), netip.MustParseAddr(to))
	if l.cut != cut {
		l.cut = cut
		l.wake()
	}
}

func (l *link) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wake has all look again who wait for a machine. The mutex is held.
func (n *Network) wake(ip netip.Addr) {
	for r, l := range n.links {
		if r.to == ip || r.from == ip {
			l.wake()
		}
	}
}

// HealAll ends all cuts and makes all links usual again. It does not bring processes back.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, l := range n.links {
		l.set = false
		if l.cut {
			l.cut = false
			l.wake()
		}
	}
}

// Connected reports whether bytes pass between two machines, both ways, and both have a process.
func (n *Network) Connected(a, b string) bool {
	x, y := netip.MustParseAddr(a), netip.MustParseAddr(b)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine(x).host != nil && n.machine(y).host != nil && (x == y || !n.link(x, y).cut && !n.link(y, x).cut)
}

// Reset ends all connections between two machines, for both sides.
func (n *Network) Reset(a, b string) {
	x, y := netip.MustParseAddr(a), netip.MustParseAddr(b)
	n.mu.Lock()
	var ended []*conn
	for c := range n.machine(x).conns {
		if c.remote.AddrPort().Addr() == y {
			ended = append(ended, c, c.peer)
		}
	}
	n.mu.Unlock()
	for _, c := range ended {
		c.reset()
	}
}

// Host is the network as one process has it, until it ends.
type Host struct {
	n      *Network
	ip     netip.Addr
	closed chan struct{} // the process has ended
}

// IP is where the process is.
func (h *Host) IP() string { return h.ip.String() }

// errEnded is what a process gets that has ended.
var errEnded = fmt.Errorf("this process has ended: %w", syscall.ENETDOWN)

func (h *Host) ended() bool {
	select {
	case <-h.closed:
		return true
	default:
		return false
	}
}

// Listen opens a port, or one that is free where it is 0. The IP of the address is not looked at.
func (h *Host) Listen(_ context.Context, address string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return nil, err
	}
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if h.ended() {
		return nil, errEnded
	}
	m := h.n.machine(h.ip)
	p := uint16(number)
	if p == 0 {
		p = m.free()
	}
	if m.ports[p] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}
	}
	l := &listener{host: h, addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.ip, p)), conns: make(chan net.Conn, backlog), closed: make(chan struct{})}
	m.ports[p] = l
	return l, nil
}

// free returns a port that nobody listens on. The mutex is held.
func (m *machine) free() uint16 {
	for {
		m.next = max(m.next+1, firstPort)
		if m.ports[m.next] == nil {
			return m.next
		}
	}
}

// Dial opens a connection to IP:PORT. It waits while nothing passes between the two machines, or the other has vanished.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
	}
	for {
		wait, conn, err := h.connect(to)
		if err != nil {
			return fail(err)
		}
		if conn != nil {
			return conn, nil
		}
		select {
		case <-wait.forth:
		case <-wait.back:
		case <-wait.passed():
		case <-h.closed:
			return fail(errEnded)
		case <-ctx.Done():
			return fail(ctx.Err())
		}
	}
}

// handshake is what a dialer waits for.
type handshake struct {
	forth, back <-chan struct{}
	timer       *time.Timer
}

func (w *handshake) passed() <-chan time.Time {
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}

// connect makes a connection, or says what to wait for.
func (h *Host) connect(to netip.AddrPort) (wait handshake, c net.Conn, err error) {
	n := h.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if h.ended() {
		return wait, nil, errEnded
	}
	there := n.machine(to.Addr())
	forth, back := n.link(h.ip, to.Addr()), n.link(to.Addr(), h.ip)
	wait = handshake{forth: forth.changed, back: back.changed}
	if h.ip != to.Addr() && (forth.cut || back.cut) || there.vanished {
		return wait, nil, nil
	}
	l := there.ports[to.Port()]
	if there.host == nil || l == nil {
		return wait, nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	here := n.machine(h.ip)
	mine := net.TCPAddrFromAddrPort(netip.AddrPortFrom(h.ip, here.free()))
	theirs := net.TCPAddrFromAddrPort(to)
	out, in := newHalf(n, h.ip, to.Addr()), newHalf(n, to.Addr(), h.ip)
	a := &conn{host: h, local: mine, remote: theirs, in: in, out: out}
	b := &conn{host: there.host, local: theirs, remote: mine, in: out, out: in}
	a.peer, b.peer = b, a
	select {
	case l.conns <- b:
	default: // nobody accepts: it is tried again, as by the kernel
		wait.timer = time.NewTimer(time.Second)
		return wait, nil, nil
	}
	here.conns[a], there.conns[b] = struct{}{}, struct{}{}
	return wait, a, nil
}

// Kill is the end of the process: its ports refuse and its connections end.
func (h *Host) Kill() { h.end(false) }

// Vanish is the end of the machine, which tells nobody.
func (h *Host) Vanish() { h.end(true) }

func (h *Host) end(vanish bool) {
	h.n.mu.Lock()
	if h.ended() {
		h.n.mu.Unlock()
		return
	}
	close(h.closed)
	m := h.n.machine(h.ip)
	m.host, m.vanished = nil, vanish
	listeners := m.ports
	m.ports = make(map[uint16]*listener)
	conns := make([]*conn, 0, len(m.conns))
	for c := range m.conns {
		conns = append(conns, c)
	}
	if !vanish {
		clear(m.conns)
	}
	hard := h.n.random.IntN(2) == 0 // there was something that it had not read
	unheard := make(map[*conn]bool) // by the other side, for the moment
	for _, c := range conns {
		if to := c.remote.AddrPort().Addr(); !vanish && to != h.ip && h.n.link(h.ip, to).cut {
			unheard[c] = true
			h.n.doom(c.peer)
		}
	}
	h.n.wake(h.ip)
	h.n.mu.Unlock()
	for _, l := range listeners {
		l.shut()
	}
	for _, c := range conns {
		switch {
		case vanish, unheard[c]:
			c.dropped()
		case hard:
			c.dropped()
			c.peer.reset()
		default:
			c.hangUp()
		}
	}
}

// Connections returns how many connections a machine has.
func (n *Network) Connections(ip string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.machine(netip.MustParseAddr(ip)).conns)
}

// backlog is how many connections wait for Accept.
const backlog = 128

type listener struct {
	host   *Host
	addr   *net.TCPAddr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.host.n.mu.Lock()
	m := l.host.n.machine(l.host.ip)
	if p := l.addr.AddrPort().Port(); m.ports[p] == l {
		delete(m.ports, p)
	}
	l.host.n.mu.Unlock()
	if !l.shut() {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
	return nil
}

// shut closes the port, and resets who waits behind it.
func (l *listener) shut() (first bool) {
	l.once.Do(func() {
		first = true
		close(l.closed)
		for {
			select {
			case c := <-l.conns:
				c.(*conn).peer.reset()
			default:
				return
			}
		}
	})
	return first
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// Cuts returns the directions that are cut, as FROM>TO, in order.
func (n *Network) Cuts() (out []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for r, l := range n.links {
		if l.cut {
			out = append(out, fmt.Sprintf("%s>%s", r.from, r.to))
		}
	}
	slices.Sort(out)
	return out
}
