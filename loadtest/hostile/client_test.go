package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
)

// patience is how long a test waits for a reply, or for a connection to be closed,
// before it calls the broker stuck.
const patience = 2 * time.Minute

// conn is a client that sends what it likes.
type conn struct {
	net.Conn
	correlation int32
}

func (n *node) dial(t *testing.T) *conn {
	t.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	return &conn{Conn: c}
}

func (c *conn) close() { _ = c.Close() } // the broker may have been first

// frame is a request with its size before it.
func frame(key, version int16, correlation int32, body []byte) []byte {
	b := make([]byte, wire.SizePrefix, 64+len(body))
	b = wire.AppendRequestHeader(b, wire.RequestHeader{Key: key, Version: version, CorrelationID: correlation, ClientID: []byte("hostile")})
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-wire.SizePrefix))
	return b
}

// send writes a request. A connection that the broker has closed takes no more
// bytes, which is no failure of the sender's.
func (c *conn) send(t *testing.T, key, version int16, body []byte) {
	t.Helper()
	c.correlation++
	c.write(t, frame(key, version, c.correlation, body))
}

func (c *conn) write(t *testing.T, b []byte) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil && !closedByPeer(err) {
		t.Fatal(err)
	}
}

func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// errClosed means that the broker closed the connection instead of a reply.
var errClosed = errors.New("closed by the broker")

// errSilent means that there was neither a reply nor the end of the connection in time.
var errSilent = errors.New("neither a reply nor the end")

// receive reads the body of the reply to the last request.
func (c *conn) receive(key, version int16) ([]byte, error) {
	return c.receiveWithin(patience, key, version)
}

func (c *conn) receiveWithin(patience time.Duration, key, version int16) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		if closedByPeer(err) {
			return nil, errClosed
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("%w in %v", errSilent, patience)
		}
		return nil, err
	}
	size, correlation := int32(binary.BigEndian.Uint32(head[:])), int32(binary.BigEndian.Uint32(head[4:]))
	if correlation != c.correlation {
		return nil, fmt.Errorf("correlation=%d, expected %d", correlation, c.correlation)
	}
	if size < 4 || size > 64<<20 {
		return nil, fmt.Errorf("size of the reply=%d", size)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, fmt.Errorf("reply cut short: %w", err)
	}
	if wire.Flexible(key, version) && key != wire.KeyApiVersions {
		if len(body) == 0 || body[0] != 0 {
			return nil, fmt.Errorf("reply without a flexible header: %x", body)
		}
		body = body[1:]
	}
	return body, nil
}

// exchange sends a body and returns what came back; ok is false when the broker
// closed the connection. Anything else fails the test.
func (c *conn) exchange(t *testing.T, key, version int16, body []byte) (reply []byte, ok bool) {
	t.Helper()
	c.send(t, key, version, body)
	reply, err := c.receive(key, version)
	if errors.Is(err, errClosed) {
		return nil, false
	}
	if err != nil {
		t.Fatalf("%s v%d: %v\nrequest %x", wire.KeyName(key), version, err, clip(body))
	}
	resp := kmsg.ResponseForKey(key)
	resp.SetVersion(version)
	if err := resp.ReadFrom(reply); err != nil {
		t.Fatalf("%s v%d: the reply does not decode: %v\nrequest %x\nreply %x", wire.KeyName(key), version, err, clip(body), clip(reply))
	}
	return reply, true
}

// mustClose sends a body for which the broker has to close the connection.
func (n *node) mustClose(t *testing.T, what string, key, version int16, body []byte) {
	t.Helper()
	c := n.dial(t)
	defer c.close()
	if reply, ok := c.exchange(t, key, version, body); ok {
		t.Errorf("%s v%d: %s is answered: %x\nrequest %x", wire.KeyName(key), version, what, clip(reply), clip(body))
	}
}

// call sends a request and returns its reply.
func call[R kmsg.Response](t *testing.T, c *conn, req kmsg.Request) R {
	t.Helper()
	reply, ok := c.exchange(t, req.Key(), req.GetVersion(), req.AppendTo(nil))
	if !ok {
		t.Fatalf("%s v%d: connection closed", wire.KeyName(req.Key()), req.GetVersion())
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(reply); err != nil {
		t.Fatal(err)
	}
	return resp.(R)
}

func clip(b []byte) []byte { return b[:min(len(b), 200)] }
