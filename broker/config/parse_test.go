package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "17": 17, " 64MiB ": 64 << 20, "1 GiB": 1 << 30, "2KiB": 2048, "1TiB": 1 << 40, "-1": -1} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "MiB", "1k", "1MB", "1.5GiB", "-1KiB", "9007199254740992KiB", "8388608TiB", "1 KiB KiB"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was read as %d", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 1: "1", 1 << 10: "1 KiB", 3 << 29: "1536 MiB", 1 << 40: "1 TiB", -1: "-1"} {
		if got := FormatSize(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
}

func TestListeners(t *testing.T) {
	for text, want := range map[string]string{
		"PLAINTEXT://127.0.0.1:9092":                  "PLAINTEXT://127.0.0.1:9092",
		"plaintext://:9092":                           "PLAINTEXT://:9092",
		"PLAINTEXT://[::1]:1, SSL://h:2":              "PLAINTEXT://[::1]:1 SSL://h:2",
		"PLAINTEXT://a:0,SSL://a:0":                   "PLAINTEXT://a:0 SSL://a:0",
		"PLAINTEXT://127.0.0.1:9092,SSL://[::1]:9092": "PLAINTEXT://127.0.0.1:9092 SSL://[::1]:9092",
		"IN-SIDE.2://host.example:65535":              "IN-SIDE.2://host.example:65535",
	} {
		got, err := ParseListeners(text, map[string]Protocol{"IN-SIDE.2": Plaintext})
		var texts []string
		for _, l := range got {
			texts = append(texts, l.String())
		}
		if err != nil || strings.Join(texts, " ") != want {
			t.Errorf("%q: %v, %v", text, texts, err)
		}
	}
	for _, text := range []string{
		"127.0.0.1:9092", "PLAINTEXT://", "PLAINTEXT://h", "PLAINTEXT://h:65536", "PLAINTEXT://h:-1", "PLAINTEXT://h:1/x", "://h:1",
		"PLAINTEXT://::1:1", "PLAINTEXT://a:1,PLAINTEXT://a:2", "PLAINTEXT://a:1,SSL://a:1", "PLAINTEXT://:1,SSL://a:1", "OTHER://h:1", "A B://h:1", "PLAINTEXT://u@h:1",
	} {
		if got, err := ParseListeners(text, nil); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestAdvertisedListeners(t *testing.T) {
	for name, test := range map[string]struct{ listeners, advertised, want string }{
		"as it stands":     {"PLAINTEXT://127.0.0.1:0", "", "PLAINTEXT://127.0.0.1:0"},
		"machine's name":   {"PLAINTEXT://:9092", "", "PLAINTEXT://here.example:9092"},
		"given":            {"PLAINTEXT://0.0.0.0:9092", "PLAINTEXT://k.example:1", "PLAINTEXT://k.example:1"},
		"given, no host":   {"PLAINTEXT://0.0.0.0:9092", "PLAINTEXT://:1", "PLAINTEXT://here.example:1"},
		"one of two given": {"PLAINTEXT://:1,OUT://h:2", "OUT://o.example:1", "PLAINTEXT://here.example:1 OUT://o.example:1"},
		"shared port":      {"PLAINTEXT://:1,OUT://:2", "PLAINTEXT://p:1,OUT://p:1", "PLAINTEXT://p:1 OUT://p:1"},
		"wildcard":         {"PLAINTEXT://0.0.0.0:1", "", ""},
		"wildcard of IPv6": {"PLAINTEXT://[::]:1", "", ""},
		"wildcard given":   {"PLAINTEXT://h:1", "PLAINTEXT://0.0.0.0:1", ""},
		"port 0 given":     {"PLAINTEXT://h:1", "PLAINTEXT://h:0", ""},
		"not a listener":   {"PLAINTEXT://h:1", "OUT://h:2", ""},
		"twice":            {"PLAINTEXT://h:1", "PLAINTEXT://h:2,PLAINTEXT://h:3", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(Sources{Machine: machine(), Set: []string{
				"listeners=" + test.listeners, "advertised.listeners=" + test.advertised, "listener.security.protocol.map=OUT:PLAINTEXT,PLAINTEXT:PLAINTEXT"}})
			var texts []string
			if err == nil {
				for _, l := range c.Advertised {
					texts = append(texts, l.String())
				}
			}
			if got := strings.Join(texts, " "); got != test.want || (err == nil) == (test.want == "") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestMemoryOfTheControlGroup(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := memoryBytes(root); got != fallbackMemory {
		t.Errorf("nothing known: %d", got)
	}
	write("proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\n")
	write("sys/fs/cgroup/memory.max", "max\n")
	if got := memoryBytes(root); got != 16384000<<10 {
		t.Errorf("no limit: %d", got)
	}
	write("sys/fs/cgroup/memory.max", "536870912\n")
	if got := memoryBytes(root); got != 512<<20 {
		t.Errorf("limit: %d", got)
	}
}

func TestThisMachine(t *testing.T) {
	m := ThisMachine()
	dir := t.TempDir()
	there, below := m.DiskBytes(dir), m.DiskBytes(filepath.Join(dir, "not", "yet"))
	if m.MemoryBytes <= 0 || there <= 0 || there != below {
		t.Errorf("memory %d, disk %d and %d", m.MemoryBytes, there, below)
	}
}

func TestNearest(t *testing.T) {
	for text, want := range map[string]string{
		"num.partition": "num.partitions", "tier.rol.bytes": "tier.roll.bytes", "wal.snyc": "wal.sync", "x": "", "completely.different.thing": "",
		strings.Repeat("a", 1<<20): "",
	} {
		if got := nearest(text, byBrokerKey); got != want {
			t.Errorf("%.40q: %q", text, got)
		}
	}
}

// FuzzYAML: whatever the file has, the answer is a sound configuration or a
// refusal on one line.
func FuzzYAML(f *testing.F) {
	for _, seed := range []string{"node.id: 1\n", "wal:\n  sync: os\n", "listeners: [PLAINTEXT://h:1, 'SSL://[::1]:2']\n", "a: &a [1]\nb: *a\n", "tier.roll.bytes: 1.5e3\n", "node.id: ~\n", "{}", "1: 2\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		values, err := parseYAML(text)
		if err != nil {
			return
		}
		c, err := resolve([]layer{{source: SourceStaticBroker, name: "fuzz", values: values}}, machine())
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		sound(t, c)
	})
}

// FuzzSet: the same for --set, and setting what was described changes nothing.
func FuzzSet(f *testing.F) {
	for _, seed := range []string{"node.id=1", "listeners=PLAINTEXT://h:1", "log.retention.hours=3", "wal.max.bytes=3GiB", "compression.zstd.level=-7", "cleanup.policy=compact"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pair string) {
		c, err := Load(Sources{Machine: machine(), Set: []string{pair}})
		if err != nil {
			return
		}
		sound(t, c)
		var again []string
		for _, e := range c.Entries() {
			if e.Source == SourceStaticBroker && e.Setting.Coarse == "" {
				again = append(again, e.Name+"="+e.Value)
			}
		}
		d, err := Load(Sources{Machine: machine(), Set: again})
		if err != nil {
			t.Fatalf("described as %q, then refused: %v", again, err)
		}
		for i, e := range d.Entries() {
			if want := c.Entries()[i]; want.Setting.Coarse == "" && want.Value != e.Value {
				t.Errorf("%s: %q became %q", e.Name, want.Value, e.Value)
			}
		}
	})
}

func sound(t *testing.T, c *Config) {
	t.Helper()
	if len(c.Listeners) == 0 || len(c.Listeners) != len(c.Advertised) {
		t.Errorf("listeners %v, advertised %v", c.Listeners, c.Advertised)
	}
	for _, e := range c.Entries() {
		if e.Null || e.Value == "" {
			continue
		}
		if canonical, err := e.Setting.canonical(e.Value, false); err != nil || canonical != e.Value {
			t.Errorf("%s=%q is not canonical: %q, %v", e.Name, e.Value, canonical, err)
		}
	}
	if _, ignored := c.Topic(nil); len(ignored) > 0 {
		t.Errorf("ignored %v", ignored)
	}
}
