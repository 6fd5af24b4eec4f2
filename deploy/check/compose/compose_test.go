package compose_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/tidelinehq/tideline/broker/config"
)

const dir = "../../compose"

func load(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(dir, "compose.yaml")}, cli.WithEnv(env), cli.WithResolvedPaths(true), cli.WithConsistency(true))
	if err != nil {
		t.Fatal(err)
	}
	return o.LoadProject(t.Context())
}

func project(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, "TIDELINE_TAG=1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// brokers are the services of the image.
func brokers(t *testing.T, p *types.Project) []types.ServiceConfig {
	t.Helper()
	var found []types.ServiceConfig
	for _, name := range p.ServiceNames() {
		if s := p.Services[name]; s.Image == "tideline:1.2.3" {
			found = append(found, s)
		}
	}
	if len(found) != 3 {
		t.Fatalf("%d brokers", len(found))
	}
	return found
}

// settings are what the broker makes of its environment, with the image's own file below it.
func settings(t *testing.T, s types.ServiceConfig) *config.Config {
	t.Helper()
	var environ []string
	for name, value := range s.Environment {
		if value == nil {
			t.Fatalf("%s: %s comes from whoever starts it", s.Name, name)
		}
		environ = append(environ, name+"="+*value)
	}
	c, err := config.Load(config.Sources{File: "../../image/tideline.yaml", Environ: environ, Machine: config.ThisMachine()})
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return c
}

// The tag must be said: there is no image that would be right for everybody.
func TestTagIsAskedFor(t *testing.T) {
	if _, err := load(t); err == nil || !strings.Contains(err.Error(), "TIDELINE_TAG") {
		t.Errorf("without a tag: %v", err)
	}
}

// The brokers are one cluster: other names, the same seeds, one bucket, each reachable where it says.
func TestBrokers(t *testing.T) {
	p := project(t)
	ids, published := map[int32]bool{}, map[string]bool{}
	for _, s := range brokers(t, p) {
		c := settings(t, s)
		ids[c.NodeID] = true
		if len(c.ClusterSeeds) != 3 || !slices.Contains(c.ClusterSeeds, c.RPCAdvertised) {
			t.Errorf("%s: rpc.advertised=%s is not among the seeds %v", s.Name, c.RPCAdvertised, c.ClusterSeeds)
		}
		for _, seed := range c.ClusterSeeds {
			host, _, err := net.SplitHostPort(seed)
			if _, err2 := p.GetService(host); err != nil || err2 != nil {
				t.Errorf("%s: the seed %s is no service", s.Name, seed)
			}
		}
		// What is advertised on the machine is what is published there, and is the container's port of that listener.
		for i, l := range c.Listeners {
			if l.Name != "HOST" {
				continue
			}
			told := c.Advertised[i]
			if !slices.ContainsFunc(s.Ports, func(port types.ServicePortConfig) bool {
				return port.Published == fmt.Sprint(told.Port) && int(port.Target) == l.Port && port.HostIP == told.Host
			}) {
				t.Errorf("%s: %s is not published: %+v", s.Name, told, s.Ports)
			}
		}
		if len(s.Volumes) != 1 || s.Volumes[0].Target != c.DataDir || s.Volumes[0].Type != types.VolumeTypeVolume || published[s.Volumes[0].Source] {
			t.Errorf("%s: its records are not in a volume of its own: %+v", s.Name, s.Volumes)
		}
		published[s.Volumes[0].Source] = true
	}
	if len(ids) != 3 {
		t.Errorf("node ids %v", ids)
	}
}

// Nothing is published beyond the machine, no port twice, every image is of one version.
func TestPortsAndImages(t *testing.T) {
	used := map[string]string{}
	pinned := regexp.MustCompile(`^[a-z0-9./-]+:[A-Za-z0-9_][A-Za-z0-9_.-]+$`)
	for name, s := range project(t).Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, port.Published, port.HostIP)
			}
			if other := used[port.Published]; other != "" {
				t.Errorf("%s and %s publish %s", name, other, port.Published)
			}
			used[port.Published] = name
		}
		if !pinned.MatchString(s.Image) || strings.HasSuffix(s.Image, ":latest") {
			t.Errorf("%s is of no particular version: %s", name, s.Image)
		}
	}
}

// What is mounted is there.
func TestMounts(t *testing.T) {
	for name, s := range project(t).Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if !v.ReadOnly {
				t.Errorf("%s could write to %s", name, v.Source)
			}
		}
	}
}

// Wherever a file or a variable names a host, it is a service of the project, and the port is one that it has.
func TestCalls(t *testing.T) {
	p := project(t)
	listens := map[string][]string{
		"minio": {"9000"}, "collector": {"4317", "4318"}, "jaeger": {"4317", "16686"}, "prometheus": {"9090"},
		"tideline-1": {"8080", "9092", "9093"}, "tideline-2": {"8080", "9092", "9093"}, "tideline-3": {"8080", "9092", "9093"},
	}
	check := func(where, address string) {
		t.Helper()
		host, port, err := net.SplitHostPort(address)
		if err != nil || !slices.Contains(listens[host], port) {
			t.Errorf("%s: nobody listens on %s", where, address)
		}
		if _, err := p.GetService(host); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	for _, s := range brokers(t, p) {
		store, err := url.Parse(settings(t, s).ObjectStore)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{store.Query().Get("endpoint"), *s.Environment["OTEL_EXPORTER_OTLP_ENDPOINT"]} {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			check(s.Name, u.Host)
		}
	}
	var collector struct {
		Exporters  map[string]struct{ Endpoint string }
		Receivers  map[string]any
		Processors map[string]any
		Service    struct {
			Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
		}
	}
	parse(t, filepath.Join(dir, "collector.yaml"), &collector)
	for name, e := range collector.Exporters {
		if e.Endpoint != "" {
			check(name, e.Endpoint)
		}
	}
	for name, pipeline := range collector.Service.Pipelines {
		for _, r := range pipeline.Receivers {
			if _, ok := collector.Receivers[r]; !ok {
				t.Errorf("pipeline %s: no receiver %s", name, r)
			}
		}
		for _, r := range pipeline.Processors {
			if _, ok := collector.Processors[r]; !ok {
				t.Errorf("pipeline %s: no processor %s", name, r)
			}
		}
		for _, r := range pipeline.Exporters {
			if _, ok := collector.Exporters[r]; !ok {
				t.Errorf("pipeline %s: no exporter %s", name, r)
			}
		}
	}
	var sources struct {
		Datasources []struct {
			UID, URL string
			JSONData struct {
				ExemplarTraceIDDestinations []struct {
					DatasourceUID string `yaml:"datasourceUid"`
				} `yaml:"exemplarTraceIdDestinations"`
			} `yaml:"jsonData"`
		}
	}
	parse(t, filepath.Join(dir, "grafana/datasources/tideline.yaml"), &sources)
	uids := map[string]bool{}
	for _, s := range sources.Datasources {
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		check(s.UID, u.Host)
		uids[s.UID] = true
	}
	for _, s := range sources.Datasources {
		for _, to := range s.JSONData.ExemplarTraceIDDestinations {
			if !uids[to.DatasourceUID] {
				t.Errorf("%s: exemplars lead to %s, which is not there", s.UID, to.DatasourceUID)
			}
		}
	}
	var targets []struct{ Targets []string }
	parse(t, filepath.Join(dir, "../prometheus/targets/tideline.yaml"), &targets)
	scraped := map[string]bool{}
	for _, group := range targets {
		for _, target := range group.Targets {
			check("prometheus", target)
			scraped[target] = true
		}
	}
	for _, s := range brokers(t, p) {
		if !scraped[s.Name+":8080"] {
			t.Errorf("nobody scrapes %s", s.Name)
		}
	}
}

func parse(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
