package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/telemetry/clientmetrics"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// takeAll is a collector that is never busy.
type takeAll struct{ pushes int }

// Offer implements clientmetrics.Sink.
func (s *takeAll) Offer([]byte) bool { s.pushes++; return true }

func TestTelemetry(t *testing.T) {
	c := newCluster(t, 1)
	sink := &takeAll{}
	c.api.ClientMetrics = clientmetrics.NewManager(clientmetrics.Options{MaxBytes: 1000, NodeID: 1, Sink: sink})
	subscribe := func(name, key, value string) {
		t.Helper()
		c.apply(&command.SetClientMetrics{Name: name, Changes: []command.ConfigChange{{Key: key, Value: value}}})
	}
	get := func(id [16]byte) *kmsg.GetTelemetrySubscriptionsResponse {
		t.Helper()
		req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
		req.ClientInstanceID = id
		return ask[*kmsg.GetTelemetrySubscriptionsResponse](c, 0, req)
	}
	push := func(id [16]byte, subscription int32, metrics []byte) string {
		t.Helper()
		req := kmsg.NewPtrPushTelemetryRequest()
		req.ClientInstanceID, req.SubscriptionID, req.Metrics = id, subscription, metrics
		return code(ask[*kmsg.PushTelemetryResponse](c, 0, req).ErrorCode)
	}
	nothing := get([16]byte{})
	if nothing.ErrorCode != 0 || nothing.PushIntervalMillis != 300_000 || len(nothing.RequestedMetrics) != 0 || nothing.TelemetryMaxBytes != 1000 || !nothing.DeltaTemporality {
		t.Errorf("without a subscription: %+v", nothing)
	}
	if got := code(get(nothing.ClientInstanceID).ErrorCode); got != "THROTTLING_QUOTA_EXCEEDED" {
		t.Errorf("asked too often: %s", got)
	}
	subscribe("all", "metrics", "*")
	subscribe("broken", "match", "(") // as if a broker of another release had let it in
	all := get(nothing.ClientInstanceID)
	if all.ErrorCode != 0 || len(all.RequestedMetrics) != 1 || all.SubscriptionID == nothing.SubscriptionID {
		t.Errorf("with a subscription: %+v", all)
	}
	for _, test := range []struct {
		id           [16]byte
		subscription int32
		metrics      []byte
		want         string
	}{
		{[16]byte{}, 0, nil, "INVALID_REQUEST"},
		{[16]byte{1}, 0, nil, "UNKNOWN_SUBSCRIPTION_ID"},
		{all.ClientInstanceID, all.SubscriptionID, []byte{1<<3 | 2, 0}, "NONE"},
		{all.ClientInstanceID, all.SubscriptionID, nil, "THROTTLING_QUOTA_EXCEEDED"},
	} {
		if got := push(test.id, test.subscription, test.metrics); got != test.want {
			t.Errorf("push of %x: %s, want %s", test.id, got, test.want)
		}
	}
	for n, test := range map[byte]struct {
		metrics []byte
		want    string
	}{2: {[]byte{0xff}, "INVALID_RECORD"}, 3: {make([]byte, 1001), "TELEMETRY_TOO_LARGE"}} {
		id := get([16]byte{n})
		if got := push(id.ClientInstanceID, id.SubscriptionID, test.metrics); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
	}
	if sink.pushes != 1 {
		t.Errorf("%d pushes reached the collector", sink.pushes)
	}
}

// Clients are told to push only when there is somebody who takes it; as Kafka, the keys are served all the same.
func TestTelemetryIsAdvertisedWithACollector(t *testing.T) {
	c := newCluster(t, 1)
	advertised := func() (n int) {
		t.Helper()
		for _, k := range ask[*kmsg.ApiVersionsResponse](c, 2, kmsg.NewPtrApiVersionsRequest()).ApiKeys {
			if isTelemetry(k.ApiKey) {
				n++
			}
		}
		return n
	}
	if n := advertised(); n != 0 {
		t.Errorf("%d keys are advertised without a collector", n)
	}
	c.api.ClientMetrics = clientmetrics.NewManager(clientmetrics.Options{MaxBytes: 1000, Sink: &takeAll{}})
	if n := advertised(); n != 2 {
		t.Errorf("%d keys are advertised with a collector", n)
	}
}
