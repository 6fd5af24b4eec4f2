package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/internal/freeport"
)

// javaFlags are those of Kafka's own scripts: a heap of 1 GiB (kafka-server-start), unless another is given, and G1 (kafka-run-class).
func javaFlags(heap string) []string {
	return []string{
		"-Xms" + heap, "-Xmx" + heap, "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
		"-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true",
	}
}

// kafkaJars runs scripts/kafka.sh, which fetches Apache Kafka from Maven unless it is there, and returns the class path.
func kafkaJars(ctx context.Context, root string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts", "kafka.sh"))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("fetch Apache Kafka: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "*"), nil
}

// startKafka formats a KRaft storage of one node and starts it as broker and controller. Everything that is not an
// address or a replication factor of a cluster of one has Kafka's default; so it logs nowhere (no logging backend is on
// the class path), which costs it nothing.
func startKafka(ctx context.Context, dir, jars string) (*broker, error) {
	ports, err := freeport.Take("127.0.0.1", 2)
	if err != nil {
		return nil, err
	}
	properties := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + ports[1],
		"controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://" + ports[0] + ",CONTROLLER://" + ports[1],
		"advertised.listeners=PLAINTEXT://" + ports[0],
		"log.dirs=" + filepath.Join(dir, kafkaName),
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
	}
	if err := formatKafka(ctx, dir, jars, kafkaName, properties); err != nil {
		return nil, err
	}
	l, err := launchKafka(dir, jars, kafkaName, "1G", ports[0], 1)
	if err != nil {
		return nil, err
	}
	of, _, err := l.ready(ctx)
	return of, err
}

// formatKafka writes a node's properties and has Kafka prepare its directory.
func formatKafka(ctx context.Context, dir, jars, name string, properties []string) error {
	config := filepath.Join(dir, name+".properties")
	if err := os.WriteFile(config, []byte(strings.Join(properties, "\n")+"\n"), 0o644); err != nil {
		return err
	}
	format := exec.CommandContext(ctx, "java", "-Xmx256m", "-cp", jars, "kafka.tools.StorageTool", "format", "-t", "dGlkZWxpbmUtYmVuY2gtMQ", "-c", config)
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("format Kafka's storage name=%s: %w\n%s", name, err, out)
	}
	return nil
}

// launchKafka starts a node that has been formatted. It serves when it knows so many brokers.
func launchKafka(dir, jars, name, heap, addr string, brokers int) (*launch, error) {
	args := append(javaFlags(heap), "-Dkafka.logs.dir="+dir, "-cp", jars, "kafka.Kafka", filepath.Join(dir, name+".properties"))
	began := time.Now()
	p, err := start(name, dir, nil, nil, "java", args...)
	if err != nil {
		return nil, err
	}
	of := &broker{name: kafkaName, addr: addr, proc: p}
	return &launch{of: of, began: began, serves: func(ctx context.Context) error { return of.serves(ctx, brokers, 3*time.Minute) }}, nil
}

// javaVersion is the first line of what java says about itself.
func javaVersion(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(first)
}
