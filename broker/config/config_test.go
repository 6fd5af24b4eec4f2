package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// machine is the one that tests size themselves by.
func machine() Machine {
	return Machine{
		MemoryBytes: 8 << 30,
		DiskBytes:   func(string) int64 { return 100 << 30 },
		Hostname:    func() (string, error) { return "here.example", nil },
	}
}

func load(t *testing.T, from Sources) *Config {
	t.Helper()
	from.Machine = machine()
	c, err := Load(from)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func loadError(t *testing.T, from Sources) error {
	t.Helper()
	from.Machine = machine()
	c, err := Load(from)
	if err == nil {
		t.Fatalf("loaded what must be refused: %+v", c)
	}
	return err
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tideline.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c := load(t, Sources{Set: []string{"data.dir=/var/lib/tideline"}})
	if c.NodeID != 1 || c.NumPartitions != 1 || !c.AutoCreateTopics || c.OffsetsTopicReplicationFactor != 1 {
		t.Errorf("defaults of a cluster of one: %+v", c)
	}
	if c.ObjectStore != "file:///var/lib/tideline/objects" {
		t.Errorf("object.store = %q", c.ObjectStore)
	}
	if c.WALMaxBytes != 64<<30 || c.WALFileBytes != 64<<20 || c.CacheDiskBytes != 0 || c.QueuedMaxRequestBytes != 1<<30 {
		t.Errorf("sizes from the machine: wal.max.bytes=%d wal.file.bytes=%d cache.disk.bytes=%d queued.max.request.bytes=%d",
			c.WALMaxBytes, c.WALFileBytes, c.CacheDiskBytes, c.QueuedMaxRequestBytes)
	}
	if c.ConnectionsMaxIdle != 10*time.Minute || c.OffsetsRetention != 7*24*time.Hour {
		t.Errorf("durations: %v %v", c.ConnectionsMaxIdle, c.OffsetsRetention)
	}
	if got := c.Advertised[0].String(); got != "PLAINTEXT://here.example:9092" {
		t.Errorf("advertised %s", got)
	}
}

func TestWALTakesAtMostFourFifthsOfTheDisk(t *testing.T) {
	m := machine()
	m.DiskBytes = func(string) int64 { return 10 << 30 }
	c, err := Load(Sources{Machine: m})
	if err != nil {
		t.Fatal(err)
	}
	if c.WALMaxBytes != 8<<30 {
		t.Errorf("wal.max.bytes = %d", c.WALMaxBytes)
	}
}

func TestLayers(t *testing.T) {
	path := file(t, "node.id: 2\nnum.partitions: 2\ntier.roll.ms: 2000\nwal:\n  sync: os\n  max.bytes: 1GiB\nlisteners:\n  - PLAINTEXT://127.0.0.1:1\n  - EXTERNAL://127.0.0.1:2\nlistener.security.protocol.map: EXTERNAL:PLAINTEXT\n")
	c := load(t, Sources{
		Preset:  map[string]string{"node.id": "1", "broker.rack": "preset", "num.partitions": "1"},
		File:    path,
		Environ: []string{"TIDELINE_NUM_PARTITIONS=3", "TIDELINE_TIER_ROLL_MS=3000", "HOME=/root"},
		Set:     []string{"tier.roll.ms=4000"},
	})
	if c.Rack != "preset" || c.NodeID != 2 || c.NumPartitions != 3 || c.TierRoll != 4*time.Second {
		t.Errorf("rack=%q node=%d partitions=%d roll=%v", c.Rack, c.NodeID, c.NumPartitions, c.TierRoll)
	}
	if c.WALSync != "os" || c.WALMaxBytes != 1<<30 {
		t.Errorf("nested keys: wal.sync=%q wal.max.bytes=%d", c.WALSync, c.WALMaxBytes)
	}
	if len(c.Listeners) != 2 || c.Listeners[1].Name != "EXTERNAL" || c.Listeners[1].Protocol != Plaintext {
		t.Errorf("listeners %v", c.Listeners)
	}
}

func TestKubernetesServiceVariablesAreNotOurs(t *testing.T) {
	load(t, Sources{Environ: []string{
		"TIDELINE_SERVICE_HOST=10.0.0.1", "TIDELINE_SERVICE_PORT=9092", "TIDELINE_SERVICE_PORT_KAFKA=9092",
		"TIDELINE_PORT=tcp://10.0.0.1:9092", "TIDELINE_PORT_9092_TCP=tcp://10.0.0.1:9092", "TIDELINE_PORT_9092_TCP_ADDR=10.0.0.1",
		"TIDELINE_HEADLESS_SERVICE_HOST=10.0.0.2", "TIDELINE_BROKERS=a:1", "TIDELINE_HTTP=a:2", "TIDELINE_SASL_PASSWORD=x",
	}})
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		from Sources
		want []string
	}{
		"unknown key":       {Sources{Set: []string{"num.partitons=3"}}, []string{"num.partitons", `"3"`, "--set", "did you mean num.partitions?"}},
		"unknown variable":  {Sources{Environ: []string{"TIDELINE_NODE_IDD=3"}}, []string{"node.idd", "environment TIDELINE_NODE_IDD", "did you mean node.id?"}},
		"Kafka's own key":   {Sources{Set: []string{"log.dirs=/d"}}, []string{"log.dirs", "data.dir"}},
		"topic key":         {Sources{Set: []string{"retention.ms=1"}}, []string{"retention.ms", "log.retention.ms"}},
		"misspelt secret":   {Sources{Set: []string{"sasl.pasword.secret=hunter2"}}, []string{"(hidden)"}},
		"another secret":    {Sources{Set: []string{"ssl.keystore.pasword=hunter2"}}, []string{"ssl.keystore.pasword", "(hidden)"}},
		"bad enum":          {Sources{Set: []string{"wal.sync=never"}}, []string{"wal.sync", `"never"`, "always, os"}},
		"bad number":        {Sources{Set: []string{"num.partitions=many"}}, []string{"num.partitions", "whole number from 1"}},
		"ambiguous size":    {Sources{Set: []string{"wal.max.bytes=64GB"}}, []string{"wal.max.bytes", "64GB", "GiB"}},
		"out of range":      {Sources{Set: []string{"node.id=-4"}}, []string{"node.id", "-4"}},
		"not a boolean":     {Sources{Set: []string{"auto.create.topics.enable=yes"}}, []string{"true or false"}},
		"credentials":       {Sources{Set: []string{"object.store=s3://b/p?secret_key=x"}}, []string{"object.store", "s3://BUCKET"}},
		"wildcard":          {Sources{Set: []string{"listeners=PLAINTEXT://0.0.0.0:1"}}, []string{"listeners", "advertised.listeners"}},
		"unknown name":      {Sources{Set: []string{"listeners=INSIDE://:1"}}, []string{"INSIDE", "listener.security.protocol.map"}},
		"advertised name":   {Sources{Set: []string{"advertised.listeners=SSL://h:1"}}, []string{"advertised.listeners", "SSL://h:1"}},
		"node id of many":   {Sources{Set: []string{"cluster.seeds=a:1"}}, []string{"node.id", "cluster.seeds"}},
		"set without value": {Sources{Set: []string{"node.id"}}, []string{"key=value"}},
		"two at once":       {Sources{Set: []string{"wal.sync=x", "nodeid=1"}}, []string{"wal.sync", "nodeid"}},
		"message too large": {Sources{Set: []string{"message.max.bytes=200MiB"}}, []string{"message.max.bytes", "socket.request.max.bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := loadError(t, test.from)
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("not ErrInvalid: %v", err)
			}
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("more than one line: %q", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("shows a secret: %q", err)
			}
		})
	}
}

func TestBadYAML(t *testing.T) {
	for _, text := range []string{"node.id: 1\nnode.id: 2\n", "a: [", "- 1\n", "wal:\n  sync: os\nwal.sync: os\n", "listeners: [[a]]\n"} {
		if err := loadError(t, Sources{File: file(t, text)}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := loadError(t, Sources{File: filepath.Join(t.TempDir(), "none.yaml")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestCoarserKeys(t *testing.T) {
	c := load(t, Sources{Set: []string{"log.retention.hours=2", "broker.id=7"}})
	topic, _ := c.Topic(nil)
	if topic.RetentionMS != 2*3600*1000 || c.NodeID != 7 {
		t.Errorf("retention %d ms, node %d", topic.RetentionMS, c.NodeID)
	}
	c = load(t, Sources{Preset: map[string]string{"log.retention.ms": "5"}, Set: []string{"log.retention.hours=2", "log.retention.minutes=3"}})
	if topic, _ = c.Topic(nil); topic.RetentionMS != 5 {
		t.Errorf("the finer key lost: %d ms", topic.RetentionMS)
	}
	c = load(t, Sources{Set: []string{"log.retention.hours=-1"}})
	if topic, _ = c.Topic(nil); topic.RetentionMS != NoLimit {
		t.Errorf("-1 hours became %d ms", topic.RetentionMS)
	}
}

// Every row can be reached, every field is bound, and every default is allowed.
func TestTableIsSound(t *testing.T) {
	tags := map[string]bool{}
	for _, bound := range []struct {
		of  reflect.Type
		tag string
		in  map[string]*Setting
	}{{reflect.TypeFor[Config](), "key", byBrokerKey}, {reflect.TypeFor[TopicConfig](), "topic", byTopicKey},
		{reflect.TypeFor[ListenerSecurity](), "key", byBrokerKey}, {reflect.TypeFor[MechanismSecurity](), "key", byBrokerKey}} {
		for i := range bound.of.NumField() {
			key, ok := bound.of.Field(i).Tag.Lookup(bound.tag)
			if !ok {
				continue
			}
			s, known := bound.in[key]
			if !known {
				t.Errorf("field %s is bound to no row: %s", bound.of.Field(i).Name, key)
				continue
			}
			if tags[s.name()] {
				t.Errorf("two fields are bound to %s", key)
			}
			tags[s.name()] = true
		}
	}
	seen := map[string]bool{}
	for i := range settings {
		s := &settings[i]
		groupsOnly := s.Key == "" && s.TopicKey == ""
		if groupsOnly && s.GroupKey == "" || s.Doc == "" {
			t.Errorf("row %d has no key or no documentation", i)
		}
		for _, key := range []string{"broker " + s.Key, "topic " + s.TopicKey, "group " + s.GroupKey} {
			if seen[key] && !strings.HasSuffix(key, " ") {
				t.Errorf("two rows: %s", key)
			}
			seen[key] = true
		}
		if s.Default != "" {
			if canonical, err := s.canonical(s.Default, false); err != nil || canonical != s.Default {
				t.Errorf("%s: default %q is refused or not canonical: %q, %v", s.name(), s.Default, canonical, err)
			}
		}
		if s.auto != nil {
			if s.Auto == "" || s.Default != "" {
				t.Errorf("%s: a computed default needs words and excludes a fixed one", s.Key)
			}
			text := s.auto(Machine{MemoryBytes: 1, DiskBytes: func(string) int64 { return 1 }}, func(string) string { return "" })
			if _, err := s.canonical(text, false); text != "" && err != nil {
				t.Errorf("%s: computed default %q of the smallest machine is not allowed", s.Key, text)
			}
		}
		if s.Coarse != "" {
			if _, known := byBrokerKey[s.Coarse]; !known || s.Factor < 1 || s.Default != "" {
				t.Errorf("%s: bad coarse row", s.Key)
			}
			continue
		}
		if !s.NoEffect && !groupsOnly && !tags[s.name()] && !boundElsewhere[s.name()] {
			t.Errorf("%s has an effect but no field", s.name())
		}
	}
	if EnvironmentName("node.id") != "TIDELINE_NODE_ID" {
		t.Error(EnvironmentName("node.id"))
	}
	names := map[string]string{}
	for key := range byBrokerKey {
		if other, twice := names[EnvironmentName(key)]; twice {
			t.Errorf("%s and %s share a variable", key, other)
		}
		if serviceVariables.MatchString(EnvironmentName(key)) || clientVariables[EnvironmentName(key)] {
			t.Errorf("%s cannot be set by the environment", key)
		}
		names[EnvironmentName(key)] = key
	}
}

// boundElsewhere are rows that have one value only, so that nobody reads it, and one that is read in the
// metadata, for whichever broker.
var boundElsewhere = map[string]bool{
	"remote.storage.enable": true, "remote.log.copy.disable": true, "follower.replication.throttled.rate": true,
}
