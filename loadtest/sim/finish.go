package sim

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/wal"
)

// unsettled says what is not yet as it should be: the brokers and, with all, everything that they hold.
func (c *cluster) unsettled(all bool) string {
	image := c.image()
	for _, n := range c.nodes {
		b, ok := image.Broker(n.id)
		if !ok || !b.Active() {
			return fmt.Sprintf("broker=%d is not in service: %+v", n.id, b)
		}
		c.mu.Lock()
		p := n.process
		c.mu.Unlock()
		if p == nil {
			return fmt.Sprintf("broker=%d is down", n.id)
		}
		select {
		case <-p.started:
		default:
			return fmt.Sprintf("broker=%d is starting", n.id)
		}
	}
	if !all {
		return ""
	}
	for t, p := range image.AllPartitions() {
		if p.Leader == metadata.NoLeader || len(p.ISR) != len(p.Replicas) || len(p.Adding)+len(p.Removing) > 0 {
			return fmt.Sprintf("%s/%d: leader=%d epoch=%d replicas=%v isr=%v adding=%v removing=%v elr=%v", t.Name, p.Index, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, p.Adding, p.Removing, p.ELR)
		}
	}
	if why := c.untiered(image); why != "" {
		return why
	}
	if n, g := image.IntentCount(), image.GarbageCount(); n+g > 0 {
		return fmt.Sprintf("open uploads=%d garbage=%d", n, g)
	}
	return ""
}

// untiered says of which partition not all is in the object store.
func (c *cluster) untiered(image *metadata.Image) string {
	cl := c.client("untiered")
	defer cl.close()
	for t, p := range image.AllPartitions() {
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		_, end, err := cl.bounds(ctx, spot{t.Name, p.Index}, p.Leader, -1)
		cancel()
		if err != nil || end != p.Ledger.Tiered {
			return fmt.Sprintf("%s/%d: tiered=%d end=%d log start=%d leader=%d: err=%v", t.Name, p.Index, p.Ledger.Tiered, end, p.Ledger.LogStart, p.Leader, err)
		}
	}
	return ""
}

// finish looks at everything that is left of a run.
func (c *cluster) finish() {
	image := c.image()
	cl := c.client("checker")
	defer cl.close()
	ends := make(map[spot]int64)
	for t, p := range image.AllPartitions() {
		ends[spot{t.Name, p.Index}] = c.finalRead(cl, t, p)
	}
	c.verify()
	c.budgets()
	image = c.image()
	c.imageSize(image)
	var stops sync.WaitGroup
	for _, n := range c.nodes {
		stops.Go(func() {
			if err := n.stop(stopPatience); err != nil {
				c.trace("broker=%d stopped with: %v", n.id, err)
			}
		})
	}
	stops.Wait()
	for _, n := range c.nodes {
		c.localLogs(n, image, ends)
	}
}

// finalRead reads a partition from each of its replicas, the leader first, and settles its history with what that has.
func (c *cluster) finalRead(cl *client, t *metadata.Topic, p *metadata.Partition) (end int64) {
	s := spot{t.Name, p.Index}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	start, end, err := cl.leaderBounds(ctx, s)
	if err != nil {
		c.violate("availability", "%s: the leader does not say where the log ends: %v", s, err)
		return -1
	}
	tp := metadata.TopicPartition{Topic: t.ID, Partition: p.Index}
	final := make(map[int64]entry)
	order := slices.Insert(slices.DeleteFunc(slices.Clone(p.Replicas), func(b int32) bool { return b == p.Leader }), 0, p.Leader)
	whole := false // final is
	for _, node := range order {
		// A replica may be moved while it is read: then it has nothing more to say.
		at, last, first := start, "nothing was answered", !whole
		for at < end && ctx.Err() == nil && c.replicates(t.ID, p.Index, node) {
			source := fmt.Sprintf("the final read from broker=%d", node)
			resp, err := cl.call(ctx, node, fetchRequest(s, at, -1, 500), requestTimeout)
			if err != nil {
				last = err.Error()
				pause(ctx, 100*time.Millisecond)
				continue
			}
			r, ok := fetched(resp, s)
			if !ok || r.ErrorCode != 0 || len(r.RecordBatches) == 0 {
				if ok {
					last = fmt.Sprintf("error code=%d high watermark=%d log start=%d", r.ErrorCode, r.HighWatermark, r.LogStartOffset)
				}
				pause(ctx, 100*time.Millisecond)
				continue
			}
			at, err = eachRecord(complete(r.RecordBatches), at, source, func(offset int64, e entry) {
				if first {
					final[offset] = e
					if c.o.RaftDir == "" && !c.observer.handedOut(tp, e.epoch) {
						c.violate("one owner", "%s offset=%d has leader epoch %d, which was never handed out", s, offset, e.epoch)
					}
				}
				c.history.see(s, offset, e)
			})
			if err != nil {
				c.violate("one history", "%s: %s at offset=%d: %v", s, source, at, err)
				return end
			}
		}
		whole = whole || at >= end
		if at < end && c.replicates(t.ID, p.Index, node) {
			c.violate("availability", "%s: broker=%d gives nothing from offset=%d on: start=%d end=%d leader=%d: %s", s, node, at, start, end, p.Leader, last)
			return end
		}
	}
	if !whole {
		c.violate("availability", "%s: no replica was read to its end: %v end=%d", s, order, end)
		return end
	}
	if !strings.HasPrefix(s.topic, "__") { // the keys of the broker's own topics are there many times
		c.history.settle(s, start, end, final, c.isExact)
	}
	return end
}

// replicates reports whether a broker has a replica of a partition now.
func (c *cluster) replicates(topic metadata.ID, partition, node int32) bool {
	p, ok := c.image().Partition(topic, partition)
	return ok && slices.Contains(p.Replicas, node)
}

// verify has a broker prove the bucket.
func (c *cluster) verify() {
	host, err := c.net.Attach("10.2.0.1")
	if err != nil {
		c.violate("bucket", "%v", err)
		return
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return host.Dial(ctx, address) }}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 60 * time.Second}
	resp, err := client.Get("http://" + c.web(1+int32(c.plan.Seed%uint64(c.plan.Brokers))) + adminapi.TierVerifyPath)
	if err != nil {
		c.violate("bucket", "verify: %v", err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	done := false
	for lines.Scan() {
		var e adminapi.VerifyEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			c.violate("bucket", "verify: %v: %q", err, lines.Text())
			return
		}
		if e.Fault != nil {
			c.violate("bucket", "%+v", *e.Fault)
		}
		if e.Done {
			done = true
			if e.Failure != "" {
				c.violate("bucket", "verify: %s", e.Failure)
			}
			c.trace("the bucket has segments=%d bytes=%d", e.Segments, e.Bytes)
		}
	}
	if !done {
		c.violate("bucket", "verify ended early: %v", lines.Err())
	}
}

// rest are what must have come to rest when nothing is asked of a broker any more, and what must never have been.
var rest = map[string]float64{
	"tideline_server_queued_request_bytes": 0,
	"tideline_server_in_flight_requests":   0,
	"tideline_server_admission_waiting":    0,
	"tideline_purgatory_parked_requests":   0,
	"tideline_tiering_pending_bytes":       0,
	"tideline_wal_queued_bytes":            0,
	"tideline_server_handler_panics_total": 0,
	"tideline_api_panics_total":            0,
}

// budgets looks at the metrics of all brokers.
func (c *cluster) budgets() {
	pause(context.Background(), 2*time.Second) // a fetch whose client has gone is kept for as long as it wanted to wait
	for _, n := range c.nodes {
		c.mu.Lock()
		p := n.process
		c.mu.Unlock()
		if p == nil {
			continue
		}
		families, err := p.registry.Gather()
		if err != nil {
			c.violate("budgets", "broker=%d: %v", n.id, err)
			continue
		}
		for _, f := range families {
			most, known := rest[f.GetName()]
			if !known {
				continue
			}
			for _, m := range f.GetMetric() {
				if v := m.GetGauge().GetValue() + m.GetCounter().GetValue(); v > most {
					c.violate("budgets", "broker=%d: %s=%v at rest", n.id, f.GetName(), v)
				}
			}
		}
	}
}

// Bounds of the image: what the settings of the engine let a partition have in its list, and what the rest takes.
const (
	maxHot         = 80
	bytesPerHot    = 200
	bytesPerTopic  = 4 << 10
	bytesOfCluster = 16 << 10
)

// imageSize checks that the metadata have not grown with what was written.
func (c *cluster) imageSize(image *metadata.Image) {
	hot, n := 0, 0
	for t, p := range image.AllPartitions() {
		n++
		hot += len(p.Ledger.Hot)
		if len(p.Ledger.Hot) > min(maxHot, record.MaxHot) {
			c.violate("metadata", "%s/%d has segments=%d in its list", t.Name, p.Index, len(p.Ledger.Hot))
		}
	}
	bytes, err := size(image)
	if most := int64(bytesOfCluster + n*bytesPerTopic + hot*bytesPerHot); err != nil || bytes > most {
		c.violate("metadata", "the image takes bytes=%d, most=%d: err=%v", bytes, most, err)
	}
}

// localLogs reads what a machine has on its disk, as a broker that starts would find it, and compares it with what everybody saw.
func (c *cluster) localLogs(n *node, image *metadata.Image, ends map[spot]int64) {
	c.mu.Lock()
	mem := n.mem
	c.mu.Unlock()
	log, err := wal.Open(wal.Options{FS: mem, Dir: filepath.Join(c.dataDir(n.id), "wal"), FileBytes: 16 << 20, MaxBytes: 256 << 20, TailBytes: 4 << 20})
	if err != nil {
		c.violate("one history", "broker=%d: its write-ahead log does not open: %v", n.id, err)
		return
	}
	defer func() {
		if err := log.Close(); err != nil {
			c.violate("one history", "broker=%d: %v", n.id, err)
		}
	}()
	for _, l := range log.Partitions() {
		t, ok := image.TopicByID(l.ID().Topic)
		if !ok {
			continue
		}
		p, ok := image.Partition(t.ID, l.ID().Partition)
		if !ok {
			continue
		}
		s := spot{t.Name, p.Index}
		if slices.Contains(p.Replicas, n.id) && ends[s] >= 0 && l.End() != ends[s] {
			c.violate("one history", "%s: the log of broker=%d ends at %d, that of the leader at %d", s, n.id, l.End(), ends[s])
		}
		source := fmt.Sprintf("the disk of broker=%d", n.id)
		for at := l.Start(); at < l.End(); {
			chunk, err := l.Read(at, l.End(), 1<<20, true)
			if err != nil {
				c.violate("one history", "%s: %s at offset=%d: %v", s, source, at, err)
				break
			}
			for _, b := range chunk.Buffers {
				if at, err = eachRecord(b, at, source, func(offset int64, e entry) { c.history.see(s, offset, e) }); err != nil {
					c.violate("one history", "%s: %s at offset=%d: %v", s, source, at, err)
				}
			}
			next := chunk.NextOffset
			chunk.Release()
			if err != nil || next <= at-1 {
				break
			}
			at = next
		}
	}
}
