package compat

import (
	"bytes"
	"compress/gzip"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var telemetryAllowed = []allowance{
	allow(`what grows PushTelemetry v0: \.ErrorCode: kafka=INVALID_RECORD tideline=TELEMETRY_TOO_LARGE$`, "clients that are told of an invalid record push no more"),
}

// compareTelemetry pushes metrics as a client would (KIP-714). Neither side has somebody to hand them to, so that neither advertises
// the calls; both answer them, and look no further than at the size of what is pushed, decompressed.
func compareTelemetry(s *side) {
	id := func(n byte) [16]byte { return [16]byte{0x12, 0x34, 6: 0x4d, 8: 0x81, 15: n} }
	get := func(step string, id [16]byte) *kmsg.GetTelemetrySubscriptionsResponse {
		req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
		req.ClientInstanceID = id
		return s.call(step, req, 0).(*kmsg.GetTelemetrySubscriptionsResponse)
	}
	push := func(step string, change func(r *kmsg.PushTelemetryRequest)) {
		req := kmsg.NewPtrPushTelemetryRequest()
		change(req)
		s.call(step, req, 0)
	}
	// A new id is each side's own.
	req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
	fresh := s.ask("main", req, 0).(*kmsg.GetTelemetrySubscriptionsResponse)
	own := fresh.ClientInstanceID
	s.transcript = append(s.transcript, said{"a new client", "id", fmt.Sprint(own != [16]byte{})})
	fresh.ClientInstanceID, fresh.SubscriptionID = [16]byte{}, 0
	s.note("a new client", fresh)

	get("nothing is wanted", id(1))
	get("asked at once", id(1))
	push("of no client", func(*kmsg.PushTelemetryRequest) {})
	push("of a reserved id", func(r *kmsg.PushTelemetryRequest) { r.ClientInstanceID = [16]byte{15: 1} })
	push("under an unknown id", func(r *kmsg.PushTelemetryRequest) { r.ClientInstanceID = id(1) })
	get("asked after that", id(1))

	s.subscribe("one", map[string]string{"metrics": "org.apache.kafka.producer.", "interval.ms": "3600000"})
	wanted := until(s, "subscription", func() kmsg.Request {
		r := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
		r.ClientInstanceID = id(2)
		return r
	}(), 0, func(r *kmsg.GetTelemetrySubscriptionsResponse) bool { return len(r.RequestedMetrics) > 0 })
	s.note("one is wanted", wanted)
	with := func(n byte, change func(r *kmsg.PushTelemetryRequest)) func(r *kmsg.PushTelemetryRequest) {
		return func(r *kmsg.PushTelemetryRequest) {
			r.ClientInstanceID, r.SubscriptionID = id(n), get(fmt.Sprintf("client %d", n), id(n)).SubscriptionID
			change(r)
		}
	}
	push("nothing", with(3, func(*kmsg.PushTelemetryRequest) {}))
	push("nothing at once", func(r *kmsg.PushTelemetryRequest) { r.ClientInstanceID = id(3) })
	push("an unknown compression", with(4, func(r *kmsg.PushTelemetryRequest) { r.CompressionType = 5 }))
	get("asked after an unknown compression", id(4))
	push("a negative compression", with(5, func(r *kmsg.PushTelemetryRequest) { r.CompressionType = -1 }))
	push("too much", with(6, func(r *kmsg.PushTelemetryRequest) { r.Metrics = make([]byte, 1<<20+1) }))
	push("as much as there may be", with(7, func(r *kmsg.PushTelemetryRequest) { r.Metrics = make([]byte, 1<<20) }))
	push("the last", with(8, func(r *kmsg.PushTelemetryRequest) { r.Terminating = true }))
	push("after the last", func(r *kmsg.PushTelemetryRequest) { r.ClientInstanceID = id(8) })
	push("once more after the last", func(r *kmsg.PushTelemetryRequest) { r.ClientInstanceID = id(8) })
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(make([]byte, 1<<22)) // a buffer takes all
	_ = w.Close()
	push("what grows", with(9, func(r *kmsg.PushTelemetryRequest) { r.CompressionType, r.Metrics = 1, zipped.Bytes() }))

	// What matches whom.
	n := byte(20)
	for _, match := range []string{
		"client_id=compare", "client_id=comp", "client_id=c.*e", "client_id=x|compare", "client_instance_id=.*", "client_source_address=127\\.0\\.0\\.1",
		"client_source_port=\\d+", "client_software_name=.*", "client_software_version=.*", "client_id=no,client_id=compare", "client_id=compare,client_source_port=1",
	} {
		n++
		s.subscribe("one", map[string]string{"metrics": "org.", "match": match})
		got := s.applied(id(n), func(r *kmsg.GetTelemetrySubscriptionsResponse) bool { return true })
		s.note("match "+match, got)
	}
	// The same on a connection that has said what it is.
	hello := kmsg.NewPtrApiVersionsRequest()
	hello.ClientSoftwareName, hello.ClientSoftwareVersion = "compare-go", "1.2"
	s.ask("main", hello, 3)
	for _, match := range []string{"client_software_name=compare-go", "client_software_version=1\\.2", "client_software_version=1"} {
		n++
		s.subscribe("one", map[string]string{"metrics": "org.", "match": match})
		s.note("match "+match, s.applied(id(n), func(r *kmsg.GetTelemetrySubscriptionsResponse) bool { return true }))
	}
	s.subscribe("one", map[string]string{"metrics": "*", "match": ""})
	n++
	s.note("all metrics", s.applied(id(n), func(r *kmsg.GetTelemetrySubscriptionsResponse) bool { return true }))
	compareSubscriptions(s)
}

// subscribe makes a subscription have settings, and waits until they count.
func (s *side) subscribe(name string, settings map[string]string) {
	s.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeClientMetrics, name
	for key, value := range settings {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = key, kmsg.StringPtr(value)
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	resp := s.ask("configs", req, s.latest(44)).(*kmsg.IncrementalAlterConfigsResponse)
	if code := resp.Resources[0].ErrorCode; code != 0 {
		s.t.Fatalf("%s: subscription %v: error code %d", s.name, settings, code)
	}
	describe := kmsg.NewPtrDescribeConfigsRequest()
	d := kmsg.NewDescribeConfigsRequestResource()
	d.ResourceType, d.ResourceName = kmsg.ConfigResourceTypeClientMetrics, name
	describe.Resources = append(describe.Resources, d)
	until(s, "settings of the subscription", describe, s.latest(32), func(r *kmsg.DescribeConfigsResponse) bool {
		same := 0
		for _, c := range r.Resources[0].Configs {
			if value, ok := settings[c.Name]; ok && c.Value != nil && *c.Value == value {
				same++
			}
		}
		return same == len(settings)
	})
}

// applied asks until the answer is by the subscriptions that there are, which those who answer know a little later.
func (s *side) applied(id [16]byte, good func(*kmsg.GetTelemetrySubscriptionsResponse) bool) *kmsg.GetTelemetrySubscriptionsResponse {
	s.t.Helper()
	req := kmsg.NewPtrGetTelemetrySubscriptionsRequest()
	req.ClientInstanceID = id
	return until(s, "subscription", req, 0, good)
}

// compareSubscriptions changes subscriptions as resources that have settings.
func compareSubscriptions(s *side) {
	s.each(44, func(v int16) {
		for _, one := range []struct {
			what, name, key string
			value           *string
			op              int8
		}{
			{"an interval", "two", "interval.ms", kmsg.StringPtr("1000"), 0},
			{"a short interval", "two", "interval.ms", kmsg.StringPtr("99"), 0},
			{"a long interval", "two", "interval.ms", kmsg.StringPtr("3600001"), 0},
			{"no number", "two", "interval.ms", kmsg.StringPtr("soon"), 0},
			{"no interval", "two", "interval.ms", kmsg.StringPtr(""), 0},
			{"a null", "two", "interval.ms", nil, 0},
			{"an unknown setting", "two", "interval", kmsg.StringPtr("1"), 0},
			{"metrics", "two", "metrics", kmsg.StringPtr("a.,b."), 0},
			{"metrics twice", "two", "metrics", kmsg.StringPtr("a.,a."), 0},
			{"an empty metric", "two", "metrics", kmsg.StringPtr("a.,,b."), 0},
			{"no metrics", "two", "metrics", kmsg.StringPtr(""), 0},
			{"one metric more", "two", "metrics", kmsg.StringPtr("c."), 2},
			{"one metric less", "two", "metrics", kmsg.StringPtr("c."), 3},
			{"an interval more", "two", "interval.ms", kmsg.StringPtr("1"), 2},
			{"a match", "two", "match", kmsg.StringPtr("client_id=a"), 0},
			{"a match without a value", "two", "match", kmsg.StringPtr("client_id="), 0},
			{"a match without an attribute", "two", "match", kmsg.StringPtr("=a"), 0},
			{"a match of an unknown attribute", "two", "match", kmsg.StringPtr("client=a"), 0},
			{"a match with two equals signs", "two", "match", kmsg.StringPtr("client_id=a=b"), 0},
			{"a match that ends in equals signs", "two", "match", kmsg.StringPtr("client_id=a=="), 0},
			{"a broken match", "two", "match", kmsg.StringPtr("client_id=("), 0},
			{"a name with a space", "t w o", "interval.ms", kmsg.StringPtr("1000"), 0},
			{"no name", "", "interval.ms", kmsg.StringPtr("1000"), 0},
			{"the deletion of a setting", "two", "interval.ms", nil, 1},
			{"the deletion of what is not set", "three", "interval.ms", nil, 1},
		} {
			for _, dry := range []bool{true, false} {
				req := kmsg.NewPtrIncrementalAlterConfigsRequest()
				req.ValidateOnly = dry
				r := kmsg.NewIncrementalAlterConfigsRequestResource()
				r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeClientMetrics, one.name
				c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
				c.Name, c.Value, c.Op = one.key, one.value, kmsg.IncrementalAlterConfigOp(one.op)
				r.Configs = append(r.Configs, c)
				req.Resources = append(req.Resources, r)
				s.call(fmt.Sprintf("subscription with %s, only looked at %v", one.what, dry), req, v)
			}
		}
	})
	s.each(32, func(v int16) {
		for _, name := range []string{"one", "two", "four", "missing", ""} {
			req := kmsg.NewPtrDescribeConfigsRequest()
			req.IncludeSynonyms = true
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeClientMetrics, name
			req.Resources = append(req.Resources, r)
			s.call(fmt.Sprintf("settings of %q", name), req, v)
		}
	})
	s.each(33, func(v int16) {
		for _, dry := range []bool{true, false} {
			req := kmsg.NewPtrAlterConfigsRequest()
			req.ValidateOnly = dry
			r := kmsg.NewAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeClientMetrics, "four"
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			c.Name, c.Value = "interval.ms", kmsg.StringPtr("1000")
			r.Configs = append(r.Configs, c)
			req.Resources = append(req.Resources, r)
			s.call(fmt.Sprintf("subscription replaced, only looked at %v", dry), req, v)
		}
	})
	s.each(74, func(v int16) {
		req := kmsg.NewPtrListConfigResourcesRequest()
		if v > 0 {
			req.ResourceTypes = []int8{int8(kmsg.ConfigResourceTypeClientMetrics)}
		}
		s.call("subscriptions", req, v)
	})
}
