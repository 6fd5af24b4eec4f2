package otlptest

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/internal/otlphttp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// MaxSpans is how many spans a Receiver keeps.
const MaxSpans = 200_000

// Span is one span as it came. Ids are hexadecimal; ParentID is empty for a root.
type Span struct {
	Resource   map[string]any // of the process: service.name, service.instance.id, …
	Name       string
	Kind       string // "server", "client", "producer", "consumer", "internal"
	TraceID    string
	SpanID     string
	ParentID   string
	Start, End time.Time
	Attributes map[string]any
	Links      []Link
	Events     []Event
	Error      string // the message of a status that is an error
}

// Link leads to a span of this or another trace.
type Link struct {
	TraceID, SpanID string
	Attributes      map[string]any
}

// Event is something that happened during a span.
type Event struct {
	Name       string
	At         time.Time
	Attributes map[string]any
}

// Instance is the service.instance.id of the process that made the span.
func (s Span) Instance() string {
	id, _ := s.Resource["service.instance.id"].(string)
	return id
}

// LinksTo says whether s has a link to another span.
func (s Span) LinksTo(other Span) bool {
	return slices.ContainsFunc(s.Links, func(l Link) bool { return l.TraceID == other.TraceID && l.SpanID == other.SpanID })
}

// When is the time of the first event of a name; zero: there is none.
func (s Span) When(event string) time.Time {
	for _, e := range s.Events {
		if e.Name == event {
			return e.At
		}
	}
	return time.Time{}
}

// String is the span on one line.
func (s Span) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s trace=%s span=%s parent=%s instance=%s %v", s.Name, s.TraceID, s.SpanID, s.ParentID, s.Instance(), s.End.Sub(s.Start))
	for _, k := range slices.Sorted(maps.Keys(s.Attributes)) {
		fmt.Fprintf(&b, " %s=%v", k, s.Attributes[k])
	}
	for _, l := range s.Links {
		fmt.Fprintf(&b, " link=%s/%s", l.TraceID, l.SpanID)
	}
	for _, e := range s.Events {
		fmt.Fprintf(&b, " %s=+%v", e.Name, e.At.Sub(s.Start))
	}
	return b.String()
}

// Spans returns what came, in that order.
func (r *Receiver) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Dropped is how many spans came that were not kept.
func (r *Receiver) Dropped() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dropped
}

// Await returns all spans as soon as enough is true of them, which is asked whenever some
// came. When ctx ends first it returns what there is, and the error.
func (r *Receiver) Await(ctx context.Context, enough func([]Span) bool) ([]Span, error) {
	err := r.await(ctx, func() bool { return enough(r.Spans()) })
	return r.Spans(), err
}

// takeTraces opens both doors for spans.
func (r *Receiver) takeTraces(mux *http.ServeMux) {
	otlphttp.Post(mux, "/v1/traces", maxRequest, func(q *collector.ExportTraceServiceRequest) proto.Message {
		r.addSpans(q)
		return &collector.ExportTraceServiceResponse{}
	})
	collector.RegisterTraceServiceServer(r.rpc, traceService{r: r})
}

type traceService struct {
	collector.UnimplementedTraceServiceServer
	r *Receiver
}

// Export implements collector.TraceServiceServer.
func (s traceService) Export(_ context.Context, q *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.r.addSpans(q)
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *Receiver) addSpans(q *collector.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, of := range q.GetResourceSpans() {
		about := attributes(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				if len(r.spans) == MaxSpans {
					r.dropped++
					continue
				}
				r.spans = append(r.spans, spanFrom(s, about))
			}
		}
	}
	r.come()
}

func spanFrom(s *traces.Span, about map[string]any) Span {
	out := Span{
		Resource: about, Name: s.GetName(), Kind: strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_")),
		TraceID: hex.EncodeToString(s.GetTraceId()), SpanID: hex.EncodeToString(s.GetSpanId()), ParentID: hex.EncodeToString(s.GetParentSpanId()),
		Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), End: time.Unix(0, int64(s.GetEndTimeUnixNano())),
		Attributes: attributes(s.GetAttributes()),
	}
	if s.GetStatus().GetCode() == traces.Status_STATUS_CODE_ERROR {
		out.Error = s.GetStatus().GetMessage()
	}
	for _, l := range s.GetLinks() {
		out.Links = append(out.Links, Link{hex.EncodeToString(l.GetTraceId()), hex.EncodeToString(l.GetSpanId()), attributes(l.GetAttributes())})
	}
	for _, e := range s.GetEvents() {
		out.Events = append(out.Events, Event{e.GetName(), time.Unix(0, int64(e.GetTimeUnixNano())), attributes(e.GetAttributes())})
	}
	return out
}

// attributes has strings, bools, int64s, float64s and slices of these.
func attributes(list []*common.KeyValue) map[string]any {
	out := make(map[string]any, len(list))
	for _, kv := range list {
		out[kv.GetKey()] = valueOf(kv.GetValue())
	}
	return out
}

func valueOf(v *common.AnyValue) any {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_DoubleValue:
		return v.DoubleValue
	case *common.AnyValue_ArrayValue:
		var out []any
		for _, x := range v.ArrayValue.GetValues() {
			out = append(out, valueOf(x))
		}
		return out
	}
	return nil
}
