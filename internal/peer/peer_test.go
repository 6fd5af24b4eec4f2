package peer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

func newHost(t testing.TB, node int32, cluster string, change ...func(*Options)) *Host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Node: node, Incarnation: [16]byte{byte(node), 1}, Cluster: func() string { return cluster }, Listener: l}
	for _, f := range change {
		f(&o)
	}
	h := New(o)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

const echo = 7

func echoing(_ context.Context, from Identity, payload []byte) ([]byte, error) {
	return fmt.Appendf(nil, "%d:%s", from.Node, payload), nil
}

func TestCall(t *testing.T) {
	a, b := newHost(t, 1, "c"), newHost(t, 2, "c")
	b.Register(echo, echoing)
	b.Register(8, func(context.Context, Identity, []byte) ([]byte, error) { return nil, errors.New("no room") })
	b.Start()
	var calls sync.WaitGroup
	for i := range 100 {
		calls.Go(func() {
			text := strings.Repeat("x", i*100)
			got, err := a.Call(t.Context(), b.Addr().String(), 2, echo, []byte(text))
			if err != nil || string(got) != "1:"+text {
				t.Errorf("%.20s %v", got, err)
			}
		})
	}
	calls.Wait()
	var answered *AnswerError
	if _, err := a.Call(t.Context(), b.Addr().String(), 2, 8, nil); !errors.As(err, &answered) || answered.Node != 2 || answered.Text != "no room" || Gone(err) {
		t.Error(err)
	}
	if _, err := a.Call(t.Context(), b.Addr().String(), AnyNode, 9, nil); !errors.Is(err, ErrUnknownRequest) {
		t.Error(err)
	}
	if _, err := a.Call(t.Context(), b.Addr().String(), 2, echo, make([]byte, 9<<20)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	b.mu.Lock()
	conns := len(b.conns)
	b.mu.Unlock()
	if conns != 1 {
		t.Errorf("%d connections", conns)
	}
}

// Who is not meant is refused, and told why.
func TestRefusals(t *testing.T) {
	b := newHost(t, 2, "c")
	b.Start()
	joining := newHost(t, 3, "")
	if c, err := joining.Dial(t.Context(), b.Addr().String(), AnyNode, Control); err != nil || c.Peer.Node != 2 || c.Peer.Cluster != "c" {
		t.Error(err)
	} else if err := c.Close(); err != nil {
		t.Error(err)
	}
	for _, x := range []struct {
		from *Host
		to   int32
		kind Kind
		want string
	}{
		{newHost(t, 1, "other"), 2, Control, "cluster.seeds"},
		{newHost(t, 1, "c"), 5, Control, "rpc.advertised"},
		{newHost(t, 2, "c", func(o *Options) { o.Incarnation[0] = 99 }), AnyNode, Control, "node.id"},
		{newHost(t, 1, "c"), 2, Raft, "raft are not served"},
	} {
		var refused *RefusedError
		if _, err := x.from.Dial(t.Context(), b.Addr().String(), x.to, x.kind); !errors.As(err, &refused) || !errors.Is(err, ErrRefused) ||
			!strings.Contains(err.Error(), x.want) || refused.Final != (x.kind == Control) {
			t.Errorf("%v, want %q", err, x.want)
		}
	}
	full := newHost(t, 4, "c", func(o *Options) { o.MaxConnections = 1 })
	full.Start()
	one, err := newHost(t, 1, "c").Dial(t.Context(), full.Addr().String(), 4, Control)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newHost(t, 3, "c").Dial(t.Context(), full.Addr().String(), 4, Control); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
}

// A newer protocol is answered in this one, so that its speaker knows.
func TestOtherVersion(t *testing.T) {
	b := newHost(t, 2, "c")
	b.Start()
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	hi := hello{version: 2, kind: 77, from: Identity{Node: 1}}
	if err := writeFrame(conn, append(hi.append(nil), "and more"...)); err != nil {
		t.Fatal(err)
	}
	frame, err := readFrame(conn)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := parseAnswer(frame); err != nil || a.verdict != otherVersion || !strings.Contains(a.reason, "one release at a time") {
		t.Errorf("%+v %v", a, err)
	}
}

// A broken connection fails the calls under way; the next one dials anew, and knows when nobody is there.
func TestReconnect(t *testing.T) {
	a := newHost(t, 1, "c")
	b := newHost(t, 2, "c")
	entered := make(chan struct{})
	b.Register(echo, func(ctx context.Context, _ Identity, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	b.Start()
	address := b.Addr().String()
	failed := make(chan error, 1)
	go func() {
		_, err := a.Call(context.Background(), address, 2, echo, nil)
		failed <- err
	}()
	<-entered
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !Gone(err) {
		t.Error(err)
	}
	if _, err := a.Call(t.Context(), address, 2, echo, nil); !Gone(err) {
		t.Error("nobody listens:", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	again := newHost(t, 2, "c", func(o *Options) {
		if err := o.Listener.Close(); err != nil {
			t.Error(err)
		}
		o.Listener = l
	})
	again.Register(echo, echoing)
	again.Start()
	if got, err := a.Call(t.Context(), address, 2, echo, []byte("x")); err != nil || string(got) != "1:x" {
		t.Error(string(got), err)
	}
}

// A caller that leaves, and one above the number of requests.
func TestBounds(t *testing.T) {
	a, b := newHost(t, 1, "c", func(o *Options) { o.MaxRequests = 4 }), newHost(t, 2, "c", func(o *Options) { o.MaxRequests = 2 })
	release := make(chan struct{})
	entered := make(chan struct{}, 2)
	b.Register(echo, func(context.Context, Identity, []byte) ([]byte, error) {
		entered <- struct{}{}
		<-release
		return nil, nil
	})
	b.Start()
	address := b.Addr().String()
	ctx, leave := context.WithCancel(t.Context())
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			if _, err := a.Call(ctx, address, 2, echo, nil); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	<-entered
	<-entered
	if _, err := a.Call(t.Context(), address, 2, echo, nil); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	leave()
	calls.Wait()
	close(release)
	for { // until the handlers have returned
		_, err := a.Call(t.Context(), address, 2, 9, nil)
		if errors.Is(err, ErrUnknownRequest) {
			break
		}
		if !errors.Is(err, ErrBusy) {
			t.Fatal(err)
		}
	}
}

// A stream is a listener with a dialer.
func TestStream(t *testing.T) {
	a, b := newHost(t, 1, ""), newHost(t, 2, "")
	here, there := a.Stream(Raft), b.Stream(Raft)
	a.Start()
	b.Start()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, err := there.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	out, err := here.Dial(there.Addr().String(), 2, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	in := <-accepted
	if _, err := out.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(in, got); err != nil || string(got) != "hello" {
		t.Fatal(string(got), err)
	}
	if err := errors.Join(in.Close(), out.Close(), there.Close()); err != nil {
		t.Error(err)
	}
	if _, err := there.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// Who does not speak in time is sent away.
func TestSilentDialer(t *testing.T) {
	b := newHost(t, 2, "c", func(o *Options) { o.HandshakeTimeout = 20 * time.Millisecond })
	b.Start()
	conn, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

// The bytes of version 1.
func TestGolden(t *testing.T) {
	id := Identity{Node: 3, Incarnation: [16]byte{0: 0xaa, 15: 0xbb}, Cluster: "xyz"}
	hi := hello{version: 1, kind: Control, from: id, to: AnyNode}
	ans := answer{version: 1, verdict: otherNode, from: id, reason: "no"}
	msg := message{id: 5, typ: 6, status: failed, payload: []byte("oops")}
	for _, x := range []struct {
		name string
		got  []byte
		want string
	}{
		{"hello", hi.append(nil), "5449444550454552" + "0001" + "0002" + "00000003" + "ffffffff" + "aa0000000000000000000000000000bb" + "0378797a"},
		{"answer", ans.append(nil), "5449444550454552" + "0001" + "0002" + "00000003" + "aa0000000000000000000000000000bb" + "0378797a" + "026e6f"},
		{"message", append(msg.appendHead(nil), msg.payload...), "00000014" + "CRC" + "0000000000000005" + "0006" + "0001" + "6f6f7073"},
	} {
		got := hex.EncodeToString(x.got)
		if before, after, ok := strings.Cut(x.want, "CRC"); ok {
			if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) {
				t.Errorf("%s: %s", x.name, got)
			}
		} else if got != x.want {
			t.Errorf("%s: %s", x.name, got)
		}
	}
	if back, err := parseHello(hi.append(nil)); err != nil || back != hi {
		t.Errorf("%+v %v", back, err)
	}
	if back, err := parseAnswer(ans.append(nil)); err != nil || back != ans {
		t.Errorf("%+v %v", back, err)
	}
}

// FuzzHandshake: no panic, no allocation on the word of a length, and what parses says the same when it is written and parsed again.
func FuzzHandshake(f *testing.F) {
	hi := hello{version: 1, kind: Raft, from: Identity{Node: 1, Cluster: "c"}, to: 2}
	ans := answer{version: 1, from: Identity{Node: 1, Cluster: "c"}}
	f.Add(hi.append(nil))
	f.Add(ans.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHello(b); err == nil && h.version == version {
			if again, err := parseHello(h.append(nil)); err != nil || again != h {
				t.Errorf("hello %x: %v", b, err)
			}
		}
		if a, err := parseAnswer(b); err == nil {
			if again, err := parseAnswer(a.append(nil)); err != nil || again != a {
				t.Errorf("answer %x: %v", b, err)
			}
		}
		if _, err := readFrame(bytes.NewReader(b)); err == nil && len(b) > maxHello+8 {
			t.Log("a frame in front of more")
		}
	})
}

// FuzzMessage: what is read was written so.
func FuzzMessage(f *testing.F) {
	m := message{id: 1, typ: 2, status: busy, payload: []byte("payload")}
	f.Add(append(m.appendHead(nil), m.payload...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := readMessage(bytes.NewReader(b), 1<<10)
		if err != nil {
			return
		}
		again := append(m.appendHead(nil), m.payload...)
		if len(m.payload) > 1<<10 || !bytes.HasPrefix(b, again) {
			t.Errorf("%x", b)
		}
	})
}
