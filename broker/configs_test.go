package broker_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

const (
	topicKind  = kmsg.ConfigResourceTypeTopic
	brokerKind = kmsg.ConfigResourceTypeBroker
	loggerKind = kmsg.ConfigResourceTypeBrokerLogger
	groupKind  = kmsg.ConfigResourceTypeGroupConfig
)

// incremental changes settings of a resource one by one: "key=value", "-key", "key+=value", "key-=value"; an
// operation by number is "3 key value". It returns the name of the error.
func (c *conn) incremental(kind kmsg.ConfigResourceType, resource string, validate bool, ops ...string) string {
	c.tb.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.ValidateOnly = 1, validate
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, resource
	for _, op := range ops {
		kv := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		if key, ok := strings.CutPrefix(op, "-"); ok {
			kv.Name, kv.Op = key, 1
			r.Configs = append(r.Configs, kv)
			continue
		}
		key, value, ok := strings.Cut(op, "=")
		switch {
		case !ok:
			kv.Name = key // a set without a value
		case strings.HasSuffix(key, "+"):
			kv.Name, kv.Op, kv.Value = key[:len(key)-1], 2, &value
		case strings.HasSuffix(key, "-"):
			kv.Name, kv.Op, kv.Value = key[:len(key)-1], 3, &value
		default:
			kv.Name, kv.Value = key, &value
		}
		r.Configs = append(r.Configs, kv)
	}
	req.Resources = append(req.Resources, r)
	return name(do[*kmsg.IncrementalAlterConfigsResponse](c, req).Resources[0].ErrorCode)
}

// replace gives a resource exactly these settings.
func (c *conn) replace(kind kmsg.ConfigResourceType, resource string, validate bool, settings ...string) string {
	c.tb.Helper()
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Version, req.ValidateOnly = 2, validate
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, resource
	for _, s := range settings {
		kv := kmsg.NewAlterConfigsRequestResourceConfig()
		key, value, ok := strings.Cut(s, "=")
		if kv.Name = key; ok {
			kv.Value = &value
		}
		r.Configs = append(r.Configs, kv)
	}
	req.Resources = append(req.Resources, r)
	return name(do[*kmsg.AlterConfigsResponse](c, req).Resources[0].ErrorCode)
}

// described returns settings of a resource by name.
func (c *conn) described(kind kmsg.ConfigResourceType, resource string, names ...string) (map[string]kmsg.DescribeConfigsResponseResourceConfig, string) {
	c.tb.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version, req.IncludeSynonyms, req.IncludeDocumentation = 4, true, true
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, resource, names
	req.Resources = append(req.Resources, r)
	resp := do[*kmsg.DescribeConfigsResponse](c, req).Resources[0]
	out := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, e := range resp.Configs {
		out[e.Name] = e
	}
	return out, name(resp.ErrorCode)
}

// says is a setting in short: value, source, synonyms.
func says(e kmsg.DescribeConfigsResponseResourceConfig) string {
	value := "null"
	if e.Value != nil {
		value = *e.Value
	}
	s := fmt.Sprintf("%s from %d", value, e.Source)
	for _, syn := range e.ConfigSynonyms {
		s += fmt.Sprintf(" %s=%s@%d", syn.Name, *syn.Value, syn.Source)
	}
	return s
}

func (c *conn) wantSays(kind kmsg.ConfigResourceType, resource, key, want string) {
	c.tb.Helper()
	entries, code := c.described(kind, resource, key)
	if got := says(entries[key]); got != want || code != "NONE" {
		c.tb.Errorf("%s of %q: %s (%s), want %s", key, resource, got, code, want)
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestAlterConfigsReplaces(t *testing.T) {
	n := newNode(t, map[string]string{"log.retention.ms": ""})
	c := n.dial()
	c.create("a", 1, map[string]string{"retention.ms": "5000", "cleanup.policy": "compact"})
	want(t, "look only", c.replace(topicKind, "a", true, "retention.ms=7000"), "NONE")
	c.wantSays(topicKind, "a", "retention.ms", "5000 from 1 retention.ms=5000@1 log.retention.ms=604800000@5")
	want(t, "replace", c.replace(topicKind, "a", false, "retention.ms=7000"), "NONE")
	c.wantSays(topicKind, "a", "retention.ms", "7000 from 1 retention.ms=7000@1 log.retention.ms=604800000@5")
	c.wantSays(topicKind, "a", "cleanup.policy", "delete from 5 log.cleanup.policy=delete@5")
	want(t, "bad value", c.replace(topicKind, "a", false, "retention.ms=x"), "INVALID_CONFIG")
	want(t, "unknown key", c.replace(topicKind, "a", false, "retention.mss=1"), "INVALID_CONFIG")
	want(t, "no value", c.replace(topicKind, "a", false, "retention.ms"), "INVALID_REQUEST")
	want(t, "twice", c.replace(topicKind, "a", false, "retention.ms=1", "retention.ms=2"), "INVALID_REQUEST")
	want(t, "no topic", c.replace(topicKind, "nix", false), "UNKNOWN_TOPIC_OR_PARTITION")
	want(t, "no name", c.replace(topicKind, "not a name", false), "INVALID_TOPIC_EXCEPTION")
	want(t, "loggers", c.replace(loggerKind, "1", false), "INVALID_REQUEST")
	want(t, "no kind", c.replace(3, "1", false), "INVALID_REQUEST")
	want(t, "all go", c.replace(topicKind, "a", false), "NONE")
	c.wantSays(topicKind, "a", "retention.ms", "604800000 from 5 log.retention.ms=604800000@5")

	want(t, "broker", c.replace(brokerKind, "", false, "log.retention.ms=9000", "num.partitions=3", "min.insync.replicas=1"), "NONE")
	want(t, "broker, less", c.replace(brokerKind, "", false, "log.retention.ms=8000", "min.insync.replicas=1"), "NONE")
	want(t, "broker, too little", c.replace(brokerKind, "", false, "log.retention.ms=8000"), "INVALID_CONFIG")
	c.wantSays(brokerKind, "1", "num.partitions", "1 from 5 num.partitions=1@5")
	want(t, "group", c.replace(groupKind, "g", false, "consumer.session.timeout.ms=50000"), "NONE")
	want(t, "group, others", c.replace(groupKind, "g", false, "consumer.heartbeat.interval.ms=6000"), "NONE")
	c.wantSays(groupKind, "g", "consumer.session.timeout.ms", "45000 from 5 group.consumer.session.timeout.ms=45000@5")
	c.wantSays(groupKind, "g", "consumer.heartbeat.interval.ms", "6000 from 8 consumer.heartbeat.interval.ms=6000@8 group.consumer.heartbeat.interval.ms=5000@5")
}

// TestDynamicDefaultsReachTopics: what is set for all brokers is the default of topics, in what is told of them, in
// what new ones are checked against, and in what they do.
func TestDynamicDefaultsReachTopics(t *testing.T) {
	n := newNode(t, map[string]string{"log.retention.ms": ""})
	c := n.dial()
	c.create("a", 1, nil)
	want(t, "defaults", c.incremental(brokerKind, "", false, "log.retention.ms=60000", "message.max.bytes=2000", "num.partitions=3"), "NONE")
	want(t, "this broker", c.incremental(brokerKind, "1", false, "log.retention.ms=70000"), "NONE")
	c.wantSays(topicKind, "a", "retention.ms", "70000 from 2 log.retention.ms=70000@2 log.retention.ms=60000@3 log.retention.ms=604800000@5")
	c.wantSays(brokerKind, "1", "log.retention.ms", "70000 from 2 log.retention.ms=70000@2 log.retention.ms=60000@3 log.retention.ms=604800000@5")
	c.wantSays(brokerKind, "", "log.retention.ms", "60000 from 3 log.retention.ms=60000@3")
	defaults, _ := c.described(brokerKind, "")
	if len(defaults) != 4 { // and min.insync.replicas, which every cluster has
		t.Errorf("%d dynamic defaults: %v", len(defaults), defaults)
	}

	want(t, "local above the default", c.incremental(topicKind, "a", false, "local.retention.ms=80000"), "INVALID_CONFIG")
	want(t, "local below the default", c.incremental(topicKind, "a", false, "local.retention.ms=65000"), "NONE")
	c.mustProduce("a", 0, values(1000, "x"))
	if p := c.produce("a", 0, values(3000, "x")); name(p.ErrorCode) != "MESSAGE_TOO_LARGE" {
		t.Errorf("above message.max.bytes: %s", name(p.ErrorCode))
	}
	c.create("b", -1, nil)
	meta := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = kmsg.StringPtr("b")
	meta.Topics = append(meta.Topics, mt)
	if got := len(do[*kmsg.MetadataResponse](c, meta).Topics[0].Partitions); got != 3 {
		t.Errorf("num.partitions=3: %d partitions", got)
	}

	want(t, "read only", c.incremental(brokerKind, "1", false, "node.id=7"), "INVALID_REQUEST")
	want(t, "unknown", c.incremental(brokerKind, "1", false, "nix=7"), "INVALID_REQUEST")
	want(t, "all brokers only", c.incremental(brokerKind, "1", false, "unclean.leader.election.enable=true"), "INVALID_REQUEST")
	want(t, "of one broker", c.incremental(brokerKind, "1", false, "min.insync.replicas=2"), "INVALID_CONFIG")
	want(t, "unset", c.incremental(brokerKind, "", false, "-min.insync.replicas"), "INVALID_CONFIG")
	want(t, "another broker", c.incremental(brokerKind, "7", false, "log.retention.ms=1"), "INVALID_REQUEST")
	want(t, "not together", c.incremental(brokerKind, "", false, "message.max.bytes=2147483647"), "INVALID_REQUEST")
	want(t, "look only", c.incremental(brokerKind, "", true, "log.retention.ms=1"), "NONE")
	want(t, "take back", c.incremental(brokerKind, "1", false, "-log.retention.ms"), "NONE")
	c.wantSays(topicKind, "a", "retention.ms", "60000 from 3 log.retention.ms=60000@3 log.retention.ms=604800000@5")

	n.stop()
	n.start()
	n.dial().wantSays(topicKind, "a", "retention.ms", "60000 from 3 log.retention.ms=60000@3 log.retention.ms=604800000@5")
}

func TestIncrementalOperations(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	c.create("a", 1, nil)
	want(t, "append", c.incremental(topicKind, "a", false, "cleanup.policy+=compact"), "NONE")
	c.wantSays(topicKind, "a", "cleanup.policy", "delete,compact from 1 cleanup.policy=delete,compact@1 log.cleanup.policy=delete@5")
	want(t, "append what is there", c.incremental(topicKind, "a", false, "cleanup.policy+=compact"), "NONE")
	want(t, "subtract", c.incremental(topicKind, "a", false, "cleanup.policy-=delete"), "NONE")
	c.wantSays(topicKind, "a", "cleanup.policy", "compact from 1 cleanup.policy=compact@1 log.cleanup.policy=delete@5")
	want(t, "append to a number", c.incremental(topicKind, "a", false, "retention.ms+=1"), "INVALID_CONFIG")
	want(t, "append to nothing known", c.incremental(topicKind, "a", false, "nix+=1"), "INVALID_CONFIG")
	want(t, "null", c.incremental(topicKind, "a", false, "retention.ms"), "INVALID_REQUEST")
	want(t, "twice", c.incremental(topicKind, "a", false, "retention.ms=1", "-retention.ms"), "INVALID_REQUEST")
	want(t, "delete what is not set", c.incremental(topicKind, "a", false, "-retention.ms"), "NONE")
	want(t, "no topic", c.incremental(topicKind, "nix", false, "retention.ms=1"), "UNKNOWN_TOPIC_OR_PARTITION")
	want(t, "no name", c.incremental(topicKind, "", false, "retention.ms=1"), "INVALID_REQUEST")
}

func TestLevelsOfLoggers(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	levels, code := c.described(loggerKind, "1")
	want(t, "loggers", code, "NONE")
	want(t, "root", says(levels["root"]), "INFO from 6")
	if e := levels["groups"]; says(e) != "INFO from 6" || e.ReadOnly || e.IsSensitive || e.ConfigType != 0 || e.Documentation != nil {
		t.Errorf("a part: %+v", e)
	}
	want(t, "look only", c.incremental(loggerKind, "1", true, "groups=DEBUG"), "NONE")
	c.wantSays(loggerKind, "1", "groups", "INFO from 6")
	want(t, "set", c.incremental(loggerKind, "1", false, "groups=DEBUG"), "NONE")
	c.wantSays(loggerKind, "1", "groups", "DEBUG from 6")
	want(t, "reset", c.incremental(loggerKind, "1", false, "-groups"), "NONE")
	c.wantSays(loggerKind, "1", "groups", "INFO from 6")
	want(t, "root", c.incremental(loggerKind, "1", false, "root=ERROR"), "NONE")
	c.wantSays(loggerKind, "1", "groups", "ERROR from 6")
	want(t, "logging.level", c.incremental(brokerKind, "1", false, "logging.level=warn"), "NONE")
	c.wantSays(loggerKind, "1", "root", "WARN from 6")

	want(t, "no level", c.incremental(loggerKind, "1", false, "groups=LOUD"), "INVALID_CONFIG")
	want(t, "no logger", c.incremental(loggerKind, "1", false, "nix=INFO"), "INVALID_CONFIG")
	want(t, "append", c.incremental(loggerKind, "1", false, "groups+=INFO"), "INVALID_REQUEST")
	want(t, "root without a level", c.incremental(loggerKind, "1", false, "-root"), "INVALID_REQUEST")
	want(t, "all brokers", c.incremental(loggerKind, "", false, "groups=INFO"), "INVALID_REQUEST")
	want(t, "another broker", c.incremental(loggerKind, "7", false, "groups=INFO"), "INVALID_REQUEST")
	_, code = c.described(loggerKind, "")
	want(t, "loggers of all brokers", code, "INVALID_REQUEST")
}

func TestListConfigResources(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	c.create("a", 1, nil)
	want(t, "group", c.incremental(groupKind, "g", false, "consumer.session.timeout.ms=50000"), "NONE")
	list := func(version int16, kinds ...int8) string {
		t.Helper()
		req := kmsg.NewPtrListConfigResourcesRequest()
		req.Version, req.ResourceTypes = version, kinds
		resp := do[*kmsg.ListConfigResourcesResponse](c, req)
		var out []string
		for _, r := range resp.ConfigResources {
			out = append(out, fmt.Sprintf("%d %s", r.Type, r.Name))
		}
		return name(resp.ErrorCode) + ": " + strings.Join(out, ", ")
	}
	want(t, "all", list(1), "NONE: 32 g, 8 1, 4 1, 2 a")
	want(t, "some", list(1, 2, 32), "NONE: 32 g, 2 a")
	want(t, "unknown", list(1, 2, 3), "UNSUPPORTED_VERSION: ")
	want(t, "old", list(0), "NONE: ")
}

func TestAlterReplicaLogDirs(t *testing.T) {
	dir := t.TempDir()
	n := newNode(t, map[string]string{"data.dir": dir})
	c := n.dial()
	c.create("a", 2, nil)
	req := kmsg.NewPtrAlterReplicaLogDirsRequest()
	req.Version = 2
	for _, wish := range []struct {
		dir        string
		partitions []int32
	}{{"/nowhere", []int32{0, 1}}, {dir, []int32{1, 9}}} {
		mt := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		mt.Topic, mt.Partitions = "a", wish.partitions
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		d.Dir, d.Topics = wish.dir, append(d.Topics, mt)
		req.Dirs = append(req.Dirs, d)
	}
	var got []string
	for _, rt := range do[*kmsg.AlterReplicaLogDirsResponse](c, req).Topics {
		for _, p := range rt.Partitions {
			got = append(got, fmt.Sprintf("%s/%d %s", rt.Topic, p.Partition, name(p.ErrorCode)))
		}
	}
	if w := []string{"a/0 LOG_DIR_NOT_FOUND", "a/1 NONE", "a/9 UNKNOWN_TOPIC_OR_PARTITION"}; !slices.Equal(got, w) {
		t.Errorf("%v, want %v", got, w)
	}
}

// TestTopicsOfACodec: what comes in one codec is read in the topic's, from memory, from the disk and from the object
// store, and a change of the setting counts at once.
func TestTopicsOfACodec(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	c.create("a", 1, map[string]string{"compression.type": "zstd", "compression.zstd.level": "7"})
	batch := func(codec record.Codec) []byte {
		return build(record.Options{Codec: codec, ProducerID: record.NoProducerID}, record.Record{Key: []byte("k"), Value: bytes.Repeat([]byte("tide"), 300), Timestamp: 1000})
	}
	read := func(offset int64) record.Batch {
		t.Helper()
		p := parts(c.fetch(fetchRequest(12, at{topic: "a", offset: offset})))[0]
		b, _, err := record.Next(p.RecordBatches)
		if err != nil {
			t.Fatalf("offset %d: %v (%s)", offset, err, name(p.ErrorCode))
		}
		return b
	}
	if offset := c.mustProduce("a", 0, batch(record.Gzip)); read(offset).Codec() != record.Zstd {
		t.Errorf("kept in %v", read(offset).Codec())
	}
	want(t, "another codec", c.incremental(topicKind, "a", false, "compression.type=uncompressed"), "NONE")
	if offset := c.mustProduce("a", 0, batch(record.LZ4)); read(offset).Codec() != record.None {
		t.Errorf("kept in %v", read(offset).Codec())
	}
	want(t, "as it comes", c.incremental(topicKind, "a", false, "-compression.type"), "NONE")
	offset := c.mustProduce("a", 0, batch(record.Snappy))
	if read(offset).Codec() != record.Snappy || read(offset).Validate() != nil {
		t.Errorf("kept in %v", read(offset).Codec())
	}
	bomb := build(record.Options{Codec: record.Zstd, ProducerID: record.NoProducerID}, record.Record{Key: []byte("k"), Value: make([]byte, 4<<20), Timestamp: 1000})
	want(t, "uncompressed", c.incremental(topicKind, "a", false, "compression.type=uncompressed"), "NONE")
	if p := c.produce("a", 0, bomb); name(p.ErrorCode) != "MESSAGE_TOO_LARGE" {
		t.Errorf("a batch that inflates: %s", name(p.ErrorCode))
	}
}
