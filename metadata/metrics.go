package metadata

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/metadata/quorum"
)

// metrics are the figures of a Store. What can be read from the image or the
// log is read when it is scraped, and costs nothing otherwise.
type metrics struct {
	apply    prometheus.Histogram
	commands prometheus.Counter
	propose  prometheus.Histogram
	failures *prometheus.CounterVec
}

func newMetrics() *metrics {
	return &metrics{
		apply: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tideline_metadata_apply_seconds", Help: "Time to apply one batch of committed commands to the image.",
			Buckets: prometheus.ExponentialBuckets(1e-5, 4, 9),
		}),
		commands: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tideline_metadata_commands_total", Help: "Committed commands applied to the image.",
		}),
		propose: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tideline_metadata_propose_seconds", Help: "Time from proposing a command to its result.",
			Buckets: prometheus.ExponentialBuckets(2.5e-4, 2, 14),
		}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tideline_metadata_propose_failures_total", Help: "Proposals that failed or were refused, by reason.",
		}, []string{"reason"}),
	}
}

func (m *metrics) applied(commands int, d time.Duration) {
	m.apply.Observe(d.Seconds())
	m.commands.Add(float64(commands))
}

// collector reads gauges from a store.
type collector struct{ s *Store }

type gauge struct {
	desc  *prometheus.Desc
	value func(*Image, quorum.Stats) float64
}

func newGauge(name, help string, value func(*Image, quorum.Stats) float64) gauge {
	return gauge{prometheus.NewDesc("tideline_metadata_"+name, help, nil, nil), value}
}

var gauges = []gauge{
	newGauge("image_index", "Log index of the last command in the image.", func(m *Image, _ quorum.Stats) float64 { return float64(m.Index()) }),
	newGauge("brokers", "Registered brokers.", func(m *Image, _ quorum.Stats) float64 { return float64(m.BrokerCount()) }),
	newGauge("fenced_brokers", "Registered brokers that are out of service.", func(m *Image, _ quorum.Stats) float64 {
		n := 0
		for b := range m.Brokers() {
			if b.Fenced {
				n++
			}
		}
		return float64(n)
	}),
	newGauge("topics", "Topics.", func(m *Image, _ quorum.Stats) float64 { return float64(m.TopicCount()) }),
	newGauge("partitions", "Partitions of all topics.", func(m *Image, _ quorum.Stats) float64 { return float64(m.PartitionCount()) }),
	newGauge("garbage_objects", "Objects waiting for their deletion.", func(m *Image, _ quorum.Stats) float64 { return float64(m.GarbageCount()) }),
	newGauge("upload_intents", "Uploads that were begun and are not finished.", func(m *Image, _ quorum.Stats) float64 { return float64(m.IntentCount()) }),
	newGauge("shared_objects", "Live objects with more than one reference.", func(m *Image, _ quorum.Stats) float64 { return float64(m.objects.Len()) }),
	newGauge("purges", "Deleted topics whose remote data is not released yet.", func(m *Image, _ quorum.Stats) float64 { return float64(m.purges.Len()) }),
	newGauge("log_entries", "Commands applied since the last snapshot.", func(_ *Image, s quorum.Stats) float64 { return float64(s.LogEntries) }),
	newGauge("log_bytes", "Bytes of commands applied since the last snapshot.", func(_ *Image, s quorum.Stats) float64 { return float64(s.LogBytes) }),
	newGauge("snapshot_bytes", "Size of the last snapshot.", func(_ *Image, s quorum.Stats) float64 { return float64(s.SnapshotBytes) }),
	newGauge("snapshot_seconds", "Time that the last snapshot took.", func(_ *Image, s quorum.Stats) float64 { return float64(s.SnapshotNanos) / 1e9 }),
	newGauge("term", "Raft term.", func(_ *Image, s quorum.Stats) float64 { return float64(s.Term) }),
}

var (
	leaderDesc = prometheus.NewDesc("tideline_metadata_is_leader", "1 on the metadata leader.", nil, nil)
	haltedDesc = prometheus.NewDesc("tideline_metadata_is_halted", "1 when the image stopped at a command that this release can not apply.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges {
		ch <- g.desc
	}
	ch <- leaderDesc
	ch <- haltedDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	image, stats := c.s.Image(), c.s.log.Stats()
	for _, g := range gauges {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, g.value(image, stats))
	}
	ch <- prometheus.MustNewConstMetric(leaderDesc, prometheus.GaugeValue, boolGauge(c.s.IsLeader()))
	ch <- prometheus.MustNewConstMetric(haltedDesc, prometheus.GaugeValue, boolGauge(c.s.machine.halted.Load() != nil))
}

func boolGauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
