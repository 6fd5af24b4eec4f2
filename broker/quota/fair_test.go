package quota_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/wire"
)

// pipes is a listener of connections in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// counting is a handler that counts what requests bring, and has their clients wait.
type counting struct{ quotas *quota.Manager }

// Handle implements server.Handler.
func (h counting) Handle(r *server.Request) {
	r.Conn.Mute(h.quotas.Record(quota.Producer, "user", *r.ClientID, float64(r.Size), time.Now()))
	r.Respond(server.Response{})
}

// client sends requests of a size, pipelined and without a look at what it is told, until its time is over. It returns the bytes that were taken.
func client(t *testing.T, l *pipes, id string, size int, until time.Time) (taken int) {
	t.Helper()
	theirs, ours := net.Pipe()
	l.conns <- theirs
	answers := make(chan struct{})
	go func() {
		defer close(answers)
		_, _ = io.Copy(io.Discard, ours)
	}()
	frame := wire.AppendRequestHeader(make([]byte, wire.SizePrefix), wire.RequestHeader{Key: 0, Version: 8, CorrelationID: 1, ClientID: []byte(id)})
	frame = append(frame, make([]byte, size-len(frame)+wire.SizePrefix)...)
	binary.BigEndian.PutUint32(frame, uint32(size))
	if err := ours.SetWriteDeadline(until); err != nil {
		t.Error(err)
	}
	for time.Now().Before(until) {
		n, err := ours.Write(frame)
		taken += n
		if err != nil {
			break
		}
		if id == "within" {
			<-time.After(time.Second)
		}
	}
	if err := ours.Close(); err != nil {
		t.Error(err)
	}
	<-answers
	return taken
}

// TestFairShares has clients that take no notice of what they are told: a muted connection is not read, so that each gets about its limit, and one that
// stays below its own is not disturbed by the others.
func TestFairShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := quota.New(quota.Options{})
		quotas.SetTable(quota.NewTable(slices.Values([]quota.Limit{{Client: quota.Default(), Kind: quota.Producer, Value: 10_000}})))
		s, err := server.New(server.Options{Handler: counting{quotas}})
		if err != nil {
			t.Fatal(err)
		}
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l, server.ListenerOptions{Name: "pipe"}) }()
		const length = 10 * time.Minute
		until := time.Now().Add(length)
		var wait sync.WaitGroup
		var mu sync.Mutex
		taken := map[string]int{}
		for id, size := range map[string]int{"greedy": 5000, "great": 200_000, "small": 100, "within": 5000} {
			wait.Go(func() {
				n := client(t, l, id, size, until)
				mu.Lock()
				defer mu.Unlock()
				taken[id] += n
			})
		}
		for range 5 { // one client id, many connections
			wait.Go(func() {
				n := client(t, l, "crowd", 5000, until)
				mu.Lock()
				defer mu.Unlock()
				taken["crowd"] += n
			})
		}
		wait.Wait()
		for id, n := range taken {
			perSecond := float64(n) / length.Seconds()
			low, high := 7_000.0, 13_000.0
			if id == "within" {
				low, high = 4_900, 5_100
			}
			if perSecond < low || perSecond > high {
				t.Errorf("%s: %.0f bytes per second of 10,000", id, perSecond)
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, server.ErrClosed) {
			t.Error(err)
		}
	})
}
