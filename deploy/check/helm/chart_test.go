package helm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/tidelinehq/tideline/broker/config"
)

var release = Release{Name: "tl", Namespace: "kafka", Kubernetes: "v1.37.2"}

// values reads the values of one case.
func values(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := Values(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func rendered(t *testing.T, name string) *Rendered {
	t.Helper()
	out, err := Render(values(t, name), release)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func cases(t *testing.T) (names []string) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".yaml"))
	}
	return names
}

// of returns the objects of one type, by their names.
func of[T any](r *Rendered) map[string]*T {
	out := map[string]*T{}
	for _, o := range r.Objects {
		if v, ok := any(o.Value).(*T); ok {
			out[any(v).(metav1.Object).GetName()] = v
		}
	}
	return out
}

func one[T any](t *testing.T, r *Rendered) *T {
	t.Helper()
	all := of[T](r)
	if len(all) != 1 {
		t.Fatalf("%d objects of %T", len(all), new(T))
	}
	for _, v := range all {
		return v
	}
	return nil
}

func TestLint(t *testing.T) {
	for _, name := range cases(t) {
		for _, m := range lint.RunAll(Dir, values(t, name), "kafka").Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// TestEveryBrokerCanRead: the file of each broker, with the environment of its container, is what a broker takes.
func TestEveryBrokerCanRead(t *testing.T) {
	for _, name := range cases(t) {
		r := rendered(t, name)
		files := brokerFiles(r)
		ids := map[int32]bool{}
		var seeds []string
		for _, set := range of[apps.StatefulSet](r) {
			for i := range int(*set.Spec.Replicas) {
				pod := fmt.Sprintf("%s-%d", set.Name, int(set.Spec.Ordinals.Start)+i)
				text, ok := files[pod+".yaml"]
				if !ok {
					t.Errorf("%s: no settings for pod %s", name, pod)
					continue
				}
				c := load(t, pod, text, &set.Spec.Template.Spec.Containers[0])
				if ids[c.NodeID] || !strings.HasSuffix(pod, fmt.Sprintf("-%d", c.NodeID)) {
					t.Errorf("%s: broker %d in pod %s", name, c.NodeID, pod)
				}
				ids[c.NodeID] = true
				if seeds == nil {
					seeds = c.ClusterSeeds
				} else if !slices.Equal(seeds, c.ClusterSeeds) {
					t.Errorf("%s: seeds %v and %v", name, seeds, c.ClusterSeeds)
				}
				for _, a := range c.Advertised {
					if a.Name == "CLIENT" && a.Host != pod+".tl-tideline-brokers.kafka.svc.cluster.local" {
						t.Errorf("%s: %s is advertised as %s", name, pod, a)
					}
				}
				delete(files, pod+".yaml")
			}
		}
		for file := range files {
			t.Errorf("%s: nobody reads %s", name, file)
		}
		if len(ids) > 1 && len(seeds) < 3 {
			t.Errorf("%s: seeds %v", name, seeds)
		}
	}
}

func brokerFiles(r *Rendered) map[string]string {
	return maps.Clone(of[core.ConfigMap](r)["tl-tideline"].Data)
}

// load loads the settings of a pod as its container would.
func load(t *testing.T, pod, text string, container *core.Container) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), pod+".yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if want := []string{"server", "--config", "/etc/tideline/config/$(POD_NAME).yaml"}; !slices.Equal(container.Args, want) {
		t.Fatalf("arguments %q", container.Args)
	}
	from := config.Sources{File: path, Machine: config.Machine{
		MemoryBytes: 4 << 30, DiskBytes: func(string) int64 { return 100 << 30 }, Hostname: func() (string, error) { return pod, nil },
	}}
	for _, e := range container.Env {
		value := e.Value
		if e.ValueFrom != nil {
			value = "value"
		}
		from.Environ = append(from.Environ, e.Name+"="+value)
	}
	c, err := config.Load(from)
	if err != nil {
		t.Fatalf("%s: %v\n%s", pod, err, text)
	}
	return c
}

// TestNamesFit: what selects, mounts or names something finds it.
func TestNamesFit(t *testing.T) {
	for _, name := range cases(t) {
		r := rendered(t, name)
		for _, set := range of[apps.StatefulSet](r) {
			pod := labels.Set(set.Spec.Template.Labels)
			if !selects(t, set.Spec.Selector, pod) {
				t.Errorf("%s: %s does not select its pods", name, set.Name)
			}
			for _, other := range of[apps.StatefulSet](r) {
				if other.Name != set.Name && selects(t, other.Spec.Selector, pod) {
					t.Errorf("%s: %s selects the pods of %s", name, other.Name, set.Name)
				}
			}
			if budget := of[policy.PodDisruptionBudget](r)["tl-tideline"]; budget != nil && !selects(t, budget.Spec.Selector, pod) {
				t.Errorf("%s: the budget does not count %s", name, set.Name)
			}
			mountsFit(t, name, &set.Spec.Template.Spec, set.Spec.VolumeClaimTemplates)
			ports := map[string]int32{}
			for _, p := range set.Spec.Template.Spec.Containers[0].Ports {
				ports[p.Name] = p.ContainerPort
			}
			for _, s := range of[core.Service](r) {
				for _, p := range s.Spec.Ports {
					if _, ok := ports[p.TargetPort.StrVal]; !ok {
						t.Errorf("%s: service %s leads to port %s", name, s.Name, p.TargetPort.String())
					}
				}
			}
			for _, p := range of[networking.NetworkPolicy](r) {
				for _, rule := range p.Spec.Ingress {
					for _, port := range rule.Ports {
						if _, ok := ports[port.Port.StrVal]; !ok {
							t.Errorf("%s: a policy about port %s", name, port.Port)
						}
					}
				}
			}
		}
		for _, job := range of[batch.Job](r) {
			mountsFit(t, name, &job.Spec.Template.Spec, nil)
		}
	}
}

func selects(t *testing.T, selector *metav1.LabelSelector, pod labels.Set) bool {
	t.Helper()
	s, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		t.Fatal(err)
	}
	return s.Matches(pod)
}

func mountsFit(t *testing.T, name string, pod *core.PodSpec, claims []core.PersistentVolumeClaim) {
	t.Helper()
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range claims {
		volumes[c.Name] = true
	}
	for _, m := range pod.Containers[0].VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("%s: %s is mounted from no volume", name, m.MountPath)
		}
		delete(volumes, m.Name)
	}
	for v := range volumes {
		t.Errorf("%s: volume %s is not mounted", name, v)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || !*pod.SecurityContext.RunAsNonRoot || !*pod.Containers[0].SecurityContext.ReadOnlyRootFilesystem {
		t.Errorf("%s: a pod that may more than it needs", name)
	}
}

func TestMinimal(t *testing.T) {
	r := rendered(t, "minimal")
	set := one[apps.StatefulSet](t, r)
	pod := &set.Spec.Template.Spec
	if *set.Spec.Replicas != 3 || set.Spec.PodManagementPolicy != apps.ParallelPodManagement || *set.Spec.UpdateStrategy.RollingUpdate.Partition != 0 {
		t.Errorf("stateful set: %+v", set.Spec)
	}
	if spread := pod.TopologySpreadConstraints; len(spread) != 1 || spread[0].TopologyKey != "topology.kubernetes.io/zone" || spread[0].WhenUnsatisfiable != core.DoNotSchedule {
		t.Errorf("spread: %+v", spread)
	}
	if len(pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Errorf("affinity: %+v", pod.Affinity)
	}
	var rack *core.EnvVarSource
	for _, e := range pod.Containers[0].Env {
		if e.Name == "TIDELINE_BROKER_RACK" {
			rack = e.ValueFrom
		}
	}
	if rack == nil || rack.FieldRef.FieldPath != "metadata.labels['topology.kubernetes.io/zone']" {
		t.Errorf("rack from %+v", rack)
	}
	if budget := one[policy.PodDisruptionBudget](t, r); *budget.Spec.MaxUnavailable != intstr.FromInt32(1) {
		t.Errorf("budget: %+v", budget.Spec)
	}
	if headless := of[core.Service](r)["tl-tideline-brokers"]; !headless.Spec.PublishNotReadyAddresses || headless.Spec.ClusterIP != "None" {
		t.Errorf("headless service: %+v", headless.Spec)
	}
	c := load(t, "tl-tideline-1", brokerFiles(r)["tl-tideline-1.yaml"], &pod.Containers[0])
	if c.DefaultReplicationFactor != 3 || c.LoggingFormat != "json" || c.DataDir != "/var/lib/tideline" || !c.HTTPAllowUnauthenticated {
		t.Errorf("settings: %+v", c)
	}
	if !strings.Contains(r.Notes, "tl-tideline.kafka.svc.cluster.local:9092") || strings.Contains(r.Notes, "ATTENTION") {
		t.Errorf("notes: %s", r.Notes)
	}
	old := release
	old.Kubernetes = "v1.34.1"
	before, err := Render(values(t, "minimal"), old)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(before.Notes, "ATTENTION: Kubernetes v1.34.1 does not tell pods their zone") {
		t.Errorf("notes: %s", before.Notes)
	}
}

func TestZones(t *testing.T) {
	r := rendered(t, "zones")
	sets := of[apps.StatefulSet](r)
	for zone, want := range map[string]struct{ start, replicas, partition int32 }{
		"eu-central-1a": {0, 1, 1}, "eu-central-1b": {100, 2, 0}, "eu-central-1c": {1000, 1, 1001},
	} {
		s := sets["tl-tideline-"+zone]
		if s == nil {
			t.Errorf("nothing in %s", zone)
			continue
		}
		got := struct{ start, replicas, partition int32 }{s.Spec.Ordinals.Start, *s.Spec.Replicas, *s.Spec.UpdateStrategy.RollingUpdate.Partition}
		pod := &s.Spec.Template.Spec
		if got != want || pod.NodeSelector["topology.kubernetes.io/zone"] != zone || pod.NodeSelector["pool"] != "brokers" || len(pod.TopologySpreadConstraints) != 0 ||
			len(pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 2 {
			t.Errorf("%s: %+v, selector %v", zone, got, pod.NodeSelector)
		}
	}
	if class := *sets["tl-tideline-eu-central-1b"].Spec.VolumeClaimTemplates[0].Spec.StorageClassName; class != "gp3-b" {
		t.Errorf("class %s", class)
	}
	c := load(t, "tl-tideline-eu-central-1b-101", brokerFiles(r)["tl-tideline-eu-central-1b-101.yaml"], &sets["tl-tideline-eu-central-1b"].Spec.Template.Spec.Containers[0])
	if c.Rack != "eu-central-1b" || c.NodeID != 101 || c.WALMaxBytes != 64<<30 || c.AutoCreateTopics || c.CleanerLoadFactor != 0.9 || !slices.Equal(c.ConsumerAssignors, []string{"range", "uniform"}) {
		t.Errorf("settings: %+v", c)
	}
	// The three that make the cluster are in three zones.
	var zones []string
	for _, seed := range c.ClusterSeeds {
		host, _, _ := strings.Cut(seed, ".")
		zones = append(zones, host)
	}
	if want := []string{"tl-tideline-eu-central-1a-0", "tl-tideline-eu-central-1b-100", "tl-tideline-eu-central-1c-1000"}; !slices.Equal(zones, want) {
		t.Errorf("seeds %v", zones)
	}
}

// TestOneBrokerMore: that there is one more is no reason to restart the others, another setting is.
func TestOneBrokerMore(t *testing.T) {
	template := func(change func(map[string]any)) string {
		v := values(t, "minimal")
		change(v)
		r, err := Render(v, release)
		if err != nil {
			t.Fatal(err)
		}
		return one[apps.StatefulSet](t, r).Spec.Template.String()
	}
	before := template(func(map[string]any) {})
	if after := template(func(v map[string]any) { v["replicas"] = 4 }); after != before {
		t.Errorf("template of three and of four brokers differ:\n%s\n%s", before, after)
	}
	if after := template(func(v map[string]any) { v["settings"] = map[string]any{"num.partitions": 3} }); after == before {
		t.Error("another setting leaves the template as it was")
	}
}

func TestSecure(t *testing.T) {
	r := rendered(t, "secure")
	set := one[apps.StatefulSet](t, r)
	c := load(t, "tl-tideline-4", brokerFiles(r)["tl-tideline-4.yaml"], &set.Spec.Template.Spec.Containers[0])
	s := c.ListenerSecurity(c.Listeners[0])
	if !s.TLS() || !s.SASL() || s.ClientAuth != "requested" || !slices.Equal(s.Mechanisms, []string{"SCRAM-SHA-512", "PLAIN"}) || len(c.ClusterSeeds) != 5 {
		t.Errorf("listener: %+v", s)
	}
	if c.HTTPUsers != "scram" || c.HTTPAllowUnauthenticated || c.HTTPCertificate == "" || c.PeerTLSCA == "" || c.SuperUsers != "User:admin;User:CN=ops" || c.DelegationTokenSecret == "" {
		t.Errorf("settings: %+v", c)
	}
	for _, p := range []*core.Probe{set.Spec.Template.Spec.Containers[0].LivenessProbe, set.Spec.Template.Spec.Containers[0].ReadinessProbe, set.Spec.Template.Spec.Containers[0].StartupProbe} {
		if p.HTTPGet.Scheme != core.URISchemeHTTPS {
			t.Errorf("probe: %+v", p.HTTPGet)
		}
	}
	certificates := of[Certificate](r)
	if len(certificates) != 2 || !slices.Contains(certificates["tl-tideline-clients"].Spec.DNSNames, "kafka.example.com") ||
		!slices.Contains(certificates["tl-tideline-clients"].Spec.DNSNames, "*.tl-tideline-brokers.kafka.svc.cluster.local") ||
		!slices.Equal(certificates["tl-tideline-peers"].Spec.Usages, []string{"digital signature", "server auth", "client auth"}) ||
		certificates["tl-tideline-peers"].Spec.IssuerRef.Name != "tideline-peers" {
		t.Errorf("certificates: %+v", certificates)
	}
	if m := one[monitoring.ServiceMonitor](t, r); m.Spec.Endpoints[0].BasicAuth == nil || m.Spec.Endpoints[0].TLSConfig == nil {
		t.Errorf("monitor: %+v", m.Spec)
	}
	if rules := one[monitoring.PrometheusRule](t, r); len(rules.Spec.Groups) == 0 {
		t.Error("no alerts")
	}
	if n, want := len(of[core.ConfigMap](r))-1, len(glob(t, "../../grafana/*.json")); n != want || n == 0 {
		t.Errorf("%d dashboards of %d", n, want)
	}
	p := one[networking.NetworkPolicy](t, r)
	if len(p.Spec.Ingress) != 3 || len(p.Spec.Ingress[0].From) != 3 || len(p.Spec.Egress) != 3 {
		t.Errorf("policy: %+v", p.Spec)
	}
	for _, rule := range p.Spec.Ingress {
		if len(rule.From) == 0 {
			t.Errorf("anybody may use %v", rule.Ports)
		}
	}
	if jobs := of[batch.Job](r); len(jobs) != 1 {
		t.Errorf("jobs: %v", jobs)
	}
	upgrade := release
	upgrade.Upgrade = true
	after, err := Render(values(t, "secure"), upgrade)
	if err != nil {
		t.Fatal(err)
	}
	if jobs := of[batch.Job](after); jobs["tl-tideline-health-before-upgrade"] == nil {
		t.Errorf("jobs of an upgrade: %v", jobs)
	}
}

func TestOutside(t *testing.T) {
	r := rendered(t, "outside")
	services := of[core.Service](r)
	s := services["tl-tideline-external-2"]
	if len(services) != 6 || s.Spec.Selector["statefulset.kubernetes.io/pod-name"] != "tl-tideline-2" || s.Annotations["external-dns.alpha.kubernetes.io/hostname"] != "192.0.2.7" ||
		s.Annotations["broker"] != "2" || !s.Spec.PublishNotReadyAddresses || *s.Spec.LoadBalancerClass != "service.k8s.aws/nlb" {
		t.Errorf("service: %+v", s)
	}
	set := one[apps.StatefulSet](t, r)
	for id, want := range []string{"broker-0.kafka.example.com:9094", "broker-1.kafka.example.com:9094", "192.0.2.7:9094"} {
		pod := fmt.Sprintf("tl-tideline-%d", id)
		c := load(t, pod, brokerFiles(r)[pod+".yaml"], &set.Spec.Template.Spec.Containers[0])
		if got := c.Advertised[1]; got.Address() != want || got.Protocol != config.SSL || c.Advertised[0].Port != 19092 {
			t.Errorf("%s: %v", pod, c.Advertised)
		}
	}
	if len(of[networking.NetworkPolicy](r)) != 0 || one[monitoring.PodMonitor](t, r).Labels["release"] != "prometheus" {
		t.Error("a policy, or a monitor without its label")
	}
}

func TestNodePorts(t *testing.T) {
	r := rendered(t, "nodeports")
	services := of[core.Service](r)
	if services["tl-tideline-external"].Spec.Ports[0].NodePort != 32000 || services["tl-tideline-external-0"].Spec.Ports[0].NodePort != 32001 {
		t.Errorf("services: %+v", services)
	}
	c := load(t, "tl-tideline-0", brokerFiles(r)["tl-tideline-0.yaml"], &one[apps.StatefulSet](t, r).Spec.Template.Spec.Containers[0])
	if c.Advertised[1].Address() != "nodes.example.com:32001" || len(c.ClusterSeeds) != 0 || c.DefaultReplicationFactor != 1 {
		t.Errorf("settings: %+v", c)
	}
	if !strings.Contains(r.Notes, "a cluster of one broker, for a try") {
		t.Errorf("notes: %s", r.Notes)
	}
}
