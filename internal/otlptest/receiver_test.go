package otlptest

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

func start(t *testing.T) *Receiver {
	t.Helper()
	r, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestSpansArrive: the exporters of OpenTelemetry reach both doors, and nothing of a span is lost.
func TestSpansArrive(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	web, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(r.HTTP()+"/v1/traces"), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	if err != nil {
		t.Fatal(err)
	}
	rpc, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpointURL(r.GRPC()), otlptracegrpc.WithCompressor("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Unix(1700000000, 5)
	for i, exporter := range []sdktrace.SpanExporter{web, rpc} {
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
			sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.instance.id", "7"))))
		tracer := provider.Tracer("test")
		ctx, parent := tracer.Start(ctx, "parent", trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindServer))
		_, child := tracer.Start(ctx, "child", trace.WithLinks(trace.Link{SpanContext: parent.SpanContext()}),
			trace.WithAttributes(attribute.Int("n", 3), attribute.StringSlice("s", []string{"a", "b"}), attribute.Bool("b", true), attribute.Float64("f", 0.5)))
		child.End()
		parent.End(trace.WithTimestamp(began.Add(time.Second)))
		if err := provider.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		spans, err := r.Await(ctx, func(s []Span) bool { return len(s) == 2*(i+1) })
		if err != nil {
			t.Fatalf("%v: %v", err, spans)
		}
		c, p := spans[2*i], spans[2*i+1]
		if p.Name != "parent" || p.ParentID != "" || p.Kind != "server" || !p.Start.Equal(began) || p.End.Sub(p.Start) != time.Second || p.Instance() != "7" {
			t.Errorf("parent: %v", p)
		}
		if c.Name != "child" || c.ParentID != p.SpanID || c.TraceID != p.TraceID || !c.LinksTo(p) || p.LinksTo(c) || c.Kind != "internal" {
			t.Errorf("child: %v", c)
		}
		if s, ok := c.Attributes["s"].([]any); !ok || len(s) != 2 || c.Attributes["n"] != int64(3) || c.Attributes["b"] != true || c.Attributes["f"] != 0.5 {
			t.Errorf("attributes: %v", c.Attributes)
		}
	}
	if r.Dropped() != 0 {
		t.Errorf("%d spans were dropped", r.Dropped())
	}
}

func TestAwaitEnds(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if spans, err := r.Await(ctx, func([]Span) bool { return false }); err == nil || len(spans) != 0 {
		t.Errorf("%v %v", spans, err)
	}
}

func TestRefusesWhatIsNoRequest(t *testing.T) {
	r := start(t)
	for name, body := range map[string][]byte{"no protobuf": []byte("\xff\xff\xff"), "too large": make([]byte, maxRequest+1)} {
		resp, err := http.Post(r.HTTP()+"/v1/traces", "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
}
