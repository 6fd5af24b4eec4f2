package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/freeport"
)

// TestQuickStart does what a newcomer does in the first hour, by Apache Kafka's own quick start and its tutorial of Kafka Streams, on the
// broker that `tideline dev` is: a topic, events written and read at a terminal, files in and out by Kafka Connect, words counted by Kafka
// Streams, and a look at what has come of it all.
func TestQuickStart(t *testing.T) {
	q := &quickStart{t: t, addr: brokertest.Start(t, brokertest.Options{}).Addr(), box: startToolbox(t), dir: t.TempDir()}
	for _, step := range []struct {
		name string
		try  func()
	}{
		{"a topic", q.topic},
		{"events", q.events},
		{"files through Kafka Connect", q.connect},
		{"words counted by Kafka Streams", q.streams},
		{"a group, watched and moved back", q.group},
		{"a queue", q.queue},
		{"a look around", q.look},
	} {
		if !t.Run(step.name, func(t *testing.T) { q.t, q.box.t = t, t; step.try() }) {
			return
		}
	}
}

type quickStart struct {
	t    testing.TB
	addr string
	box  *toolbox
	dir  string
}

// run runs a tool that must not fail.
func (q *quickStart) run(command, input string) string {
	q.t.Helper()
	run := q.box.start(q.addr, command, input).wait()
	if *run.exit != 0 {
		q.t.Fatalf("%s: exit %d\n%s\n%s", command, *run.exit, strings.Join(run.out, "\n"), strings.Join(run.err, "\n"))
	}
	return strings.Join(run.out, "\n")
}

func (q *quickStart) write(name, content string) string {
	q.t.Helper()
	path := filepath.Join(q.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		q.t.Fatal(err)
	}
	return path
}

func (q *quickStart) topic() {
	expect(q.t, "create", q.run("topics --create --topic quickstart-events", ""), `^Created topic quickstart-events\.$`)
	expect(q.t, "describe", q.run("topics --describe --topic quickstart-events", ""), `^Topic: quickstart-events\s+TopicId: \S{22}\s+PartitionCount: 1\s+ReplicationFactor: 1\s`,
		`Topic: quickstart-events\s+Partition: 0\s+Leader: 1\s+Replicas: 1\s+Isr: 1`)
}

func (q *quickStart) events() {
	q.run("console-producer --topic quickstart-events", "This is my first event\nThis is my second event\n")
	reader := q.box.start(q.addr, "console-consumer --topic quickstart-events --from-beginning", "")
	reader.prints(2)
	q.run("console-producer --topic quickstart-events", "And this comes while somebody reads\n")
	reader.prints(3)
	got := strings.Join(reader.stop().out, "\n")
	if want := "This is my first event\nThis is my second event\nAnd this comes while somebody reads"; got != want {
		q.t.Errorf("read:\n%s\nwant:\n%s", got, want)
	}
}

func (q *quickStart) connect() {
	lib := quickstartJars(q.t)
	source := q.write("test.txt", "foo\nbar\n")
	sink := filepath.Join(q.dir, "test.sink.txt")
	worker := q.write("connect-standalone.properties", strings.Join([]string{
		"bootstrap.servers=" + q.addr, "listeners=http://" + freeport.ForTest(q.t, 1)[0], "plugin.path=" + lib, "plugin.discovery=service_load",
		"key.converter=org.apache.kafka.connect.json.JsonConverter", "value.converter=org.apache.kafka.connect.json.JsonConverter",
		"key.converter.schemas.enable=true", "value.converter.schemas.enable=true",
		"offset.storage.file.filename=" + filepath.Join(q.dir, "connect.offsets"), "offset.flush.interval.ms=1000",
	}, "\n"))
	from := q.write("connect-file-source.properties", "name=local-file-source\nconnector.class=FileStreamSource\ntasks.max=1\ntopic=connect-test\nfile="+source+"\n")
	to := q.write("connect-file-sink.properties", "name=local-file-sink\nconnector.class=FileStreamSink\ntasks.max=1\ntopics=connect-test\nfile="+sink+"\n")
	process := startJava(q.t, "connect", "-Xmx256m", []string{filepath.Join(jars(q.t), "*")}, nil, "org.apache.kafka.connect.cli.ConnectStandalone", worker, from, to)
	copied := func(want string) {
		q.t.Helper()
		eventually(q.t, connectTimeout, func() string {
			got, err := os.ReadFile(sink)
			if err == nil && string(got) == want {
				return ""
			}
			return "the sink has " + string(got) + " and not " + want
		})
	}
	copied("foo\nbar\n")
	expect(q.t, "the topic between", q.run("console-consumer --topic connect-test --from-beginning --max-messages 2 --timeout-ms 60000", ""),
		`^\{"schema":\{"type":"string","optional":false\},"payload":"foo"\}$`, `"payload":"bar"`)
	f, err := os.OpenFile(source, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString("Another line\n")
	}
	if err != nil {
		q.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		q.t.Fatal(err)
	}
	copied("foo\nbar\nAnother line\n")
	process.kill()
}

func (q *quickStart) streams() {
	q.run("topics --create --replication-factor 1 --partitions 1 --topic streams-plaintext-input", "")
	q.run("topics --create --replication-factor 1 --partitions 1 --topic streams-wordcount-output --config cleanup.policy=compact", "")
	config := q.write("streams.properties", "bootstrap.servers="+q.addr+"\nstate.dir="+filepath.Join(q.dir, "streams")+"\ncommit.interval.ms=200\n")
	lib := []string{filepath.Join(quickstartJars(q.t), "*"), filepath.Join(jars(q.t), "*")}
	process := startJava(q.t, "word count", "-Xmx256m", lib, nil, "org.apache.kafka.streams.examples.wordcount.WordCountDemo", config)
	reader := q.box.start(q.addr, "console-consumer --topic streams-wordcount-output --from-beginning --formatter-property print.key=true --formatter-property print.value=true"+
		" --formatter-property key.deserializer=org.apache.kafka.common.serialization.StringDeserializer --formatter-property value.deserializer=org.apache.kafka.common.serialization.LongDeserializer", "")
	counts := func(want ...string) {
		q.t.Helper()
		reader.until(func() bool { return containsAll(strings.Join(reader.out, "\n")+"\n", want...) })
		if got := strings.Join(reader.out, "\n") + "\n"; !containsAll(got, want...) {
			q.t.Fatalf("counted:\n%swant %q", got, want)
		}
	}
	q.run("console-producer --topic streams-plaintext-input", "all streams lead to kafka\n")
	counts("all\t1\n", "streams\t1\n", "lead\t1\n", "to\t1\n", "kafka\t1\n")
	q.run("console-producer --topic streams-plaintext-input", "hello kafka streams\n")
	counts("hello\t1\n", "kafka\t2\n", "streams\t2\n")
	q.run("console-producer --topic streams-plaintext-input", "join kafka summit\n")
	counts("join\t1\n", "kafka\t3\n", "summit\t1\n")
	reader.stop()
	process.kill()
}

func (q *quickStart) group() {
	q.run("console-consumer --topic quickstart-events --group my-group --from-beginning --max-messages 3 --timeout-ms 60000", "")
	expect(q.t, "list", q.run("consumer-groups --list", ""), `^my-group$`)
	expect(q.t, "describe", q.run("consumer-groups --describe --group my-group", ""), `^my-group\s+quickstart-events\s+0\s+3\s+3\s+0\s`)
	expect(q.t, "reset", q.run("consumer-groups --reset-offsets --group my-group --topic quickstart-events --to-earliest --execute", ""), `^my-group\s+quickstart-events\s+0\s+0\s*$`)
	expect(q.t, "read again", q.run("console-consumer --topic quickstart-events --group my-group --max-messages 3 --timeout-ms 60000", ""), `^This is my first event$`)
}

func (q *quickStart) queue() {
	q.run("configs --alter --entity-type groups --entity-name my-share-group --add-config share.auto.offset.reset=earliest", "")
	expect(q.t, "share consumer", q.run("console-share-consumer --topic quickstart-events --group my-share-group --max-messages 3 --timeout-ms 60000", ""), `^This is my second event$`)
	expect(q.t, "share group", q.run("share-groups --describe --group my-share-group", ""), `^my-share-group\s+quickstart-events\s+0\s`)
}

func (q *quickStart) look() {
	expect(q.t, "topics", q.run("topics --list", ""), `^connect-test$`, `^quickstart-events$`, `^streams-wordcount-output$`, `^__consumer_offsets$`)
	expect(q.t, "offsets", q.run("get-offsets --topic quickstart-events", ""), `^quickstart-events:0:3$`)
	expect(q.t, "settings", q.run("configs --describe --topic streams-wordcount-output", ""), `cleanup\.policy=compact`)
	expect(q.t, "versions", q.run("broker-api-versions", ""), `Produce\(0\): 0 to \d+ `)
	q.run("topics --alter --topic quickstart-events --partitions 3", "")
	expect(q.t, "altered", q.run("topics --describe --topic quickstart-events", ""), `PartitionCount: 3`)
	q.run("topics --delete --topic quickstart-events", "")
}
