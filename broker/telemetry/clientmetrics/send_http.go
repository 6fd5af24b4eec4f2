package clientmetrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// maxAnswer bounds what is read of a collector's answer, and maxRetryAfter the pause that it may ask for.
const (
	maxAnswer     = 64 << 10
	maxRetryAfter = 30 * time.Second
)

type httpSender struct {
	env    *environment
	client *http.Client
}

func newHTTPSender(env *environment) (*httpSender, error) {
	secure, err := env.tls()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = secure
	return &httpSender{env: env, client: &http.Client{Transport: transport, Timeout: env.timeout}}, nil
}

// tls reads the files that the environment names.
func (e *environment) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.authority != "" {
		pem, err := os.ReadFile(e.authority)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in file=%s", e.authority)
		}
	}
	if e.certificate != "" {
		pair, err := tls.LoadX509KeyPair(e.certificate, e.key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// send implements sender.
func (s *httpSender) send(ctx context.Context, body []byte) error {
	if s.env.gzip {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(body) // a buffer takes all
		_ = w.Close()
		body = b.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.env.endpoint.String(), bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	for name, value := range s.env.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	if s.env.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // what was read counts
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return partial(answer)
	case code == http.StatusTooManyRequests, code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		if after, bad := strconv.Atoi(resp.Header.Get("Retry-After")); bad == nil && after > 0 {
			return backoff.RetryAfter(min(after, int(maxRetryAfter/time.Second)))
		}
		return fmt.Errorf("collector answers status=%d", code)
	case err != nil:
		return err
	default:
		return backoff.Permanent(fmt.Errorf("collector refuses status=%d", code))
	}
}

// partial is an error when the collector has refused a part of what it took. An answer that it can not tell
// from is none.
func partial(answer []byte) error {
	var r collector.ExportMetricsServiceResponse
	if proto.Unmarshal(answer, &r) != nil {
		return nil
	}
	if n := r.GetPartialSuccess().GetRejectedDataPoints(); n > 0 {
		return backoff.Permanent(fmt.Errorf("collector refuses data_points=%d message=%.200q", n, r.GetPartialSuccess().GetErrorMessage()))
	}
	return nil
}

func (s *httpSender) close() { s.client.CloseIdleConnections() }
