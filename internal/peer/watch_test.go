package peer

import (
	"context"
	"errors"
	"net"
	"testing"
)

// watching starts a Watch and waits until the other side serves it.
func watching(t *testing.T, a, b *Host, node int32) chan error {
	t.Helper()
	entered := make(chan struct{}, 1)
	b.Register(WatchRequest, func(ctx context.Context, from Identity, payload []byte) ([]byte, error) {
		select {
		case entered <- struct{}{}:
		default:
		}
		return serveWatch(ctx, from, payload)
	})
	address, ended := b.Addr().String(), make(chan error, 1)
	go func() { ended <- a.Watch(t.Context(), address, node, AnyProcess) }()
	<-entered
	return ended
}

// at listens where another host did.
func at(t *testing.T, address string, node int32, incarnation byte) *Host {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return newHost(t, node, "c", func(o *Options) {
		if err := o.Listener.Close(); err != nil {
			t.Error(err)
		}
		o.Listener, o.Incarnation[1] = l, incarnation
	})
}

// A host that closes is gone; so is one that was never there.
func TestWatchGone(t *testing.T) {
	a, b := newHost(t, 1, "c"), newHost(t, 2, "c")
	b.Start()
	ended := watching(t, a, b, 2)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrGone) || !Gone(err) {
		t.Error(err)
	}
	if err := a.Watch(t.Context(), b.Addr().String(), AnyNode, AnyProcess); !errors.Is(err, ErrGone) || !Gone(err) {
		t.Error(err)
	}
}

// A process that was replaced before anybody looked is gone, too.
func TestWatchReplacedBefore(t *testing.T) {
	a, b := newHost(t, 1, "c"), newHost(t, 2, "c")
	b.Start()
	if err := a.Watch(t.Context(), b.Addr().String(), 2, [16]byte{42}); !errors.Is(err, ErrGone) {
		t.Error(err)
	}
}

// A connection that breaks is no proof while the process answers; that another process answers is one.
func TestWatchReplaced(t *testing.T) {
	a, b := newHost(t, 1, "c"), newHost(t, 2, "c")
	b.Start()
	ended := watching(t, a, b, 2)
	entered := make(chan struct{})
	b.Register(WatchRequest, func(ctx context.Context, from Identity, payload []byte) ([]byte, error) {
		close(entered)
		return serveWatch(ctx, from, payload)
	})
	b.mu.Lock()
	for conn := range b.conns {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	b.mu.Unlock()
	<-entered // dialed anew
	select {
	case err := <-ended:
		t.Fatal(err)
	default:
	}
	// The next one answers at the same address before the watcher looks: its listener is there when the old connections end.
	address := b.Addr().String()
	if err := b.opts.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	next := at(t, address, 2, 9)
	next.Start()
	if err := b.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrGone) || !Gone(err) {
		t.Error(err)
	}
}

// A port that accepts and closes, another broker in its place, and one that does not know the request prove nothing.
func TestWatchLost(t *testing.T) {
	a := newHost(t, 1, "c")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	if err := a.Watch(t.Context(), l.Addr().String(), 2, AnyProcess); !errors.Is(err, ErrLost) || Gone(err) {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	<-accepted
	b := newHost(t, 2, "c")
	b.Start()
	if err := a.Watch(t.Context(), b.Addr().String(), 5, AnyProcess); !errors.Is(err, ErrLost) || Gone(err) {
		t.Error(err)
	}
	b.mu.Lock()
	delete(b.requests, WatchRequest)
	b.mu.Unlock()
	if err := a.Watch(t.Context(), b.Addr().String(), 2, AnyProcess); !errors.Is(err, ErrLost) || Gone(err) {
		t.Error(err)
	}
}

// The end of the caller's patience or of its own port says nothing of the other.
func TestWatchEnds(t *testing.T) {
	a, b := newHost(t, 1, "c"), newHost(t, 2, "c")
	b.Start()
	ended := watching(t, a, b, 2)
	ctx, cancel := context.WithCancelCause(t.Context())
	own := errors.New("enough")
	cancel(own)
	if err := a.Watch(ctx, b.Addr().String(), 2, AnyProcess); !errors.Is(err, own) {
		t.Error(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, ErrClosed) || Gone(err) {
		t.Error(err)
	}
}
