package otlptest

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/tidelinehq/tideline/internal/otlphttp"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// MaxMetrics is how many metrics a Receiver keeps, by name and instance.
const MaxMetrics = 20_000

// Metric is one metric of one process, as it came last.
type Metric struct {
	Resource    map[string]any // of the process
	Name        string
	Description string
	Kind        string // "sum", "gauge", "histogram", "summary"
	Monotonic   bool   // of a sum
	Points      []Point
}

// Point is one value of a metric.
type Point struct {
	Attributes map[string]any
	Value      float64 // of a sum or gauge
	Count      uint64  // of a histogram or summary, like what follows
	Sum        float64
	Bounds     []float64
	Buckets    []uint64
	Exemplars  []Exemplar
}

// Exemplar is a value that belongs to a span.
type Exemplar struct {
	Value           float64
	TraceID, SpanID string
}

type metricKey struct{ instance, name string }

// Instance is the service.instance.id of the process that has the metric.
func (m Metric) Instance() string {
	id, _ := m.Resource["service.instance.id"].(string)
	return id
}

// Metrics returns the metrics of an instance by name, as they came last.
func (r *Receiver) Metrics(instance string) map[string]Metric {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]Metric)
	for k, m := range r.metrics {
		if k.instance == instance {
			out[k.name] = m
		}
	}
	return out
}

// AwaitMetrics is Await for the metrics of an instance.
func (r *Receiver) AwaitMetrics(ctx context.Context, instance string, enough func(map[string]Metric) bool) (map[string]Metric, error) {
	err := r.await(ctx, func() bool { return enough(r.Metrics(instance)) })
	return r.Metrics(instance), err
}

// takeMetrics opens both doors for metrics.
func (r *Receiver) takeMetrics(mux *http.ServeMux) {
	otlphttp.Post(mux, "/v1/metrics", maxRequest, func(q *collector.ExportMetricsServiceRequest) proto.Message {
		r.addMetrics(q)
		return &collector.ExportMetricsServiceResponse{}
	})
	collector.RegisterMetricsServiceServer(r.rpc, metricsService{r: r})
}

type metricsService struct {
	collector.UnimplementedMetricsServiceServer
	r *Receiver
}

// Export implements collector.MetricsServiceServer.
func (s metricsService) Export(_ context.Context, q *collector.ExportMetricsServiceRequest) (*collector.ExportMetricsServiceResponse, error) {
	s.r.addMetrics(q)
	return &collector.ExportMetricsServiceResponse{}, nil
}

func (r *Receiver) addMetrics(q *collector.ExportMetricsServiceRequest) {
	came := make(map[metricKey]Metric)
	for _, of := range q.ResourceMetrics {
		about := attributes(of.GetResource().GetAttributes())
		for _, scope := range of.ScopeMetrics {
			for _, x := range scope.Metrics {
				m := metricOf(x)
				m.Resource = about
				came[metricKey{m.Instance(), m.Name}] = m
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.metrics == nil {
		r.metrics = make(map[metricKey]Metric)
	}
	for k, m := range came {
		if _, known := r.metrics[k]; !known && len(r.metrics) == MaxMetrics {
			r.dropped++
			delete(came, k)
			continue
		}
		r.metrics[k] = m
	}
	r.come()
}

func metricOf(x *metrics.Metric) Metric {
	m := Metric{Name: x.Name, Description: x.Description}
	numbers := func(points []*metrics.NumberDataPoint) {
		for _, p := range points {
			value := p.GetAsDouble()
			if n, ok := p.Value.(*metrics.NumberDataPoint_AsInt); ok {
				value = float64(n.AsInt)
			}
			m.Points = append(m.Points, Point{Attributes: attributes(p.Attributes), Value: value, Exemplars: exemplars(p.Exemplars)})
		}
	}
	switch data := x.Data.(type) {
	case *metrics.Metric_Sum:
		m.Kind, m.Monotonic = "sum", data.Sum.IsMonotonic
		numbers(data.Sum.DataPoints)
	case *metrics.Metric_Gauge:
		m.Kind = "gauge"
		numbers(data.Gauge.DataPoints)
	case *metrics.Metric_Histogram:
		m.Kind = "histogram"
		for _, p := range data.Histogram.DataPoints {
			m.Points = append(m.Points, Point{
				Attributes: attributes(p.Attributes), Count: p.Count, Sum: p.GetSum(), Bounds: p.ExplicitBounds, Buckets: p.BucketCounts, Exemplars: exemplars(p.Exemplars),
			})
		}
	case *metrics.Metric_Summary:
		m.Kind = "summary"
		for _, p := range data.Summary.DataPoints {
			m.Points = append(m.Points, Point{Attributes: attributes(p.Attributes), Count: p.Count, Sum: p.Sum})
		}
	}
	return m
}

func exemplars(list []*metrics.Exemplar) (out []Exemplar) {
	for _, e := range list {
		out = append(out, Exemplar{Value: e.GetAsDouble(), TraceID: hex.EncodeToString(e.TraceId), SpanID: hex.EncodeToString(e.SpanId)})
	}
	return out
}

// Total is the sum of the values of the points that have these attributes.
func (m Metric) Total(want map[string]any) (total float64) {
	for _, p := range m.Points {
		if has(p.Attributes, want) {
			total += p.Value
		}
	}
	return total
}

func has(attributes, want map[string]any) bool {
	for k := range want {
		if attributes[k] != want[k] {
			return false
		}
	}
	return true
}
