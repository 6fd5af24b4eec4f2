package clientmetrics

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

// sample has one of each kind of metric.
func sample() *otlp.MetricsData {
	number := []*otlp.NumberDataPoint{{TimeUnixNano: 7, Value: &otlp.NumberDataPoint_AsDouble{AsDouble: 1.5}, Attributes: []*common.KeyValue{text("k", "v")}}}
	return &otlp.MetricsData{ResourceMetrics: []*otlp.ResourceMetrics{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{text("group_id", "g"), text("principal", "User:admin"), text("client_id", "me")}},
		ScopeMetrics: []*otlp.ScopeMetrics{{
			Scope: &common.InstrumentationScope{Name: "org.apache.kafka"},
			Metrics: []*otlp.Metric{
				{Name: "gauge", Data: &otlp.Metric_Gauge{Gauge: &otlp.Gauge{DataPoints: number}}},
				{Name: "sum", Unit: "1", Data: &otlp.Metric_Sum{Sum: &otlp.Sum{DataPoints: number, IsMonotonic: true, AggregationTemporality: otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA}}},
				{Name: "histogram", Data: &otlp.Metric_Histogram{Histogram: &otlp.Histogram{DataPoints: []*otlp.HistogramDataPoint{{Count: 3, BucketCounts: []uint64{1, 2}, ExplicitBounds: []float64{5}}}}}},
				{Name: "exponential", Data: &otlp.Metric_ExponentialHistogram{ExponentialHistogram: &otlp.ExponentialHistogram{DataPoints: []*otlp.ExponentialHistogramDataPoint{{
					Scale: -1, Positive: &otlp.ExponentialHistogramDataPoint_Buckets{Offset: 2, BucketCounts: []uint64{300, 1}}}}}}},
				{Name: "summary", Data: &otlp.Metric_Summary{Summary: &otlp.Summary{DataPoints: []*otlp.SummaryDataPoint{{Sum: 2, QuantileValues: []*otlp.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.9, Value: 3}}}}}}},
			},
		}},
		SchemaUrl: "https://schema",
	}}}
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStamp(t *testing.T) {
	var got otlp.MetricsData
	b, err := Stamp(encode(t, sample()), []Attribute{{"client_id", "you"}, {"broker_id", "\xff1"}}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.ResourceMetrics[0].Resource.Attributes = []*common.KeyValue{text("group_id", "g"), text("client_id", "you"), text("broker_id", "\uFFFD1")}
	if !proto.Equal(&got, want) {
		t.Errorf("got %v\nwant %v", &got, want)
	}
	// Without a resource there is one afterwards; what is no resource's metrics goes.
	b, err = Stamp(protowire.AppendVarint(protowire.AppendTag([]byte{1<<3 | 2, 0}, 9, protowire.VarintType), 5), []Attribute{{"broker_id", "1"}}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want = &otlp.MetricsData{ResourceMetrics: []*otlp.ResourceMetrics{{Resource: &resource.Resource{Attributes: []*common.KeyValue{text("broker_id", "1")}}}}}
	if !bytes.Equal(b, encode(t, want)) {
		t.Errorf("%x", b)
	}
	if b, err := Stamp(nil, []Attribute{{"a", "b"}}, 1<<20); err != nil || len(b) != 0 {
		t.Errorf("nothing became %x, %v", b, err)
	}
}

// A resource that comes in two parts is one.
func TestStampJoinsResources(t *testing.T) {
	one := encode(t, &otlp.ResourceMetrics{Resource: &resource.Resource{Attributes: []*common.KeyValue{text("a", "1")}}})
	two := encode(t, &otlp.ResourceMetrics{Resource: &resource.Resource{Attributes: []*common.KeyValue{text("broker_id", "mine"), text("b", "2")}, DroppedAttributesCount: 4}})
	b, err := Stamp(protowire.AppendBytes([]byte{1<<3 | 2}, append(one, two...)), []Attribute{{"broker_id", "1"}}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var got otlp.MetricsData
	if err := proto.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	want := &resource.Resource{Attributes: []*common.KeyValue{text("a", "1"), text("b", "2"), text("broker_id", "1")}, DroppedAttributesCount: 4}
	if !proto.Equal(got.ResourceMetrics[0].Resource, want) {
		t.Errorf("%v", got.ResourceMetrics[0].Resource)
	}
}

func TestStampRefuses(t *testing.T) {
	deep := &common.AnyValue{}
	for range maxDepth {
		deep = &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{deep}}}}
	}
	nested := sample()
	nested.ResourceMetrics[0].Resource.Attributes[0].Value = deep
	many := &otlp.MetricsData{}
	for n := range 100 {
		many.ResourceMetrics = append(many.ResourceMetrics, &otlp.ResourceMetrics{SchemaUrl: strconv.Itoa(n)})
	}
	whole := encode(t, sample())
	for name, test := range map[string]struct {
		b    []byte
		want error
	}{
		"cut short":      {whole[:len(whole)-1], ErrMalformed},
		"text":           {[]byte("metrics"), ErrMalformed},
		"a group":        {[]byte{2<<3 | 3, 2<<3 | 4}, ErrMalformed},
		"field 0":        {[]byte{0, 0}, ErrMalformed},
		"another type":   {[]byte{1 << 3, 5}, ErrMalformed},
		"not UTF-8":      {bytes.ReplaceAll(whole, []byte("gauge"), []byte("g\xffuge")), ErrMalformed},
		"nested":         {encode(t, nested), ErrMalformed},
		"many resources": {encode(t, many), ErrTooLarge},
		"torn list":      {bytes.ReplaceAll(whole, []byte{6<<3 | 2, 16}, []byte{6<<3 | 2, 15}), ErrMalformed},
	} {
		if _, err := Stamp(test.b, []Attribute{{"a", "b"}}, 1000); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzStamp: what passes is what OTLP's own decoder takes, before and after; it has as many metrics, and nobody
// gives the broker's attributes but the broker.
func FuzzStamp(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Add([]byte{1<<3 | 2, 0})
	f.Add([]byte{1<<3 | 2, 4, 1<<3 | 2, 2, 1<<3 | 2, 0})
	f.Add(bytes.Repeat([]byte{1<<3 | 2, 0}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := Stamp(b, []Attribute{{"broker_id", "1"}}, 1<<20)
		if err != nil {
			return
		}
		var before, after otlp.MetricsData
		if err := proto.Unmarshal(b, &before); err != nil {
			t.Fatalf("taken, but not by the decoder: %v", err)
		}
		if err := proto.Unmarshal(out, &after); err != nil {
			t.Fatal(err)
		}
		if len(out) > 1<<20+20 || len(before.ResourceMetrics) < len(after.ResourceMetrics) {
			t.Fatalf("%d resources became %d in %d bytes", len(before.ResourceMetrics), len(after.ResourceMetrics), len(out))
		}
		scopes := 0
		for _, r := range before.ResourceMetrics {
			scopes += len(r.ScopeMetrics)
		}
		for _, r := range after.ResourceMetrics {
			own := 0
			for _, a := range r.GetResource().GetAttributes() {
				if reserved[a.Key] {
					own++
				}
			}
			if own != 1 {
				t.Fatalf("%d attributes of the broker", own)
			}
			scopes -= len(r.ScopeMetrics)
		}
		if scopes != 0 {
			t.Fatalf("%d scopes are lost", scopes)
		}
	})
}

// The Java client's way: a resource for each metric, all the same. Another one, and one of another schema, stay apart.
func TestStampJoinsNeighbours(t *testing.T) {
	one := func(attribute, schema, metric string) *otlp.ResourceMetrics {
		return &otlp.ResourceMetrics{
			Resource: &resource.Resource{Attributes: []*common.KeyValue{text("a", attribute)}}, SchemaUrl: schema,
			ScopeMetrics: []*otlp.ScopeMetrics{{Metrics: []*otlp.Metric{{Name: metric}}}},
		}
	}
	b, err := Stamp(encode(t, &otlp.MetricsData{ResourceMetrics: []*otlp.ResourceMetrics{
		one("x", "", "1"), one("x", "", "2"), one("y", "", "3"), one("y", "s", "4"), one("y", "s", "5"), one("x", "", "6"),
	}}), []Attribute{{"broker_id", "1"}}, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var got otlp.MetricsData
	if err := proto.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, r := range got.ResourceMetrics {
		line := r.Resource.Attributes[0].Value.GetStringValue() + r.SchemaUrl
		for _, s := range r.ScopeMetrics {
			line += " " + s.Metrics[0].Name
		}
		told = append(told, line)
	}
	if want := []string{"x 1 2", "y 3", "ys 4 5", "x 6"}; !slices.Equal(told, want) {
		t.Errorf("%q, want %q", told, want)
	}
}
