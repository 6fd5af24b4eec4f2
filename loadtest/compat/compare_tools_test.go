package compat

import (
	"path/filepath"
	"testing"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/freeport"
)

// TestCompareTools runs Apache Kafka's command-line tools on Apache Kafka and on Tideline, every subcommand of each, and compares what they
// print line by line.
func TestCompareTools(t *testing.T) {
	settings := map[string]string{
		"transaction.state.log.num.partitions": "6", "offsets.topic.num.partitions": "6", "share.coordinator.state.topic.num.partitions": "6",
		"group.streams.min.session.timeout.ms": "1000", "group.streams.session.timeout.ms": "6000",
		"group.streams.min.heartbeat.interval.ms": "1000", "group.streams.heartbeat.interval.ms": "1000",
	}
	for key, value := range quick {
		settings[key] = value
	}
	// Everything is allowed to whoever has not said who it is; delegation tokens are for those who have.
	const secret, protocols = "delegation.token.secret.key", "listener.security.protocol.map"
	jaas := `org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="admin-secret" user_admin="admin-secret";`
	security := func(listeners string) map[string]string {
		return map[string]string{
			"listeners": listeners, secret: "a secret of the test", "sasl.enabled.mechanisms": "PLAIN", "super.users": "User:ANONYMOUS;User:admin",
			"authorizer.class.name":                               "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
			"listener.name.sasl_plaintext.plain.sasl.jaas.config": jaas,
		}
	}
	kafkaSide := func(name string) *toolSide {
		sasl := freeport.ForTest(t, 1)[0]
		var more []string
		for key, value := range security("PLAINTEXT://{listen},SASL_PLAINTEXT://" + sasl + ",CONTROLLER://{controller}") {
			more = append(more, key+"="+value)
		}
		k := startKafka(t, append(more, protocols+"=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT")...)
		return &toolSide{name: name, addr: k.addr, sasl: sasl, dir: filepath.Join(k.dir, "data")}
	}
	sides := [2]*toolSide{kafkaSide("kafka")}
	if reference() {
		sides[1] = kafkaSide("tideline")
	} else {
		sasl := freeport.ForTest(t, 1)[0]
		all := security("PLAINTEXT://{listen},SASL_PLAINTEXT://" + sasl)
		for key, value := range settings {
			all[key] = value
		}
		p := brokertest.Start(t, brokertest.Options{Settings: all})
		sides[1] = &toolSide{name: "tideline", addr: p.Addr(), sasl: sasl, dir: p.Dir()}
	}
	box := startToolbox(t)
	for _, s := range sides {
		s.box = box
	}
	for _, one := range []toolScenario{
		{"topics", toolsTopics, nil},
		{"configs", toolsConfigs, toolsConfigsAllowed},
		{"offsets", toolsOffsets, offsetsAllowed},
		{"cluster", toolsCluster, clusterAllowed},
		{"reassignment", toolsReassignment, nil},
		{"consumer groups", toolsConsumerGroups, consumerGroupsAllowed},
		{"share groups", toolsShareGroups, shareGroupsAllowed},
		{"streams groups", toolsStreamsGroups, streamsGroupsAllowed},
		{"transactions", toolsTransactions, nil},
		{"acls", toolsACLs, nil},
		{"quotas", toolsQuotas, nil},
		{"users", toolsUsers, nil},
		{"tokens", toolsTokens, nil},
		{"client metrics", toolsClientMetrics, nil},
	} {
		t.Run(one.name, func(t *testing.T) { compareTools(t, sides, one) })
	}
}

// toolsTopics: kafka-topics.
func toolsTopics(s *toolSide) {
	s.run("topics --list")
	s.run("topics --describe")
	s.run("topics --create --topic made --partitions 3 --replication-factor 1 --config retention.ms=86400000 --config max.message.bytes=2000000")
	s.run("topics --create --topic made")
	s.run("topics --create --topic made --if-not-exists")
	s.run("topics --create --topic with.dot")
	s.run("topics --create --topic bad/name")
	s.run("topics --create --topic wide --replication-factor 5")
	s.run("topics --create --topic none --partitions 0")
	s.run("topics --create --topic assigned --replica-assignment 1,1")
	s.run("topics --create --topic elsewhere --replica-assignment 1,7")
	s.run("topics --create --topic twice --replica-assignment 1:1")
	s.run("topics --create --topic wrong --config retention.ms=abc")
	s.run("topics --create --topic wrong --config no.such.setting=1")
	s.run("topics --create --topic strict --config min.insync.replicas=2")
	s.run("topics --create --topic compacted --config cleanup.policy=compact --config compression.type=zstd")
	s.run("topics --create")
	s.run("topics --list", again("^strict$"))
	s.run("topics --list --exclude-internal")
	s.run("topics --list --topic 'ma.*'")
	s.run("topics --describe", again("Topic: compacted"))
	s.run("topics --describe --topic made")
	s.run("topics --describe --topic missing")
	s.run("topics --describe --topic missing --if-exists")
	s.run("topics --describe --topic 'made|strict'")
	s.run("topics --describe --topic-id AAAAAAAAAAAAAAAAAAAABQ")
	s.run("topics --describe --topics-with-overrides")
	s.run("topics --describe --under-replicated-partitions")
	s.run("topics --describe --unavailable-partitions")
	s.run("topics --describe --under-min-isr-partitions")
	s.run("topics --describe --at-min-isr-partitions")
	s.run("topics --describe --topic made --partition-size-limit-per-response 1")
	s.run("topics --describe --exclude-internal")
	s.run("topics --alter --topic made --partitions 5")
	s.run("topics --describe --topic made", again("PartitionCount: 5"))
	s.run("topics --alter --topic made --partitions 3")
	s.run("topics --alter --topic made --partitions 5")
	s.run("topics --alter --topic missing --partitions 5")
	s.run("topics --alter --topic missing --partitions 5 --if-exists")
	s.run("topics --alter --topic assigned --partitions 3 --replica-assignment 1,1,1")
	s.run("topics --delete --topic made")
	s.run("topics --delete --topic made")
	s.run("topics --delete --topic missing --if-exists")
	s.run("topics --delete --topic 'with.*|strict|compacted|assigned'")
	s.run("topics --list", again(`\A\z`))
}

var toolsConfigsAllowed = []allowance{
	allow(`: kafka=remote\.storage\.enable=false .* tideline=remote\.storage\.enable=true `, "all topics are tiered"),
	allow(`^configs --describe --(entity-type topics --entity-name|topic) set.*: kafka=.*synonyms={(DYNAMIC_TOPIC_CONFIG:[^,]*)?} tideline=.*DEFAULT_CONFIG:`,
		"every setting of a topic has its default among its synonyms, also where Apache Kafka's has another unit or no name of its own"),
	allow(`^configs --describe --broker 1.*: kafka=.*DEFAULT_CONFIG:log\.retention\.hours=168} tideline=.*DEFAULT_CONFIG:log\.retention\.ms=604800000}$`, "the default of the retention is told in one unit"),
	allow(`^configs --describe --broker 1 --all: kafka=node\.id=1 .* tideline=node\.id=1 `, "node.id has a default"),
}

// toolsConfigs: kafka-configs for topics, brokers and groups.
func toolsConfigs(s *toolSide) {
	s.run("topics --create --topic set")
	s.run("configs --describe --entity-type topics --entity-name set")
	s.run("configs --alter --entity-type topics --entity-name set --add-config retention.bytes=1000000,cleanup.policy=[compact,delete]")
	s.run("configs --describe --entity-type topics --entity-name set", again("retention.bytes"), inAnyOrder)
	s.run("configs --describe --topic set", inAnyOrder)
	s.run("configs --describe --entity-type topics", inAnyOrder)
	s.run("configs --describe --entity-type topics --entity-name set --all", inAnyOrder)
	s.file("topic.properties", "retention.ms=123456789\nmax.message.bytes=1234567\n")
	s.run("configs --alter --topic set --add-config-file {files}/topic.properties")
	s.run("configs --describe --topic set", again("retention.ms"), inAnyOrder)
	s.run("configs --alter --topic set --delete-config retention.bytes,max.message.bytes")
	s.run("configs --describe --topic set", inAnyOrder)
	s.run("configs --alter --topic set --delete-config retention.bytes")
	s.run("configs --alter --topic set --add-config retention.ms=abc")
	s.run("configs --alter --topic set --add-config no.such.setting=1")
	s.run("configs --alter --topic missing --add-config retention.ms=1000")
	s.run("configs --describe --topic missing")
	s.run("configs --alter --topic set")

	s.run("configs --describe --entity-type brokers --entity-name 1", only("Dynamic|^exit"))
	s.run("configs --alter --entity-type brokers --entity-default --add-config log.retention.ms=777600000")
	s.run("configs --describe --entity-type brokers --entity-default", again("777600000"))
	s.run("configs --alter --broker 1 --add-config log.retention.ms=888800000")
	s.run("configs --describe --broker 1", again("888800000"))
	s.run("configs --describe --broker 1 --all", only(`^(log\.retention\.ms|message\.max\.bytes|node\.id|min\.insync\.replicas)=`), inAnyOrder)
	s.run("configs --alter --broker 1 --delete-config log.retention.ms")
	s.run("configs --alter --broker-defaults --delete-config log.retention.ms")
	s.run("configs --describe --broker-defaults")
	s.run("configs --alter --broker 1 --add-config log.retention.ms=abc")
	s.run("configs --alter --broker 1 --add-config node.id=7")
	s.run("configs --alter --broker 1 --delete-config no.such.setting")
	s.run("configs --describe --broker 7")
	s.run("configs --describe --entity-type broker-loggers --entity-name 1", only("Dynamic"))

	s.run("configs --describe --entity-type groups --entity-name workers", inAnyOrder)
	s.run("configs --alter --entity-type groups --entity-name workers --add-config consumer.session.timeout.ms=50000,share.auto.offset.reset=earliest")
	s.run("configs --describe --entity-type groups --entity-name workers", again("50000"), inAnyOrder)
	s.run("configs --describe --group workers --all", inAnyOrder)
	s.run("configs --describe --entity-type groups", inAnyOrder)
	s.run("configs --alter --group workers --add-config consumer.session.timeout.ms=1")
	s.run("configs --alter --group workers --add-config no.such.setting=1")
	s.run("configs --alter --group workers --delete-config consumer.session.timeout.ms,share.auto.offset.reset")
	s.run("configs --describe --group workers", inAnyOrder)
	s.run("topics --delete --topic set")
}

var offsetsAllowed = []allowance{
	allow(`--time earliest-pending-upload: kafka=nothing tideline=lines:\d:0$`, "all topics are tiered"),
}

// toolsOffsets: kafka-get-offsets, kafka-delete-records, the console clients, kafka-log-dirs, kafka-verifiable-producer and -consumer.
func toolsOffsets(s *toolSide) {
	s.run("topics --create --topic lines --partitions 2")
	s.run("get-offsets --topic lines", again("lines:1:0"))
	s.run("console-producer --topic lines --reader-property parse.key=true --reader-property key.separator=:", input("a:1\na:2\nb:3\nc:4\nd:5\n"))
	s.run("console-producer --topic lines --reader-property parse.key=true --reader-property key.separator=:", input("no separator\n"))
	s.run("get-offsets --topic lines")
	s.run("get-offsets --topic-partitions lines:0,lines:1-2")
	s.run("get-offsets --topic 'li.*' --partitions 1")
	s.run("get-offsets --exclude-internal-topics")
	s.run("get-offsets --topic lines --time earliest")
	s.run("get-offsets --topic lines --time -2")
	s.run("get-offsets --topic lines --time latest")
	s.run("get-offsets --topic lines --time max-timestamp", hide(`:\d+$`))
	s.run("get-offsets --topic lines --time earliest-local")
	s.run("get-offsets --topic lines --time latest-tiered")
	s.run("get-offsets --topic lines --time earliest-pending-upload")
	s.run("get-offsets --topic lines --time 1")
	s.run("get-offsets --topic lines --time 9999999999999")
	s.run("get-offsets --topic lines --time yesterday")
	s.run("get-offsets --topic missing")
	s.run("console-consumer --topic lines --from-beginning --max-messages 5 --timeout-ms 60000 --formatter-property print.key=true --formatter-property print.partition=true --formatter-property print.offset=true", inAnyOrder)
	s.run("console-consumer --topic lines --partition 0 --offset earliest --timeout-ms 1500 --formatter-property print.timestamp=true --formatter-property print.headers=true")
	s.run("console-consumer --include 'lin.*' --from-beginning --timeout-ms 3000", inAnyOrder)
	s.run("console-consumer --topic missing --timeout-ms 1500 --command-property allow.auto.create.topics=false")
	s.run("console-consumer --timeout-ms 1500")
	// What is in the object store is told as a directory of its own.
	remote := without(`{"partitions":\[[^]]*\],"error":null,"logDir":"remote"},?`)
	s.run("log-dirs --describe --topic-list lines", remote, hide(`"size":[1-9]\d*`)) // batches have times of different lengths
	s.run("log-dirs --describe --broker-list 1 --topic-list missing", remote)
	s.file("delete.json", `{"version":1,"partitions":[{"topic":"lines","partition":0,"offset":1},{"topic":"lines","partition":1,"offset":-1}]}`)
	s.run("delete-records --offset-json-file {files}/delete.json", inAnyOrder)
	s.file("beyond.json", `{"version":1,"partitions":[{"topic":"lines","partition":0,"offset":100}]}`)
	s.run("delete-records --offset-json-file {files}/beyond.json", inAnyOrder)
	s.file("twice.json", `{"version":1,"partitions":[{"topic":"lines","partition":0,"offset":1},{"topic":"lines","partition":0,"offset":1}]}`)
	s.run("delete-records --offset-json-file {files}/twice.json")
	s.run("get-offsets --topic lines --time earliest")
	s.run("log-dirs --describe --broker-list 7")
	s.run("topics --create --topic counted")
	s.run("verifiable-producer --topic counted --max-messages 20 --acks -1", hide(`"avg_throughput":[0-9.]+`))
	s.run("verifiable-producer --topic counted --max-messages 20 --throughput 1000 --value-prefix 7 --repeating-keys 3", hide(`"avg_throughput":[0-9.]+`))
	s.run("verifiable-consumer --topic counted --group-id verified --max-messages 40 --reset-policy earliest", only("assigned|revoked|shutdown|startup"))
	// Kafka may answer the first heartbeat before it has assigned anything; the consumer tells of both then.
	s.run("verifiable-consumer --topic counted --group-id verified-new --group-protocol consumer --max-messages 40 --reset-policy earliest --verbose",
		only("assigned|revoked|shutdown|startup|record_data"), without(`^.*"name":"partitions_assigned","partitions":\[\].*$`))
	s.run("get-offsets --topic counted")
	s.run("producer-perf-test --topic counted --num-records 100 --record-size 10 --throughput -1", hide(`, .*`))
	s.run("consumer-perf-test --topic counted --num-records 140 --timeout 60000", hide(`^20.*`))
	s.run("e2e-latency --topic counted --num-records 10 --producer-acks all --record-size 20", only("nothing"))
	s.run("topics --delete --topic lines")
	s.run("topics --delete --topic counted")
}

var clusterAllowed = []allowance{
	allow(`^metadata-quorum describe --status: kafka=CurrentVoters: .*"endpoints".* tideline=CurrentVoters: \[{"id": 1}\]$`, "voters are brokers, whose endpoints clients know"),
	allow(`^metadata-quorum remove-controller .*UnsupportedVersionException.* tideline=.*VoterNotFoundException`, "voters can always be changed"),
	allow(`^features (upgrade|downgrade) .*: kafka=(Could|Can) not .* tideline=(Could|Can) not `, "texts are our own"),
	allow(`^features describe: kafka=Feature: (eligible\.leader\.replicas|group|kraft|metadata|share)\.version `, "what these switch is always there"),
	allow(`^features describe: kafka=.* tideline=Feature: tideline\.version `, "what brokers of two releases may say to each other has a level of its own"),
	allow(`^features (upgrade|disable) --feature share\.version`, "what these switch is always there"),
}

// toolsCluster: kafka-cluster, kafka-broker-api-versions, kafka-metadata-quorum, kafka-features.
func toolsCluster(s *toolSide) {
	s.run("cluster cluster-id")
	s.run("cluster list-endpoints")
	s.run("cluster list-endpoints --include-fenced-brokers")
	s.run("cluster unregister --id 7")
	s.run("broker-api-versions")
	s.run("metadata-quorum describe --status", hide(`^(LeaderEpoch|HighWatermark|MaxFollowerLagTimeMs): \d+`))
	s.run("metadata-quorum describe --replication", hide(`^1 .* Leader$`))
	s.run("metadata-quorum describe --replication --human-readable", hide(`^1 .* ms ago .* ms ago Leader$`))
	s.run("metadata-quorum describe")
	s.run("metadata-quorum remove-controller --controller-id 7 --controller-directory-id AAAAAAAAAAAAAAAAAAAABQ")
	s.run("metadata-quorum add-controller")
	s.run("features describe", inAnyOrder, hide(`Epoch: \d+`))
	s.run("features upgrade --feature no.such.feature=1")
	s.run("features upgrade --feature share.version=1 --dry-run")
	s.run("features downgrade --feature metadata.version=1 --dry-run")
	s.run("features disable --feature share.version --dry-run")
	s.run("features version-mapping")
	s.run("features feature-dependencies --feature share.version=1")
	s.run("leader-election --election-type preferred --all-topic-partitions")
}

// toolsReassignment: kafka-reassign-partitions and kafka-leader-election.
func toolsReassignment(s *toolSide) {
	s.run("topics --create --topic moved --partitions 2")
	s.run("log-dirs --describe --topic-list moved", again("moved-0.*moved-1|moved-1.*moved-0"), only("^exit"))
	s.file("topics.json", `{"version":1,"topics":[{"topic":"moved"}]}`)
	s.run("reassign-partitions --generate --topics-to-move-json-file {files}/topics.json --broker-list 1")
	s.run("reassign-partitions --generate --topics-to-move-json-file {files}/topics.json --broker-list 7")
	s.file("plan.json", `{"version":1,"partitions":[{"topic":"moved","partition":0,"replicas":[1]},{"topic":"moved","partition":1,"replicas":[1]}]}`)
	s.run("reassign-partitions --execute --reassignment-json-file {files}/plan.json")
	s.run("reassign-partitions --execute --reassignment-json-file {files}/plan.json --throttle 1000000")
	s.run("reassign-partitions --verify --reassignment-json-file {files}/plan.json", again("moved-1 is completed"))
	s.run("reassign-partitions --verify --reassignment-json-file {files}/plan.json --preserve-throttles")
	s.run("reassign-partitions --list")
	s.run("reassign-partitions --cancel --reassignment-json-file {files}/plan.json")
	s.file("nobody.json", `{"version":1,"partitions":[{"topic":"moved","partition":0,"replicas":[7]}]}`)
	s.run("reassign-partitions --execute --reassignment-json-file {files}/nobody.json")
	s.file("missing.json", `{"version":1,"partitions":[{"topic":"missing","partition":0,"replicas":[1]}]}`)
	s.run("reassign-partitions --execute --reassignment-json-file {files}/missing.json")
	s.run("reassign-partitions --verify --reassignment-json-file {files}/missing.json")
	s.run("leader-election --election-type preferred --topic moved --partition 0")
	s.run("leader-election --election-type unclean --topic moved --partition 0")
	s.run("leader-election --election-type preferred --topic missing --partition 0")
	s.run("leader-election --election-type preferred --topic moved --partition 9")
	s.file("elect.json", `{"partitions":[{"topic":"moved","partition":0},{"topic":"moved","partition":1}]}`)
	s.run("leader-election --election-type preferred --path-to-json-file {files}/elect.json")
	s.run("leader-election --election-type preferred")
	s.run("topics --delete --topic moved")
}
