package clientmetrics

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// environment is what OpenTelemetry's variables say about the export of metrics.
type environment struct {
	grpc        bool
	endpoint    *url.URL
	headers     map[string]string
	timeout     time.Duration
	gzip        bool
	insecure    bool   // gRPC without TLS
	authority   string // file of the certificates that are trusted; empty: the system's
	certificate string // of this client; empty: none
	key         string
}

// sendTimeout bounds one attempt when nothing is said.
const sendTimeout = 10 * time.Second

// readEnvironment returns nil when the environment asks for no export. The variables are those that
// package telemetry takes for spans, with METRICS in place of TRACES.
func readEnvironment(getenv func(string) string) (*environment, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	of := func(name string) string {
		if v := getenv("OTEL_EXPORTER_OTLP_METRICS_" + name); v != "" {
			return v
		}
		return getenv("OTEL_EXPORTER_OTLP_" + name)
	}
	switch name := getenv("OTEL_METRICS_EXPORTER"); name {
	case "none":
		return nil, nil
	case "otlp":
	case "":
		if of("ENDPOINT") == "" {
			return nil, nil
		}
	default:
		return nil, fmt.Errorf("unknown exporter: OTEL_METRICS_EXPORTER=%q, allowed are otlp and none", name)
	}
	e := &environment{
		timeout: sendTimeout, gzip: of("COMPRESSION") == "gzip", insecure: strings.EqualFold(of("INSECURE"), "true"),
		authority: of("CERTIFICATE"), certificate: of("CLIENT_CERTIFICATE"), key: of("CLIENT_KEY"),
	}
	switch protocol := of("PROTOCOL"); protocol {
	case "grpc":
		e.grpc = true
	case "", "http/protobuf":
	default:
		return nil, fmt.Errorf("unknown protocol: OTEL_EXPORTER_OTLP_PROTOCOL=%q, allowed are grpc and http/protobuf", protocol)
	}
	if text := of("TIMEOUT"); text != "" {
		ms, err := strconv.ParseInt(text, 10, 32)
		if err != nil || ms <= 0 {
			return nil, fmt.Errorf("not a time in milliseconds: OTEL_EXPORTER_OTLP_TIMEOUT=%q", text)
		}
		e.timeout = time.Duration(ms) * time.Millisecond
	}
	if err := e.readEndpoint(getenv); err != nil {
		return nil, err
	}
	var err error
	e.headers, err = readHeaders(of("HEADERS"))
	return e, err
}

// readEndpoint: the variable of metrics alone is the whole address; to the common one comes the path of metrics.
func (e *environment) readEndpoint(getenv func(string) string) error {
	text, path := getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"), ""
	if text == "" {
		text, path = getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), "/v1/metrics"
	}
	switch {
	case text == "" && e.grpc:
		text = "http://localhost:4317"
	case text == "":
		text = "http://localhost:4318"
	case e.grpc && !strings.Contains(text, "://"):
		text = "https://" + text
		if e.insecure {
			text = "http://" + strings.TrimPrefix(text, "https://")
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		// The address may hold a password, so it is not told.
		return fmt.Errorf("not an http or https address: OTEL_EXPORTER_OTLP_ENDPOINT")
	}
	if e.grpc {
		e.insecure = u.Scheme == "http"
	} else {
		u.Path = strings.TrimSuffix(u.Path, "/") + path
	}
	e.endpoint = u
	return nil
}

// readHeaders reads name=value pairs that commas separate; the values are encoded as in URLs.
func readHeaders(text string) (map[string]string, error) {
	headers := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || err != nil {
			// Headers hold secrets, so they are not told.
			return nil, fmt.Errorf("not a list of name=value pairs: OTEL_EXPORTER_OTLP_HEADERS")
		}
		headers[name] = value
	}
	return headers, nil
}
