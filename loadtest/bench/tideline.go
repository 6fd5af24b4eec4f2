package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/internal/freeport"
)

// tidelineSettings are those of every Tideline broker here. All others have their defaults.
var tidelineSettings = map[string]string{
	"wal.sync": "always",
	// What a load left in the WAL is tiered soon, and the next turn can begin: the default is a minute. It makes more,
	// smaller objects, which costs Tideline and not Kafka.
	"tier.roll.ms":              "2000",
	"schema.registry.listener":  "",
	"rest.listener":             "",
	"auto.create.topics.enable": "false",
	"wal.max.bytes":             "8GiB",
}

// startTideline starts a broker on a data directory, new or old, and returns it with the time from exec to the ready line.
func (b *bench) startTideline(ctx context.Context, name string, settings map[string]string, env []string) (of *broker, took time.Duration, err error) {
	l, err := b.launchTideline(name, settings, env)
	if err != nil {
		return nil, 0, err
	}
	return l.ready(ctx)
}

// launchTideline starts a broker's process. Its addresses are ports that are free now, unless the settings name others.
func (b *bench) launchTideline(name string, settings map[string]string, env []string) (_ *launch, err error) {
	ports, err := freeport.Take("127.0.0.1", 3)
	if err != nil {
		return nil, err
	}
	all := maps.Clone(tidelineSettings)
	all["data.dir"] = filepath.Join(b.dir, name)
	all["listeners"] = "PLAINTEXT://" + ports[0]
	all["http.listener"] = ports[1]
	all["rpc.listener"] = ports[2]
	maps.Copy(all, settings)
	for _, setting := range b.options.set {
		key, value, _ := strings.Cut(setting, "=")
		all[key] = value
	}
	args := []string{"server"}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		args = append(args, "--set", key+"="+all[key])
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p, err := start(name, b.dir, in, env, b.options.binary, args...)
	// The child has its own; ours would keep the pipe open when it ends.
	if closing := in.Close(); err != nil || closing != nil {
		if p != nil {
			p.kill()
		}
		return nil, errors.Join(err, closing, out.Close())
	}
	of := &broker{name: tidelineName, addr: strings.TrimPrefix(all["listeners"], "PLAINTEXT://"), http: all["http.listener"], proc: p}
	return &launch{of: of, began: began, serves: func(context.Context) error { return readyLine(p, out, began.Add(2*time.Minute)) }}, nil
}

// readyLine returns when a broker has said that it serves, and closes the pipe on which it says so.
func readyLine(p *process, out *os.File, deadline time.Time) (err error) {
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := out.SetReadDeadline(deadline); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "ready ") {
		return fmt.Errorf("%s did not become ready line=%q\n%s", p.name, line, p.tail())
	}
	return nil
}

// metric is the sum of all series of a metric whose labels contain each of the given ones (`operation="put"`).
func (b *broker) metric(ctx context.Context, name string, labels ...string) (float64, error) {
	body, err := b.get(ctx, "/metrics")
	if err != nil {
		return 0, err
	}
	return sumSeries(string(body), name, labels...)
}

func sumSeries(text, name string, labels ...string) (float64, error) {
	sum := 0.0
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		at := strings.LastIndexByte(rest, ' ')
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest[:at], l) }) {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(rest[at:]), 64)
		if err != nil {
			return 0, fmt.Errorf("bad metric line=%q: %w", line, err)
		}
		sum += value
	}
	return sum, nil
}

// get reads a page of the broker's admin listener.
func (b *broker) get(ctx context.Context, path string) (page []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.http+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity") // compressing a page would be charged to the broker
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s path=%s", b.name, resp.Status, path)
	}
	return io.ReadAll(io.LimitReader(resp.Body, 64<<20))
}

// profile takes a processor profile of the broker for some seconds, if there is a directory for profiles. It returns a
// function that waits for it.
func (b *bench) profile(ctx context.Context, of *broker, name string, seconds int) func() error {
	if b.options.profiles == "" || of.http == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		raw, err := of.get(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(seconds))
		if err == nil {
			err = os.WriteFile(filepath.Join(b.options.profiles, name+".pprof"), raw, 0o644)
		}
		done <- err
	}()
	return func() error { return <-done }
}

// heapProfile keeps what is on the broker's heap, if there is a directory for profiles.
func (b *bench) heapProfile(ctx context.Context, of *broker, name string) error {
	if b.options.profiles == "" || of.http == "" {
		return nil
	}
	raw, err := of.get(ctx, "/debug/pprof/heap")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(b.options.profiles, name+"-heap.pprof"), raw, 0o644)
}
