package broker

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// partitionCounts are how the partitions of a cluster are, as one broker sees it. All but offline and leaderlessIn are of the
// partitions that this broker leads, so that the sum over the brokers is that of the cluster.
type partitionCounts struct {
	leaders, replicas                            int
	underReplicated, underMinISR, atMinISR       int
	offline, misplaced, reassigned, leaderlessIn int
	segments, storedBytes, logBytes              int64 // in the object store
}

// countPartitions looks at all partitions of an image.
func countPartitions(image *metadata.Image, node int32, policy controller.Policy) (n partitionCounts) {
	n.replicas = image.HostedCount(node)
	for t, p := range image.AllPartitions() {
		if p.Leader == command.NoLeader {
			n.offline++
			if slices.Contains(p.Replicas, node) {
				n.leaderlessIn++
			}
		}
		if p.Leader != node {
			continue
		}
		n.leaders++
		n.segments, n.storedBytes, n.logBytes = n.segments+p.Ledger.Segments, n.storedBytes+p.Ledger.StoredBytes, n.logBytes+p.Ledger.LogBytes
		if len(p.ISR) < len(p.Replicas)-len(p.Adding) {
			n.underReplicated++
		}
		switch least := policy.EffectiveMinISR(image, t, p); {
		case len(p.ISR) < least:
			n.underMinISR++
		case len(p.ISR) == least && least < len(p.Replicas):
			n.atMinISR++
		}
		if p.Replicas[0] != node {
			n.misplaced++
		}
		if len(p.Adding)+len(p.Removing) > 0 {
			n.reassigned++
		}
	}
	return n
}

// lateTransaction is by how much the producer of an open transaction may be silent for longer than a transaction may
// take, before it is late: Kafka's number. The coordinator ends it within transaction.max.timeout.ms, so that a late
// one is one that no coordinator knows of.
const lateTransaction = 5 * time.Minute

// collector offers what is known of partitions, disk and write-ahead log when it is asked for.
type collector struct {
	b        *Broker
	forecast *forecast

	mu     sync.Mutex // guards what follows
	image  *metadata.Image
	counts partitionCounts // of image
}

func newGaugeDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tideline_"+name, help, labels, nil)
}

var (
	leadersDesc         = newGaugeDesc("partition_leaders", "Partitions that this broker leads.")
	replicasDesc        = newGaugeDesc("partition_replicas", "Partitions of which this broker has a replica.")
	underReplicatedDesc = newGaugeDesc("partition_under_replicated", "Partitions led here of which a replica is not in sync.")
	underMinISRDesc     = newGaugeDesc("partition_under_min_isr", "Partitions led here with fewer replicas in sync than min.insync.replicas: they take no acks=all.")
	atMinISRDesc        = newGaugeDesc("partition_at_min_isr", "Partitions led here with as few replicas in sync as min.insync.replicas allows, and fewer than they have.")
	offlineDesc         = newGaugeDesc("partition_offline", "Partitions of the whole cluster that nobody leads, as this broker knows. Take the greatest of all brokers, not the sum.")
	leaderlessDesc      = newGaugeDesc("partition_offline_replicas", "Partitions that nobody leads of which this broker has a replica.")
	misplacedDesc       = newGaugeDesc("partition_not_preferred", "Partitions led here whose preferred leader is another broker.")
	reassignedDesc      = newGaugeDesc("partition_reassigning", "Partitions led here whose replicas are being moved.")

	segmentsDesc    = newGaugeDesc("partition_segments", "Segments in the object store of the partitions led here.")
	storedBytesDesc = newGaugeDesc("partition_stored_bytes", "Bytes in the object store of the partitions led here, as they lie there.")
	logBytesDesc    = newGaugeDesc("partition_log_bytes", "Bytes of record batches in the object store of the partitions led here, before the blocks are compressed.")

	lagRecordsDesc = newGaugeDesc("replication_follower_lag_records", "The most records of one partition led here that a follower on the broker lacks.", "follower")
	lagSecondsDesc = newGaugeDesc("replication_follower_lag_seconds", "The longest time for which a follower on the broker has lacked something of one partition led here.", "follower")

	openDesc     = newGaugeDesc("partition_open_transactions", "Open transactions of the partitions led here.")
	unstableDesc = newGaugeDesc("partition_unstable_records", "The most records of one partition led here that wait for a transaction to be decided before readers of committed records see them.")
	silentDesc   = newGaugeDesc("partition_transaction_silence_seconds", "The longest time for which nothing was heard of the producer of an open transaction on a partition led here.")
	lateDesc     = newGaugeDesc("partition_late_transactions", "Partitions led here with a transaction that is open for longer than transaction.max.timeout.ms and five minutes: hanging, if the coordinator does not know it.")

	diskFreeDesc  = newGaugeDesc("disk_free_bytes", "Free bytes of the disk with data.dir.")
	diskTotalDesc = newGaugeDesc("disk_total_bytes", "Bytes of the disk with data.dir.")
	walFullDesc   = newGaugeDesc("wal_full_in_seconds", "When the write-ahead log reaches its limit, at the rate at which it grew in the last minutes; +Inf while it does not grow.")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		leadersDesc, replicasDesc, underReplicatedDesc, underMinISRDesc, atMinISRDesc, offlineDesc, leaderlessDesc, misplacedDesc, reassignedDesc,
		segmentsDesc, storedBytesDesc, logBytesDesc, lagRecordsDesc, lagSecondsDesc, openDesc, unstableDesc, silentDesc, lateDesc, diskFreeDesc, diskTotalDesc, walFullDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	n := c.partitions()
	for d, v := range map[*prometheus.Desc]int64{
		leadersDesc: int64(n.leaders), replicasDesc: int64(n.replicas), underReplicatedDesc: int64(n.underReplicated), underMinISRDesc: int64(n.underMinISR),
		atMinISRDesc: int64(n.atMinISR), offlineDesc: int64(n.offline), leaderlessDesc: int64(n.leaderlessIn), misplacedDesc: int64(n.misplaced),
		reassignedDesc: int64(n.reassigned), segmentsDesc: n.segments, storedBytesDesc: n.storedBytes, logBytesDesc: n.logBytes,
	} {
		gauge(d, float64(v))
	}
	c.followers(gauge)
	c.transactions(gauge)
	if total, free := c.b.diskUsage(); total >= 0 {
		gauge(diskFreeDesc, float64(free))
		gauge(diskTotalDesc, float64(total))
	}
	usage := c.b.log.Usage()
	gauge(walFullDesc, c.forecast.fullIn(usage.MaxBytes))
}

// partitions counts once for each image: a scrape of a cluster in which nothing happens costs nothing.
func (c *collector) partitions() partitionCounts {
	image := c.b.meta.Image()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.image != image {
		c.image = image
		c.counts = countPartitions(image, c.b.cfg.NodeID, policyOf(c.b.replicas.config()))
	}
	return c.counts
}

// followers tells the greatest lag of each broker that follows.
func (c *collector) followers(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	if c.b.sender == nil {
		return
	}
	type lag struct {
		records int64
		behind  time.Duration
	}
	lags := make(map[int32]lag)
	for _, p := range c.b.sender.Led() {
		p.Followers(func(f partition.Follower) {
			l := lags[f.Broker]
			lags[f.Broker] = lag{max(l.records, f.Records), max(l.behind, f.Behind)}
		})
	}
	for broker, l := range lags {
		label := strconv.Itoa(int(broker))
		gauge(lagRecordsDesc, float64(l.records), label)
		gauge(lagSecondsDesc, l.behind.Seconds(), label)
	}
}

func (c *collector) transactions(gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	var all partition.OpenTransactions
	late, limit := 0, c.b.replicas.config().TransactionMaxTimeout+lateTransaction
	for _, p := range c.b.table.All() {
		if !p.Leads() {
			continue
		}
		o := p.OpenTransactions()
		all.Open += o.Open
		all.Unstable, all.Silent = max(all.Unstable, o.Unstable), max(all.Silent, o.Silent)
		if o.Silent > limit {
			late++
		}
	}
	gauge(openDesc, float64(all.Open))
	gauge(unstableDesc, float64(all.Unstable))
	gauge(silentDesc, all.Silent.Seconds())
	gauge(lateDesc, float64(late))
}

// observe offers the metrics of the broker as a whole, looks at what changes with time, and begins to export all of them if the
// environment asks for it. It is called when all parts are made.
func (b *Broker) observe(ctx context.Context) error {
	f := newForecast()
	if err := b.registry.Register(&collector{b: b, forecast: f}); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if err := b.observeGroups(); err != nil {
		return fmt.Errorf("metrics of groups: %w", err)
	}
	b.background(func() { f.watch(b.run, func() int64 { return b.log.Usage().Bytes }, b.now) })
	stop, err := telemetry.ExportMetrics(ctx, telemetry.MetricOptions{
		Version: b.Version, NodeID: b.cfg.NodeID, Gatherer: b.registry, Getenv: os.Getenv, Logger: b.logger.With("part", "metrics"),
	})
	b.stopMetrics = stop
	return err
}

// stopObserving exports the metrics once more, while what they are read from is still there.
func (b *Broker) stopObserving(ctx context.Context) {
	if b.stopMetrics == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, exporterTimeout)
	defer cancel()
	if err := b.stopMetrics(ctx); err != nil {
		b.logger.WarnContext(ctx, "the last metrics were not exported", "error", err)
	}
}
