package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/child"
	"github.com/tidelinehq/tideline/internal/freeport"
	"github.com/tidelinehq/tideline/internal/otlptest"
)

// maxPicture is the size of a picture that fits in a repository.
const maxPicture = 300 << 10

// zipkinSpan is a span as version 2 of Zipkin's API has it.
type zipkinSpan struct {
	TraceID   string            `json:"traceId"`
	ID        string            `json:"id"`
	ParentID  string            `json:"parentId,omitempty"`
	Name      string            `json:"name"`
	Kind      string            `json:"kind,omitempty"`
	Timestamp int64             `json:"timestamp"` // µs
	Duration  int64             `json:"duration"`  // µs, 1 at least
	Endpoint  zipkinEndpoint    `json:"localEndpoint"`
	Tags      map[string]string `json:"tags,omitempty"`
	Events    []zipkinEvent     `json:"annotations,omitempty"`
}

type zipkinEvent struct {
	Timestamp int64  `json:"timestamp"` // µs
	Value     string `json:"value"`
}

type zipkinEndpoint struct {
	ServiceName string `json:"serviceName"`
}

func zipkinOf(s otlptest.Span) zipkinSpan {
	out := zipkinSpan{
		TraceID: s.TraceID, ID: s.SpanID, ParentID: s.ParentID, Name: s.Name,
		Timestamp: s.Start.UnixMicro(), Duration: max(s.End.Sub(s.Start).Microseconds(), 1), Endpoint: zipkinEndpoint{where(s)}, Tags: map[string]string{},
	}
	if s.Kind != "internal" {
		out.Kind = strings.ToUpper(s.Kind)
	}
	for k, v := range s.Attributes {
		out.Tags[k] = fmt.Sprint(v)
	}
	for _, e := range s.Events {
		out.Events = append(out.Events, zipkinEvent{e.At.UnixMicro(), e.Name})
	}
	if s.Error != "" {
		out.Tags["error"] = s.Error
	}
	return out
}

// photograph gives a trace to Zipkin, checks that it has it whole, and takes a picture of its page.
func photograph(t *testing.T, id string, spans []otlptest.Span, file string) {
	t.Helper()
	jar, node, chromium := tool(t, "zipkin"), tool(t, "node"), tool(t, "chromium")
	file, err := filepath.Abs(file)
	if err != nil {
		t.Fatal(err)
	}
	url := startZipkin(t, jar)
	out := make([]zipkinSpan, len(spans))
	for i, s := range spans {
		out[i] = zipkinOf(s)
	}
	body, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, http.MethodPost, url+"/api/v2/spans", body, func(code int, _ []byte) bool { return code == http.StatusAccepted })
	ask(t, http.MethodGet, url+"/api/v2/trace/"+id, nil, func(code int, answer []byte) bool {
		var got []zipkinSpan
		if code != http.StatusOK || json.Unmarshal(answer, &got) != nil || len(got) != len(out) {
			return false
		}
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	run(ctx, t, []string{"NODE_PATH=" + node}, "node", filepath.Join("browser", "picture.js"), chromium, url+"/zipkin/traces/"+id, "tiering.roll", file)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxPicture {
		t.Errorf("the picture has %d bytes, %d at most", info.Size(), maxPicture)
	}
	t.Logf("picture of %d spans in %s", len(spans), file)
}

// startZipkin runs a Zipkin server that keeps its spans in memory, until the test ends.
func startZipkin(t *testing.T, jar string) (url string) {
	t.Helper()
	_, port, err := net.SplitHostPort(freeport.ForTest(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("java", "-Xmx256m", "-jar", jar, "--armeria.ports[0].ip=127.0.0.1", fmt.Sprintf("--armeria.ports[0].port=%s", port),
		"--armeria.ports[0].protocols[0]=http")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	p, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of Zipkin:\n%s", log.Bytes())
		}
	})
	url = fmt.Sprintf("http://127.0.0.1:%s", port)
	ask(t, http.MethodGet, url+"/health", nil, func(code int, _ []byte) bool { return code == http.StatusOK })
	return url
}

// ask repeats a request until the answer is as it should be.
func ask(t *testing.T, method, url string, body []byte, good func(code int, answer []byte) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		code, answer, err := once(ctx, method, url, body)
		if err == nil && good(code, answer) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s %s: status=%d answer=%.500q error=%v", method, url, code, answer, err)
		}
	}
}

func once(ctx context.Context, method, url string, body []byte) (code int, answer []byte, err error) {
	q, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	return resp.StatusCode, answer, err
}
