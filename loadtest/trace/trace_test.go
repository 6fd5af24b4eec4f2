package trace

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/devtools"
	"github.com/tidelinehq/tideline/internal/otlptest"
)

var picture = flag.String("picture", "", "file for a picture of the trace in Zipkin; empty: no Zipkin")

const (
	topic = "orders"
	// patience bounds each wait for the brokers or the programs, on a small, busy machine.
	patience = 3 * time.Minute
	// installing bounds the first fetch of what is not there yet.
	installing = 15 * time.Minute
)

// TestLifeOfARecord: one trace has it all.
func TestLifeOfARecord(t *testing.T) {
	python := tool(t, "python")
	received, err := otlptest.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := received.Close(); err != nil {
			t.Error(err)
		}
	})
	var env []string
	for k, v := range received.Environment("http/protobuf") {
		env = append(env, k+"="+v)
	}
	cluster := brokertest.StartCluster(t, 3, brokertest.ClusterOptions{Env: env, Settings: map[string]string{
		"tier.roll.ms": "100", "log.local.retention.bytes": "0", "log.retention.check.interval.ms": "200",
	}})
	brokers := strings.Join(cluster.Addresses(), ",")
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.Addresses()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 1, 3, nil, topic); err != nil {
		t.Fatal(err)
	}
	cluster.AwaitRest(ctx)

	id := script(t, python, env, "producer.py", brokers, topic)
	await(t, received, id, "the upload", func(spans []otlptest.Span) bool { return has(spans, "tiering.roll") })
	// What remembers traces in memory is gone, and with it all that is in caches.
	cluster.Kill(0, 1, 2)
	cluster.Restart(0, 1, 2)
	awaitCold(ctx, t, admin)
	if got := script(t, python, nil, "consumer.py", brokers, topic); got != "0" {
		t.Fatalf("the consumer read offset %s", got)
	}
	spans := await(t, received, id, "the cold fetch", func(spans []otlptest.Span) bool {
		return has(spans, "fetch.object") && has(spans, "kafka.Fetch")
	})
	whole(t, spans)
	if *picture != "" {
		photograph(t, id, spans, *picture)
	}
}

// whole checks that nothing is missing, and that all hangs together.
func whole(t *testing.T, spans []otlptest.Span) {
	t.Helper()
	byID := map[string]otlptest.Span{}
	for _, s := range spans {
		byID[s.SpanID] = s
	}
	roots := 0
	for _, s := range spans {
		if s.ParentID == "" {
			roots++
		} else if _, ok := byID[s.ParentID]; !ok {
			t.Errorf("the parent is missing: %s", s)
		}
	}
	if roots != 1 {
		t.Errorf("%d roots", roots)
	}
	for _, name := range []string{
		"place order", "kafka.Produce", "wal.sync", "replicate", "replicate.receive", "tiering.roll", "kafka.Fetch", "fetch.object",
	} {
		if !has(spans, name) {
			t.Errorf("there is no span %s", name)
		}
	}
	for name, events := range map[string][]string{
		"kafka.Produce": {"produce.handled", "produce.validated", "produce.queued", "produce.decided"},
		"tiering.roll":  {"tiering.built", "tiering.uploaded"},
	} {
		for _, s := range spans {
			for _, event := range events {
				if s.Name == name && s.When(event).IsZero() {
					t.Errorf("there is no event %s: %s", event, s)
				}
			}
		}
	}
	send := slices.IndexFunc(spans, func(s otlptest.Span) bool { return s.Kind == "producer" && service(s) == "shop" })
	if send < 0 {
		t.Fatal("the instrumentation of the producer has made no span")
	}
	fetch := slices.IndexFunc(spans, func(s otlptest.Span) bool { return s.Name == "kafka.Fetch" })
	if fetch < 0 {
		return
	}
	if f := spans[fetch]; f.ParentID != spans[send].SpanID || f.Attributes["messaging.client.id"] != "audit" || f.Attributes["messaging.destination.name"] != topic {
		t.Errorf("the fetch: %s", f)
	}
	if t.Failed() {
		for _, s := range spans {
			t.Log(s)
		}
	}
}

func has(spans []otlptest.Span, name string) bool {
	return slices.ContainsFunc(spans, func(s otlptest.Span) bool { return s.Name == name })
}

func service(s otlptest.Span) string { return fmt.Sprint(s.Resource["service.name"]) }

// await returns the spans of a trace as soon as enough is true of them and no parent is missing.
func await(t *testing.T, r *otlptest.Receiver, id, what string, enough func([]otlptest.Span) bool) (trace []otlptest.Span) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	all, err := r.Await(ctx, func(all []otlptest.Span) bool {
		trace = nil
		ids := map[string]bool{"": true}
		for _, s := range all {
			if s.TraceID == id {
				trace = append(trace, s)
				ids[s.SpanID] = true
			}
		}
		return enough(trace) && !slices.ContainsFunc(trace, func(s otlptest.Span) bool { return !ids[s.ParentID] })
	})
	if err != nil {
		for _, s := range trace {
			t.Log(s)
		}
		t.Fatalf("%s is not in trace %s, nor whole: spans of it=%d of all=%d: %v", what, id, len(trace), len(all), err)
	}
	slices.SortStableFunc(trace, func(a, b otlptest.Span) int { return a.Start.Compare(b.Start) })
	return trace
}

// awaitCold returns when the disks have nothing of the topic any more.
func awaitCold(ctx context.Context, t *testing.T, admin *kadm.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		offsets, err := admin.ListLocalLogStartOffsets(ctx, topic)
		if o, ok := offsets.Lookup(topic, 0); err == nil && ok && o.Err == nil && o.Offset == 1 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the record is on disk still: %v %v", offsets, err)
		}
	}
}

// tool fetches one of scripts/trace-tools.sh, if need be, and returns where it is.
func tool(t *testing.T, name string) string {
	t.Helper()
	root, err := devtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), installing)
	defer cancel()
	return run(ctx, t, nil, filepath.Join(root, "scripts", "trace-tools.sh"), name)
}

// script runs one of the Python programs, and returns what it prints.
func script(t *testing.T, python string, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return run(ctx, t, env, python, append([]string{filepath.Join("python", name)}, args...)...)
}

func run(ctx context.Context, t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, errors.Join(err, ctx.Err()), stderr.String())
	}
	return strings.TrimSpace(stdout.String())
}

// where is what Zipkin calls the process that made a span.
func where(s otlptest.Span) string {
	if service(s) != "tideline" {
		return service(s)
	}
	n, err := strconv.Atoi(s.Instance())
	if err != nil {
		return "tideline"
	}
	return "broker-" + strconv.Itoa(n)
}
