package compat

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/child"
	"github.com/tidelinehq/tideline/internal/freeport"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

// A system is what a framework runs on: some brokers that can be killed one at a time.
type system interface {
	// Bootstrap is where clients begin.
	Bootstrap() string
	// KillOne ends a broker at once, and starts it again.
	KillOne(t testing.TB)
}

// reference tells whether Apache Kafka takes Tideline's place.
func reference() bool { return os.Getenv("TIDELINE_TEST_REFERENCE") != "" }

// startSystem runs a Tideline cluster of three with a real object store, or Apache Kafka when TIDELINE_TEST_REFERENCE says that the tests
// themselves are to be tested.
func startSystem(t *testing.T) system {
	t.Helper()
	if reference() {
		return startKafka(t)
	}
	s3 := objstoretest.StartMinIO(t)
	settings := map[string]string{
		"object.store": s3.URL("minio", objstoretest.Prefix(t)), "tier.roll.ms": "2000", "tier.roll.bytes": "262144",
		"wal.file.bytes": "16MiB", "log.retention.check.interval.ms": "1000",
		"transaction.state.log.num.partitions": "6", "offsets.topic.num.partitions": "6",
		"group.streams.min.session.timeout.ms": "1000", "group.streams.session.timeout.ms": "6000",
		"group.streams.min.heartbeat.interval.ms": "1000", "group.streams.heartbeat.interval.ms": "1000",
	}
	for key, value := range quick {
		settings[key] = value
	}
	return &tideline{cluster: brokertest.StartCluster(t, 3, brokertest.ClusterOptions{
		Settings: settings, Env: s3.Env(), ObjectStore: settings["object.store"],
	})}
}

// tideline is a cluster of three.
type tideline struct {
	cluster *brokertest.Cluster
	next    int
}

func (s *tideline) Bootstrap() string { return strings.Join(s.cluster.Addresses(), ",") }

// KillOne takes the brokers in turn.
func (s *tideline) KillOne(t testing.TB) {
	t.Helper()
	i := s.next % s.cluster.Size()
	s.next++
	s.cluster.Kill(i)
	s.cluster.Restart(i)
}

// referenceStart bounds the start of Apache Kafka on a busy machine.
const referenceStart = 4 * time.Minute

// kafka is a broker of Apache Kafka, which is its own controller.
type kafka struct {
	t       *testing.T
	dir     string
	addr    string
	process *program
}

// referenceCluster is the id of Apache Kafka's cluster.
const referenceCluster = "dGlkZWxpbmUtY29tcGF0LQ"

// startKafka runs Apache Kafka with the settings of this file and more, and returns when it serves: {listen} and {controller} are addresses
// in them. A port that was free may be taken by somebody else before it is used: then it is tried again.
func startKafka(t *testing.T, more ...string) *kafka {
	t.Helper()
	for range 3 {
		k := formatKafka(t, slices.Clone(more)...)
		if k.start() {
			return k
		}
		t.Logf("Apache Kafka has ended: %v\n%s", k.process.process.Err(), k.process.log.String())
	}
	t.Fatal("Apache Kafka does not start")
	return nil
}

// formatKafka writes the settings and prepares the directory.
func formatKafka(t *testing.T, more ...string) *kafka {
	t.Helper()
	ports := freeport.ForTest(t, 2)
	k := &kafka{t: t, dir: t.TempDir(), addr: ports[0]}
	properties := []string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.voters=1@" + ports[1],
		"controller.listener.names=CONTROLLER",
		"listeners=PLAINTEXT://" + ports[0] + ",CONTROLLER://" + ports[1],
		"log.dirs=" + filepath.Join(k.dir, "data"),
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=6",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=6",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"share.coordinator.state.topic.num.partitions=6",
		"group.initial.rebalance.delay.ms=300",
		"group.min.session.timeout.ms=1000",
		"group.streams.min.session.timeout.ms=1000", "group.streams.session.timeout.ms=6000",
		"group.streams.min.heartbeat.interval.ms=1000", "group.streams.heartbeat.interval.ms=1000",
	}
	for i := range more {
		more[i] = strings.NewReplacer("{listen}", ports[0], "{controller}", ports[1]).Replace(more[i])
	}
	config := k.config()
	if err := os.WriteFile(config, []byte(strings.Join(append(properties, more...), "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	runTool(t, "", "kafka.tools.StorageTool", "format", "-t", referenceCluster, "-c", config)
	return k
}

func (k *kafka) config() string { return filepath.Join(k.dir, "server.properties") }

// Bootstrap implements system.
func (k *kafka) Bootstrap() string { return k.addr }

// KillOne implements system.
func (k *kafka) KillOne(testing.TB) {
	k.t.Helper()
	k.process.kill()
	if !k.start() {
		k.t.Fatalf("Apache Kafka has ended: %v", k.process.process.Err())
	}
}

// start runs it and waits until it serves; false: it has ended.
func (k *kafka) start() bool {
	k.t.Helper()
	k.process = startJava(k.t, "kafka", "-Xmx384m", []string{filepath.Join(jars(k.t), "*")}, nil, "kafka.Kafka", k.config())
	admin := kadm.NewClient(newClient(k.t, k.addr))
	serves := false
	eventually(k.t, referenceStart, func() string {
		select {
		case <-k.process.process.Done():
			return ""
		default:
		}
		ctx, cancel := context.WithTimeout(k.t.Context(), 5*time.Second)
		defer cancel()
		metadata, err := admin.BrokerMetadata(ctx)
		if serves = err == nil && metadata.Cluster == referenceCluster; !serves {
			return fmt.Sprintf("Apache Kafka does not serve: %v", err)
		}
		return ""
	})
	return serves
}

// A program is a process that a test has started and may kill. It is ended with the test.
type program struct {
	name    string
	process *child.Process
	log     *logTail
}

// startJava runs a main class with the heap that is given.
func startJava(t testing.TB, name, heap string, path, flags []string, class string, args ...string) *program {
	t.Helper()
	return startJavaOut(t, name, heap, path, flags, nil, class, args...)
}

// startJavaOut is startJava with a place for what the program prints; nil: its log.
func startJavaOut(t testing.TB, name, heap string, path, flags []string, out io.Writer, class string, args ...string) *program {
	t.Helper()
	path = append(slices.Clone(path), filepath.Join(extras(t), "lib", "*"))
	argv := slices.Concat([]string{heap, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"}, javaFlags[1:], flags, []string{"-cp", strings.Join(path, string(os.PathListSeparator)), class}, args)
	return startProgram(t, name, exec.Command("java", argv...), out)
}

func startProgram(t testing.TB, name string, cmd *exec.Cmd, out io.Writer) *program {
	t.Helper()
	p := &program{name: name, log: &logTail{}}
	cmd.Stdout, cmd.Stderr = out, p.log
	if out == nil {
		cmd.Stdout = p.log
	}
	var err error
	if p.process, err = child.Start(cmd); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.log.String())
		}
	})
	return p
}

// kill ends it with SIGKILL. One that has ended stays so.
func (p *program) kill() { _ = p.process.Kill() }

// logTail keeps the newest end of a program's log.
type logTail struct {
	mu   sync.Mutex
	kept bytes.Buffer // guarded by mu; at most 2*logTailBytes
}

const logTailBytes = 16 << 10

func (l *logTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept.Write(b)
	if over := l.kept.Len() - 2*logTailBytes; over > 0 {
		l.kept.Next(over + logTailBytes)
	}
	return len(b), nil
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.kept.String()
}
