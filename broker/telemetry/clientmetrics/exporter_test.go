package clientmetrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/cenkalti/backoff/v5"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // as collectors have it
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		env      func(string) string
		endpoint string // empty: off
		grpc     bool
		fails    bool
	}{
		{env(), "", false, false},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318"), "http://h:4318/v1/metrics", false, false},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h/otel/"), "http://h/otel/v1/metrics", false, false},
		{env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://h/push"), "https://h/push", false, false},
		{env("OTEL_METRICS_EXPORTER", "otlp"), "http://localhost:4318/v1/metrics", false, false},
		{env("OTEL_METRICS_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "http://localhost:4317", true, false},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "h:4317", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"), "https://h:4317", true, false},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "h:4317", "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_INSECURE", "true"), "http://h:4317", true, false},
		{env("OTEL_METRICS_EXPORTER", "none", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"), "", false, false},
		{env("OTEL_SDK_DISABLED", "true", "OTEL_EXPORTER_OTLP_ENDPOINT", "http://h"), "", false, false},
		{env("OTEL_METRICS_EXPORTER", "prometheus"), "", false, true},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"), "", false, true},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://h"), "", false, true},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), "", false, true},
		{env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h", "OTEL_EXPORTER_OTLP_HEADERS", "secret"), "", false, true},
	} {
		e, err := readEnvironment(test.env)
		if (err != nil) != test.fails {
			t.Errorf("%+v: %v", test, err)
			continue
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("a header is told: %v", err)
		}
		if (e != nil && err == nil) != (test.endpoint != "") || err == nil && e != nil && (e.endpoint.String() != test.endpoint || e.grpc != test.grpc) {
			t.Errorf("%+v: %+v", test, e)
		}
	}
	e, err := readEnvironment(env("OTEL_METRICS_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_HEADERS", "a=1, b=x%20y,"))
	if err != nil || len(e.headers) != 2 || e.headers["a"] != "1" || e.headers["b"] != "x y" {
		t.Errorf("%v %v", e, err)
	}
	if _, err := NewExporter(ExporterOptions{Getenv: env("OTEL_METRICS_EXPORTER", "otlp", "OTEL_EXPORTER_OTLP_CERTIFICATE", "/not/there")}); err == nil {
		t.Error("a certificate that is not there was taken")
	}
	if e, err := NewExporter(ExporterOptions{Getenv: env()}); e != nil || err != nil {
		t.Errorf("%v %v", e, err)
	}
}

// received counts metrics by the name of their resource's scope.
type received struct {
	collector.UnimplementedMetricsServiceServer
	mu       sync.Mutex
	metrics  int
	requests int
	header   string
	answer   *collector.ExportMetricsServiceResponse
}

func (r *received) take(m []*otlp.ResourceMetrics, header string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	r.header = header
	for _, one := range m {
		for _, s := range one.ScopeMetrics {
			r.metrics += len(s.Metrics)
		}
	}
}

// Export implements the collector of gRPC.
func (r *received) Export(ctx context.Context, req *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	r.take(req.ResourceMetrics, strings.Join(md.Get("key"), ","))
	if r.answer != nil {
		return r.answer, nil
	}
	return &collector.ExportMetricsServiceResponse{}, nil
}

// ServeHTTP is the collector of HTTP.
func (r *received) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		body, _ = gzip.NewReader(req.Body)
	}
	b, err := io.ReadAll(body)
	m := new(collector.ExportMetricsServiceRequest)
	if err != nil || proto.Unmarshal(b, m) != nil || req.URL.Path != "/v1/metrics" || req.Header.Get("Content-Type") != "application/x-protobuf" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.take(m.ResourceMetrics, req.Header.Get("Key"))
}

func start(t *testing.T, pairs ...string) *Exporter {
	t.Helper()
	e, err := NewExporter(ExporterOptions{Getenv: env(pairs...), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestExport(t *testing.T) {
	web := &received{}
	server := httptest.NewServer(web)
	defer server.Close()

	rpc := &received{}
	s := grpc.NewServer()
	collector.RegisterMetricsServiceServer(s, rpc)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	defer s.Stop()

	for name, test := range map[string]struct {
		to  *received
		env []string
	}{
		"http": {web, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", server.URL}},
		"grpc": {rpc, []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://" + l.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"}},
	} {
		for _, compression := range []string{"none", "gzip"} {
			t.Run(name+"/"+compression, func(t *testing.T) {
				test.to.metrics, test.to.header = 0, ""
				e := start(t, append(test.env, "OTEL_EXPORTER_OTLP_COMPRESSION", compression, "OTEL_EXPORTER_OTLP_HEADERS", "key=value")...)
				for range 100 {
					if !e.Offer(encode(t, sample())) {
						t.Fatal("not taken")
					}
				}
				if err := e.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				if test.to.metrics != 500 || test.to.header != "value" {
					t.Errorf("%d metrics with header %q in %d requests", test.to.metrics, test.to.header, test.to.requests)
				}
				if e.Offer([]byte{1}) {
					t.Error("taken after the end")
				}
			})
		}
	}
}

func TestPartialSuccess(t *testing.T) {
	answer := encode(t, &collector.ExportMetricsServiceResponse{PartialSuccess: &collector.ExportMetricsPartialSuccess{RejectedDataPoints: 3, ErrorMessage: "no"}})
	var permanent *backoff.PermanentError
	if err := partial(answer); !errors.As(err, &permanent) || !strings.Contains(err.Error(), "data_points=3") {
		t.Errorf("%v", err)
	}
	if partial(nil) != nil || partial([]byte{0xff}) != nil {
		t.Error("an answer that says nothing is an error")
	}
}

// script answers each attempt as it says, and success after that.
type script struct {
	answers  []error
	attempts int
	sent     [][]byte
	block    chan struct{} // not nil: an attempt waits for it, or for its context
}

func (s *script) send(ctx context.Context, body []byte) error {
	s.attempts++
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if len(s.answers) >= s.attempts && s.answers[s.attempts-1] != nil {
		return s.answers[s.attempts-1]
	}
	s.sent = append(s.sent, body)
	return nil
}

func (s *script) close() {}

func scripted(s *script) *Exporter {
	e := newExporter(s, ExporterOptions{Logger: slog.New(slog.DiscardHandler)})
	e.retry = func() backoff.BackOff { return &backoff.ZeroBackOff{} }
	return e
}

func TestRetries(t *testing.T) {
	failure := errors.New("busy")
	for _, test := range []struct {
		answers  []error
		attempts int
		sent     int
	}{
		{nil, 1, 1},
		{[]error{failure, failure}, 3, 1},
		{[]error{backoff.Permanent(failure)}, 1, 0},
		{[]error{failure, failure, failure, failure, failure, failure}, sendTries, 0},
	} {
		s := &script{answers: test.answers}
		e := scripted(s)
		e.export([]byte("x"))
		if s.attempts != test.attempts || len(s.sent) != test.sent {
			t.Errorf("%v: %d attempts, %d sent", test.answers, s.attempts, len(s.sent))
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	s := &script{block: make(chan struct{})}
	e := scripted(s)
	big := make([]byte, queueBytes/4)
	for range 4 {
		if !e.Offer(big) {
			t.Fatal("not taken")
		}
	}
	if e.Offer([]byte{1}) {
		t.Error("taken beyond the bound")
	}
	// What is small goes out together, what is large alone.
	small := scripted(&script{})
	for range 3 {
		small.Offer([]byte("ab"))
	}
	small.Offer(make([]byte, requestBytes))
	small.Offer([]byte("cd"))
	var sizes []int
	for {
		body, _ := small.next()
		if len(body) == 0 {
			break
		}
		sizes = append(sizes, len(body))
	}
	if len(sizes) != 3 || sizes[0] != 6 || sizes[1] != requestBytes || sizes[2] != 2 {
		t.Errorf("requests of %v bytes", sizes)
	}
	// Who stops does not wait for a collector that hangs.
	go e.run()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := e.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
}

func TestHTTPRefusals(t *testing.T) {
	status, after := 0, ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
	}))
	defer server.Close()
	e, err := readEnvironment(env("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newHTTPSender(e)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var permanent *backoff.PermanentError
	var later *backoff.RetryAfterError
	for _, test := range []struct {
		status    int
		after     string
		permanent bool
		later     bool
	}{{400, "", true, false}, {401, "", true, false}, {503, "", false, false}, {429, "3600", false, true}} {
		status, after = test.status, test.after
		err := s.send(t.Context(), bytes.Repeat([]byte{0}, 10))
		if err == nil || errors.As(err, &permanent) != test.permanent || errors.As(err, &later) != test.later {
			t.Errorf("%+v: %v", test, err)
		}
	}
	if later.Duration != maxRetryAfter {
		t.Errorf("waits %s", later.Duration)
	}
}
