package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A subscription is changed, told and listed as Kafka does it.
func TestClientMetricsSettings(t *testing.T) {
	c := newCluster(t, 1)
	alter := func(name, key, value string, op kmsg.IncrementalAlterConfigOp) string {
		t.Helper()
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeClientMetrics, name
		one := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		one.Name, one.Value, one.Op = key, &value, op
		r.Configs = append(r.Configs, one)
		req.Resources = append(req.Resources, r)
		return code(ask[*kmsg.IncrementalAlterConfigsResponse](c, 1, req).Resources[0].ErrorCode)
	}
	for _, test := range []struct {
		name, key, value string
		op               kmsg.IncrementalAlterConfigOp
		want             string
	}{
		{"", "metrics", "*", kmsg.IncrementalAlterConfigOpSet, "INVALID_REQUEST"},
		{"s", "interval.ms", "50", kmsg.IncrementalAlterConfigOpSet, "INVALID_REQUEST"},
		{"s", "interval", "1000", kmsg.IncrementalAlterConfigOpSet, "INVALID_REQUEST"},
		{"s", "match", "client_id", kmsg.IncrementalAlterConfigOpSet, "INVALID_CONFIG"},
		{"s", "interval.ms", "1000", kmsg.IncrementalAlterConfigOpAppend, "INVALID_CONFIG"},
		{"s", "interval.ms", "1000", kmsg.IncrementalAlterConfigOpSet, "NONE"},
		{"s", "metrics", "a.", kmsg.IncrementalAlterConfigOpAppend, "INVALID_CONFIG"},
		{"s", "metrics", "a.,b.", kmsg.IncrementalAlterConfigOpSet, "NONE"},
	} {
		if got := alter(test.name, test.key, test.value, test.op); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
	describe := func(name string) (string, map[string]string) {
		t.Helper()
		req := kmsg.NewPtrDescribeConfigsRequest()
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeClientMetrics, name
		req.Resources = append(req.Resources, r)
		got := ask[*kmsg.DescribeConfigsResponse](c, 4, req).Resources[0]
		values := map[string]string{}
		for _, one := range got.Configs {
			values[one.Name] = *one.Value + " " + one.Source.String()
		}
		return code(got.ErrorCode), values
	}
	got, values := describe("s")
	if got != "NONE" || values["interval.ms"] != "1000 CLIENT_METRICS_CONFIG" || values["metrics"] != "a.,b. CLIENT_METRICS_CONFIG" || values["match"] != " DEFAULT_CONFIG" {
		t.Errorf("%s %v", got, values)
	}
	if got, values = describe("other"); got != "NONE" || values["interval.ms"] != "300000 DEFAULT_CONFIG" {
		t.Errorf("one that is not there: %s %v", got, values)
	}
	if got, _ = describe(""); got != "INVALID_REQUEST" {
		t.Errorf("without a name: %s", got)
	}
	list := func() int {
		t.Helper()
		return len(ask[*kmsg.ListConfigResourcesResponse](c, 0, kmsg.NewPtrListConfigResourcesRequest()).ConfigResources)
	}
	if n := list(); n != 1 {
		t.Errorf("%d subscriptions", n)
	}
	for _, key := range []string{"interval.ms", "metrics"} {
		if got := alter("s", key, "", kmsg.IncrementalAlterConfigOpDelete); got != "NONE" {
			t.Error(got)
		}
	}
	if n := list(); n != 0 {
		t.Errorf("%d subscriptions without settings", n)
	}
}
