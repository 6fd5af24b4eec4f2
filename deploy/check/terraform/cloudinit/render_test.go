package cloudinit

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"go.yaml.in/yaml/v3"

	"github.com/tidelinehq/tideline/broker/config"
)

const module = "../../../../terraform/modules/cloudinit"

// document is what cloud-init reads.
type document struct {
	Hostname string `yaml:"hostname"`
	Preserve bool   `yaml:"preserve_hostname"`
	Files    []struct {
		Path        string `yaml:"path"`
		Permissions string `yaml:"permissions"`
		Content     string `yaml:"content"`
	} `yaml:"write_files"`
	Run [][]string `yaml:"runcmd"`
}

func (d document) file(t *testing.T, path string) string {
	t.Helper()
	for _, f := range d.Files {
		if f.Path == path {
			return f.Content
		}
	}
	t.Fatalf("no such file path=%s", path)
	return ""
}

func list(values ...string) cty.Value {
	items := make([]cty.Value, len(values))
	for i, v := range values {
		items[i] = cty.StringVal(v)
	}
	return cty.TupleVal(items)
}

// plain are variables of a broker that needs nothing beyond what every one does.
func plain(more map[string]cty.Value) map[string]cty.Value {
	given := map[string]cty.Value{
		"cluster":        cty.StringVal("orders"),
		"node_id":        cty.NumberIntVal(2),
		"hostname":       cty.StringVal("orders-2"),
		"zone":           cty.StringVal("eu-central-1b"),
		"region":         cty.StringVal("eu-central-1"),
		"seeds":          list("b1.orders.internal:9093", "b2.orders.internal:9093", "b3.orders.internal:9093"),
		"rpc_advertised": cty.StringVal("b2.orders.internal:9093"),
		"object_store":   cty.StringVal("s3://example/orders?driver=aws&region=eu-central-1"),
		"listeners": cty.TupleVal([]cty.Value{cty.ObjectVal(map[string]cty.Value{
			"name": cty.StringVal("CLIENTS"), "port": cty.NumberIntVal(9092), "advertised": cty.StringVal("b2.orders.internal:9092"),
		})}),
		"package": cty.ObjectVal(map[string]cty.Value{
			"url": cty.StringVal("https://example.com/tideline.deb"), "sha256": cty.StringVal(strings.Repeat("0", 64)),
		}),
	}
	for name, v := range more {
		given[name] = v
	}
	return given
}

// full are variables of a broker with everything, and with what is hard to quote.
func full() map[string]cty.Value {
	return plain(map[string]cty.Value{
		"listeners": cty.TupleVal([]cty.Value{
			cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("CLIENTS"), "port": cty.NumberIntVal(9092), "advertised": cty.StringVal("b2.orders.internal:9092")}),
			cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal("EXTERNAL"), "port": cty.NumberIntVal(9094), "advertised": cty.StringVal("lb.example.com:9202")}),
		}),
		"tls": cty.ObjectVal(map[string]cty.Value{
			"keystore": cty.StringVal("ssm:/orders/{node}"), "truststore": cty.StringVal("secretsmanager:orders"), "client_auth": cty.StringVal("required"),
			"peer_certificate": cty.StringVal("ssm:/p/{node}"), "peer_key": cty.StringVal("ssm:/k/{node}"), "peer_ca": cty.StringVal("ssm:/ca"),
		}),
		"secrets":       cty.ObjectVal(map[string]cty.Value{"env:TIDELINE_SSL_KEY_PASSWORD": cty.StringVal("ssm:/orders/password")}),
		"settings":      cty.ObjectVal(map[string]cty.Value{"ssl.principal.mapping.rules": cty.StringVal(`RULE:^CN=(.*?),.*$/"$1"\\/L,DEFAULT`), "tier.roll.ms": cty.StringVal("30000")}),
		"environment":   cty.ObjectVal(map[string]cty.Value{"OTEL_RESOURCE_ATTRIBUTES": cty.StringVal(`a="b\c",d=<e>&f`)}),
		"scraped":       cty.True,
		"data_device":   cty.StringVal("/dev/disk/by-id/nvme-*"),
		"otlp_endpoint": cty.StringVal("http://collector:4318"),
		"peers":         cty.ObjectVal(map[string]cty.Value{"west": list("b1.west.internal:9092", "b2.west.internal:9092")}),
	})
}

func render(t *testing.T, given map[string]cty.Value) document {
	t.Helper()
	m, err := Load(module)
	if err != nil {
		t.Fatal(err)
	}
	out, err := m.Render(given)
	if err != nil {
		t.Fatal(err)
	}
	data := out["user_data"].AsString()
	if !strings.HasPrefix(data, "#cloud-config\n") {
		t.Fatalf("cloud-init would not know what it is: %.40q", data)
	}
	var d document
	dec := yaml.NewDecoder(strings.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&d); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return d
}

func TestTheBrokerTakesItsSettings(t *testing.T) {
	for name, given := range map[string]map[string]cty.Value{"plain": plain(nil), "full": full()} {
		t.Run(name, func(t *testing.T) {
			d := render(t, given)
			path := filepath.Join(t.TempDir(), "tideline.yaml")
			if err := os.WriteFile(path, []byte(d.file(t, "/etc/tideline/tideline.yaml")), 0o600); err != nil {
				t.Fatal(err)
			}
			machine := config.ThisMachine()
			machine.DiskBytes = func(string) int64 { return 200 << 30 }
			c, err := config.Load(config.Sources{File: path, Machine: machine})
			if err != nil {
				t.Fatal(err)
			}
			if c.NodeID != 2 || c.DataDir != "/var/lib/tideline" || len(c.ClusterSeeds) != 3 || !slices.Contains(c.ClusterSeeds, c.RPCAdvertised) {
				t.Errorf("node.id=%d data.dir=%s cluster.seeds=%v rpc.advertised=%s", c.NodeID, c.DataDir, c.ClusterSeeds, c.RPCAdvertised)
			}
		})
	}
}

func TestFilesAndCommands(t *testing.T) {
	d := render(t, full())
	if d.Hostname != "orders-2" || d.Preserve {
		t.Errorf("hostname=%s preserve=%t", d.Hostname, d.Preserve)
	}
	want := [][]string{{"/usr/local/sbin/tideline-setup", "all"}}
	if !slices.EqualFunc(d.Run, want, slices.Equal) {
		t.Errorf("commands %v, want %v", d.Run, want)
	}
	seen := map[string]bool{}
	for _, f := range d.Files {
		if seen[f.Path] {
			t.Errorf("written twice: path=%s", f.Path)
		}
		seen[f.Path] = true
		if f.Permissions == "" || f.Content == "" {
			t.Errorf("path=%s permissions=%q bytes=%d", f.Path, f.Permissions, len(f.Content))
		}
	}
	program, err := os.ReadFile(filepath.Join(module, "files", "tideline-setup"))
	if err != nil {
		t.Fatal(err)
	}
	if got := d.file(t, "/usr/local/sbin/tideline-setup"); got != string(program) {
		t.Error("tideline-setup came through changed")
	}
	if got, want := d.file(t, "/etc/tideline/peers/west.properties"), "bootstrap.servers=b1.west.internal:9092,b2.west.internal:9092\n"; got != want {
		t.Errorf("peers: got %q, want %q", got, want)
	}
	if got, want := d.file(t, "/etc/default/tideline"), `OTEL_RESOURCE_ATTRIBUTES="a=\"b\\c\",d=<e>&f"`+"\n"; !strings.Contains(got, want) {
		t.Errorf("environment: %s lacks %s", got, want)
	}
}

func TestSecretsAreNamedOnly(t *testing.T) {
	d := render(t, full())
	var machine struct {
		Device  string `json:"data_device"`
		Dir     string `json:"data_dir"`
		Secrets []struct{ From, To string }
	}
	if err := json.Unmarshal([]byte(d.file(t, "/etc/tideline/machine.json")), &machine); err != nil {
		t.Fatal(err)
	}
	to := map[string]string{}
	for _, s := range machine.Secrets {
		to[s.To] = s.From
	}
	want := map[string]string{
		"/etc/tideline/tls/keystore.pem": "ssm:/orders/2", "/etc/tideline/tls/truststore.pem": "secretsmanager:orders",
		"/etc/tideline/tls/peer_certificate.pem": "ssm:/p/2", "/etc/tideline/tls/peer_key.pem": "ssm:/k/2", "/etc/tideline/tls/peer_ca.pem": "ssm:/ca",
		"env:TIDELINE_SSL_KEY_PASSWORD": "ssm:/orders/password",
	}
	if len(to) != len(want) {
		t.Errorf("secrets %v, want %v", to, want)
	}
	for path, from := range want {
		if to[path] != from {
			t.Errorf("secret to=%s from=%s, want %s", path, to[path], from)
		}
	}
	// Every file that a setting names is one that is fetched.
	var settings map[string]string
	if err := yaml.Unmarshal([]byte(d.file(t, "/etc/tideline/tideline.yaml")), &settings); err != nil {
		t.Fatal(err)
	}
	for key, v := range settings {
		if strings.HasPrefix(v, "/etc/tideline/tls/") && to[v] == "" {
			t.Errorf("a file that nobody writes: %s=%s", key, v)
		}
	}
}

func TestRefused(t *testing.T) {
	m, err := Load(module)
	if err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]map[string]cty.Value{
		"package":  {"package": cty.ObjectVal(map[string]cty.Value{"url": cty.StringVal("ftp://x"), "sha256": cty.StringVal(strings.Repeat("0", 64))})},
		"settings": {"settings": cty.ObjectVal(map[string]cty.Value{"ssl.keystore.password": cty.StringVal("x")})},
		"tls":      {"tls": cty.ObjectVal(map[string]cty.Value{"keystore": cty.StringVal("-----BEGIN")})},
		"secrets":  {"secrets": cty.ObjectVal(map[string]cty.Value{"/etc/passwd": cty.StringVal("ssm:/x")})},
		"peers":    {"peers": cty.ObjectVal(map[string]cty.Value{"../x": list("a:1")})},
		"seeds":    {"seeds": list("b1")},
	} {
		_, err := m.Render(plain(more))
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Variable != name || refused.Message == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
