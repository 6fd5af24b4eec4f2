package compat

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	otlp "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

// otlpReceiver is a collector of OpenTelemetry metrics that keeps, for each resource, what it was told.
type otlpReceiver struct {
	*httptest.Server
	mu  sync.Mutex
	all []clientMetrics // guarded by mu
}

// clientMetrics is what a client has pushed at once.
type clientMetrics struct {
	attributes map[string]string
	names      []string
}

func startReceiver(t *testing.T) *otlpReceiver {
	t.Helper()
	r := &otlpReceiver{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// ServeHTTP takes one export.
func (r *otlpReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	b, err := io.ReadAll(io.LimitReader(req.Body, maxAnswer))
	m := new(otlp.ExportMetricsServiceRequest)
	if err != nil || proto.Unmarshal(b, m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range m.ResourceMetrics {
		c := clientMetrics{attributes: map[string]string{}}
		for _, a := range one.GetResource().GetAttributes() {
			c.attributes[a.Key] = a.Value.GetStringValue()
		}
		for _, scope := range one.ScopeMetrics {
			for _, metric := range scope.Metrics {
				c.names = append(c.names, metric.Name)
			}
		}
		r.all = append(r.all, c)
	}
}

// of is what clients have pushed with a metric whose name begins so and an attribute of that value.
func (r *otlpReceiver) of(metric, attribute, value string) []clientMetrics {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []clientMetrics
	for _, c := range r.all {
		if c.attributes[attribute] == value && slices.ContainsFunc(c.names, func(name string) bool { return strings.HasPrefix(name, metric) }) {
			found = append(found, c)
		}
	}
	return found
}

// clients are those that have pushed, and how often.
func (r *otlpReceiver) clients() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]int{}
	for _, c := range r.all {
		found[c.attributes["client_id"]]++
	}
	return found
}

// TestClientMetrics has the Java client and franz-go push their metrics (KIP-714) to a broker, which hands them on to a collector. The
// clients are as they are by default.
func TestClientMetrics(t *testing.T) {
	to := startReceiver(t)
	p := brokertest.Start(t, brokertest.Options{Settings: quick, Env: []string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=" + to.URL}})
	c := newClient(t, p.Addr())
	subscribe := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeClientMetrics, "all"
	for key, value := range map[string]string{"metrics": "org.apache.kafka.", "interval.ms": "100"} {
		one := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		one.Name, one.Value = key, kmsg.StringPtr(value)
		r.Configs = append(r.Configs, one)
	}
	subscribe.Resources = append(subscribe.Resources, r)
	resp, err := subscribe.RequestWith(t.Context(), c)
	if err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("subscribe: %+v %v", resp, err)
	}

	java := clientNamed(t, "java")
	java.create(t, worker.Options{Brokers: p.Addr(), Topic: "observed", Partitions: 1})
	records := makeRecords(0, 0, perCodec, "observed")
	for _, one := range []struct {
		metric, attribute, value string
		use                      func() // the client
	}{
		{"org.apache.kafka.producer.", "client_software_name", "apache-kafka-java", func() {
			java.produce(t, worker.Options{Brokers: p.Addr(), Topic: "observed", Codec: "none"}, records)
		}},
		{"org.apache.kafka.consumer.", "client_software_name", "apache-kafka-java", func() {
			java.consume(t, worker.Options{Brokers: p.Addr(), Topic: "observed", From: "beginning", Count: len(records)})
		}},
		// Only the first of its connections says what it is.
		{"org.apache.kafka.producer.", "client_id", "kgo", func() {
			// A client asks what is wanted when it begins, and says the last when it ends.
			c, err := kgo.NewClient(kgo.SeedBrokers(p.Addr()))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "observed", Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		var got []clientMetrics
		// One that is gone at once may have had no time to push.
		eventually(t, 3*time.Minute, func() string {
			if got = to.of(one.metric, one.attribute, one.value); len(got) == 0 {
				one.use()
				return fmt.Sprintf("no metric %s of %s has come, but of %v", one.metric, one.value, to.clients())
			}
			return ""
		})
		if len(got) == 0 {
			continue
		}
		for _, key := range []string{"client_instance_id", "client_id", "client_source_address", "client_source_port", "principal", "broker_id", "cluster_id"} {
			if got[0].attributes[key] == "" {
				t.Errorf("%s does not tell %s: %v", one.value, key, got[0].attributes)
			}
		}
	}
	told, err := http.Get("http://" + p.HTTP() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = told.Body.Close() }()
	if b, err := io.ReadAll(told.Body); err != nil || !strings.Contains(string(b), "\ntideline_client_metrics_refused_total 0") {
		t.Errorf("pushes of real clients were refused, or it is not told: %v", err)
	}
}
