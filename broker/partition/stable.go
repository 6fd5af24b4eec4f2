package partition

import (
	"math"

	"github.com/tidelinehq/tideline/internal/record"
)

// The last stable offset is the first offset of the oldest transaction that is not decided in all
// replicas in sync: one that is open, or whose marker lies at or above the high watermark. Without
// such a transaction it is the high watermark.
//
//	log start                            stable            high watermark    log end
//	    ├────────────────────────────────────┼───────────────────┼──────────────┤
//	        A begin … B begin … A commit          B: open            …
//	                  ▲
//	                  └ B is the oldest: the last stable offset is here

// unstable says what holds the last stable offset below the high watermark. It is guarded by the acks mutex,
// because the high watermark moves with that alone.
type unstable struct {
	open    int64 // first offset of the oldest open transaction; the greatest offset: none
	decided []decidedRange
}

// decidedRange is a transaction whose marker may not be in all replicas yet. Of those in the list both offsets
// ascend: one that began above a later one does not hold anything that the later one does not hold.
type decidedRange struct{ first, marker int64 }

// maxDecidedRanges bounds the list; a variable for tests. Where followers are far behind, neighbours are merged, and
// hold the last stable offset until both are decided.
var maxDecidedRanges = 1024

// decide adds a transaction that was decided.
func (u *unstable) decide(first, marker int64) {
	n := len(u.decided)
	for n > 0 && u.decided[n-1].first >= first {
		n--
	}
	u.decided = u.decided[:n]
	if n == maxDecidedRanges {
		kept := u.decided[:0]
		for i := 0; i+1 < n; i += 2 {
			kept = append(kept, decidedRange{u.decided[i].first, u.decided[i+1].marker})
		}
		u.decided = kept
	}
	u.decided = append(u.decided, decidedRange{first, marker})
}

// bound drops what is decided below the high watermark, and returns the first offset that is not stable.
func (u *unstable) bound(highWatermark int64) int64 {
	n := 0
	for n < len(u.decided) && u.decided[n].marker < highWatermark {
		n++
	}
	if n > 0 {
		u.decided = append(u.decided[:0], u.decided[n:]...)
	}
	limit := min(highWatermark, u.open)
	if len(u.decided) > 0 {
		limit = min(limit, u.decided[0].first)
	}
	return limit
}

// hold keeps the last stable offset below a transaction that begins with these batches, before the
// write-ahead log has them: they may be committed before the log's mutex is released. It reports whether there
// is anything transactional, after which release must follow. The caller holds the mutex.
func (p *Partition) hold(records []byte) (transactional bool) {
	for rest := records; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err != nil {
			return transactional // whoever appends them will say so
		}
		if b.Transactional() {
			p.acks.Lock()
			p.acks.unstable.open = min(p.acks.unstable.open, b.BaseOffset())
			p.acks.Unlock()
			return true
		}
		rest = after
	}
	return false
}

// release takes over what the producers say of open transactions, and what was decided. The caller
// holds the mutex.
func (p *Partition) release() {
	p.acks.Lock()
	defer p.acks.Unlock()
	u := &p.acks.unstable
	for _, d := range p.producers.ended.fresh() {
		if d.first != none {
			u.decide(d.first, d.marker)
		}
	}
	u.open = p.firstOpen()
	p.stabilize(math.MaxInt32)
}

// stabilize moves the last stable offset as far as it may go and wakes who waits for that; bytes is
// what became readable if nothing holds it. The caller holds the acks mutex.
func (p *Partition) stabilize(bytes int) {
	stable := max(p.acks.unstable.bound(p.highWater.Load()), p.logStart.Load())
	if stable <= p.stable.Load() {
		return
	}
	p.stable.Store(stable)
	if stable != p.highWater.Load() {
		bytes = math.MaxInt32 // how much that is is not known: whoever waits looks
	}
	for w := range p.acks.committed {
		w.Advanced(p, max(bytes, 1))
	}
}

// resettle makes all of the last stable offset anew, after the log was cut or taken over. The
// caller holds both mutexes, or is the only one that knows the partition.
func (p *Partition) resettle() {
	high := p.highWater.Load()
	u := unstable{open: p.firstOpen()}
	if floor := p.producers.ended.floor; floor > high {
		u.decide(0, floor-1) // what was decided between them is not known one by one
	}
	for _, d := range p.producers.ended.list {
		if d.marker >= high && d.first != none {
			u.decide(d.first, d.marker)
		}
	}
	p.producers.ended.fresh()
	p.acks.unstable = u
	p.stable.Store(max(p.acks.unstable.bound(high), min(p.logStart.Load(), high)))
}

// WatchStable is Watch for the last stable offset.
func (p *Partition) WatchStable(w Waiter) int64 {
	p.acks.Lock()
	defer p.acks.Unlock()
	if p.acks.committed == nil {
		p.acks.committed = make(map[Waiter]struct{})
	}
	p.acks.committed[w] = struct{}{}
	if p.stopped.Load() {
		w.Advanced(p, -1)
	}
	return p.stable.Load()
}
