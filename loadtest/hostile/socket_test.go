package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
)

// honest runs an attack beside a client that does nothing wrong, and fails when a request
// of that client's fails. The client goes on until the attack is over and some requests more.
func (n *node) honest(t *testing.T, attack func()) {
	t.Helper()
	const after = 20
	c := n.dial(t)
	defer c.close()
	batch := batchOf("honest")
	var over atomic.Bool
	go func() {
		defer over.Store(true)
		attack()
	}()
	done, left := 0, after
	for left > 0 {
		base := produce(t, c, topic, 1, batch)
		if got := fetch(t, c, topic, 1, base); got != "honest" {
			t.Fatalf("fetched %q", got)
		}
		done++
		if over.Load() {
			left--
		}
	}
	t.Logf("honest requests beside it: %d", done-after)
}

// socketLimit bounds what connections cost that send next to nothing, or read nothing.
const socketLimit = 96 << 20

// TestSlowLoris has connections that never finish what they began: a size, a header, a
// frame that was announced to be great, and bytes that trickle.
func TestSlowLoris(t *testing.T) {
	const each = 200
	n := start(t)
	whole := frame(3, 1, 1, kmsgMetadataAll(1))
	great := append(binary.BigEndian.AppendUint32(nil, 90<<20), whole[4:]...)
	hello := []byte{0x16, 0x03, 0x01, 0x00, 0xf4} // the first bytes of a TLS handshake
	var conns []*conn
	grew := peak(func() {
		n.honest(t, func() {
			for range each {
				for _, begin := range [][]byte{nil, whole[:2], whole[:9], whole[:len(whole)-1], great, hello} {
					c := n.dial(t)
					conns = append(conns, c)
					c.write(t, begin)
				}
			}
			for i := range 20 { // whoever trickles does so with what nobody needs
				for _, c := range conns {
					_, _ = c.Write(great[4+i : 5+i]) // some are closed by now: theirs is a request that can not be
				}
			}
		})
	})
	t.Logf("connections=%d cost %d MiB", len(conns), grew>>20)
	if grew > socketLimit {
		t.Errorf("%d connections that never finish cost %d MiB", len(conns), grew>>20)
	}
	for _, c := range conns {
		c.close()
	}
	n.connectionsBack(t)
	n.wellAfter(t, "slow connections")
}

// connectionsBack waits until the connections of an attack are gone.
func (n *node) connectionsBack(t *testing.T) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.metric(t, "tideline_server_connections") > 2 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("connections=%v are left", n.metric(t, "tideline_server_connections"))
		}
	}
}

// TestConnectionFlood opens and leaves connections as fast as it can, some with a reset,
// some after a request, from several sides.
func TestConnectionFlood(t *testing.T) {
	const dialers, each = 8, 400
	n := start(t)
	n.honest(t, func() {
		var wait sync.WaitGroup
		for range dialers {
			wait.Go(func() {
				for i := range each {
					c := n.dial(t)
					switch i % 4 {
					case 0:
						if tcp, ok := c.Conn.(*net.TCPConn); ok {
							_ = tcp.SetLinger(0) // a reset instead of an end
						}
					case 1:
						c.write(t, frame(wire.KeyApiVersions, 0, 1, nil))
					case 2:
						c.exchange(t, wire.KeyApiVersions, 0, nil)
					}
					c.close()
				}
			})
		}
		wait.Wait()
	})
	n.connectionsBack(t)
	n.wellAfter(t, "a flood of connections")
}

// TestTooManyConnections fills the broker with connections that do nothing. Who is
// connected goes on; who comes later is sent away, and welcome when there is room.
func TestTooManyConnections(t *testing.T) {
	const limit = 100
	n := start(t, fmt.Sprintf("max.connections=%d", limit))
	var idle []*conn
	n.honest(t, func() {
		for range 2 * limit {
			idle = append(idle, n.dial(t))
		}
	})
	if open := n.metric(t, "tideline_server_connections"); open > limit {
		t.Errorf("connections=%v, the limit is %d", open, limit)
	}
	for _, c := range idle {
		c.close()
	}
	n.connectionsBack(t)
	n.wellAfter(t, "too many connections")
}

// TestHalfClosed sends requests and closes its side. Whoever does so is gone for the broker:
// what it asked for is done, replies that are ready by then are sent, and nothing waits for the others.
func TestHalfClosed(t *testing.T) {
	const requests = 50
	n := start(t)
	for range 20 {
		c := n.dial(t)
		var b []byte
		for i := range int32(requests) {
			b = append(b, frame(3, 1, i, kmsgMetadataAll(1))...)
		}
		c.write(t, b)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		for i := range int32(requests) {
			c.correlation = i
			if _, err := c.receive(3, 1); errors.Is(err, errClosed) {
				break
			} else if err != nil {
				t.Fatalf("request %d of %d on a connection that is closed on one side: %v", i+1, requests, err)
			}
		}
		c.expectEnd(t, "after the last reply")
		c.close()
	}
	// With half a request at the end there is no more to wait for.
	c := n.dial(t)
	defer c.close()
	c.write(t, frame(3, 1, 1, kmsgMetadataAll(1))[:9])
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.expectEnd(t, "half a request, and the end")
	n.connectionsBack(t)
	n.wellAfter(t, "half-closed connections")
}

// TestPipelinedGarbage sends good requests and rubbish behind them at once: the good ones
// are answered, in order, before the connection is closed.
func TestPipelinedGarbage(t *testing.T) {
	const good = 10
	n := start(t)
	for name, garbage := range map[string][]byte{
		"a negative size":  {0xff, 0xff, 0xff, 0xff},
		"text":             []byte("GET / HTTP/1.1\r\n\r\n"),
		"an unknown key":   frame(999, 0, 1, nil),
		"a body too short": frame(3, 1, 1, []byte{0}),
		"a false count":    frame(3, 1, 1, []byte{0x7f, 0xff, 0xff, 0xff}),
	} {
		c := n.dial(t)
		var b []byte
		for i := range int32(good) {
			b = append(b, frame(3, 1, i, kmsgMetadataAll(1))...)
		}
		c.write(t, append(append(b, garbage...), frame(3, 1, 77, kmsgMetadataAll(1))...))
		for i := range int32(good) {
			c.correlation = i
			if _, err := c.receive(3, 1); errors.Is(err, errClosed) {
				break // the end may overtake replies: what follows a broken request is nobody's to read
			} else if err != nil {
				t.Errorf("%s behind good requests: reply %d: %v", name, i, err)
			}
		}
		c.expectEnd(t, name)
		c.close()
	}
	n.wellAfter(t, "rubbish behind good requests")
}

// TestNeverReading has clients that ask for all there is, again and again, and read none of it.
func TestNeverReading(t *testing.T) {
	const readers, asked = 60, 60
	n := start(t)
	n.createTopic(t, "heavy", 1)
	c := n.dial(t)
	defer c.close()
	for range 16 {
		produce(t, c, "heavy", 0, batchOf(string(make([]byte, 900<<10))))
	}
	req := fetchRequest(12, "heavy", 0, 0)
	req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes = 1<<30, 1<<30
	body := req.AppendTo(nil)
	var conns []*conn
	grew := peak(func() {
		n.honest(t, func() {
			for range readers {
				c := n.dial(t)
				conns = append(conns, c)
				var b []byte
				for i := range int32(asked) {
					b = append(b, frame(1, 12, i, body)...)
				}
				c.write(t, b)
			}
		})
	})
	t.Logf("%d connections, %d fetches of 14 MiB on each, cost %d MiB", readers, asked, grew>>20)
	if grew > neverReadLimit {
		t.Errorf("replies that nobody reads cost %d MiB", grew>>20)
	}
	for _, c := range conns {
		c.close()
	}
	n.connectionsBack(t)
	n.wellAfter(t, "replies that nobody reads")
}

// TestParkedAndGone has clients that ask to wait for more than there will ever be, and leave.
// What they asked for leaves with them.
func TestParkedAndGone(t *testing.T) {
	const clients, asked = 300, 10
	n := start(t)
	req := fetchRequest(12, topic, 0, 0)
	req.MaxWaitMillis, req.MinBytes = 3_600_000, 1<<20
	req.Topics[0].Partitions[0].FetchOffset = 0
	body := req.AppendTo(nil)
	n.honest(t, func() {
		for range clients {
			c := n.dial(t)
			var b []byte
			for i := range int32(asked) {
				b = append(b, frame(1, 12, i, body)...)
			}
			c.write(t, append(b, frame(wire.KeyApiVersions, 0, 99, nil)...))
			c.close()
		}
	})
	n.connectionsBack(t)
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for n.metric(t, "tideline_purgatory_parked_requests") > 0 {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("requests of clients that are gone are parked: %v", n.metric(t, "tideline_purgatory_parked_requests"))
		}
	}
	n.wellAfter(t, "clients that asked to wait, and left")
}

// neverReadLimit is the budget of fetch responses, and as much again for the collector.
const neverReadLimit = 600 << 20

// TestTags sends requests whose tagged fields are many, empty, great, or say that they are.
func TestTags(t *testing.T) {
	n := start(t)
	plain := func() []byte {
		req := kmsg.NewPtrMetadataRequest()
		req.Version = 12
		b := req.AppendTo(nil)
		return b[:len(b)-1] // without the empty tags at the end
	}()
	uvarints := func(values ...uint64) (b []byte) {
		for _, v := range values {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	attempts := map[string]struct {
		tags   []byte
		answer bool
	}{
		"a hundred thousand empty ones":  {tagSection(100_000, 0), true},
		"one of 50 MiB":                  {append(uvarints(1, 0, 50<<20), make([]byte, 50<<20)...), true},
		"more than elements are allowed": {tagSection(200_001, 0), false},
		"2^32-1 of them":                 {uvarints(1<<32 - 1), false},
		"2^63 of them":                   {uvarints(1 << 63), false},
		"longer than the request":        {uvarints(1, 0, 1<<31), false},
		"not ascending":                  {uvarints(2, 5, 0, 5, 0), false},
	}
	grew := peak(func() {
		var wait sync.WaitGroup
		for name, a := range attempts {
			for range 4 {
				wait.Go(func() {
					c := n.dial(t)
					defer c.close()
					c.send(t, 3, 12, append(append([]byte{}, plain...), a.tags...))
					if _, err := c.receive(3, 12); (err == nil) != a.answer {
						t.Errorf("tags: %s: %v", name, err)
					}
				})
			}
		}
		wait.Wait()
	})
	t.Logf("cost %d MiB", grew>>20)
	if grew > tagsLimit {
		t.Errorf("tagged fields cost %d MiB", grew>>20)
	}
	n.wellAfter(t, "tagged fields")
}

// tagsLimit is for the bytes themselves, which both sides have in this process, and for what
// is made of them.
const tagsLimit = 1 << 30

// TestAfterTheEnd writes on behind a request that closes the connection: the broker neither
// reads nor keeps it.
func TestAfterTheEnd(t *testing.T) {
	n := start(t)
	for range 50 {
		c := n.dial(t)
		c.write(t, frame(999, 0, 1, nil))
		chunk := make([]byte, 64<<10)
		for range 64 {
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Write(chunk); err != nil {
				if !closedByPeer(err) {
					t.Errorf("%v", err)
				}
				break
			}
		}
		if _, err := io.Copy(io.Discard, c); err != nil && !closedByPeer(err) {
			t.Error(err)
		}
		c.close()
	}
	n.connectionsBack(t)
	n.wellAfter(t, "what follows the end")
}
