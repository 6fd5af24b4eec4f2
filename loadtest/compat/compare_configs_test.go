package compat

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	topicKind   = kmsg.ConfigResourceTypeTopic
	brokerKind  = kmsg.ConfigResourceTypeBroker
	loggerKind  = kmsg.ConfigResourceTypeBrokerLogger
	metricsKind = kmsg.ConfigResourceTypeClientMetrics
	groupKind   = kmsg.ConfigResourceTypeGroupConfig
)

var configsAllowed = []allowance{
	allow(`remote\.storage\.enable: kafka="false"`, "every topic is tiered"),
	allow(`topic v\d: .* (flush|segment|segment\.jitter)\.ms: `, "Kafka's brokers have no default of their own in this unit"),
	allow(`retention\.ms: .*log\.retention\.ms="604800000"@5`, "the same time, described in one unit"),
	allow(`^broker v\d: 4 1 .* tideline=nothing$`, "settings that are refused with what does their work, and those of Java and Kerberos"),
	allow(`^broker v\d: 4 1 (group\.|num\.partitions)`, "they can be changed while the broker runs"),
	allow(`^broker v\d: 4 1 (broker\.(heartbeat|session)|replica\.selector|queued\.max\.request|socket\.|remote\.log\.storage\.system|metric\.reporters)`, "other defaults"),
	allow(`^broker v\d: 4 1 (broker\.id|node\.id|listeners|advertised\.listeners|early\.start|listener\.security)`, "each has its own ports, and 1 is our default"),
	allow(`^broker v\d: 4 1 log\.(flush\.interval\.ms|retention\.|roll\.)`, "times are described in one unit"),
	allow(`^broker v\d: 4 1 .*(replication\.factor|min\.isr|state\.topic\.num\.partitions): `, "the settings of the test, and 1 by default in a cluster of one"),
	allow(`^broker v\d: 4 1 (sasl|ssl|principal)\.`, "mechanisms and stores that are Java's; what can be changed at listeners alone"),
	allow(`^root logger v\d: `, "the levels of the tests"),
	allow(` by \?retention\.ms=1 .*kafka=UNKNOWN_SERVER_ERROR tideline=INVALID_REQUEST`, "an operation that there is not"),
	allow(`alter 4 1 by !unclean\.leader\.election\.enable=false `, "it is for all brokers together"),
	mayDiffer(`^(broker|all brokers) .*background\.threads: `, "Kafka shows what its pool of threads has, not what is set"),
}

// kafkasKeys are the settings of one level that Apache Kafka has.
func kafkasKeys(s *side, level string) (keys []string) {
	s.t.Helper()
	f, err := os.Open("../../broker/config/testdata/kafka-4.3.1.tsv")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if cells := strings.Split(lines.Text(), "\t"); cells[0] == level {
			keys = append(keys, cells[1])
		}
	}
	return keys
}

// compareConfigs: settings of everything that has any, told and changed in every version.
func compareConfigs(s *side) {
	compareCreated(s)
	for v := range s.latest(32) + 1 {
		if v == s.clamp(32, v) {
			compareDescribed(s, v)
		}
	}
	for v := range s.latest(33) + 1 {
		compareReplaced(s, v)
	}
	for v := range s.latest(44) + 1 {
		compareIncremental(s, v)
	}
	for v := range s.latest(74) + 1 {
		compareListed(s, v)
	}
	compareLogDirs(s)
}

// settings notes what an answer tells, one line for each setting.
func (s *side) settings(step string, resp *kmsg.DescribeConfigsResponse) {
	v := resp.Version
	add := func(field, format string, args ...any) {
		s.transcript = append(s.transcript, said{fmt.Sprintf("%s v%d", step, v), field, fmt.Sprintf(format, args...)})
	}
	for _, r := range resp.Resources {
		name := fmt.Sprintf("%d %s", r.ResourceType, r.ResourceName)
		add(name, "%s", codeName(r.ErrorCode))
		slices.SortFunc(r.Configs, func(a, b kmsg.DescribeConfigsResponseResourceConfig) int { return strings.Compare(a.Name, b.Name) })
		for i := range r.Configs {
			c := &r.Configs[i]
			var b strings.Builder
			fmt.Fprintf(&b, "%s source=%d", text(c.Value), c.Source)
			if c.ReadOnly {
				b.WriteString(" read-only")
			}
			if c.IsSensitive {
				b.WriteString(" sensitive")
			}
			if v >= 3 {
				fmt.Fprintf(&b, " type=%d documented=%v", c.ConfigType, c.Documentation != nil && *c.Documentation != "")
			}
			for _, syn := range c.ConfigSynonyms {
				fmt.Fprintf(&b, " %s=%s@%d", syn.Name, text(syn.Value), syn.Source)
			}
			add(name+" "+c.Name, "%s", b.String())
		}
	}
}

func text(p *string) string {
	if p == nil {
		return "null"
	}
	return fmt.Sprintf("%q", *p)
}

func (s *side) describe(step string, v int16, kind kmsg.ConfigResourceType, name string, keys ...string) {
	s.t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, v >= 3
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, r)
	s.settings(step, s.ask("main", req, v).(*kmsg.DescribeConfigsResponse))
}

// compareCreated: topics with settings, good and bad.
func compareCreated(s *side) {
	create := func(v int16, name string, validate bool, settings ...string) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis, req.ValidateOnly = int32(callTimeout.Milliseconds()), validate
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, 2, 1
		for _, one := range settings {
			kv := kmsg.NewCreateTopicsRequestTopicConfig()
			key, value, ok := strings.Cut(one, "=")
			if kv.Name = key; ok {
				kv.Value = &value
			}
			t.Configs = append(t.Configs, kv)
		}
		req.Topics = append(req.Topics, t)
		resp := s.ask("main", req, v).(*kmsg.CreateTopicsResponse)
		step := fmt.Sprintf("create %s with %s v%d", name, strings.Join(settings, " "), v)
		for _, rt := range resp.Topics {
			s.transcript = append(s.transcript, said{step, "code", codeName(rt.ErrorCode)})
			slices.SortFunc(rt.Configs, func(a, b kmsg.CreateTopicsResponseTopicConfig) int { return strings.Compare(a.Name, b.Name) })
			for _, c := range rt.Configs {
				s.transcript = append(s.transcript, said{step, c.Name, fmt.Sprintf("%s source=%d read-only=%v sensitive=%v", text(c.Value), c.Source, c.ReadOnly, c.IsSensitive)})
			}
		}
	}
	for v := s.clamp(19, 0); v <= s.latest(19); v++ {
		name := fmt.Sprintf("configs-%d", v)
		create(v, name, true, "retention.ms=1000")
		create(v, name, false, "retention.ms=1000", "cleanup.policy=compact,delete", "compression.type=zstd", "min.cleanable.dirty.ratio=0.25")
		create(v, name, false)
		for _, bad := range [][]string{
			{"retention.ms=x"}, {"retention.ms=-2"}, {"retention.ms"}, {"nix=1"}, {"cleanup.policy=shred"}, {"cleanup.policy="}, {"compression.type=brotli"},
			{"min.insync.replicas=0"}, {"max.message.bytes=-1"}, {"compression.gzip.level=0"}, {"compression.lz4.level=18"}, {"compression.zstd.level=23"},
			{"message.timestamp.type=Never"}, {"segment.bytes=1"}, {"leader.replication.throttled.replicas=0:x"}, {"unclean.leader.election.enable=maybe"},
			{"min.cleanable.dirty.ratio=2"}, {"retention.ms=1", "retention.ms=2"}, {"log.retention.ms=1"}, {"local.retention.ms=-3"},
			{"min.compaction.lag.ms=10", "max.compaction.lag.ms=5"}, {"delete.retention.ms=-1"}, {"flush.messages=0"}, {"segment.ms=0"}, {"retention.bytes=-1"},
			{"leader.replication.throttled.replicas=*"}, {"leader.replication.throttled.replicas=0:1,1:1"}, {"cleanup.policy=compact"}, {"cleanup.policy=delete,delete"},
		} {
			create(v, name+"-x", true, bad...)
		}
	}
}

// compareDescribed: everything that can be described, and what can not.
func compareDescribed(s *side, v int16) {
	topic := fmt.Sprintf("configs-%d", s.latest(19))
	s.describe("topic", v, topicKind, topic)
	s.describe("some of a topic", v, topicKind, topic, "retention.ms", "nix")
	s.describe("nothing of a topic", v, topicKind, topic, []string{}...)
	s.describe("no topic", v, topicKind, "missing")
	s.describe("no name", v, topicKind, "not a name")
	s.describe("empty name", v, topicKind, "")
	s.describe("broker", v, brokerKind, "1", kafkasKeys(s, "broker")...)
	s.describe("all brokers", v, brokerKind, "")
	s.describe("another broker", v, brokerKind, "7")
	s.describe("no broker", v, brokerKind, "x")
	s.describe("group", v, groupKind, "nobody")
	s.describe("no group", v, groupKind, "")
	s.describe("loggers of nobody", v, loggerKind, "")
	s.describe("loggers of another broker", v, loggerKind, "7")
	s.describe("root logger", v, loggerKind, "1", "root")
	s.describe("client metrics", v, metricsKind, "nobody")
	s.describe("client metrics without a name", v, metricsKind, "")
}

// compareReplaced: AlterConfigs.
func compareReplaced(s *side, v int16) {
	at := s.clamp(33, v)
	replace := func(kind kmsg.ConfigResourceType, name string, validate bool, settings ...string) {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.ValidateOnly = validate
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for _, one := range settings {
			kv := kmsg.NewAlterConfigsRequestResourceConfig()
			key, value, ok := strings.Cut(one, "=")
			if kv.Name = key; ok {
				kv.Value = &value
			}
			r.Configs = append(r.Configs, kv)
		}
		req.Resources = append(req.Resources, r)
		s.call(fmt.Sprintf("replace %d %s by %s", kind, name, strings.Join(settings, " ")), req, at)
	}
	topic := fmt.Sprintf("replaced-%d", v)
	s.topic(topic, 1)
	replace(topicKind, topic, true, "retention.ms=1000")
	replace(topicKind, topic, false, "retention.ms=1000", "max.message.bytes=5000")
	s.told("after a replacement", topicKind, topic, 2, "retention.ms", "max.message.bytes")
	replace(topicKind, topic, false, "retention.ms=2000")
	s.told("after another", topicKind, topic, 1, "retention.ms", "max.message.bytes")
	replace(topicKind, topic, false, "retention.ms=x")
	replace(topicKind, topic, false, "nix=1")
	replace(topicKind, topic, false, "retention.ms")
	replace(topicKind, topic, false, "retention.ms=1", "retention.ms=2")
	replace(topicKind, topic, false)
	s.told("after nothing", topicKind, topic, 0, "retention.ms", "max.message.bytes")
	replace(topicKind, "missing", false, "retention.ms=1000")
	replace(topicKind, "", false, "retention.ms=1000")
	replace(topicKind, "not a name", false, "retention.ms=1000")
	replace(brokerKind, "1", false, "background.threads=11")
	s.told("broker after a replacement", brokerKind, "1", 1, "background.threads")
	replace(brokerKind, "1", false)
	s.told("broker after nothing", brokerKind, "1", 0, "background.threads")
	replace(brokerKind, "7", false, "background.threads=11")
	replace(brokerKind, "x", false, "background.threads=11")
	replace(brokerKind, "1", false, "node.id=2")
	replace(brokerKind, "1", false, "background.threads=x")
	replace(brokerKind, "", false, "log.retention.ms=9000000")
	replace(brokerKind, "", false, "min.insync.replicas=1")
	replace(loggerKind, "1", false, "root=INFO")
	replace(groupKind, "replaced", false, "consumer.session.timeout.ms=50000")
	s.told("group after a replacement", groupKind, "replaced", 1, "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms")
	replace(groupKind, "replaced", false, "consumer.session.timeout.ms=1")
	replace(groupKind, "replaced", false)
	replace(groupKind, "", false, "consumer.session.timeout.ms=50000")
	replace(metricsKind, "replaced", false, "interval.ms=5000")
	replace(metricsKind, "replaced", false, "interval.ms=5")
	replace(metricsKind, "replaced", false)
	replace(3, "x", false)
	// A resource that is named twice gets no answer from Kafka at all: it fails while it counts the errors.
}

// told waits until so many of the settings are a resource's own, because a broker of Kafka hears of a change after its
// answer, and notes them.
func (s *side) told(step string, kind kmsg.ConfigResourceType, name string, own int, keys ...string) {
	s.t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, r)
	sources := map[kmsg.ConfigResourceType]kmsg.ConfigSource{topicKind: 1, brokerKind: 2, loggerKind: 6, metricsKind: 7, groupKind: 8}
	source := sources[kind]
	if kind == brokerKind && name == "" {
		source = 3
	}
	resp := until(s, step, req, s.latest(32), func(resp *kmsg.DescribeConfigsResponse) bool {
		n := 0
		for _, c := range resp.Resources[0].Configs {
			if c.Source == source {
				n++
			}
		}
		return n == own
	})
	s.settings(step, resp)
}

// compareIncremental: IncrementalAlterConfigs.
func compareIncremental(s *side, v int16) {
	at := s.clamp(44, v)
	alter := func(kind kmsg.ConfigResourceType, name string, validate bool, ops ...string) {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = validate
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		for _, op := range ops {
			kv := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			key, value, ok := strings.Cut(op, "=")
			if ok {
				kv.Value = &value
			}
			kv.Op = kmsg.IncrementalAlterConfigOp(strings.IndexByte("!-+~?", key[0]))
			kv.Name = key[1:]
			r.Configs = append(r.Configs, kv)
		}
		req.Resources = append(req.Resources, r)
		s.call(fmt.Sprintf("alter %d %s by %s", kind, name, strings.Join(ops, " ")), req, at)
	}
	topic := fmt.Sprintf("altered-%d", v)
	s.topic(topic, 1)
	alter(topicKind, topic, true, "!retention.ms=1000")
	alter(topicKind, topic, false, "!retention.ms=1000", "+cleanup.policy=compact")
	s.told("after a change", topicKind, topic, 2, "retention.ms", "cleanup.policy")
	alter(topicKind, topic, false, "~cleanup.policy=delete", "-retention.ms")
	s.told("after another", topicKind, topic, 1, "retention.ms", "cleanup.policy")
	alter(topicKind, topic, false, "+cleanup.policy=compact")
	alter(topicKind, topic, false, "~cleanup.policy=nix")
	alter(topicKind, topic, false, "+cleanup.policy=nix")
	alter(topicKind, topic, false, "+retention.ms=1")
	alter(topicKind, topic, false, "+nix=1")
	alter(topicKind, topic, false, "?retention.ms=1")
	alter(topicKind, topic, false, "!retention.ms")
	alter(topicKind, topic, false, "-retention.ms")
	alter(topicKind, topic, false, "-nix")
	alter(topicKind, topic, false, "!retention.ms=1", "-retention.ms")
	alter(topicKind, topic, false, "!leader.replication.throttled.replicas=0:1,1:1")
	alter(topicKind, topic, false, "!leader.replication.throttled.replicas=x")
	alter(topicKind, topic, false, "!compression.type=nix")
	alter(topicKind, topic, false)
	alter(topicKind, "missing", false, "!retention.ms=1000")
	alter(topicKind, "", false, "!retention.ms=1000")
	alter(topicKind, "not a name", false, "!retention.ms=1000")

	alter(brokerKind, "1", false, "!background.threads=11", "!log.retention.ms=7000000")
	s.told("broker after a change", brokerKind, "1", 2, "background.threads", "log.retention.ms")
	s.told("topic after a change of its broker", topicKind, topic, 0, "retention.ms")
	alter(brokerKind, "", false, "!log.retention.ms=8000000")
	s.told("all brokers after a change", brokerKind, "", 1, "log.retention.ms")
	s.told("broker after a change of all", brokerKind, "1", 2, "background.threads", "log.retention.ms")
	alter(brokerKind, "1", false, "-background.threads", "-log.retention.ms")
	alter(brokerKind, "", false, "-log.retention.ms")
	s.told("all brokers as they were", brokerKind, "", 0, "log.retention.ms")
	s.told("broker as it was", brokerKind, "1", 0, "background.threads", "log.retention.ms")
	alter(brokerKind, "1", false, "!node.id=2")
	alter(brokerKind, "1", false, "!background.threads=x")
	alter(brokerKind, "1", true, "!background.threads=11")
	alter(brokerKind, "1", false, "+log.cleanup.policy=compact")
	alter(brokerKind, "1", false, "~log.cleanup.policy=compact")
	alter(brokerKind, "1", false, "-log.cleanup.policy")
	alter(brokerKind, "1", false, "+background.threads=11")
	alter(brokerKind, "7", false, "!background.threads=11")
	alter(brokerKind, "x", false, "!background.threads=11")
	alter(brokerKind, "1", false, "!leader.replication.throttled.rate=1000000", "!follower.replication.throttled.rate=1000000")
	alter(brokerKind, "1", false, "-leader.replication.throttled.rate", "-follower.replication.throttled.rate")
	alter(brokerKind, "", false, "!leader.replication.throttled.rate=x")
	alter(brokerKind, "1", false, "!min.insync.replicas=2")
	alter(brokerKind, "1", false, "-min.insync.replicas")
	alter(brokerKind, "", false, "-min.insync.replicas")
	alter(brokerKind, "", false, "!min.insync.replicas=1")
	alter(brokerKind, "1", false, "!unclean.leader.election.enable=false")
	alter(brokerKind, "1", false, "-unclean.leader.election.enable")

	alter(loggerKind, "1", true, "!root=WARN")
	alter(loggerKind, "1", false, "!root=LOUD")
	alter(loggerKind, "1", false, "!nix=INFO")
	alter(loggerKind, "1", false, "-root")
	alter(loggerKind, "1", false, "+root=INFO")
	alter(loggerKind, "", false, "!root=INFO")
	alter(loggerKind, "7", false, "!root=INFO")

	group := fmt.Sprintf("altered-%d", v)
	alter(groupKind, group, false, "!consumer.session.timeout.ms=50000", "!share.auto.offset.reset=earliest")
	s.told("group after a change", groupKind, group, 2, "consumer.session.timeout.ms", "share.auto.offset.reset")
	alter(groupKind, group, false, "!consumer.session.timeout.ms=1")
	alter(groupKind, group, false, "!nix=1")
	alter(groupKind, group, false, "!share.auto.offset.reset=nix")
	alter(groupKind, group, false, "+consumer.session.timeout.ms=1")
	alter(groupKind, "", false, "!consumer.session.timeout.ms=50000")
	alter(metricsKind, group, false, "!interval.ms=5000", "!metrics=*", "!match=client_id=x")
	s.told("client metrics after a change", metricsKind, group, 3, "interval.ms", "metrics", "match")
	alter(metricsKind, group, false, "!interval.ms=5")
	alter(metricsKind, group, false, "!interval.ms=x")
	alter(metricsKind, group, false, "!match=nix=x")
	alter(metricsKind, group, false, "!nix=x")
	alter(metricsKind, "", false, "!interval.ms=5000")
	alter(3, "x", false)
}

// compareListed: ListConfigResources.
func compareListed(s *side, v int16) {
	list := func(step string, kinds ...int8) {
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.ResourceTypes = kinds
		resp := s.ask("main", req, v).(*kmsg.ListConfigResourcesResponse)
		var names []string
		for _, r := range resp.ConfigResources {
			if !strings.HasPrefix(r.Name, "__") { // what has been used of internal topics is another scenario's business
				names = append(names, fmt.Sprintf("%d %s", r.Type, r.Name))
			}
		}
		slices.Sort(names)
		s.transcript = append(s.transcript, said{fmt.Sprintf("list %s v%d", step, v), "resources", codeName(resp.ErrorCode) + " " + strings.Join(names, ", ")})
	}
	list("all")
	if v == 0 {
		return
	}
	for _, kind := range []int8{2, 4, 8, 16, 32, 0, 1, 3} {
		list(fmt.Sprint(kind), kind)
	}
	list("two kinds", 32, 4)
	list("one kind that there is not", 4, 5)
}

// compareLogDirs: where partitions lie, and where they can not be moved to.
func compareLogDirs(s *side) {
	s.topic("dirs", 2)
	dir := ""
	for v := s.clamp(35, 0); v <= s.latest(35); v++ {
		for _, which := range []string{"", "dirs", "missing"} {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			if which != "" {
				t := kmsg.NewDescribeLogDirsRequestTopic()
				t.Topic, t.Partitions = which, []int32{0, 1, 9}
				req.Topics = append(req.Topics, t)
			}
			resp := s.ask("main", req, v).(*kmsg.DescribeLogDirsResponse)
			d := &resp.Dirs[0]
			dir = d.Dir
			step := fmt.Sprintf("log dirs of %q v%d", which, v)
			s.transcript = append(s.transcript, said{step, "code", codeName(resp.ErrorCode) + " " + codeName(d.ErrorCode)},
				said{step, "sizes", fmt.Sprint(d.TotalBytes > 0, d.UsableBytes > 0, d.IsCordoned)})
			for _, t := range d.Topics {
				if which == "" && t.Topic != "dirs" {
					continue
				}
				slices.SortFunc(t.Partitions, func(a, b kmsg.DescribeLogDirsResponseDirTopicPartition) int { return int(a.Partition - b.Partition) })
				for _, p := range t.Partitions {
					s.transcript = append(s.transcript, said{step, fmt.Sprintf("%s/%d", t.Topic, p.Partition), fmt.Sprintf("size=%d lag=%d future=%v", p.Size, p.OffsetLag, p.IsFuture)})
				}
			}
		}
	}
	for v := s.clamp(34, 0); v <= s.latest(34); v++ {
		for _, wish := range []struct {
			dir, topic string
			partitions []int32
		}{{dir, "dirs", []int32{0, 1}}, {dir, "dirs", []int32{9}}, {dir, "missing", []int32{0}}, {"/nowhere", "dirs", []int32{0}}, {"relative", "dirs", []int32{0}}} {
			req := kmsg.NewPtrAlterReplicaLogDirsRequest()
			t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
			t.Topic, t.Partitions = wish.topic, wish.partitions
			d := kmsg.NewAlterReplicaLogDirsRequestDir()
			d.Dir, d.Topics = wish.dir, append(d.Topics, t)
			req.Dirs = append(req.Dirs, d)
			s.call("move "+wish.topic, req, v)
		}
	}
}

// codeName names an error code.
func codeName(code int16) string {
	if code == 0 {
		return "NONE"
	}
	return kerr.TypedErrorForCode(code).Message
}
