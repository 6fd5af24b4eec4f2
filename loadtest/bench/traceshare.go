package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/pprof/profile"
)

// shareSeconds is how long a broker that traces is under load for a profile of it.
const shareSeconds = 40

// What a broker does because it traces, by the functions that do it: of the first line that names one of those on the stack.
var traceParts = []struct {
	name      string
	functions []string // beginnings, without the module of ours
}{
	{"metrics", []string{"go.opentelemetry.io/otel/sdk/metric", "go.opentelemetry.io/otel/exporters/otlp/otlpmetric", "go.opentelemetry.io/contrib/bridges"}},
	{"export", []string{"go.opentelemetry.io/otel/exporters/", "broker/telemetry.(*collector).run", "google.golang.org/grpc"}},
	{"spans", []string{"go.opentelemetry.io/otel"}},
	{"looks", []string{"internal/record.TraceParent"}},
	{"notes", []string{
		"broker/trail.", "broker/telemetry.(*Gate)", "broker/telemetry.Granted", "broker/api.(*produceTrace)", "broker/api.(*produceOp).trace", "broker/api.(*fetchOp).deliver",
		"broker/partition.(*Trace)", "broker/replication.(*session).showSent", "broker/replication.(*arrival)", "tiering.(*rollTrace)", "tiering.(*Engine).producer",
		"wal.(*writer).trace",
	}},
	{"garbage", []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.gcStart", "runtime.bgsweep", "runtime.bgscavenge", "runtime.gcMarkDone", "runtime.gcMarkTermination"}},
}

// tracePart is which part of tracing a stack belongs to; "": to what a broker does in any case.
func tracePart(stack []string) string {
	for _, part := range traceParts {
		for _, f := range part.functions {
			if slices.ContainsFunc(stack, func(name string) bool {
				return strings.HasPrefix(strings.TrimPrefix(name, "github.com/tidelinehq/tideline/"), f)
			}) {
				return part.name
			}
		}
	}
	return ""
}

// share takes a profile of the broker that traces while it is under load, and tells which part of its processor time is spent on
// tracing, in percent of the rest. Others on the machine do not change that, as they change the whole. The garbage collector's
// time belongs to tracing as the bytes do that were allocated for it. What is not in here is what nobody can see: other work that
// runs slower because caches were used, and the scheduler's when a goroutine that exports has nothing more to do.
func (x *traceBench) share(ctx context.Context, load string, batch int32) error {
	busy, of := loadAverage(), x.on
	before, err := of.allocated(ctx)
	if err != nil {
		return err
	}
	type taken struct {
		p   *profile.Profile
		raw []byte
		err error
	}
	done := make(chan taken, 1)
	go func() {
		p, raw, err := of.pprof(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(shareSeconds))
		done <- taken{p, raw, err}
	}()
	var got taken
	began, spans := traces(x.receiver), len(x.receiver.Spans())
	for got.p == nil {
		if _, _, err := traceTurn(ctx, of, batch, x.values); err != nil {
			return fmt.Errorf("%s: %w\n%s", of.proc.name, err, of.proc.tail())
		}
		select {
		case got = <-done:
			if got.err != nil {
				return got.err
			}
		default:
		}
	}
	after, err := of.allocated(ctx)
	if err != nil {
		return err
	}
	if x.options.profiles != "" {
		if err := os.WriteFile(filepath.Join(x.options.profiles, "trace-"+load+".pprof"), got.raw, 0o644); err != nil {
			return err
		}
	}
	spent, err := sumProfile(got.p, "cpu", tracePart)
	if err != nil {
		return err
	}
	for part := range after {
		after[part] -= before[part]
	}
	garbage := ofTracing(after) / max(total(after), 1)
	collecting := spent["garbage"] * garbage
	ours := ofTracing(spent) + collecting
	rest := max(total(spent)-ours, 1)
	n := max(traces(x.receiver)-began, 1)
	values := map[string]float64{load + "_us_per_trace": ours / 1e3 / float64(n), load + "_profile_percent": 100 * ours / rest, load + "_profile_s": total(spent) / 1e9, load + "_allocated_percent": 100 * garbage}
	told := fmt.Sprintf("  profile, %s batches, %.1f s, %d traces of %.1f spans: %.2f %% for tracing, %.0f µs a trace:", load, total(spent)/1e9, n,
		float64(len(x.receiver.Spans())-spans)/float64(n), 100*ours/rest, ours/1e3/float64(n))
	spent["garbage"] = collecting
	for _, part := range traceParts {
		values[load+"_"+part.name+"_percent"] = 100 * spent[part.name] / rest
		told += fmt.Sprintf(" %s %.2f", part.name, 100*spent[part.name]/rest)
	}
	x.say("%s; %.2f %% of what was allocated", told, 100*garbage)
	return x.results.add("trace", tidelineName, max(x.options.rounds, 1), busy, values, nil)
}

// allocated is how many bytes a broker has allocated, by what they were for.
func (b *broker) allocated(ctx context.Context) (map[string]float64, error) {
	p, _, err := b.pprof(ctx, "/debug/pprof/allocs")
	if err != nil {
		return nil, err
	}
	return sumProfile(p, "alloc_space", tracePart)
}

// ofTracing is the part of sums that is tracing's own.
func ofTracing(sums map[string]float64) float64 { return total(sums) - sums[""] - sums["garbage"] }

func total(sums map[string]float64) (all float64) {
	for _, v := range sums {
		all += v
	}
	return all
}

// pprof asks a broker for a profile.
func (b *broker) pprof(ctx context.Context, path string) (*profile.Profile, []byte, error) {
	raw, err := b.get(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	p, err := parseProfile(raw)
	return p, raw, err
}
