package server

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// reply answers with a few bytes, as a produce does.
type reply struct {
	buffers net.Buffers
	done    chan *Request // nil: at once; else answered by another goroutine
}

func (h *reply) Handle(r *Request) {
	if h.done != nil {
		h.done <- r
		return
	}
	r.Respond(Response{Buffers: h.buffers})
}

// cpu is the processor time of this process, in nanoseconds.
func cpu(tb testing.TB) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkRequest sends 1 KiB requests over loopback TCP and reads 60-byte
// replies; the client's cost is part of the figures.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name      string
		conns     int
		pipelined int
		elsewhere bool
	}{
		{"conns=1/pipelined=1/reply=inline", 1, 1, false},
		{"conns=1/pipelined=1/reply=elsewhere", 1, 1, true},
		{"conns=1/pipelined=16/reply=inline", 1, 16, false},
		{"conns=1/pipelined=16/reply=elsewhere", 1, 16, true},
		{"conns=64/pipelined=1/reply=inline", 64, 1, false},
		{"conns=64/pipelined=1/reply=elsewhere", 64, 1, true},
		{"conns=64/pipelined=5/reply=elsewhere", 64, 5, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := &reply{buffers: net.Buffers{make([]byte, 52)}}
			if c.elsewhere {
				h.done = make(chan *Request, 1024)
				go func() {
					for r := range h.done {
						r.Respond(Response{Buffers: h.buffers})
					}
				}()
			}
			_, addr := startTCP(b, Options{Handler: h, MaxConnections: 1000})
			var wg sync.WaitGroup
			var clients []*client
			for range c.conns {
				clients = append(clients, dial(b, addr))
			}
			frame := request(0, 8, 1, make([]byte, 1024))
			var batch []byte
			for range c.pipelined {
				batch = append(batch, frame...)
			}
			rounds := b.N / c.conns / c.pipelined
			b.ReportAllocs()
			b.ResetTimer()
			begin := cpu(b)
			for _, cl := range clients {
				wg.Add(1)
				go func() {
					defer wg.Done()
					in := make([]byte, 60*c.pipelined)
					for range rounds {
						if _, err := cl.Write(batch); err != nil {
							b.Error(err)
							return
						}
						if _, err := io.ReadFull(cl.Conn, in); err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cpu(b)-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkHandle is the server's own cost of a request, without any socket.
func BenchmarkHandle(b *testing.B) {
	s := start(b, Options{Handler: &reply{buffers: net.Buffers{make([]byte, 52)}}})
	c := &Conn{server: s, raw: discard{}, conn: discard{}, done: make(chan struct{}), room: make(chan struct{}, 1)}
	frame := request(0, 8, 1, make([]byte, 1024))[4:]
	now := s.options.Now()
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.frame(len(frame), frame, now); err != nil {
			b.Fatal(err)
		}
		c.flush()
	}
}

// discard is a connection that takes everything.
type discard struct{ net.Conn }

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

// BenchmarkLarge sends 1 MiB requests.
func BenchmarkLarge(b *testing.B) {
	_, addr := startTCP(b, Options{Handler: &reply{buffers: net.Buffers{make([]byte, 52)}}})
	c := dial(b, addr)
	frame := request(0, 8, 1, make([]byte, 1<<20))
	in := make([]byte, 60)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	runtime.GC()
	for b.Loop() {
		c.send(frame)
		if _, err := io.ReadFull(c.Conn, in); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLargeReply has a client that reads replies of a MiB, of great batches and of small ones.
func BenchmarkLargeReply(b *testing.B) {
	for _, size := range []int{1 << 10, 256 << 10} {
		b.Run(fmt.Sprintf("buffers=%d", size), func(b *testing.B) {
			var buffers net.Buffers
			for range (1 << 20) / size {
				buffers = append(buffers, make([]byte, size))
			}
			_, addr := startTCP(b, Options{Handler: &reply{buffers: buffers}})
			c := dial(b, addr)
			frame := request(1, 8, 1, []byte("give"))
			in := make([]byte, 8+1<<20)
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			runtime.GC()
			begin := cpu(b)
			for b.Loop() {
				c.send(frame)
				if _, err := io.ReadFull(c.Conn, in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpu(b)-begin)/float64(b.N), "cpu-ns/op")
		})
	}
}
