package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestARatioIsTheMedianOfTheRounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	r, err := newRecorder(path, Sample{Commit: "abc", Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	// Rounds are compared with each other, so a machine that slows down for one of them moves no ratio.
	for round, figures := range [][2]float64{{50, 100}, {600, 1000}, {35, 50}} {
		for i, system := range []string{tidelineName, kafkaName} {
			if err := r.add("bulk", system, round+1, 0, map[string]float64{"cpu": figures[i]}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.conclude(metric{scenario: "bulk", key: "cpu", atMost: 0.6}); err != nil {
		t.Fatal(err)
	}
	got := r.ratios[0]
	if got.Min != .5 || math.Abs(got.Median-.6) > 1e-12 || math.Abs(got.Max-.7) > 1e-12 || got.Rounds != 3 || got.missed() {
		t.Errorf("got %+v", got)
	}
	if err := r.file.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	if len(lines) != 7 {
		t.Fatalf("%d lines, want 6 samples and a ratio", len(lines))
	}
	for _, line := range lines {
		if !json.Valid(line) {
			t.Errorf("not a JSON line: %s", line)
		}
	}
}

func TestAMetricWithoutPeerIsAFigure(t *testing.T) {
	r, err := newRecorder(filepath.Join(t.TempDir(), "r.jsonl"), Sample{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.file.Close()
	if err := r.add("cold", tidelineName, 1, 0, map[string]float64{"share": .5}, nil); err != nil {
		t.Fatal(err)
	}
	for _, m := range []metric{{scenario: "cold", key: "share", atLeast: .7}, {scenario: "cold", key: "never measured"}} {
		if err := r.conclude(m); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.ratios) != 1 || r.ratios[0].Kind != "figure" || !r.ratios[0].missed() {
		t.Errorf("got %+v", r.ratios)
	}
}

func TestThePictureIsXML(t *testing.T) {
	peer, target := 2.0, 0.8
	raw := picture([]Ratio{
		{Scenario: "bulk", Metric: "a<b&c", Kafka: &peer, Min: .001, Median: .7, Max: 900, AtMost: &target},
		{Scenario: "cold", Metric: "no peer", Median: 1},
	})
	for d := xml.NewDecoder(bytes.NewReader(raw)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v\n%s", err, raw)
		}
	}
}

func TestSeriesOfAMetricAreSummed(t *testing.T) {
	const page = "# HELP x_total help\nx_total{op=\"put\",s=\"200\"} 2\nx_total{op=\"put\",s=\"503\"} 1\nx_total{op=\"get\",s=\"200\"} 40\nx_total_more 7\nlone 1.5e+03\n"
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{{"x_total", nil, 43}, {"x_total", []string{`op="put"`}, 3}, {"lone", nil, 1500}, {"absent", nil, 0}} {
		got, err := sumSeries(page, c.name, c.labels...)
		if err != nil || got != c.want {
			t.Errorf("%s %v: %v, %v, want %v", c.name, c.labels, got, err, c.want)
		}
	}
}

func TestOutputOfKafkasTools(t *testing.T) {
	got, err := producerLine("100 records sent, 20.0 records/sec (0.02 MB/sec), 9.0 ms avg latency, 12.0 ms max latency.\n" +
		"500000 records sent, 82000.5 records/sec (100.00 MB/sec), 83.97 ms avg latency, 331.00 ms max latency, 60 ms 50th, 210 ms 95th, 300 ms 99th, 320 ms 99.9th.\n")
	if err != nil || got["producer_p99_ms"] != 300 || math.Abs(got["producer_mb_per_s"]-104.8576) > 1e-9 {
		t.Errorf("%v, %v", got, err)
	}
	rate, err := consumerLine("start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n" +
		"2026-01-01 00:00:00:000, 2026-01-01 00:00:05:000, 488.2, 90.1, 500000, 92000.0, 3500, 1500, 200.0, 300000.0\n")
	if err != nil || math.Abs(rate-209.7152) > 1e-9 {
		t.Errorf("%v, %v", rate, err)
	}
	if _, err := producerLine("nothing"); err == nil {
		t.Error("an output without a summary was taken")
	}
	if _, err := consumerLine("nothing"); err == nil {
		t.Error("an output without a table was taken")
	}
}

func TestClustersRunWhenTheyAreAskedFor(t *testing.T) {
	for _, c := range []struct {
		o    options
		want []string
	}{
		{options{}, []string{"memory", "latency", "bulk", "perf", "memory-after", "startup", "cold", "requests"}},
		{options{only: []string{"join", "bulk"}}, []string{"bulk", "join"}},
		{options{only: []string{"bulk"}, long: true}, []string{"bulk"}},
		{options{long: true}, []string{"memory", "latency", "bulk", "perf", "memory-after", "startup", "cold", "requests", "failover", "join", "scale", "compact", "flood", "trace"}},
	} {
		var got []string
		for i := range scenarios {
			if c.o.wants(&scenarios[i]) {
				got = append(got, scenarios[i].name)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%+v runs %v, want %v", c.o, got, c.want)
		}
	}
}
