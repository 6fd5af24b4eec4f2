package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/adminapi"
)

// joinMetrics are the rows of a broker that joins.
var joinMetrics = []metric{
	{scenario: "join", key: "balanced_s", title: "a fourth broker joins, RF 3, history tiered: until it has its share, all in sync", unit: "s"},
	{scenario: "join", key: "led_s", title: "the same, until it leads its share", unit: "s"},
	{scenario: "join", key: "replicated_share", title: "bytes replicated meanwhile, of the bytes of history", unit: "of history"},
	{scenario: "join", key: "gets", title: "GETs of the new broker meanwhile", unit: "GETs"},
}

const (
	joinPartitions = 1000
	joinBytes      = 1 << 30
	joinBytesLong  = 20 << 30
	joinTopic      = "bench-join"
	joinTolerance  = 0.1 // by which part a fair share may be missed
	joinLimit      = 15 * time.Minute
	// joinElections is how often the controller looks whether the preferred replicas lead: the default is five minutes, which would
	// be most of what is measured.
	joinElections = 10 * time.Second
)

// join writes a history through three brokers, waits until it is in the object store, and starts a fourth one.
func (b *bench) join(ctx context.Context) (err error) {
	partitions, total := joinPartitions, int64(joinBytes)
	if b.options.long {
		total = joinBytesLong
	}
	if b.options.partitions > 0 {
		partitions = b.options.partitions
	}
	if b.options.bytes > 0 {
		total = b.options.bytes
	}
	c, err := b.startTidelineCluster(ctx, "tideline-join", map[string]string{"leader.imbalance.check.interval.seconds": fmt.Sprint(joinElections.Seconds())})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w%s", err, c.lastWords())
		}
		err = errors.Join(err, c.close())
	}()
	if err := c.nodes[0].createReplicated(ctx, joinTopic, partitions, clusterSize, map[string]string{"local.retention.bytes": "1", "retention.ms": "-1"}); err != nil {
		return err
	}
	took, err := writeHistory(ctx, c.nodes[0], joinTopic, partitions, total, incompressible(b.options.seed))
	if err != nil {
		return err
	}
	b.say("  wrote %s in %.0f s", config.FormatSize(total), took.Seconds())
	began := time.Now()
	if err := c.settle(ctx); err != nil {
		return err
	}
	if err := c.rest(ctx, 250*time.Millisecond); err != nil {
		return err
	}
	b.say("  all of it is in the object store after another %.0f s", time.Since(began).Seconds())
	values := map[string]float64{"partitions": float64(partitions), "history_bytes": float64(total), "write_s": took.Seconds()}
	if err := c.tiered(ctx, values); err != nil {
		return err
	}
	return b.joined(ctx, c, partitions, values)
}

// joined starts the fourth broker and looks until all is even.
func (b *bench) joined(ctx context.Context, c *cluster, partitions int, values map[string]float64) error {
	old := slices.Clone(c.nodes)
	const sent, received = "tideline_replication_sent_bytes_total", "tideline_replication_received_bytes_total"
	sentBefore, err := c.metric(ctx, old, sent)
	if err != nil {
		return err
	}
	receivedBefore, err := c.metric(ctx, old, received)
	if err != nil {
		return err
	}
	getsBefore, err := c.metric(ctx, old, "tideline_objstore_attempts_total", `operation="get"`)
	if err != nil {
		return err
	}
	load, began := loadAverage(), time.Now()
	ready, err := c.join(ctx)
	if err != nil {
		return err
	}
	values["ready_s"] = ready.Seconds()
	balanced, led, err := c.share(ctx, partitions)
	if err != nil {
		return err
	}
	values["balanced_s"], values["led_s"] = balanced.at.Sub(began).Seconds(), led.at.Sub(began).Seconds()
	values["replicas"], values["leaders"] = float64(led.replicas), float64(led.leaders)
	fresh := c.nodes[len(old):]
	for key, one := range map[string]struct {
		of     []*broker
		name   string
		label  string
		before float64
	}{
		"sent_bytes":         {old, sent, "", sentBefore},
		"old_received_bytes": {old, received, "", receivedBefore},
		"received_bytes":     {fresh, received, "", 0},
		"gets":               {fresh, "tideline_objstore_attempts_total", `operation="get"`, 0},
		"old_gets":           {old, "tideline_objstore_attempts_total", `operation="get"`, getsBefore},
		"got_bytes":          {fresh, "tideline_objstore_transferred_bytes_total", `direction="received"`, 0},
	} {
		after, err := c.metric(ctx, one.of, one.name, one.label)
		if err != nil {
			return err
		}
		values[key] = after - one.before
	}
	read, err := readBytes(fresh[0].proc.pid())
	if err != nil {
		return err
	}
	values["read_bytes"] = float64(read)
	values["replicated_share"] = values["sent_bytes"] / values["history_bytes"]
	b.say("  ready after %.2f s; %d replicas and all in sync after %.1f s, %d of them led after %.1f s", values["ready_s"], led.replicas, values["balanced_s"], led.leaders, values["led_s"])
	b.say("  replicated %.0f bytes, of which the new broker took %.0f; it made %.0f GETs of %.0f bytes, and read %.1f MB in all, from the disk and the network; the history has %.0f MB",
		values["sent_bytes"], values["received_bytes"], values["gets"], values["got_bytes"], values["read_bytes"]/1e6, values["history_bytes"]/1e6)
	if led.leaders > 0 {
		// What it did not copy it must have all the same.
		n, err := thinConsume(ctx, fresh[0].addr, joinTopic, led.first)
		if err != nil {
			return fmt.Errorf("history from the new broker partition=%d: %w", led.first, err)
		}
		if want := values["history_bytes"] / float64(partitions); float64(n) < want {
			return fmt.Errorf("history from the new broker is short partition=%d bytes=%d of=%.0f", led.first, n, want)
		}
		values["read_back_bytes"] = float64(n)
	}
	return b.results.add("join", tidelineName, 1, load, values, nil)
}

// held is what the newest broker has.
type held struct {
	at                time.Time
	replicas, leaders int
	first             int32 // of the partitions that it leads
}

// share waits until the newest broker has its share of the replicas and all are in sync, and then until the preferred replicas lead.
func (c *cluster) share(ctx context.Context, partitions int) (balanced, led held, err error) {
	id := int32(len(c.nodes))
	fair := float64(partitions*clusterSize) / float64(len(c.nodes))
	look := func(s *state) (h held, err error) {
		h.at = time.Now()
		if err := s.inSync(); err != nil {
			return h, err
		}
		for _, p := range s.of(joinTopic) {
			if len(p.replicas) != clusterSize {
				return h, fmt.Errorf("a replica is on its way partition=%d replicas=%v", p.partition, p.replicas)
			}
			if slices.Contains(p.replicas, id) {
				h.replicas++
			}
			if p.leader == id {
				if h.leaders == 0 {
					h.first = p.partition
				}
				h.leaders++
			}
		}
		if float64(h.replicas) < fair*(1-joinTolerance) || float64(h.replicas) > fair*(1+joinTolerance) {
			return h, fmt.Errorf("not a fair share node.id=%d replicas=%d fair=%.0f", id, h.replicas, fair)
		}
		return h, nil
	}
	// All brokers are asked, and all say so.
	wait := func(what string, further func(*state) error, out *held) error {
		return c.await(ctx, what, joinLimit, 250*time.Millisecond, func(told []*state) error {
			for _, s := range told {
				h, err := look(s)
				if err = errors.Join(err, further(s)); err != nil {
					return err
				}
				*out = h
			}
			return nil
		})
	}
	if err := wait("a fair share", func(*state) error { return nil }, &balanced); err != nil {
		return balanced, led, err
	}
	return balanced, led, wait("preferred leaders", (*state).preferred, &led)
}

// tiered enters what the object store has.
func (c *cluster) tiered(ctx context.Context, values map[string]float64) error {
	raw, err := c.nodes[0].get(ctx, adminapi.TierStatusPath+"?topic="+joinTopic)
	if err != nil {
		return err
	}
	var status adminapi.TierStatus
	if err := json.Unmarshal(raw, &status); err != nil {
		return fmt.Errorf("status of the object store: %w", err)
	}
	values["tiered_bytes"], values["stored_bytes"], values["objects"] = float64(status.LogBytes), float64(status.StoredBytes), float64(status.Objects)
	if values["tiered_bytes"] < values["history_bytes"] {
		return fmt.Errorf("the history is not in the object store bytes=%.0f of=%.0f", values["tiered_bytes"], values["history_bytes"])
	}
	return nil
}

// A history is written in batches as large as they may be, of few, large values, one partition after the other: the client is to cost
// little.
const (
	historyValue = 64 << 10
	historyRun   = 15 // values in a batch of 1 MiB
)

// writeHistory sends at least so many bytes of values, the same to each partition, and returns when all are acknowledged.
func writeHistory(ctx context.Context, of *broker, topic string, partitions int, total int64, values *payload) (time.Duration, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(of.addr), kgo.ProducerBatchMaxBytes(batchBytes), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedBytes(128<<20), kgo.RecordDeliveryTimeout(5*time.Minute))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	each := (total + int64(partitions)*historyValue - 1) / (int64(partitions) * historyValue)
	failed := make(chan error, 1)
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	began := time.Now()
	for sent := int64(0); sent < each && len(failed) == 0; sent += historyRun {
		for p := range int32(partitions) {
			for range min(historyRun, each-sent) {
				client.Produce(ctx, &kgo.Record{Topic: topic, Partition: p, Value: values.next(historyValue)}, done)
			}
		}
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	select {
	case err := <-failed:
		return 0, err
	default:
		return time.Since(began), nil
	}
}
