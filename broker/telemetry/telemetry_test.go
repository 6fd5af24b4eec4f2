package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestLogger(t *testing.T) {
	var b bytes.Buffer
	log, err := NewLogger(&b, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("quiet")
	log.Warn("loud", "offset", 7)
	if got := b.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud","offset":7`) {
		t.Errorf("%q", got)
	}
	for _, bad := range [][2]string{{"loud", "text"}, {"info", "xml"}} {
		if _, err := NewLogger(io.Discard, bad[0], bad[1]); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestTraceExporter(t *testing.T) {
	for _, test := range []struct {
		env      func(string) string
		on       bool
		protocol string
		fails    bool
	}{
		{env(), false, "", false},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"), true, "http/protobuf", false},
		{env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), true, "grpc", false},
		{env("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), true, "http/protobuf", false},
		{env("OTEL_TRACES_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"), false, "", false},
		{env("OTEL_SDK_DISABLED", "True", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"), false, "", false},
		{env("OTEL_TRACES_EXPORTER", "zipkin"), false, "", true},
		{env("OTEL_TRACES_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"), false, "", true},
	} {
		on, protocol, err := exporterOf(test.env, "TRACES")
		if on != test.on || protocol != test.protocol || (err != nil) != test.fails {
			t.Errorf("%+v: %v %q %v", test, on, protocol, err)
		}
	}
}

// Spans reach the collector that the environment names.
func TestTracingExports(t *testing.T) {
	var posts atomic.Int32
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/traces" {
			posts.Add(1)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	provider, gate, stop, err := Tracing(context.Background(), TraceOptions{
		Version: "v", NodeID: 1, Getenv: env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, in := gate.Begin(context.Background())
	if !in {
		t.Fatal("the first trace is not begun")
	}
	_, span := provider.Tracer("test").Start(ctx, "kafka.Produce")
	span.End()
	if err := stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if posts.Load() != 1 {
		t.Errorf("%d posts to the collector", posts.Load())
	}
}

func TestTracingIsOffWithoutEnvironment(t *testing.T) {
	provider, gate, stop, err := Tracing(context.Background(), TraceOptions{Getenv: env()})
	if err != nil {
		t.Fatal(err)
	}
	_, span := provider.Tracer("test").Start(context.Background(), "kafka.Produce")
	if _, in := gate.Begin(context.Background()); in || gate != nil || span.IsRecording() {
		t.Error("a span is recorded for nobody")
	}
	if err := stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestAdminMux(t *testing.T) {
	var notReady error
	mux := func(addr net.Addr) *http.ServeMux {
		return NewAdminMux(AdminOptions{
			Listener: addr, Gatherer: NewRegistry("v1", "abc"), Logger: slog.New(slog.DiscardHandler),
			Healthy: func() error { return nil }, Ready: func() error { return notReady },
		})
	}
	get := func(m *http.ServeMux, path string) (int, string) {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w.Code, w.Body.String()
	}
	inside := mux(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1})
	outside := mux(&net.TCPAddr{IP: net.IPv4zero, Port: 1})
	if code, body := get(inside, "/metrics"); code != 200 || !strings.Contains(body, `tideline_build_info{commit="abc",version="v1"} 1`) || !strings.Contains(body, "go_goroutines") {
		t.Errorf("/metrics: %d %.200s", code, body)
	}
	if code, body := get(outside, "/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	notReady = errors.New("starting")
	if code, body := get(outside, "/readyz"); code != 503 || body != "starting\n" {
		t.Errorf("/readyz: %d %q", code, body)
	}
	if code, _ := get(inside, "/debug/pprof/cmdline"); code != 200 {
		t.Errorf("profiles on loopback: %d", code)
	}
	if code, _ := get(outside, "/debug/pprof/cmdline"); code != 404 {
		t.Errorf("profiles for everyone: %d", code)
	}
	if Loopback(&net.UnixAddr{}) || Loopback(nil) || !Loopback(&net.TCPAddr{IP: net.IPv6loopback}) {
		t.Error("loopback")
	}
}
