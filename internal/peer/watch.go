package peer

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// WatchRequest is the type of control request that is not answered while the broker that got it is there: whoever sent it sees the
// end of the connection. Its payload is empty. Every Host serves it.
const WatchRequest uint16 = 0

// What a Watch ends with, besides the end of its context and ErrClosed.
var (
	// ErrGone says that a process ended: its machine refuses connections, or another process answers in its place.
	ErrGone = errors.New("the broker's process is gone")
	// ErrLost says that a broker can not be reached, or does not answer as one; its process may live.
	ErrLost = errors.New("the broker can not be reached")
)

const (
	// watchPause comes before a broker whose connection ended is dialed once more: a process that ends closes its connections and its
	// port one after the other.
	watchPause = 10 * time.Millisecond
	// watchTries bounds how often: a port that accepts and closes again, as a proxy's, proves nothing.
	watchTries = 20
)

// AnyProcess is the incarnation of a process that is not known.
var AnyProcess [16]byte

// Watch waits until the process of a broker at an address is not there any more; AnyProcess means the one that answers first. It returns ErrGone when that is certain, for which Gone is true, and
// ErrLost when it is not, for which Gone is false; the caller may then watch again. A connection that breaks while its process lives
// is only dialed anew. Nothing is sent meanwhile. A machine that vanishes without a word is noticed by whoever expects signs of life
// from it, not here.
func (h *Host) Watch(ctx context.Context, address string, node int32, process [16]byte) error {
	var watched *Identity
	if process != AnyProcess {
		watched = &Identity{Node: node, Incarnation: process}
	}
	for tries := 1; ; tries++ {
		var again bool
		c, err := h.caller(ctx, address, node)
		switch {
		case err == nil && watched != nil && c.conn.Peer.Incarnation != watched.Incarnation:
			return fmt.Errorf("%w: another one answers in its place: broker=%d address=%s", ErrGone, watched.Node, address)
		case err == nil:
			watched = &c.conn.Peer
			_, err = c.call(ctx, WatchRequest, nil)
			again = !errors.Is(err, ErrUnknownRequest) && !errors.Is(err, ErrBusy)
		default:
			again = Gone(err)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case h.ctx.Err() != nil:
			return ErrClosed
		case errors.Is(err, syscall.ECONNREFUSED):
			return fmt.Errorf("%w: broker=%d address=%s: %w", ErrGone, node, address, err)
		case !again || tries == watchTries:
			// Not wrapped: the end of a connection within it would read as a proof.
			return fmt.Errorf("%w: broker=%d address=%s: %v", ErrLost, node, address, err) //nolint:errorlint // see above
		}
		pause := time.NewTimer(watchPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
		case <-h.ctx.Done():
		}
		pause.Stop()
	}
}

// serveWatch answers when there is nobody left to answer to.
func serveWatch(ctx context.Context, _ Identity, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}
