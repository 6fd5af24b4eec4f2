package replication

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/wal"
)

// spanLog keeps the spans of a node. It is a span processor.
type spanLog struct {
	mu      sync.Mutex
	news    chan struct{}
	started int
	ended   []sdktrace.ReadOnlySpan
}

func newSpanLog() *spanLog { return &spanLog{news: make(chan struct{})} }

func (l *spanLog) OnStart(context.Context, sdktrace.ReadWriteSpan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started++
}

func (l *spanLog) OnEnd(s sdktrace.ReadOnlySpan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = append(l.ended, s)
	close(l.news)
	l.news = make(chan struct{})
}

func (l *spanLog) Shutdown(context.Context) error   { return nil }
func (l *spanLog) ForceFlush(context.Context) error { return nil }

// tracer of a node that does not trace is none.
func (l *spanLog) tracer() trace.Tracer {
	if l == nil {
		return nil
	}
	return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(l)).Tracer("")
}

// await returns the span of a name below a parent, as soon as it has ended.
func (l *spanLog) await(t *testing.T, name string, parent trace.SpanContext) sdktrace.ReadOnlySpan {
	t.Helper()
	stuck := time.After(time.Minute)
	for {
		l.mu.Lock()
		news := l.news
		for _, s := range l.ended {
			if s.Name() == name && s.Parent().SpanID() == parent.SpanID() && s.SpanContext().TraceID() == parent.TraceID() {
				l.mu.Unlock()
				return s
			}
		}
		l.mu.Unlock()
		select {
		case <-news:
		case <-stuck:
			t.Fatalf("no span %s below %v", name, parent)
		}
	}
}

func (l *spanLog) names() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, s := range l.ended {
		out = append(out, s.Name())
	}
	return strings.Join(out, " ")
}

func originOf(n byte) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{n}, SpanID: trace.SpanID{n}, TraceFlags: trace.FlagsSampled, Remote: true})
}

func tracedBy(c trace.SpanContext) *partition.Trace {
	return &partition.Trace{Trace: wal.Trace{Contexts: []trace.SpanContext{c}}, Origins: []trail.Entry{partition.AllOf(c)}}
}

// TestTracesCross: what is sent of a trace is a part of it on both sides, and both remember it.
func TestTracesCross(t *testing.T) {
	n := &network{nodes: map[int32]*node{}, spans: map[int32]*spanLog{1: newSpanLog(), 2: newSpanLog()}}
	a, b := n.add(t, 1, 1<<20), n.add(t, 2, 1<<20)
	p := a.open(0)
	b.open(0).Follow(1)
	a.lead(p, 1, 2)
	all(t, []told{a.append(p, 5)})
	if n := n.spans[1].started + n.spans[2].started; n != 0 {
		t.Errorf("%d spans of what is in no trace", n)
	}
	all(t, []told{a.appendTraced(p, 3, tracedBy(originOf(1))), a.append(p, 1), a.appendTraced(p, 2, tracedBy(originOf(2)))})
	for i := byte(1); i <= 2; i++ {
		origin := originOf(i)
		sent := n.spans[1].await(t, "replicate", origin)
		n.spans[1].await(t, "wal.sync", origin)
		if sent.Status().Code == codes.Error || sent.SpanKind() != trace.SpanKindClient {
			t.Errorf("sent: %v %v", sent.Status(), sent.SpanKind())
		}
		for _, name := range []string{"replicate.receive", "wal.sync"} {
			s := n.spans[2].await(t, name, sent.SpanContext())
			if s.StartTime().Before(sent.StartTime()) || s.EndTime().Before(s.StartTime()) || s.Status().Code == codes.Error {
				t.Errorf("%s from %v to %v, sent at %v: %v", name, s.StartTime(), s.EndTime(), sent.StartTime(), s.Status())
			}
		}
	}
	for _, x := range []*node{a, b} {
		got := x.trail.Between(p.ID().Topic, 0, 0, 100, 10)
		if len(got) != 2 || got[0].First != 5 || got[0].Last != 7 || got[1].First != 9 || got[1].Last != 10 ||
			!got[0].Context.Equal(originOf(1)) || !got[1].Context.Equal(originOf(2)) {
			t.Errorf("broker %d remembers %+v", x.id, got)
		}
	}
}

// TestTracesStayAtHome: a follower that does not know of traces gets none, and all else.
func TestTracesStayAtHome(t *testing.T) {
	for name, prepare := range map[string]func(b *node){
		"of an earlier release": func(b *node) { b.peers.Handle(peer.TracedReplication, nil) },
		"that does not trace":   func(*node) {},
	} {
		t.Run(name, func(t *testing.T) {
			n := &network{nodes: map[int32]*node{}, spans: map[int32]*spanLog{1: newSpanLog()}}
			a, b := n.add(t, 1, 1<<20), n.add(t, 2, 1<<20)
			prepare(b)
			p := a.open(0)
			b.open(0).Follow(1)
			a.lead(p, 1, 2)
			all(t, []told{a.appendTraced(p, 3, tracedBy(originOf(1))), a.append(p, 2)})
			same(t, p, b.get(p.ID()))
			n.spans[1].await(t, "replicate", originOf(1))
		})
	}
}

// TestPlainStreamRefusesTraces: a leader that said it would not tell of traces does not.
func TestPlainStreamRefusesTraces(t *testing.T) {
	s := &intake{r: &Receiver{}}
	frame := appendTraced(nil, 3, someTraces)[frameHead:]
	if err := s.control(typeTraced, frame); err == nil {
		t.Error("it was taken")
	}
	s.traced = true
	if err := s.control(typeTraced, frame); err != nil || s.arriving != nil {
		t.Errorf("a broker that does not trace: %v %v", err, s.arriving)
	}
	s.r.o.Tracer = newSpanLog().tracer()
	if err := s.control(typeTraced, frame); err != nil || s.arriving == nil {
		t.Errorf("a broker that traces: %v %v", err, s.arriving)
	}
	if a := s.arrives(); a == nil || s.arriving != nil {
		t.Error("it is for the next append, and for no other")
	} else if tr, handed := a.show(s, 4, nil, 0); tr != nil {
		t.Error("it is for another slot")
	} else {
		handed(nil)
	}
}

// TestTracesOfLostConnections: whatever becomes of a stream, each span ends.
func TestTracesOfLostConnections(t *testing.T) {
	n := &network{nodes: map[int32]*node{}, spans: map[int32]*spanLog{1: newSpanLog(), 2: newSpanLog()}}
	t.Cleanup(func() { // after both are closed
		for id, l := range n.spans {
			if l.started != len(l.ended) {
				t.Errorf("broker %d: %d spans of %d have ended", id, len(l.ended), l.started)
			}
		}
		if !strings.Contains(n.spans[2].names(), "replicate.receive") {
			t.Errorf("spans of the follower: %s", n.spans[2].names())
		}
	})
	a, b := n.add(t, 1, 16<<10), n.add(t, 2, 16<<10)
	p := a.open(0)
	b.open(0).Follow(1)
	a.lead(p, 1, 2)
	for round := range 10 {
		n.left.Store(int64(1000 + 777*round))
		var waits []told
		for i := range 10 {
			waits = append(waits, a.appendTraced(p, 5, tracedBy(originOf(byte(10*round+i+1)))))
		}
		all(t, waits)
	}
	n.left.Store(0)
	same(t, p, b.get(p.ID()))
}
