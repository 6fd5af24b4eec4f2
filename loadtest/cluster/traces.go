package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/otlphttp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	tracesPort = 4318
	// maxTraces and maxSpans bound what is kept for somebody to look at: the newest traces, and the first spans of each.
	maxTraces = 200
	maxSpans  = 200
	// maxEvents bounds what is kept of the events of one span.
	maxEvents = 32
	// maxExport bounds one request of an exporter, inflated; the SDKs send 512 spans at once.
	maxExport = 8 << 20
)

// traces receives spans by OTLP over HTTP (protobuf), and shows the newest traces as text.
type traces struct {
	web *http.Server

	mu   sync.Mutex
	all  map[string]*oneTrace // guarded by mu; by the id, in hexadecimal
	last []string             // guarded by mu; ids, the oldest first
}

type oneTrace struct {
	spans  []span
	missed int // spans beyond maxSpans
}

// span is what is shown of one.
type span struct {
	id, parent, name, where string
	start, end              time.Time
	about                   string
	links                   int
	events                  []event
}

// event is something that happened during a span.
type event struct {
	name, about string
	at          time.Time
}

// showTraces serves on an address until stop.
func showTraces(addr string) (*traces, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	t := &traces{all: map[string]*oneTrace{}}
	t.web = &http.Server{Handler: t.pages(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = t.web.Serve(l) }() // it ends by stop
	return t, nil
}

func (t *traces) pages() http.Handler {
	mux := http.NewServeMux()
	otlphttp.Post(mux, "/v1/traces", maxExport, t.take)
	mux.HandleFunc("GET /traces", t.list)
	mux.HandleFunc("GET /traces/{id}", t.show)
	return mux
}

func (t *traces) stop() error { return t.web.Close() }

// take is an export.
func (t *traces) take(request *collector.ExportTraceServiceRequest) proto.Message {
	t.add(request)
	return &collector.ExportTraceServiceResponse{}
}

func (t *traces) add(request *collector.ExportTraceServiceRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, of := range request.GetResourceSpans() {
		where := attribute(of.GetResource().GetAttributes(), "service.name")
		if instance := attribute(of.GetResource().GetAttributes(), "service.instance.id"); instance != "" {
			where += " " + instance
		}
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				t.addSpan(hex.EncodeToString(s.GetTraceId()), where, s)
			}
		}
	}
}

// addSpan is called with mu held.
func (t *traces) addSpan(id, where string, s *otlp.Span) {
	one := t.all[id]
	if one == nil {
		if len(t.last) == maxTraces {
			delete(t.all, t.last[0])
			t.last = slices.Delete(t.last, 0, 1)
		}
		one = &oneTrace{}
		t.all[id], t.last = one, append(t.last, id)
	}
	if len(one.spans) == maxSpans {
		one.missed++
		return
	}
	var events []event
	for _, e := range s.GetEvents()[:min(len(s.GetEvents()), maxEvents)] {
		events = append(events, event{strings.Map(printable, e.GetName()), attributes(e.GetAttributes()), time.Unix(0, int64(e.GetTimeUnixNano()))})
	}
	one.spans = append(one.spans, span{
		id: hex.EncodeToString(s.GetSpanId()), parent: hex.EncodeToString(s.GetParentSpanId()), name: s.GetName(), where: where,
		start: time.Unix(0, int64(s.GetStartTimeUnixNano())), end: time.Unix(0, int64(s.GetEndTimeUnixNano())),
		about: attributes(s.GetAttributes()), links: len(s.GetLinks()), events: events,
	})
}

// list is a line for each trace, the newest first.
func (t *traces) list(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range slices.Backward(t.last) {
		one := t.all[id]
		fmt.Fprintf(w, "%s  %3d spans  %s\n", id, len(one.spans)+one.missed, one.first().name)
	}
}

func (o *oneTrace) first() span {
	return slices.MinFunc(o.spans, func(a, b span) int { return a.start.Compare(b.start) })
}

// show is one trace, each span below the one that it is part of.
func (t *traces) show(w http.ResponseWriter, q *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.all[strings.ToLower(q.PathValue("id"))]
	if one == nil {
		http.Error(w, "no span of this trace has come, or it is too long ago", http.StatusNotFound)
		return
	}
	_, _ = io.WriteString(w, one.text()) // who has left does not want it
}

func (o *oneTrace) text() string {
	spans := slices.Clone(o.spans)
	slices.SortStableFunc(spans, func(a, b span) int { return a.start.Compare(b.start) })
	known := map[string]bool{}
	for _, s := range spans {
		known[s.id] = true
	}
	below := map[string][]span{}
	for _, s := range spans {
		if !known[s.parent] {
			s.parent = "" // of a client that sends its spans elsewhere, or none
		}
		below[s.parent] = append(below[s.parent], s)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%10s %10s\n", "begins ms", "lasts ms")
	first := spans[0].start
	var write func(parent string, depth int)
	write = func(parent string, depth int) {
		children := below[parent]
		delete(below, parent) // a span that is its own ancestor is written once
		for _, s := range children {
			fmt.Fprintf(&b, "%10.3f %10.3f  %-12s %s%s", millis(s.start.Sub(first)), millis(s.end.Sub(s.start)), s.where, strings.Repeat("  ", depth), s.name)
			if s.about != "" {
				b.WriteString("  " + s.about)
			}
			if s.links > 0 {
				fmt.Fprintf(&b, " links=%d", s.links)
			}
			b.WriteByte('\n')
			for _, e := range s.events {
				fmt.Fprintf(&b, "%10.3f %10s  %-12s %s. %s", millis(e.at.Sub(first)), "", s.where, strings.Repeat("  ", depth+1), e.name)
				if e.about != "" {
					b.WriteString("  " + e.about)
				}
				b.WriteByte('\n')
			}
			if s.id != "" {
				write(s.id, depth+1)
			}
		}
	}
	write("", 0)
	if o.missed > 0 {
		fmt.Fprintf(&b, "and %d spans that were not kept\n", o.missed)
	}
	return b.String()
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// maxAbout bounds the attributes of a span on its line.
const maxAbout = 300

func attributes(list []*common.KeyValue) string {
	var words []string
	for _, kv := range list {
		words = append(words, kv.GetKey()+"="+value(kv.GetValue()))
	}
	text := strings.Join(words, " ")
	if len(text) > maxAbout {
		text = strings.ToValidUTF8(text[:maxAbout], "") + "…"
	}
	return strings.Map(printable, text)
}

// printable keeps what a client has named from moving the cursor of whoever looks.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

func attribute(list []*common.KeyValue, key string) string {
	for _, kv := range list {
		if kv.GetKey() == key {
			return strings.Map(printable, value(kv.GetValue()))
		}
	}
	return ""
}

func value(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(v.BoolValue)
	case *common.AnyValue_DoubleValue:
		return fmt.Sprint(v.DoubleValue)
	}
	return v.String()
}
