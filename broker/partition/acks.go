package partition

import (
	"context"

	"github.com/tidelinehq/tideline/wal"
)

// enqueue puts a new append, whose end is the greatest of all, at the end of the
// list of those that wait for the high watermark. The caller holds the acks mutex.
func (p *Partition) enqueue(a *Append) {
	a.waiting = true
	if p.acks.tail == nil {
		p.acks.head = a
	} else {
		p.acks.tail.next = a
	}
	p.acks.tail = a
}

// dequeue takes back an append that the log refused.
func (p *Partition) dequeue(a *Append) {
	p.acks.Lock()
	defer p.acks.Unlock()
	if a.waiting {
		p.unlink(a)
	}
}

// unlink removes a from the list.
func (p *Partition) unlink(a *Append) {
	var before *Append
	for x := p.acks.head; x != nil; before, x = x, x.next {
		if x != a {
			continue
		}
		if before == nil {
			p.acks.head = a.next
		} else {
			before.next = a.next
		}
		if p.acks.tail == a {
			p.acks.tail = before
		}
		a.next, a.waiting = nil, false
		return
	}
}

// await completes a duplicate once the original is durable.
func (p *Partition) await(a *Append) {
	a.logged = true // there is nothing of it in the write-ahead log's hands
	p.acks.Lock()
	reached := p.highWater.Load()
	if a.Alone {
		reached = p.acks.durable
	}
	if err := p.acks.failed; err != nil || a.end <= reached {
		p.acks.Unlock()
		a.owner.Appended(a, err)
		return
	}
	defer p.acks.Unlock()
	a.waiting = true
	var before *Append
	for x := p.acks.head; x != nil && x.end <= a.end; x = x.next {
		before = x
	}
	if before == nil {
		a.next, p.acks.head = p.acks.head, a
	} else {
		a.next, before.next = before.next, a
	}
	if a.next == nil {
		p.acks.tail = a
	}
}

// AppendDone implements wal.Completion.
func (a *Append) AppendDone(_ *wal.Append, err error) {
	p := a.p
	a.deflate()
	p.acks.Lock()
	var told *Append
	a.logged = true
	switch {
	case err != nil:
		// The write-ahead log can make nothing durable any more, and the broker fences
		// itself. The records may or may not be on the disk. Later appends stay until
		// the log gives them back one by one, because it has their memory until then.
		p.acks.failed = err
		told = p.takeUpTo(a.end)
	default:
		p.acks.durable = a.end
		p.acks.marks = p.acks.marks.add(a.end, a.bytes)
		told = p.settle()
		p.feed()
	}
	given := a.given // its owner did not want to wait longer
	alone := a.Alone || given != nil
	p.acks.Unlock()
	tell(told, err)
	if given != nil {
		err = given
	}
	if alone {
		a.owner.Appended(a, err)
	}
}

// AppendLaid implements wal.Ahead: followers need not wait for this disk.
func (a *Append) AppendLaid(*wal.Append) {
	a.p.acks.Lock()
	defer a.p.acks.Unlock()
	a.p.feed()
}

// settle moves the high watermark as far as it may go, and returns the appends that
// are acknowledged by that. The caller holds the acks mutex.
func (p *Partition) settle() *Append {
	if p.acks.cuts > 0 {
		return nil // what is durable beyond the cut is another history
	}
	high := p.acks.durable
	if l := p.acks.lead; l == nil {
		high = min(high, p.acks.leaderHW)
	} else if high = l.committed(high); high < 0 {
		return nil
	}
	before := p.highWater.Load()
	if high <= before {
		return nil
	}
	p.highWater.Store(high)
	if want := p.wantStart.Load(); want > p.logStart.Load() {
		p.logStart.Store(min(want, high))
	}
	var bytes int
	p.acks.marks, bytes = p.acks.marks.take(before, high)
	p.acks.pending.add(high, bytes, p.now())
	if tiered := p.tiered.Load(); high <= tiered {
		p.acks.pending.advance(tiered) // a follower may hear of it before the high watermark gets there
	}
	p.stabilize(bytes)
	if p.acks.uploader != nil {
		p.acks.uploader.Advanced(int64(bytes))
	}
	first := p.takeUpTo(high)
	// A waiter only counts; those that have enough leave by Unwatch later.
	for w := range p.acks.waiters {
		w.Advanced(p, max(bytes, 1))
	}
	return first
}

// feed tells whoever sends to the followers that there is more. The caller holds
// the acks mutex.
func (p *Partition) feed() {
	if p.acks.feeder != nil {
		p.acks.feeder.Feed()
	}
}

// GiveUp ends an append that was accepted and not acknowledged in time: its owner is
// told err, at once, or when the write-ahead log has given its memory back. The
// records stay in the log, and may yet be acknowledged to nobody. It does nothing
// for an append whose owner was told.
func (p *Partition) GiveUp(a *Append, err error) {
	p.acks.Lock()
	if !a.waiting || a.given != nil {
		p.acks.Unlock()
		return
	}
	p.unlink(a)
	if !a.logged {
		a.given = err
		p.acks.Unlock()
		return
	}
	p.acks.Unlock()
	a.owner.Appended(a, err)
}

// giveUpAll is GiveUp for all appends that wait: it returns those whose owners are
// to be told now. The caller holds the acks mutex.
func (p *Partition) giveUpAll(err error) (first *Append) {
	var last *Append
	all := p.acks.head
	p.acks.head, p.acks.tail = nil, nil
	for a := all; a != nil; {
		next := a.next
		a.next, a.waiting = nil, false
		switch {
		case !a.logged:
			a.given = err
		case first == nil:
			first, last = a, a
		default:
			last.next, last = a, a
		}
		a = next
	}
	return first
}

// takeUpTo cuts the appends that end at or below end off the list and returns the
// first of them. The caller holds the mutex.
func (p *Partition) takeUpTo(end int64) (first *Append) {
	var last *Append
	for x := p.acks.head; x != nil && x.end <= end; x = x.next {
		last = x
	}
	if last == nil {
		return nil
	}
	first = p.acks.head
	p.acks.head, last.next = last.next, nil
	if p.acks.head == nil {
		p.acks.tail = nil
	}
	for x := first; x != nil; x = x.next {
		x.waiting = false
	}
	return first
}

// tell gives a list of appends back to their owners.
func tell(first *Append, err error) {
	for a := first; a != nil; {
		next := a.next // the owner may reuse a
		a.next = nil
		a.owner.Appended(a, err)
		a = next
	}
}

// Watch registers w to be told of every move of the high watermark from now on.
// It returns the high watermark at that moment, so that nothing falls between a
// look and the registration. A partition that has stopped says so at once.
func (p *Partition) Watch(w Waiter) int64 {
	p.acks.Lock()
	defer p.acks.Unlock()
	if p.acks.waiters == nil {
		p.acks.waiters = make(map[Waiter]struct{})
	}
	p.acks.waiters[w] = struct{}{}
	if p.stopped.Load() {
		w.Advanced(p, -1)
	}
	return p.highWater.Load()
}

// Unwatch ends Watch and WatchStable.
func (p *Partition) Unwatch(w Waiter) {
	p.acks.Lock()
	defer p.acks.Unlock()
	delete(p.acks.waiters, w)
	delete(p.acks.committed, w)
}

// wakeWaiters tells all waiters that the partition has stopped, or is led by
// another broker. The caller holds the acks mutex.
func (p *Partition) wakeWaiters() {
	for w := range p.acks.waiters {
		w.Advanced(p, -1)
	}
	for w := range p.acks.committed {
		w.Advanced(p, -1)
	}
}

// Waiters returns how many wait for records.
func (p *Partition) Waiters() int {
	p.acks.Lock()
	defer p.acks.Unlock()
	return len(p.acks.waiters) + len(p.acks.committed)
}

// highWatermarkWait wakes AwaitHighWatermark.
type highWatermarkWait chan struct{}

// Advanced implements Waiter.
func (w highWatermarkWait) Advanced(*Partition, int) {
	select {
	case w <- struct{}{}:
	default:
	}
}

// AwaitHighWatermark waits until every record below offset is durable on all
// replicas in sync. It ends with ErrStopped when this broker does not lead any more.
func (p *Partition) AwaitHighWatermark(ctx context.Context, offset int64) error {
	w := make(highWatermarkWait, 1)
	p.Watch(w)
	defer p.Unwatch(w)
	for p.HighWatermark() < offset {
		if !p.Leads() {
			return ErrStopped
		}
		select {
		case <-w:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
