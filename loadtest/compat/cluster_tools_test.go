package compat

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/freeport"
)

// The main classes of the tools for a cluster.
const (
	reassignTool   = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
	leaderElection = "org.apache.kafka.tools.LeaderElectionCommand"
	metadataQuorum = "org.apache.kafka.tools.MetadataQuorumCommand"
	featureTool    = "org.apache.kafka.tools.FeatureCommand"
)

// startCluster runs brokers 1 to n. Broker 1 makes the cluster and the others join it. Nothing
// moves by itself, and a broker that is held up for a while stays in service.
func startCluster(t *testing.T, n int) []*brokertest.Process {
	t.Helper()
	seed := freeport.ForTest(t, 1)[0]
	var brokers []*brokertest.Process
	objects := t.TempDir()
	for id := 1; id <= n; id++ {
		settings := maps.Clone(quick)
		settings["node.id"], settings["cluster.seeds"], settings["rpc.listener"] = fmt.Sprint(id), seed, "127.0.0.1:0"
		if id == 1 {
			settings["rpc.listener"] = seed
		}
		settings["object.store"] = "file://" + objects
		settings["auto.balance.enable"], settings["auto.leader.rebalance.enable"] = "false", "false"
		settings["broker.session.timeout.ms"] = "120000"
		brokers = append(brokers, brokertest.Start(t, brokertest.Options{Settings: settings}))
	}
	return brokers
}

// untilSays runs a tool until its output matches.
func untilSays(t *testing.T, run func() string, pattern string) {
	t.Helper()
	said := regexp.MustCompile(pattern)
	eventually(t, workerTimeout, func() string {
		if output := run(); !said.MatchString(output) {
			return fmt.Sprintf("no match of %q in:\n%s", pattern, output)
		}
		return ""
	})
}

// TestKafkaToolsOfACluster runs the tools of Apache Kafka that administer a cluster.
func TestKafkaToolsOfACluster(t *testing.T) {
	brokers := startCluster(t, 3)
	with := func(args ...string) []string {
		return append([]string{"--bootstrap-server", brokers[0].Addr()}, args...)
	}
	tool := func(class string, args ...string) string { return runTool(t, "", class, with(args...)...) }
	tool(topicCommand, "--create", "--topic", "moved", "--replica-assignment", "1:2,2:1")
	runTool(t, strings.Repeat("line\n", 50), consoleProducer, with("--topic", "moved")...)

	plan := filepath.Join(t.TempDir(), "plan.json")
	reassign := func(lists ...string) {
		t.Helper()
		var parts []string
		for i, list := range lists {
			parts = append(parts, fmt.Sprintf(`{"topic":"moved","partition":%d,"replicas":[%s]}`, i, list))
		}
		if err := os.WriteFile(plan, []byte(`{"version":1,"partitions":[`+strings.Join(parts, ",")+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	describe := func() string { return tool(topicCommand, "--describe", "--topic", "moved") }

	// Forward, with more replicas for one partition, and the preferred leaders after it.
	reassign("3,1", "2,1,3")
	expect(t, "nothing under way", tool(reassignTool, "--list"), `No partition reassignments found\.`)
	expect(t, "execute", tool(reassignTool, "--reassignment-json-file", plan, "--execute"), `Successfully started partition reassignments for moved-0,moved-1`)
	untilSays(t, func() string { return tool(reassignTool, "--reassignment-json-file", plan, "--verify") },
		`(?s)partition moved-0 is completed\..*partition moved-1 is completed\.`)
	expect(t, "moved", describe(), `Partition: 0\s+Leader: [13]\s+Replicas: 3,1\s+Isr: (3,1|1,3)`, `Partition: 1\s+Leader: 2\s+Replicas: 2,1,3\s`)
	expect(t, "election", tool(leaderElection, "--election-type", "preferred", "--all-topic-partitions"), ``)
	expect(t, "elected", describe(), `Partition: 0\s+Leader: 3\s`)
	expect(t, "election not needed", tool(leaderElection, "--election-type", "preferred", "--topic", "moved", "--partition", "0"),
		`Valid replica already elected for partitions? .*moved-0`)
	expect(t, "not unclean", tool(leaderElection, "--election-type", "unclean", "--topic", "moved", "--partition", "0"),
		`Valid replica already elected for partitions? .*moved-0`)

	// A reassignment that can not end, because the new replica does not answer, is called off.
	reassign("3,2")
	brokers[1].Pause()
	expect(t, "execute", tool(reassignTool, "--reassignment-json-file", plan, "--execute"), `Successfully started partition reassignment`)
	expect(t, "list", tool(reassignTool, "--list"), `moved-0: replicas: 3,2,1\. adding: 2\. removing: 1\.`)
	expect(t, "still under way", tool(reassignTool, "--reassignment-json-file", plan, "--verify", "--preserve-throttles"), `partition moved-0 is still in progress\.`)
	expect(t, "cancel", tool(reassignTool, "--reassignment-json-file", plan, "--cancel", "--preserve-throttles"), `Successfully cancelled partition reassignment for: moved-0`)
	brokers[1].Resume()
	expect(t, "called off", tool(reassignTool, "--list"), `No partition reassignments found\.`)
	expect(t, "as before", describe(), `Partition: 0\s+Leader: 3\s+Replicas: 3,1\s`)

	expect(t, "quorum", tool(metadataQuorum, "describe", "--status"), `^ClusterId:\s+\S{22}$`, `^LeaderId:\s+1$`, `^LeaderEpoch:\s+\d+$`, `^HighWatermark:\s+[1-9]\d*$`,
		`^CurrentVoters:\s+.*"id": ?1`, `^CurrentObservers:\s+`)
	replication := tool(metadataQuorum, "describe", "--replication")
	expect(t, "quorum replication", replication, `^NodeId\s+DirectoryId\s+LogEndOffset\s+Lag\s`, `^1\s+\S+\s+[1-9]\d*\s+0\s+.*Leader`)
	for _, id := range []string{"2", "3"} {
		expect(t, "quorum replication", replication, `^`+id+`\s+\S+\s+[1-9]\d*\s+\d+\s+.*(Follower|Observer)`)
	}
	expect(t, "features", tool(featureTool, "describe"), ``)

	// A broker that is to be forgotten is emptied and stopped first. Two brokers remain, so nothing may have three replicas.
	reassign("3,1", "2,1")
	tool(reassignTool, "--reassignment-json-file", plan, "--execute")
	untilSays(t, func() string { return tool(reassignTool, "--reassignment-json-file", plan, "--verify") },
		`(?s)partition moved-0 is completed\..*partition moved-1 is completed\.`)
	if output := failTool(t, clusterTool, append([]string{"unregister", "--id", "3"}, with()...)...); !strings.Contains(output, "broker in use") {
		t.Errorf("a broker in service is forgotten:\n%s", output)
	}
	expect(t, "decommission", brokers[0].Run("broker", "decommission", "3", "--wait"), `^3\s+in service, draining\s+0\s+0\s+it is empty: stop it, then call again`)
	expect(t, "health", brokers[1].Run("cluster", "health"), `^healthy: 3 brokers, 1 topic, 2 partitions$`)
	expect(t, "emptied", describe(), `Partition: 0\s+Leader: [12]\s+Replicas: (1,2|2,1)\s`, `Partition: 1\s+Leader: [12]\s+Replicas: (1,2|2,1)\s`)
	brokers[2].Stop()
	// Another broker than the controller is asked: it hears of it a moment later.
	untilSays(t, func() string { return brokers[1].Run("broker", "list") }, `(?m)^3\s.*\sfenced, draining\s+0\s+0$`)
	expect(t, "unregister", runTool(t, "", clusterTool, append([]string{"unregister", "--id", "3"}, with()...)...), `Broker 3 is no longer registered\.`)
	// Without a group: the topic of their offsets would have three replicas, and there are two brokers now.
	records := 0
	for _, end := range regexp.MustCompile(`(?m)^moved:(\d):(\d+)$`).FindAllStringSubmatch(tool(getOffsets, "--topic", "moved"), -1) {
		if end[2] != "0" {
			got := tool(consoleConsumer, "--topic", "moved", "--partition", end[1], "--offset", "earliest", "--max-messages", end[2], "--timeout-ms", "60000")
			records += strings.Count(got, "line\n")
		}
	}
	if records != 50 {
		t.Errorf("%d of 50 records after the moves", records)
	}
}

// failTool runs a tool that must fail, and returns what it printed.
func failTool(t testing.TB, class string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), workerTimeout)
	defer cancel()
	output, err := kafkaTool(ctx, t, class, slices.Clone(args)...).CombinedOutput()
	if err == nil {
		t.Errorf("%s %s: did not fail", class, strings.Join(args, " "))
	}
	return string(output)
}
