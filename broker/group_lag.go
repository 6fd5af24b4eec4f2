package broker

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/coordinator/group"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/wal"
)

// Lag of groups. Each broker tells that of the groups that it coordinates, so that every group is told of once. What is
// told is what was found in the last round, not at the scrape: a scrape asks no other broker, and a thousand scrapes ask
// no more than one.

// lagRoom is how many times more committed offsets than series are looked at: those with the greatest lag are shown.
const lagRoom = 20

// lagTimeout bounds a round; what was found by then is shown.
const lagTimeout = 10 * time.Second

// groupLag is how far a group is behind on one partition.
type groupLag struct {
	group, topic, partition string
	records                 int64
}

// groupLags are the outcome of one round.
type groupLags struct {
	shown   []groupLag
	unknown int // partitions whose end is not known
	above   int // partitions that are not shown, because there are too many
	skipped bool
}

// lagOf compares what groups have committed with the ends of the partitions, and keeps the most that are the furthest behind.
func lagOf(offsets []group.GroupOffset, skipped bool, most int, id func(topic string) (metadata.ID, bool), ends map[wal.ID]int64) groupLags {
	out := groupLags{skipped: skipped}
	for _, o := range offsets {
		topic, ok := id(o.Topic)
		if !ok || o.TopicID != (metadata.ID{}) && o.TopicID != topic {
			continue // of a topic that is gone: nobody will catch up with it
		}
		end, ok := ends[wal.ID{Topic: topic, Partition: o.Partition}]
		if !ok {
			out.unknown++
			continue
		}
		out.shown = append(out.shown, groupLag{o.Group, o.Topic, strconv.Itoa(int(o.Partition)), max(end-o.Offset, 0)})
	}
	if len(out.shown) > most {
		slices.SortStableFunc(out.shown, func(a, b groupLag) int { return cmp.Compare(b.records, a.records) })
		out.above = len(out.shown) - most
		out.shown = slices.Clip(out.shown[:most])
	}
	return out
}

// lagKeeper finds out how far groups are behind, and offers it as metrics.
type lagKeeper struct {
	groups   *group.Coordinator
	api      *api.API
	image    func() *metadata.Image
	interval time.Duration
	most     int
	newest   atomic.Pointer[groupLags]
}

var (
	lagDesc        = newGaugeDesc("group_lag_records", "Records between what a group has committed and the high watermark, by the group's coordinator.", "group", "topic", "partition")
	lagLeftOutDesc = newGaugeDesc("group_lag_left_out", "Partitions of groups whose lag is not shown: reason limit, there are more than metrics.group.lag.max.series; unknown, the leader did not say where the partition ends.", "reason")
)

// Describe implements prometheus.Collector.
func (k *lagKeeper) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagDesc
	ch <- lagLeftOutDesc
}

// Collect implements prometheus.Collector.
func (k *lagKeeper) Collect(ch chan<- prometheus.Metric) {
	lags := k.newest.Load()
	if lags == nil {
		return
	}
	for _, l := range lags.shown {
		ch <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, float64(l.records), l.group, l.topic, l.partition)
	}
	above := lags.above
	if lags.skipped {
		above = max(above, 1) // how many there are is not known
	}
	ch <- prometheus.MustNewConstMetric(lagLeftOutDesc, prometheus.GaugeValue, float64(above), "limit")
	ch <- prometheus.MustNewConstMetric(lagLeftOutDesc, prometheus.GaugeValue, float64(lags.unknown), "unknown")
}

// run does rounds until the context ends.
func (k *lagKeeper) run(ctx context.Context) {
	tick := time.NewTicker(k.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.round(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (k *lagKeeper) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	offsets, more, err := k.groups.Committed(ctx, lagRoom*k.most)
	if err != nil {
		return // what was found before is shown until a coordinator has time to answer
	}
	image := k.image()
	id := func(topic string) (metadata.ID, bool) {
		if t, ok := image.Topic(topic); ok {
			return t.ID, true
		}
		return metadata.ID{}, false
	}
	asked := make(map[wal.ID]struct{})
	var ids []wal.ID
	for _, o := range offsets {
		topic, ok := id(o.Topic)
		at := wal.ID{Topic: topic, Partition: o.Partition}
		if _, again := asked[at]; ok && !again {
			asked[at] = struct{}{}
			ids = append(ids, at)
		}
	}
	// By topic, so that a question to a leader names each topic once.
	slices.SortFunc(ids, func(a, b wal.ID) int {
		return cmp.Or(slices.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Partition, b.Partition))
	})
	ends := make(map[wal.ID]int64, len(ids))
	k.api.PartitionEnds(ctx, ids, func(id wal.ID, end int64) { ends[id] = end })
	lags := lagOf(offsets, more, k.most, id, ends)
	k.newest.Store(&lags)
}

// observeGroups begins to tell how far groups are behind, if it shall.
func (b *Broker) observeGroups() error {
	if b.cfg.GroupLagInterval <= 0 {
		return nil
	}
	k := &lagKeeper{
		groups: b.groups, api: b.api, image: b.meta.Image, interval: b.cfg.GroupLagInterval, most: int(b.cfg.GroupLagMaxSeries),
	}
	if err := b.registry.Register(k); err != nil {
		return err
	}
	b.background(func() { k.run(b.run) })
	return nil
}
