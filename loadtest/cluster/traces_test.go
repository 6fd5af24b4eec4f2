package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

// export is what an exporter sends of one process.
func export(t *testing.T, spans ...*otlp.Span) []byte {
	t.Helper()
	b, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: []*otlp.ResourceSpans{{
		Resource:   &resource.Resource{Attributes: []*common.KeyValue{text("service.name", "tideline"), text("service.instance.id", "2")}},
		ScopeSpans: []*otlp.ScopeSpans{{Spans: spans}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func spanOf(trace, id, parent byte, name string, from, to uint64) *otlp.Span {
	s := &otlp.Span{TraceId: bytes.Repeat([]byte{trace}, 16), SpanId: bytes.Repeat([]byte{id}, 8), Name: name, StartTimeUnixNano: from, EndTimeUnixNano: to}
	if parent != 0 {
		s.ParentSpanId = bytes.Repeat([]byte{parent}, 8)
	}
	return s
}

// desk is the handlers without a port.
func desk() (*traces, func(method, path, encoding string, body []byte) (int, string)) {
	t := &traces{all: map[string]*oneTrace{}}
	mux := t.pages()
	return t, func(method, path, encoding string, body []byte) (int, string) {
		q := httptest.NewRequest(method, path, bytes.NewReader(body))
		q.Header.Set("Content-Type", "application/x-protobuf")
		q.Header.Set("Content-Encoding", encoding)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, q)
		b, _ := io.ReadAll(w.Body)
		return w.Code, string(b)
	}
}

func TestTracesAreShown(t *testing.T) {
	_, do := desk()
	sync := spanOf(1, 3, 2, "wal.sync", 1_500_000, 2_000_000)
	sync.Attributes = []*common.KeyValue{text("messaging.destination.name", "orders\x1b[2J"), {Key: "tideline.bytes", Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: 70}}}}
	sync.Links = []*otlp.Span_Link{{}}
	produce := spanOf(1, 2, 9, "kafka.Produce", 1_000_000, 3_000_000)
	produce.Events = []*otlp.Span_Event{
		{Name: "produce.handled", TimeUnixNano: 1_100_000},
		{Name: "produce.queued", TimeUnixNano: 1_250_000, Attributes: []*common.KeyValue{text("messaging.destination.partition.id", "4")}},
	}
	if code, body := do("POST", "/v1/traces", "", export(t, sync, produce)); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	var small bytes.Buffer
	z := gzip.NewWriter(&small)
	z.Write(export(t, spanOf(2, 1, 1, "its own ancestor", 1, 2), spanOf(2, 4, 0, "tiering.roll", 1, 2)))
	z.Close()
	if code, body := do("POST", "/v1/traces", "gzip", small.Bytes()); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	if _, got := do("GET", "/traces", "", nil); got != strings.Repeat("02", 16)+"    2 spans  its own ancestor\n"+strings.Repeat("01", 16)+"    2 spans  kafka.Produce\n" {
		t.Errorf("list:\n%s", got)
	}
	_, got := do("GET", "/traces/"+strings.Repeat("01", 16), "", nil)
	want := " begins ms   lasts ms\n" +
		"     0.000      2.000  tideline 2   kafka.Produce\n" +
		"     0.100             tideline 2     . produce.handled\n" +
		"     0.250             tideline 2     . produce.queued  messaging.destination.partition.id=4\n" +
		"     0.500      0.500  tideline 2     wal.sync  messaging.destination.name=orders [2J tideline.bytes=70 links=1\n"
	if got != want {
		t.Errorf("shown:\n%s\nwant:\n%s", got, want)
	}
	if code, _ := do("GET", "/traces/"+strings.Repeat("07", 16), "", nil); code != 404 {
		t.Errorf("an unknown trace: %d", code)
	}
	for encoding, body := range map[string][]byte{"": []byte("\xff\xff"), "gzip": []byte("no gzip")} {
		if code, _ := do("POST", "/v1/traces", encoding, body); code != 400 {
			t.Errorf("nonsense: %d", code)
		}
	}
}

// What is kept is bounded, whatever comes.
func TestTracesAreBounded(t *testing.T) {
	d, do := desk()
	for i := range uint64(maxTraces + 5) {
		s := spanOf(1, 1, 0, "x", 1, 2)
		binary.BigEndian.PutUint64(s.TraceId, i)
		if code, body := do("POST", "/v1/traces", "", export(t, s)); code != 200 {
			t.Fatalf("%d %s", code, body)
		}
	}
	if len(d.all) != maxTraces || len(d.last) != maxTraces {
		t.Errorf("%d and %d are kept", len(d.all), len(d.last))
	}
	for range maxSpans + 3 {
		do("POST", "/v1/traces", "", export(t, spanOf(3, 1, 0, "y", 1, 2)))
	}
	if _, got := do("GET", "/traces/"+strings.Repeat("03", 16), "", nil); !strings.Contains(got, "and 3 spans that were not kept\n") || strings.Count(got, "\n") != maxSpans+2 {
		t.Errorf("%d lines: %s", strings.Count(got, "\n"), fmt.Sprint(got[len(got)-100:]))
	}
	if code, _ := do("POST", "/v1/traces", "", make([]byte, maxExport+1)); code != 400 {
		t.Errorf("too much: %d", code)
	}
}
