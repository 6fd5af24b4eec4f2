package server

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// lines is a log that a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// counted is the sum of a counter over its labels.
func counted(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// TestProtocolViolations closes the connection with a line in the log.
func TestProtocolViolations(t *testing.T) {
	size := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	for name, in := range map[string][]byte{
		"2 GiB":           size(1<<31 - 1),
		"negative":        size(1 << 31),
		"minus one":       size(1<<32 - 1),
		"zero":            size(0),
		"above the limit": size(1<<20 + 1),
		"http":            []byte("GET / HTTP/1.1\r\n\r\n"),
		"unknown key":     request(1000, 0, 1, nil),
		"negative key":    request(-1, 0, 1, nil),
		"old controller":  request(4, 0, 1, nil),
		"unsupported":     request(0, 99, 1, []byte("\x00")),
		"bad header":      append(size(10), 0, 0, 0, 8, 0, 0, 0, 1, 0, 77),
	} {
		var log lines
		h := handlerFunc(func(r *Request) { t.Errorf("%s: handled", name); r.Respond(Response{}) })
		_, addr := startTCP(t, Options{Handler: h, Logger: log.logger(), MaxRequestBytes: 1 << 20,
			Supports: func(key, version int16) bool { return version < 20 }})
		c := dial(t, addr)
		c.send(in)
		c.expectEnd()
		if !strings.Contains(log.String(), "protocol violation") {
			t.Errorf("%s: log %q", name, log.String())
		}
	}
}

// TestApiVersions passes with any version, so that the handler can answer.
func TestApiVersions(t *testing.T) {
	_, addr := startTCP(t, Options{Handler: echo, Supports: func(int16, int16) bool { return false }})
	c := dial(t, addr)
	c.send(request(18, 99, 7, []byte("\x01\x02")))
	c.expect(7, []byte("\x01\x02"))
}

func TestPanic(t *testing.T) {
	var log lines
	h := handlerFunc(func(r *Request) {
		switch string(r.Body) {
		case "first":
			r.Respond(Response{Buffers: body("ok")})
		case "answered":
			r.Respond(Response{Buffers: body("ok")})
			panic("after the reply")
		default:
			panic("before the reply")
		}
	})
	reg := prometheus.NewRegistry()
	_, addr := startTCP(t, Options{Handler: h, Logger: log.logger(), Registerer: reg})
	for _, what := range []string{"pending", "answered"} {
		c := dial(t, addr)
		c.send(append(request(0, 8, 1, []byte("first")), request(0, 8, 2, []byte(what))...))
		c.expect(1, []byte("ok"))
		if what == "answered" {
			c.expect(2, []byte("ok"))
		}
		c.expectEnd()
	}
	c := dial(t, addr)
	c.send(request(0, 8, 3, []byte("first")))
	c.expect(3, []byte("ok"))
	if n := counted(t, reg, "tideline_server_handler_panics_total"); n != 2 {
		t.Errorf("%v panics counted", n)
	}
	if !strings.Contains(log.String(), "refuse_test.go") {
		t.Error("no stack in the log")
	}
	if n := counted(t, reg, "tideline_server_requests_total"); n != 5 {
		t.Errorf("%v requests counted", n)
	}
}

func TestLimits(t *testing.T) {
	reg := prometheus.NewRegistry()
	_, addr := startTCP(t, Options{Handler: echo, MaxConnections: 3, MaxConnectionsPerIP: 2, Registerer: reg})
	for range 2 {
		c := dial(t, addr)
		c.send(request(0, 8, 1, nil))
		c.expect(1, nil)
	}
	dial(t, addr).expectEnd()
	if n := counted(t, reg, "tideline_server_connections_rejected_total"); n != 1 {
		t.Errorf("%v rejected", n)
	}
	_, addr = startTCP(t, Options{Handler: echo, MaxConnections: 1})
	c := dial(t, addr)
	c.send(request(0, 8, 1, nil))
	c.expect(1, nil)
	dial(t, addr).expectEnd()
	c.Close()
	for { // the slot is free again once the server saw the end
		c := dial(t, addr)
		if _, err := c.Write(request(0, 8, 1, nil)); err != nil {
			continue
		}
		if n, err := c.Read(make([]byte, 8)); err == nil && n == 8 {
			break
		}
	}
}

// TestAnnouncedBytesCostNothing half-sends great frames and measures.
func TestAnnouncedBytesCostNothing(t *testing.T) {
	h := newHeld()
	s, addr := startTCP(t, Options{Handler: h})
	probe := dial(t, addr)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const conns, sent = 50, 1000
	for range conns {
		c := dial(t, addr)
		c.send(append(binary.BigEndian.AppendUint32(nil, 100<<20), request(0, 8, 1, make([]byte, sent))[4:]...))
	}
	for s.admission.large.inUse() == 0 {
		runtime.Gosched()
	}
	probe.send(request(0, 8, 1, nil)) // small requests pass by those that wait for admission
	h.take(1)[0].Respond(Response{})
	probe.expect(1, nil)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
		t.Errorf("%d half-sent frames of 100 MiB cost %d bytes", conns, n)
	}
}
