package broker

import (
	"context"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/partition"
)

// The write-ahead log keeps what is tiered as long as local.retention.ms and
// local.retention.bytes say and there is room: it is the nearest copy for
// consumers that lag a little. Above pressureShare of wal.max.bytes the oldest
// files go, and what they hold is uploaded first where it must be.
const (
	pressureShare   = 0.75
	pressurePeriod  = time.Second
	holdersPerCheck = 1024
)

// tiered is told that all below offset is in the object store.
func (r *replicas) tiered(p *partition.Partition, offset int64) {
	p.SetTiered(offset)
	r.freeLocal(p)
}

// freeLocal frees what the local retention of a partition does not keep.
func (r *replicas) freeLocal(p *partition.Partition) {
	t := r.topicConfig(p.ID().Topic)
	bound, err := p.LocalBound(t.LocalRetentionMS, t.LocalRetentionBytes, r.now())
	if err != nil {
		r.logger.Warn("local retention could not look at the log", "topic", p.Topic(), "partition", p.ID().Partition, "error", err)
		return
	}
	bound = max(bound, r.cleaned(p, t))
	if bound > p.LocalStart() {
		p.FreeLocal(bound)
	}
}

// cleaned is the offset below which a compacted partition is read from the object store
// alone: what compaction took out there is still in the write-ahead log, which all
// partitions share and which is never rewritten.
func (r *replicas) cleaned(p *partition.Partition, t *config.TopicConfig) int64 {
	if !t.Compact {
		return 0
	}
	l, ok := r.history.Ledger(p.ID())
	if !ok {
		return 0
	}
	return l.Cleaned
}

// retainLocally applies local retention by time every interval, and watches the
// write-ahead log for pressure.
func (r *replicas) retainLocally(ctx context.Context) {
	pressure := time.NewTicker(pressurePeriod)
	defer pressure.Stop()
	next := r.now().Add(r.config().RetentionCheckInterval)
	for {
		select {
		case <-ctx.Done():
			return
		case <-pressure.C:
		}
		r.relieve()
		if now := r.now(); !now.Before(next) {
			next = now.Add(r.config().RetentionCheckInterval)
			for _, p := range r.table.All() {
				r.freeLocal(p)
			}
		}
	}
}

// relieve makes room in the write-ahead log when it runs full: whatever keeps the
// oldest file is freed as far as it is tiered, and uploaded where it is not.
func (r *replicas) relieve() {
	u := r.log.Usage()
	excess := u.Bytes - int64(pressureShare*float64(u.MaxBytes))
	if excess <= 0 && !u.NoSpace {
		return
	}
	holders, err := r.log.Holding(holdersPerCheck)
	if err != nil {
		r.logger.Warn("the write-ahead log is nearly full and its oldest file cannot be read", "error", err)
		return
	}
	waiting := false
	for _, h := range holders {
		if p := r.table.GetByID(h.Partition.ID()); p != nil {
			p.FreeLocal(h.Until)
			waiting = waiting || p.Tiered() < h.Until
		}
	}
	if waiting {
		r.engine.Pressure(max(excess, 1))
	}
}

// waitForRoom blocks until the write-ahead log takes so many bytes again. It reports
// false when the deadline came first.
func (r *replicas) waitForRoom(ctx context.Context, bytes int, deadline time.Time) bool {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return r.log.WaitRoom(ctx, bytes) == nil
}
