package broker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/otlptest"
)

// value returns the sum of a metric over the samples that have these labels; false if there is none.
func (n *node) value(name string, labels map[string]string) (sum float64, found bool) {
	n.tb.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		n.tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if hasLabels(m, labels) {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
				found = true
			}
		}
	}
	return sum, found
}

func hasLabels(m *dto.Metric, want map[string]string) bool {
	has := 0
	for _, l := range m.GetLabel() {
		if v, ok := want[l.GetName()]; ok && v == l.GetValue() {
			has++
		}
	}
	return has == len(want)
}

// sum is value over all running brokers.
func (c *cluster) sum(name string, labels map[string]string) (sum float64) {
	for _, x := range c.up() {
		v, _ := x.value(name, labels)
		sum += v
	}
	return sum
}

// TestMetricsOfPartitions: what a cluster tells of its replicas when all is well, with a broker gone, and with too few in sync.
func TestMetricsOfPartitions(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"controller.voters": "1"}) // the first: brokers may go
	c.create("t")
	leader := c.settled("t", 0, 3)
	for name, want := range map[string]float64{
		"tideline_partition_leaders": 1, "tideline_partition_replicas": 3, "tideline_partition_under_replicated": 0,
		"tideline_partition_under_min_isr": 0, "tideline_partition_at_min_isr": 0, "tideline_partition_offline": 0,
		"tideline_metadata_brokers": 9, "tideline_metadata_fenced_brokers": 0, "tideline_controller_active": 1,
	} {
		leader.await(name, func() bool { return c.sum(name, nil) == want })
	}
	leader.dial().mustProduce("t", 0, values(10, "a", "b"))
	leader.await("followers that lack nothing", func() bool {
		_, found := leader.value("tideline_replication_follower_lag_records", nil)
		return found && c.sum("tideline_replication_follower_lag_records", nil) == 0
	})

	c.nodes[2].stop()
	leader = c.settled("t", 0, 2)
	for name, want := range map[string]float64{
		"tideline_partition_under_replicated": 1, "tideline_partition_at_min_isr": 1, "tideline_partition_under_min_isr": 0,
		"tideline_metadata_fenced_brokers": 2, // of one, as two see it
	} {
		leader.await(name, func() bool { return c.sum(name, nil) == want })
	}
	c.nodes[1].stop()
	leader = c.settled("t", 0, 1)
	leader.await("too few in sync", func() bool { return c.sum("tideline_partition_under_min_isr", nil) == 1 })
	leader.dial().produce("t", 0, values(10, "c"))
	if v, _ := leader.value("tideline_api_errors_total", map[string]string{"api": "Produce", "error": kerr.NotEnoughReplicas.Message}); v != 1 {
		t.Errorf("%v batches were counted as refused", v)
	}
}

// TestMetricsOfBrokers: what each broker tells, whatever happens in it.
func TestMetricsOfBrokers(t *testing.T) {
	n := newNode(t, nil)
	for _, metric := range []string{"tideline_disk_free_bytes", "tideline_disk_total_bytes", "tideline_wal_full_in_seconds"} {
		if v, found := n.value(metric, nil); !found || v <= 0 {
			t.Errorf("%s is %v", metric, v)
		}
	}
	conn := n.dial()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.MemberID = 4, "g", "nobody"
	code := do[*kmsg.HeartbeatResponse](conn, req).ErrorCode
	if v, _ := n.value("tideline_api_errors_total", map[string]string{"api": "Heartbeat", "error": name(code)}); v != 1 || code == 0 {
		t.Errorf("a heartbeat of nobody, answered by %s, was counted %v times", name(code), v)
	}
	conn.fetch(fetchRequest(11, at{topic: "none"}))
	if v, _ := n.value("tideline_api_errors_total", map[string]string{"api": "Fetch"}); v != 1 {
		t.Errorf("the fetch of nothing was counted %v times", v)
	}
}

// TestGroupLag: the coordinator of a group knows how far it is behind, also on partitions of which it has no replica; too many partitions
// are counted, and those that are shown are the furthest behind.
func TestGroupLag(t *testing.T) {
	c := newCluster(t, 3, map[string]string{"metrics.group.lag.interval.ms": "20", "metrics.group.lag.max.series": "4"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var seeds []string
	for _, x := range c.nodes {
		seeds = append(seeds, x.addr)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	// One replica each, so that two of three ends are known elsewhere only.
	if _, err := admin.CreateTopics(ctx, 3, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for p := range int32(3) {
		for range 10 * (p + 1) {
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: p, Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	commit := func(group string, offset int64) {
		t.Helper()
		var offsets kadm.Offsets
		for p := range int32(3) {
			offsets.AddOffset("t", p, offset, -1)
		}
		if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	lag := func(group, partition string) float64 {
		return c.sum("tideline_group_lag_records", map[string]string{"group": group, "topic": "t", "partition": partition})
	}
	commit("g", 5)
	for partition, want := range map[string]float64{"0": 5, "1": 15, "2": 25} {
		c.nodes[0].await("the lag on "+partition, func() bool { return lag("g", partition) == want })
	}
	commit("g", 10)
	c.nodes[0].await("the group to catch up", func() bool { return lag("g", "0") == 0 && lag("g", "1") == 10 && lag("g", "2") == 20 })
	if n := c.sum("tideline_group_lag_left_out", nil); n != 0 {
		t.Errorf("%v partitions are left out", n)
	}

	// More groups than a broker may show: those that it shows are the furthest behind. Which of the three brokers coordinates which
	// group depends on its name.
	for _, group := range []string{"a", "b", "d", "e", "f", "h"} {
		commit(group, 0)
	}
	c.nodes[0].await("what is left out to be counted", func() bool {
		shown, counted := 0, 0.0
		for _, x := range c.nodes {
			_, n := x.lags()
			shown += n
			v, _ := x.value("tideline_group_lag_left_out", map[string]string{"reason": "limit"})
			counted += v
		}
		return float64(shown)+counted == 7*3 && counted > 0
	})
	for _, x := range c.nodes {
		least, n := x.lags()
		if v, _ := x.value("tideline_group_lag_left_out", map[string]string{"reason": "limit"}); n > 4 || v > 0 && (n != 4 || least == 0) {
			t.Errorf("a broker shows %d, the least of %v, and leaves %v out", n, least, v)
		}
	}

	// Of a topic that is gone nobody is behind.
	if _, err := admin.DeleteTopics(ctx, "t"); err != nil {
		t.Fatal(err)
	}
	c.nodes[0].await("the lag to go with the topic", func() bool {
		shown := 0
		for _, x := range c.nodes {
			_, n := x.lags()
			shown += n
		}
		return shown == 0
	})
}

// lags returns the least lag that a broker shows, and how many.
func (n *node) lags() (least float64, count int) {
	n.tb.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		n.tb.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "tideline_group_lag_records" {
			continue
		}
		for _, m := range f.GetMetric() {
			if v := m.GetGauge().GetValue(); count == 0 || v < least {
				least = v
			}
			count++
		}
	}
	return least, count
}

// TestExemplarsLeadToTraces: a latency has the ids of a span that arrives at the collector, and the metric arrives there, too.
func TestExemplarsLeadToTraces(t *testing.T) {
	receiver := exportTo(t, "grpc")
	t.Setenv("OTEL_METRIC_EXPORT_INTERVAL", "50") // ms
	n := newNode(t, nil)
	conn := n.dial()
	id := conn.create("t", 1, nil)
	conn.mustProduce("t", 0, values(10, "a"))
	conn.fetch(fetchRequest(13, at{topic: "t", id: id}))

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, name := range []string{"Produce", "Fetch", "CreateTopics"} {
		var span otlptest.Span
		spans, err := receiver.Await(ctx, func(all []otlptest.Span) bool {
			i := slices.IndexFunc(all, func(s otlptest.Span) bool { return s.Name == "kafka."+name })
			if i >= 0 {
				span = all[i]
			}
			return i >= 0
		})
		if err != nil {
			t.Fatalf("no span of %s: %v: %v", name, err, spans)
		}
		if _, err := receiver.AwaitMetrics(ctx, "1", func(m map[string]otlptest.Metric) bool {
			for _, p := range m["tideline_server_request_seconds"].Points {
				if p.Attributes["api"] == name && slices.ContainsFunc(p.Exemplars, func(e otlptest.Exemplar) bool { return e.SpanID == span.SpanID && e.TraceID == span.TraceID }) {
					return true
				}
			}
			return false
		}); err != nil {
			t.Errorf("no exemplar of %s that leads to %s: %v", name, span, err)
		}
	}
}
