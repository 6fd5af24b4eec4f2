package partition

import "context"

// enqueue puts a new append, whose end is the greatest of all, at the end of the
// list of those that wait for the high watermark.
func (p *Partition) enqueue(a *Append) {
	p.acks.Lock()
	defer p.acks.Unlock()
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
	p.unlink(a)
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
		a.next = nil
		return
	}
}

// await completes a duplicate once the original is durable.
func (p *Partition) await(a *Append) {
	p.acks.Lock()
	if err := p.acks.failed; err != nil || a.end <= p.highWater.Load() {
		p.acks.Unlock()
		a.owner.Appended(a, err)
		return
	}
	defer p.acks.Unlock()
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

// advance moves the high watermark to end, acknowledges what waited for it, and
// wakes those who wait for records.
func (p *Partition) advance(end int64, bytes int) {
	p.acks.Lock()
	if end <= p.highWater.Load() {
		p.acks.Unlock()
		return
	}
	p.highWater.Store(end)
	p.acks.pending.add(end, bytes, p.now())
	if p.acks.uploader != nil {
		p.acks.uploader.Advanced(int64(bytes))
	}
	first := p.takeUpTo(end)
	// A waiter only counts; those that have enough leave by Unwatch later.
	for w := range p.acks.waiters {
		w.Advanced(p, bytes)
	}
	p.acks.Unlock()
	tell(first, nil)
}

// fail ends the append that ends at end, and the duplicates of it: the write-ahead
// log can make nothing durable any more, and the broker fences itself. The records
// may or may not be on the disk. Later appends stay until the log gives them back
// one by one, because it has their memory until then.
func (p *Partition) fail(end int64, err error) {
	p.acks.Lock()
	p.acks.failed = err
	first := p.takeUpTo(end)
	p.acks.Unlock()
	tell(first, err)
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

// Unwatch ends Watch.
func (p *Partition) Unwatch(w Waiter) {
	p.acks.Lock()
	defer p.acks.Unlock()
	delete(p.acks.waiters, w)
}

// wakeWaiters tells all waiters that the partition has stopped.
func (p *Partition) wakeWaiters() {
	p.acks.Lock()
	defer p.acks.Unlock()
	for w := range p.acks.waiters {
		w.Advanced(p, -1)
	}
}

// Waiters returns how many wait for records.
func (p *Partition) Waiters() int {
	p.acks.Lock()
	defer p.acks.Unlock()
	return len(p.acks.waiters)
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

// AwaitHighWatermark waits until every record below offset is durable.
func (p *Partition) AwaitHighWatermark(ctx context.Context, offset int64) error {
	w := make(highWatermarkWait, 1)
	p.Watch(w)
	defer p.Unwatch(w)
	for p.HighWatermark() < offset {
		if p.stopped.Load() {
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
