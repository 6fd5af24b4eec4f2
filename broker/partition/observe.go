package partition

import (
	"slices"
	"time"
)

// Follower is how far behind a follower of a led partition is.
type Follower struct {
	Broker  int32
	InSync  bool
	Records int64         // that it lacks, of those that a follower gets from its leader
	Behind  time.Duration // since when it has lacked something without a break
}

// Followers calls visit with each follower of a led partition; it is for metrics. visit is called with the
// partition's locks held and must not block.
func (p *Partition) Followers(visit func(Follower)) {
	p.acks.Lock()
	defer p.acks.Unlock()
	l := p.acks.lead
	if l == nil {
		return
	}
	now, end := p.now(), p.end.Load()
	least := max(p.tiered.Load(), p.logStart.Load()) // below that a follower begins anew
	for i := range l.followers {
		f := &l.followers[i]
		seen := Follower{Broker: f.broker, InSync: slices.Contains(l.isr, f.broker), Records: max(end-max(f.end, least), 0)}
		if seen.Records > 0 && !f.since.IsZero() {
			seen.Behind = max(now.Sub(f.since), 0)
		}
		visit(seen)
	}
}

// OpenTransactions are the open transactions of a partition, as a metric counts them.
type OpenTransactions struct {
	Open     int
	Unstable int64         // records between the last stable offset and the high watermark
	Silent   time.Duration // since when nothing was heard of the producer among them that is silent longest
}

// OpenTransactions looks for transactions that hold the last stable offset. It costs two loads where there are none.
func (p *Partition) OpenTransactions() (o OpenTransactions) {
	if p.stable.Load() == p.end.Load() {
		return o
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	o.Unstable = max(p.highWater.Load()-p.stable.Load(), 0)
	now := p.now()
	for _, x := range p.producers.ongoing.list {
		e := p.producers.entries[x.id]
		if e == nil || e.first != x.first {
			continue // it has ended
		}
		o.Open++
		o.Silent = max(o.Silent, now.Sub(time.UnixMilli(e.lastSeen)))
	}
	return o
}
