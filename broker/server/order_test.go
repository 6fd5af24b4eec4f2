package server

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// held keeps requests until the test answers them.
type held struct{ requests chan *Request }

func newHeld() *held              { return &held{requests: make(chan *Request, 1000)} }
func (h *held) Handle(r *Request) { h.requests <- r }
func body(s string) net.Buffers   { return net.Buffers{[]byte(s)} }
func (h *held) take(n int) []*Request {
	out := make([]*Request, n)
	for i := range out {
		out[i] = <-h.requests
	}
	return out
}

// TestOrder answers pipelined requests in every order of three, over a socket
// and a pipe, and wants the replies in the order of the requests.
func TestOrder(t *testing.T) {
	h := newHeld()
	_, addr := startTCP(t, Options{Handler: h})
	_, pipes := startPipe(t, Options{Handler: h})
	for name, c := range map[string]*client{"tcp": dial(t, addr), "pipe": pipes.dial(t)} {
		for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			var all []byte
			for i := range int32(3) {
				all = append(all, request(0, 8, i, nil)...)
			}
			go c.Write(all)
			requests := h.take(3)
			for i, r := range requests {
				if r.CorrelationID != int32(i) || *r.ClientID != "client" || r.Key != 0 || r.Version != 8 || len(r.Body) != 0 {
					t.Fatalf("%s: request %d: %+v", name, i, r)
				}
			}
			for _, i := range order {
				requests[i].Respond(Response{Buffers: body(string(rune('a' + i)))})
			}
			for i := range int32(3) {
				c.expect(i, []byte{byte('a' + i)})
			}
		}
	}
}

// TestNone mixes requests that want no reply into the line.
func TestNone(t *testing.T) {
	h := newHeld()
	_, addr := startTCP(t, Options{Handler: h})
	c := dial(t, addr)
	for i := range int32(4) {
		c.send(request(0, 8, i, nil))
	}
	requests := h.take(4)
	var order []int
	done := make(chan struct{})
	reply := func(i int, none bool) {
		requests[i].Respond(Response{None: none, Buffers: body("x"), Done: func() {
			if order = append(order, i); len(order) == 4 {
				close(done)
			}
		}})
	}
	reply(3, false)
	reply(2, true)
	reply(1, false)
	reply(0, true)
	c.expect(1, []byte("x"))
	c.expect(3, []byte("x"))
	<-done
	for i, n := range order {
		if i != n {
			t.Fatalf("done in order %v", order)
		}
	}
}

// TestCloseAfterReply closes behind a reply, or behind none, and drops what
// comes later in the line.
func TestCloseAfterReply(t *testing.T) {
	for _, none := range []bool{false, true} {
		h := newHeld()
		_, addr := startTCP(t, Options{Handler: h})
		c := dial(t, addr)
		for i := range int32(3) {
			c.send(request(0, 8, i, nil))
		}
		requests := h.take(3)
		done := make(chan struct{})
		requests[2].Respond(Response{Buffers: body("lost"), Done: func() { close(done) }})
		requests[1].Respond(Response{Buffers: body("last"), None: none, Close: true})
		requests[0].Respond(Response{Buffers: body("first")})
		c.expect(0, []byte("first"))
		if !none {
			c.expect(1, []byte("last"))
		}
		c.expectEnd()
		<-done
	}
}

// TestGreatReply sends replies of many buffers of all sizes, beyond what one
// write takes.
func TestGreatReply(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var buffers net.Buffers
	for range 40 {
		for _, n := range []int{0, 1, joinBytes, joinBytes + 1, 70_000} {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			buffers = append(buffers, b)
		}
	}
	buffers = append(buffers, make([]byte, 3*pieceBytes+5))
	want := bytes.Join(buffers, nil)
	h := handlerFunc(func(r *Request) { r.Respond(Response{Buffers: buffers}) })
	_, addr := startTCP(t, Options{Handler: h})
	_, pipes := startPipe(t, Options{Handler: h})
	for _, c := range []*client{dial(t, addr), pipes.dial(t)} {
		for i := range int32(3) {
			c.send(request(0, 8, i, nil))
			c.expect(i, want)
		}
	}
}

// TestFlexibleHeader shows that the reply's header follows the request's version.
func TestFlexibleHeader(t *testing.T) {
	_, addr := startTCP(t, Options{Handler: echo})
	c := dial(t, addr)
	c.send(request(0, 9, 5, []byte("b")))
	c.expect(5, []byte("\x00b"))
	c.send(request(18, 3, 6, []byte("b")))
	c.expect(6, []byte("b"))
}

// TestStress has clients pipeline requests of random sizes, answered by many
// goroutines in random order, and checks each reply.
func TestStress(t *testing.T) {
	const clients, perClient = 8, 300
	work := make(chan *Request, 64)
	var workers sync.WaitGroup
	for range 4 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for r := range work {
				r.Retain()
				r.Respond(Response{Buffers: net.Buffers{r.Body}, Done: r.Release})
			}
		}()
	}
	var inline atomic.Int64
	h := handlerFunc(func(r *Request) {
		if inline.Add(1)%3 == 0 {
			echo(r)
		} else {
			work <- r
		}
	})
	func() {
		_, addr := startTCP(t, Options{Handler: h, QueuedBytes: 2 << 20, MaxInFlight: 7})
		var wg sync.WaitGroup
		for n := range clients {
			c := dial(t, addr)
			wg.Add(2)
			bodies := make([][]byte, perClient)
			r := rand.New(rand.NewPCG(uint64(n), 2))
			for i := range bodies {
				size := r.IntN(3000)
				if r.IntN(20) == 0 {
					size = r.IntN(400_000)
				}
				bodies[i] = make([]byte, size)
				for j := 0; j+4 <= size; j += 4 {
					binary.LittleEndian.PutUint32(bodies[i][j:], r.Uint32())
				}
			}
			go func() {
				defer wg.Done()
				for i, b := range bodies {
					out := request(0, 8, int32(i), b)
					cut := i * 37 % len(out) // two writes, cut anywhere
					if _, err := c.Write(out[:cut]); err != nil {
						t.Error(err)
					}
					if _, err := c.Write(out[cut:]); err != nil {
						t.Error(err)
					}
				}
			}()
			go func() {
				defer wg.Done()
				for i, b := range bodies {
					got, in := c.receive()
					if got != int32(i) || !bytes.Equal(in, b) {
						t.Errorf("client %d reply %d: got %d of %d bytes, want %d", n, i, got, len(in), len(b))
						return
					}
				}
			}()
		}
		wg.Wait()
	}()
	close(work)
	workers.Wait()
}
