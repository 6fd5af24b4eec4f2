package partition

import (
	"slices"
	"time"
)

// Leadership is what the cluster's metadata say of a partition that this broker
// leads.
type Leadership struct {
	Epoch          int32 // leader epoch
	PartitionEpoch int32 // changes with every ISR
	Followers      []int32
	ISR            []int32 // this broker among them
	MinISR         int     // how many of them must be there for the high watermark to move
}

// Feeder is told that a led partition has something for its followers: records, or
// another high watermark. It is called with the partition's locks held and must not
// block.
type Feeder interface{ Feed() }

// ISRKeeper is told that a follower that is not in the ISR has caught up. It is called
// with the partition's locks held and must not block.
type ISRKeeper interface{ CaughtUp(p *Partition) }

// leadership is what a leader knows of its followers. It is guarded by the acks mutex.
type leadership struct {
	partitionEpoch int32
	start          int64 // log end when this leader epoch began
	minISR         int
	isr            []int32
	// asked are the members of an ISR that was asked for and is not known to be
	// refused: they may be in it already, so the high watermark waits for them, too.
	asked     []int32
	followers []follower
	keeper    ISRKeeper
}

// follower is the progress of one follower in this leader epoch.
type follower struct {
	broker      int32
	incarnation [16]byte // of the process that told
	end         int64    // what is durable there; -1: not known
	// since is when it was first seen to lack something and not caught up since with
	// what there was then; zero: it lacks nothing. markEnd is what there was at
	// markAt: when it has that, it has been behind only since then.
	since   time.Time
	markEnd int64
	markAt  time.Time
	// unfit: it must drop what is committed to come into line, so it must leave the ISR first.
	unfit bool
}

// committed returns the offset below which all members of the ISR have everything,
// given what is durable here; -1 while the high watermark may not move.
func (l *leadership) committed(durable int64) int64 {
	if len(l.isr) < l.minISR {
		return -1
	}
	for i := range l.followers {
		if f := &l.followers[i]; f.end < durable && (slices.Contains(l.isr, f.broker) || slices.Contains(l.asked, f.broker)) {
			durable = f.end
		}
	}
	return durable
}

func (l *leadership) follower(broker int32) *follower {
	for i := range l.followers {
		if l.followers[i].broker == broker {
			return &l.followers[i]
		}
	}
	return nil
}

// Lead takes up leadership, or takes over what changed of it. It reports whether it
// is a new one: another leader epoch than before. An older one changes nothing.
func (p *Partition) Lead(l Leadership, feeder Feeder, keeper ISRKeeper) (elected bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped.Load() || l.Epoch < p.epoch.Load() {
		return false
	}
	elected = !p.leads.Load() || l.Epoch != p.epoch.Load()
	if elected {
		p.forgetful = false
		if p.recall() {
			// Before the first batch: after a restart the log is not lost any more.
			p.saveState()
		}
		p.skip()
	}
	p.acks.Lock()
	now := &leadership{
		partitionEpoch: l.PartitionEpoch, start: p.end.Load(), minISR: l.MinISR, isr: l.ISR, keeper: keeper,
	}
	old := p.acks.lead
	if old != nil && !elected {
		if l.PartitionEpoch < old.partitionEpoch {
			p.acks.Unlock()
			return false
		}
		now.start = old.start
		if l.PartitionEpoch == old.partitionEpoch {
			now.asked = old.asked
		}
	}
	for _, b := range l.Followers {
		f := follower{broker: b, end: -1}
		if old != nil && !elected {
			if known := old.follower(b); known != nil {
				f = *known
				f.unfit = f.unfit && slices.Contains(l.ISR, b)
			}
		}
		now.followers = append(now.followers, f)
	}
	p.acks.lead, p.acks.feeder = now, feeder
	p.replicated.Store(len(l.Followers) > 0)
	p.log.SetEager(len(l.Followers) > 0)
	p.epoch.Store(l.Epoch)
	p.leads.Store(true)
	told := p.settle()
	p.wantMembers()
	p.acks.Unlock()
	tell(told, nil)
	return elected
}

// skip has a leader that lacks what is in the object store, because it was elected uncleanly, go
// on behind that: offsets that were read are not given out twice. The caller holds the mutex.
func (p *Partition) skip() {
	seam := max(p.tiered.Load(), p.wantStart.Load())
	if p.end.Load() >= seam {
		return
	}
	p.logger.Warn("the new leader lacks records that are in the object store, and goes on behind them", "topic", p.topic, "partition", p.id.Partition, "end", p.end.Load(), "tiered", seam)
	p.lost, p.seam = true, seam
	p.producers, p.epochs = producers{}, nil
	p.recall()
	p.beginAt(seam, seam, func(int64, error) {})
}

// demote ends the leadership and returns the appends whose owners are to be told that.
// The caller holds the mutex.
func (p *Partition) demote() *Append {
	p.acks.Lock()
	defer p.acks.Unlock()
	p.acks.lead, p.acks.feeder = nil, nil
	p.log.SetEager(false)
	p.acks.leaderHW = p.highWater.Load()
	told := p.giveUpAll(ErrStopped)
	p.wakeWaiters()
	return told
}

// Opened says that a process of a follower told where its log ends, as it begins to
// follow: what an older one told is void.
func (p *Partition) Opened(epoch, broker int32, incarnation [16]byte) {
	p.acks.Lock()
	defer p.acks.Unlock()
	if l := p.acks.lead; l != nil && p.epoch.Load() == epoch {
		if f := l.follower(broker); f != nil {
			*f = follower{broker: broker, incarnation: incarnation, end: -1}
		}
	}
}

// Acked says that a follower has all below end on its disk, in the history of the
// leader epoch.
func (p *Partition) Acked(epoch, broker int32, end int64) {
	p.acks.Lock()
	l := p.acks.lead
	if l == nil || p.epoch.Load() != epoch {
		p.acks.Unlock()
		return
	}
	f := l.follower(broker)
	if f == nil || end <= f.end {
		p.acks.Unlock()
		return
	}
	f.end = end
	f.note(p.end.Load(), p.now())
	before := p.highWater.Load()
	told := p.settle()
	if p.highWater.Load() != before {
		p.feed()
		p.wantMembers()
	} else {
		p.want(f)
	}
	p.acks.Unlock()
	tell(told, nil)
}

// note keeps since and mark, given the end of the leader's log.
func (f *follower) note(end int64, now time.Time) {
	switch {
	case f.end >= end:
		f.since, f.markEnd = time.Time{}, 0
		return
	case f.since.IsZero():
		f.since = now
	case f.end < f.markEnd:
		return
	default:
		f.since = f.markAt
	}
	f.markEnd, f.markAt = end, now
}

// wantMembers tells the keeper if any follower could be in the ISR that is not. The
// caller holds the acks mutex.
func (p *Partition) wantMembers() {
	for i := range p.acks.lead.followers {
		p.want(&p.acks.lead.followers[i])
	}
}

func (p *Partition) want(f *follower) {
	l := p.acks.lead
	if l.keeper != nil && p.eligible(f) && !slices.Contains(l.isr, f.broker) && !slices.Contains(l.asked, f.broker) {
		l.keeper.CaughtUp(p)
	}
}

// eligible reports whether a follower has all that is committed, in this epoch's history.
func (p *Partition) eligible(f *follower) bool {
	return f.end >= p.highWater.Load() && f.end >= p.acks.lead.start
}

// Member is a replica in sync.
type Member struct {
	Broker      int32
	Incarnation [16]byte // of the process that was found in sync; zero for this broker
}

// Wish is the ISR that a leader would have.
type Wish struct {
	Epoch, PartitionEpoch int32
	ISR                   []Member // this broker first
	Expands, Shrinks      bool
}

// Wish returns the ISR as the leader would have it: without followers that were behind
// for longer than lag, with those that have caught up. active says who may enter an
// ISR. It is false while there is nothing to wish, or this broker does not lead. What
// is wished counts as asked for from now on: the high watermark waits for all of them.
func (p *Partition) Wish(self int32, lag time.Duration, active func(broker int32) bool) (w Wish, ok bool) {
	p.acks.Lock()
	defer p.acks.Unlock()
	l := p.acks.lead
	if l == nil {
		return w, false
	}
	w = Wish{Epoch: p.epoch.Load(), PartitionEpoch: l.partitionEpoch, ISR: []Member{{Broker: self}}}
	now, end := p.now(), p.end.Load()
	for i := range l.followers {
		f := &l.followers[i]
		in := slices.Contains(l.isr, f.broker)
		switch {
		case in && (f.unfit || f.behind(end, now, lag)):
			w.Shrinks = true
			continue
		case !in && (f.unfit || !p.eligible(f) || !active(f.broker)):
			continue
		case !in:
			w.Expands = true
		}
		w.ISR = append(w.ISR, Member{f.broker, f.incarnation})
	}
	// With something asked for and not answered, the question is put again, whatever
	// the answer would be now.
	if !w.Expands && !w.Shrinks && l.asked == nil {
		return w, false
	}
	for _, m := range w.ISR {
		if !slices.Contains(l.asked, m.Broker) {
			l.asked = append(l.asked, m.Broker)
		}
	}
	return w, true
}

// behind reports whether a follower has lacked something for longer than lag. One that
// was found to lack something for the first time is behind from now on.
func (f *follower) behind(end int64, now time.Time, lag time.Duration) bool {
	if f.end >= end {
		return false
	}
	if f.since.IsZero() {
		f.since, f.markEnd, f.markAt = now, end, now
	}
	return now.Sub(f.since) > lag
}

// Refused says that the ISR which was wished will not be: whoever was asked for is
// none of it. An answer to an older wish changes nothing.
func (p *Partition) Refused(w *Wish) {
	p.acks.Lock()
	l := p.acks.lead
	var told *Append
	if l != nil && p.epoch.Load() == w.Epoch && l.partitionEpoch == w.PartitionEpoch {
		l.asked = nil
		told = p.settle()
	}
	p.acks.Unlock()
	tell(told, nil)
}

// InSync returns the followers in the ISR that have the record before offset, and with it all
// below: they can serve a consumer from there.
func (p *Partition) InSync(offset int64) (brokers []int32) {
	p.acks.Lock()
	defer p.acks.Unlock()
	if l := p.acks.lead; l != nil {
		for i := range l.followers {
			if f := &l.followers[i]; f.end >= offset && slices.Contains(l.isr, f.broker) {
				brokers = append(brokers, f.broker)
			}
		}
	}
	return brokers
}

// InISR reports whether a follower is in the ISR; false while another broker leads.
func (p *Partition) InISR(broker int32) bool {
	p.acks.Lock()
	defer p.acks.Unlock()
	return p.acks.lead != nil && slices.Contains(p.acks.lead.isr, broker)
}

// Begun reports whether the high watermark has reached the log end at which the current leader
// epoch began: before, this leader may know less of what is committed than an older one has
// told (KIP-207).
func (p *Partition) Begun() bool {
	p.acks.Lock()
	defer p.acks.Unlock()
	return p.acks.lead != nil && p.highWater.Load() >= p.acks.lead.start
}
