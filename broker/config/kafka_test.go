package config

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"
)

// kafkaSetting is a setting of Apache Kafka, as testdata/kafka-4.3.1.tsv has it.
type kafkaSetting struct{ level, key, kind, value, bounds, update string }

func kafkaTable(t *testing.T) (rows []kafkaSetting) {
	t.Helper()
	f, err := os.Open("testdata/kafka-4.3.1.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if cells := strings.Split(lines.Text(), "\t"); len(cells) == 6 {
			rows = append(rows, kafkaSetting{cells[0], cells[1], cells[2], cells[3], cells[4], cells[5]})
		}
	}
	if len(rows) < 300 {
		t.Fatalf("%d settings", len(rows))
	}
	return rows
}

// elsewhere are keys of whole areas that may have tables of their own: where a table has the key, it is
// held to the same rules as all.
var elsewhere = regexp.MustCompile(`^(ssl\.|sasl\.|quota\.|controller\.quota\.|delegation\.token\.|authorizer\.class\.name$|principal\.builder\.class$|connection\.failed\.|connections\.max\.reauth\.ms$|max\.connection\.creation\.rate$|max\.connections\.per\.ip\.overrides$|telemetry\.)`)

// otherDefault are settings whose default is another one here. docs/divergence.md has the reasons.
var otherDefault = map[string]bool{
	"broker.heartbeat.interval.ms": true, "broker.session.timeout.ms": true, "replica.selector.class": true, "log.retention.ms": true, "log.retention.hours": true,
	"log.roll.hours": true, "log.roll.ms": true, "log.roll.jitter.hours": true, "log.roll.jitter.ms": true, "log.flush.interval.ms": true,
	"remote.storage.enable": true, "remote.log.storage.system.enable": true, "listeners": true, "node.id": true, "broker.id": true,
	"offsets.topic.replication.factor": true, "transaction.state.log.replication.factor": true, "transaction.state.log.min.isr": true,
	"share.coordinator.state.topic.replication.factor": true, "share.coordinator.state.topic.min.isr": true,
	"listener.security.protocol.map": true, "metric.reporters": true,
	"sasl.enabled.mechanisms": true, "ssl.keystore.type": true, "ssl.truststore.type": true,
	"socket.send.buffer.bytes": true, "socket.receive.buffer.bytes": true,
}

// otherType are settings of another type here.
var otherType = map[string]bool{
	"log.cleaner.io.max.bytes.per.second": true,
}

// TestKafkasSettingsAreKnown: each is in the table, with Kafka's type and default, or is refused with what
// does its work.
func TestKafkasSettingsAreKnown(t *testing.T) {
	for _, k := range kafkaTable(t) {
		var s *Setting
		var ok bool
		switch k.level {
		case "broker":
			s, ok = LookupBroker(k.key)
			if _, refused := foreign[k.key]; refused {
				if ok {
					t.Errorf("%s is in the table and refused", k.key)
				}
				continue
			}
		case "topic":
			s, ok = LookupTopic(k.key)
		case "group":
			s, ok = LookupGroup(k.key)
		}
		if !ok {
			if !elsewhere.MatchString(k.key) {
				t.Errorf("%s %s: unknown", k.level, k.key)
			}
			continue
		}
		want := map[string]string{"boolean": "boolean"}[k.kind]
		if want == "" {
			want = k.kind
		}
		if s.Type.String() != want && !otherType[k.key] {
			t.Errorf("%s %s: type %s, want %s", k.level, k.key, s.Type, want)
		}
		def := s.Default
		if k.value != "-" && def != k.value && s.Auto == "" && !otherDefault[k.key] {
			if canonical, err := s.canonical(k.value, false); err != nil || canonical != def {
				t.Errorf("%s %s: default %q, want %q (%v)", k.level, k.key, def, k.value, err)
			}
		}
		// A default of Kafka's that a server.properties spells out is taken.
		if _, err := s.canonical(k.value, false); k.value != "-" && k.value != "<required>" && err != nil && !elsewhere.MatchString(k.key) && !otherMeaning[k.key] {
			t.Errorf("%s %s: Kafka's default %q is refused", k.level, k.key, k.value)
		}
		if k.level == "broker" && k.update != "read-only" && s.Update == ReadOnly && !elsewhere.MatchString(k.key) && !onlyAtStart[k.key] {
			t.Errorf("%s can be changed in a running broker of Kafka", k.key)
		}
	}
}

// otherMeaning are settings that do not take Kafka's default: of two, the other value is the only one, and
// -1 stands for what there is not, here.
var otherMeaning = map[string]bool{"remote.storage.enable": true, "remote.log.storage.system.enable": true, "broker.id": true, "queued.max.request.bytes": true}

// onlyAtStart are settings that a running broker of Kafka takes, and one of ours does not.
var onlyAtStart = map[string]bool{"listeners": true, "listener.security.protocol.map": true}
