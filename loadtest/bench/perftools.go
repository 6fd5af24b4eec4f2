package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// perfMetrics are the rows of Kafka's own tools.
var perfMetrics = []metric{
	{scenario: "perf", key: "producer_mb_per_s", title: "kafka-producer-perf-test: throughput", unit: "MB/s"},
	{scenario: "perf", key: "producer_p99_ms", title: "kafka-producer-perf-test: p99", unit: "ms"},
	{scenario: "perf", key: "producer_cpu_s_per_gb", title: "kafka-producer-perf-test: broker CPU per GB", unit: "s/GB"},
	{scenario: "perf", key: "consumer_mb_per_s", title: "kafka-consumer-perf-test: throughput", unit: "MB/s"},
	{scenario: "perf", key: "consumer_cpu_s_per_gb", title: "kafka-consumer-perf-test: broker CPU per GB", unit: "s/GB"},
}

const (
	perfRecords     = 500_000
	perfRecordsLong = 5_000_000
	perfTopic       = "bench-perf"
)

// perf runs Apache Kafka's own performance tools once on each broker. Their records are random capital letters.
func (b *bench) perf(ctx context.Context) error {
	records := perfRecords
	if b.options.long {
		records = perfRecordsLong
	}
	for _, of := range b.both() {
		load := loadAverage()
		values, err := b.perfTurn(ctx, of, records)
		if err != nil {
			return err
		}
		b.say("  %-8s producer %.0f MB/s, p99 %.0f ms; consumer %.0f MB/s", of.name, values["producer_mb_per_s"], values["producer_p99_ms"], values["consumer_mb_per_s"])
		if err := b.results.add("perf", of.name, 1, load, values, nil); err != nil {
			return err
		}
		if err := of.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) perfTurn(ctx context.Context, of *broker, records int) (map[string]float64, error) {
	if err := of.createTopic(ctx, perfTopic, bulkPartitions, nil); err != nil {
		return nil, err
	}
	gb := float64(records) * recordBytes / 1e9
	out, used, err := b.javaTool(ctx, of, "org.apache.kafka.tools.ProducerPerformance", "--topic", perfTopic, "--num-records", strconv.Itoa(records),
		"--record-size", strconv.Itoa(recordBytes), "--throughput", "-1", "--bootstrap-server", of.addr,
		"--command-property", "acks=all", "batch.size=262144", "linger.ms=5")
	if err != nil {
		return nil, err
	}
	values, err := producerLine(out)
	if err != nil {
		return nil, err
	}
	values["producer_cpu_s_per_gb"] = used / gb
	if err := of.settle(ctx); err != nil {
		return nil, err
	}
	out, used, err = b.javaTool(ctx, of, "org.apache.kafka.tools.ConsumerPerformance", "--topic", perfTopic, "--num-records", strconv.Itoa(records),
		"--bootstrap-server", of.addr)
	if err != nil {
		return nil, err
	}
	if values["consumer_mb_per_s"], err = consumerLine(out); err != nil {
		return nil, err
	}
	values["consumer_cpu_s_per_gb"] = used / gb
	return values, of.deleteTopic(ctx, perfTopic)
}

// javaTool runs one of Kafka's programs and returns its output and the seconds of processor time that the broker used meanwhile.
func (b *bench) javaTool(ctx context.Context, of *broker, class string, args ...string) (string, float64, error) {
	before, err := of.cpu()
	if err != nil {
		return "", 0, err
	}
	cmd := exec.CommandContext(ctx, "java", append([]string{"-Xmx512M", "-cp", b.jars, class}, args...)...)
	dieWithParent(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", 0, fmt.Errorf("%s broker=%s: %w\n%s", class, of.name, err, out)
	}
	after, err := of.cpu()
	return string(out), (after - before).Seconds(), err
}

// producerSummary is the last line of ProducerPerformance; its MB are MiB.
var producerSummary = regexp.MustCompile(`records sent, [0-9.]+ records/sec \(([0-9.]+) MB/sec\), .* ([0-9.]+) ms 50th, ([0-9.]+) ms 95th, ([0-9.]+) ms 99th, ([0-9.]+) ms 99\.9th`)

func producerLine(out string) (map[string]float64, error) {
	all := producerSummary.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return nil, fmt.Errorf("no summary of ProducerPerformance\n%s", out)
	}
	values := map[string]float64{}
	for i, key := range []string{"producer_mb_per_s", "producer_p50_ms", "producer_p95_ms", "producer_p99_ms", "producer_p999_ms"} {
		v, err := strconv.ParseFloat(all[len(all)-1][i+1], 64)
		if err != nil {
			return nil, err
		}
		values[key] = v
	}
	values["producer_mb_per_s"] *= (1 << 20) / 1e6
	return values, nil
}

// consumerLine finds fetch.MB.sec, the rate without the time of joining the group, by the header of the table.
func consumerLine(out string) (float64, error) {
	column := -1
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), ",")
		if column >= 0 && len(fields) > column {
			rate, err := strconv.ParseFloat(strings.TrimSpace(fields[column]), 64)
			return rate * (1 << 20) / 1e6, err
		}
		for i, f := range fields {
			if strings.TrimSpace(f) == "fetch.MB.sec" {
				column = i
			}
		}
	}
	return 0, fmt.Errorf("no table of ConsumerPerformance\n%s", out)
}
