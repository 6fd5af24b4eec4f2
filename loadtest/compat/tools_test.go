package compat

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/brokertest"
)

// The main classes behind Kafka's shell scripts.
const (
	consoleProducer  = "org.apache.kafka.tools.ConsoleProducer"
	consoleConsumer  = "org.apache.kafka.tools.consumer.ConsoleConsumer"
	producerPerf     = "org.apache.kafka.tools.ProducerPerformance"
	consumerPerf     = "org.apache.kafka.tools.ConsumerPerformance"
	topicCommand     = "org.apache.kafka.tools.TopicCommand"
	configCommand    = "kafka.admin.ConfigCommand"
	groupCommand     = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	getOffsets       = "org.apache.kafka.tools.GetOffsetShell"
	deleteRecords    = "org.apache.kafka.tools.DeleteRecordsCommand"
	logDirs          = "org.apache.kafka.tools.LogDirsCommand"
	brokerAPIVersion = "org.apache.kafka.tools.BrokerApiVersionsCommand"
	clusterTool      = "org.apache.kafka.tools.ClusterTool"
)

// kafkaTool is one of Kafka's own command-line tools.
func kafkaTool(ctx context.Context, t testing.TB, class string, args ...string) *exec.Cmd {
	t.Helper()
	argv := append(slices.Clone(javaFlags), "-cp", filepath.Join(jars(t), "*"), class)
	return exec.CommandContext(ctx, "java", append(argv, args...)...)
}

// runTool runs one of Kafka's tools and returns what it printed. A tool that fails fails the test.
func runTool(t testing.TB, input, class string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), workerTimeout)
	defer cancel()
	cmd := kafkaTool(ctx, t, class, args...)
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", class, strings.Join(args, " "), err, clip(stdout.Bytes()), clip(stderr.Bytes()))
	}
	return stdout.String()
}

func expect(t testing.TB, what, output string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !regexp.MustCompile(`(?m)` + part).MatchString(output) {
			t.Errorf("%s: no match of %q in:\n%s", what, part, output)
		}
	}
}

// TestKafkaTools runs the command-line tools of Apache Kafka.
func TestKafkaTools(t *testing.T) {
	p := brokertest.Start(t, brokertest.Options{Settings: quick})
	b := []string{"--bootstrap-server", p.Addr()}
	with := func(args ...string) []string { return append(slices.Clone(b), args...) }
	t.Run("topics", func(t *testing.T) { t.Parallel(); toolTopics(t, with) })
	t.Run("console", func(t *testing.T) { t.Parallel(); toolConsole(t, with) })
	t.Run("groups", func(t *testing.T) { t.Parallel(); toolGroups(t, with) })
	t.Run("offsets", func(t *testing.T) { t.Parallel(); toolOffsets(t, with) })
	t.Run("cluster", func(t *testing.T) { t.Parallel(); toolCluster(t, with) })
	t.Run("performance", func(t *testing.T) { t.Parallel(); toolPerformance(t, with) })
}

// toolTopics: kafka-topics and kafka-configs.
func toolTopics(t *testing.T, with func(...string) []string) {
	expect(t, "create", runTool(t, "", topicCommand, with("--create", "--topic", "made", "--partitions", "3", "--replication-factor", "1",
		"--config", "retention.ms=86400000", "--config", "max.message.bytes=2000000")...), `Created topic made\.`)
	expect(t, "create if not exists", runTool(t, "", topicCommand, with("--create", "--topic", "made", "--if-not-exists")...), ``)
	expect(t, "list", runTool(t, "", topicCommand, with("--list")...), `^made$`)
	expect(t, "describe", runTool(t, "", topicCommand, with("--describe", "--topic", "made")...),
		`Topic: made\s.*TopicId: \S{22}\s.*PartitionCount: 3\s.*ReplicationFactor: 1\s`, `retention\.ms=86400000`, `max\.message\.bytes=2000000`,
		`Partition: 2\s+Leader: 1\s+Replicas: 1\s+Isr: 1`)
	runTool(t, "", topicCommand, with("--alter", "--topic", "made", "--partitions", "5")...)
	expect(t, "describe after alter", runTool(t, "", topicCommand, with("--describe", "--topic", "made")...), `PartitionCount: 5`, `Partition: 4\s`)

	expect(t, "alter config", runTool(t, "", configCommand, with("--alter", "--entity-type", "topics", "--entity-name", "made",
		"--add-config", "retention.bytes=1000000,cleanup.policy=[delete]", "--delete-config", "max.message.bytes")...), `Completed updating config`)
	described := runTool(t, "", configCommand, with("--describe", "--entity-type", "topics", "--entity-name", "made")...)
	expect(t, "describe config", described, `retention\.bytes=1000000 `, `retention\.ms=86400000 `)
	if strings.Contains(described, "max.message.bytes=") {
		t.Errorf("a deleted setting is still there:\n%s", described)
	}
	expect(t, "describe all", runTool(t, "", configCommand, with("--describe", "--all", "--entity-type", "topics", "--entity-name", "made")...),
		`max\.message\.bytes=\d+ sensitive=false synonyms=\{DEFAULT_CONFIG:message\.max\.bytes=\d+\}`)
	runTool(t, "", configCommand, with("--alter", "--entity-type", "brokers", "--entity-default", "--add-config", "log.retention.ms=777600000")...)
	expect(t, "describe broker default", runTool(t, "", configCommand, with("--describe", "--entity-type", "brokers", "--entity-default")...), `log\.retention\.ms=777600000`)
	expect(t, "describe broker", runTool(t, "", configCommand, with("--describe", "--all", "--entity-type", "brokers", "--entity-name", "1")...),
		`log\.retention\.ms=777600000 .*DYNAMIC_DEFAULT_BROKER_CONFIG`, `wal\.sync=always`)
	runTool(t, "", configCommand, with("--alter", "--entity-type", "brokers", "--entity-default", "--delete-config", "log.retention.ms")...)

	runTool(t, "", topicCommand, with("--delete", "--topic", "made")...)
	if list := runTool(t, "", topicCommand, with("--list")...); strings.Contains(list, "made") {
		t.Errorf("a deleted topic is listed:\n%s", list)
	}
}

// toolConsole: the console clients with keys, headers and timestamps.
func toolConsole(t *testing.T, with func(...string) []string) {
	runTool(t, "", topicCommand, with("--create", "--topic", "console", "--partitions", "1")...)
	var want strings.Builder
	for _, codec := range allCodecs {
		var input strings.Builder
		for n := range 5 {
			fmt.Fprintf(&input, "h1:%s,h2:x\tk%d\tvalue %d of %s\n", codec, n, n, codec)
			fmt.Fprintf(&want, "h1:%s,h2:x\tk%d\tvalue %d of %s\n", codec, n, n, codec)
		}
		runTool(t, input.String(), consoleProducer, with("--topic", "console", "--compression-codec", codec,
			"--reader-property", "parse.key=true", "--reader-property", "parse.headers=true")...)
	}
	total := fmt.Sprint(5 * len(allCodecs))
	got := runTool(t, "", consoleConsumer, with("--topic", "console", "--from-beginning", "--max-messages", total, "--timeout-ms", "60000",
		"--formatter-property", "print.key=true", "--formatter-property", "print.headers=true")...)
	if got != want.String() {
		t.Errorf("console consumer:\n%s\nwant:\n%s", got, want.String())
	}
	tail := runTool(t, "", consoleConsumer, with("--topic", "console", "--partition", "0", "--offset", "20", "--max-messages", "5", "--timeout-ms", "60000",
		"--formatter-property", "print.offset=true", "--formatter-property", "print.timestamp=true")...)
	expect(t, "console consumer from an offset", tail, `^CreateTime:\d{13}\tOffset:20\tvalue 0 of zstd$`, `Offset:24\tvalue 4 of zstd$`)
}

// toolGroups: kafka-consumer-groups on a group that has read and left.
func toolGroups(t *testing.T, with func(...string) []string) {
	runTool(t, "", topicCommand, with("--create", "--topic", "grouped", "--partitions", "1")...)
	runTool(t, strings.Repeat("line\n", 10), consoleProducer, with("--topic", "grouped")...)
	runTool(t, "", consoleConsumer, with("--topic", "grouped", "--group", "g", "--from-beginning", "--max-messages", "10", "--timeout-ms", "60000")...)
	runTool(t, strings.Repeat("line\n", 4), consoleProducer, with("--topic", "grouped")...)
	expect(t, "list", runTool(t, "", groupCommand, with("--list")...), `^g$`)
	describe := func() string { return runTool(t, "", groupCommand, with("--describe", "--group", "g")...) }
	// GROUP TOPIC PARTITION [LEADER-EPOCH] CURRENT-OFFSET LOG-END-OFFSET LAG CONSUMER-ID HOST CLIENT-ID
	expect(t, "describe", describe(), `^g\s+grouped\s+0\s+(\d+\s+)?10\s+14\s+4\s+-\s+-\s+-`)
	expect(t, "state", runTool(t, "", groupCommand, with("--describe", "--group", "g", "--state")...), `^g\s+.*Empty\s+0`)
	expect(t, "reset to an offset", runTool(t, "", groupCommand, with("--reset-offsets", "--group", "g", "--topic", "grouped:0", "--to-offset", "3", "--execute")...),
		`^g\s+grouped\s+0\s+3`)
	expect(t, "describe after reset", describe(), `^g\s+grouped\s+0\s+(\d+\s+)?3\s+14\s+11\s`)
	runTool(t, "", groupCommand, with("--reset-offsets", "--group", "g", "--all-topics", "--to-earliest", "--execute")...)
	expect(t, "describe after reset to earliest", describe(), `^g\s+grouped\s+0\s+(\d+\s+)?0\s+14\s+14\s`)
	expect(t, "delete offsets", runTool(t, "", groupCommand, with("--delete-offsets", "--group", "g", "--topic", "grouped")...), `grouped\s+0\s+Successful`)
	runTool(t, "", consoleConsumer, with("--topic", "grouped", "--group", "g", "--from-beginning", "--max-messages", "14", "--timeout-ms", "60000")...)
	expect(t, "delete", runTool(t, "", groupCommand, with("--delete", "--group", "g")...), `successful`)
	if list := runTool(t, "", groupCommand, with("--list")...); regexp.MustCompile(`(?m)^g$`).MatchString(list) {
		t.Errorf("a deleted group is listed:\n%s", list)
	}
}

// toolOffsets: kafka-get-offsets, kafka-delete-records.
func toolOffsets(t *testing.T, with func(...string) []string) {
	runTool(t, "", topicCommand, with("--create", "--topic", "offsets", "--partitions", "1")...)
	before := time.Now().UnixMilli()
	runTool(t, strings.Repeat("line\n", 20), consoleProducer, with("--topic", "offsets")...)
	get := func(args ...string) string {
		return runTool(t, "", getOffsets, with(append([]string{"--topic", "offsets"}, args...)...)...)
	}
	expect(t, "end", get(), `^offsets:0:20$`)
	expect(t, "earliest", get("--time", "-2"), `^offsets:0:0$`)
	expect(t, "greatest time", get("--time", "max-timestamp"), `^offsets:0:\d+$`)
	expect(t, "earliest local", get("--time", "earliest-local"), `^offsets:0:0$`)
	expect(t, "time", get("--time", fmt.Sprint(before)), `^offsets:0:0$`)
	file := filepath.Join(t.TempDir(), "delete.json")
	if err := os.WriteFile(file, []byte(`{"version":1,"partitions":[{"topic":"offsets","partition":0,"offset":7}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, "delete records", runTool(t, "", deleteRecords, with("--offset-json-file", file)...), `partition: offsets-0\s+low_watermark: 7`)
	expect(t, "earliest after deletion", get("--time", "-2"), `^offsets:0:7$`)
	got := runTool(t, "", consoleConsumer, with("--topic", "offsets", "--from-beginning", "--max-messages", "13", "--timeout-ms", "60000", "--formatter-property", "print.offset=true")...)
	expect(t, "consume after deletion", got, `\AOffset:7\tline`, `^Offset:19\tline\n\z`)
}

// toolCluster: kafka-log-dirs, kafka-broker-api-versions, kafka-cluster.
func toolCluster(t *testing.T, with func(...string) []string) {
	runTool(t, "", topicCommand, with("--create", "--topic", "sized", "--partitions", "1")...)
	runTool(t, strings.Repeat("line\n", 100), consoleProducer, with("--topic", "sized")...)
	expect(t, "log dirs", runTool(t, "", logDirs, with("--describe", "--topic-list", "sized")...), `"partition":"sized-0","size":[1-9]\d*,"offsetLag":0`, `"broker":1`)
	expect(t, "API versions", runTool(t, "", brokerAPIVersion, with()...), `\(id: 1 rack: \S+ isFenced: false\) -> \(`, `Produce\(0\): `, `Fetch\(1\): `)
	expect(t, "cluster id", runTool(t, "", clusterTool, append([]string{"cluster-id"}, with()...)...), `^Cluster ID: \S{22}$`)
	expect(t, "brokers", runTool(t, "", clusterTool, append([]string{"list-endpoints"}, with()...)...), `^1\s+127\.0\.0\.1\s+\d+`)
	expect(t, "quorum", runTool(t, "", metadataQuorum, with("describe", "--status")...), `^LeaderId:\s+1$`, `^MaxFollowerLag:\s+0$`, `^CurrentObservers:\s+\[\]$`)
	expect(t, "quorum replication", runTool(t, "", metadataQuorum, with("describe", "--replication")...), `^1\s+\S+\s+[1-9]\d*\s+0\s+.*Leader`)
	expect(t, "reassignments", runTool(t, "", reassignTool, with("--list")...), `No partition reassignments found\.`)
	expect(t, "features", runTool(t, "", featureTool, with("describe")...), ``)
	expect(t, "election", runTool(t, "", leaderElection, with("--election-type", "preferred", "--topic", "sized", "--partition", "0")...), `Valid replica already elected`)
	if output := failTool(t, clusterTool, append([]string{"unregister", "--id", "7"}, with()...)...); !strings.Contains(output, "BrokerIdNotRegisteredException") {
		t.Errorf("an unknown broker is forgotten:\n%s", output)
	}
}

// toolPerformance: the performance tools, small.
func toolPerformance(t *testing.T, with func(...string) []string) {
	runTool(t, "", topicCommand, with("--create", "--topic", "perf", "--partitions", "2")...)
	expect(t, "producer", runTool(t, "", producerPerf, with("--topic", "perf", "--num-records", "20000", "--record-size", "200", "--throughput", "-1",
		"--command-property", "acks=all", "compression.type=lz4")...), `^20000 records sent, `)
	expect(t, "consumer", runTool(t, "", consumerPerf, with("--topic", "perf", "--num-records", "20000", "--timeout", "60000")...), `, 20000, `)
}
