package wal

import "sync/atomic"

type opKind uint8

const (
	opBatches opKind = iota
	opState          // a state frame
	opTruncate
	opDrop
	opCopy    // an anchor copied forward from a file about to go
	opBarrier // no frame; completes once everything before it is on disk, synced in every mode
)

// op is one entry of the writer's queue. It is embedded in Append, so that queueing allocates nothing.
type op struct {
	next *op
	kind opKind
	p    *Partition

	payload []byte  // all frames' payload; shrinks while the writer lays it
	one     piece   // the only piece of most ops
	pieces  []piece // instead of one, for appends that are split into frames
	body    anchorBody
	from    place // opCopy: where the anchor lay
	lowers  bool  // opTruncate: it empties the log, to start below the old start
	size    int64 // bytes counted as queued

	append *Append
	done   func(error)
}

// piece is one frame of an op.
type piece struct {
	n       int    // payload bytes
	crc     uint32 // of the payload
	base    int64
	end     int64
	maxTime int64
	epoch   int32
	flags   uint32 // of the entry
}

// finish tells the owner. It is called once for each op that was pushed.
func (o *op) finish(err error) {
	switch {
	case o.append != nil:
		a := o.append
		done := a.Done
		o.p, o.payload, o.pieces, o.append = nil, nil, nil, nil
		if done != nil {
			done.AppendDone(a, err)
		}
	case o.done != nil:
		o.done(err)
	}
}

// queue is an intrusive list that many push to and the writer empties as a whole.
type queue struct {
	head  atomic.Pointer[op] // newest first
	ops   atomic.Int64
	bytes atomic.Int64
	wake  chan struct{}
}

// queueClosed is the head of a closed queue.
var queueClosed = new(op)

// push returns false when the queue is closed.
func (q *queue) push(o *op) bool {
	q.ops.Add(1)
	q.bytes.Add(o.size)
	for {
		head := q.head.Load()
		if head == queueClosed {
			q.settle(o)
			return false
		}
		o.next = head
		if q.head.CompareAndSwap(head, o) {
			if head == nil {
				q.signal()
			}
			return true
		}
	}
}

// settle takes an op off the counts.
func (q *queue) settle(o *op) {
	q.ops.Add(-1)
	q.bytes.Add(-o.size)
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take empties the queue and returns its ops, oldest first.
func (q *queue) take() *op {
	for {
		head := q.head.Load()
		if head == nil || head == queueClosed {
			return nil
		}
		if q.head.CompareAndSwap(head, nil) {
			return reverse(head)
		}
	}
}

// shut closes the queue and returns what was in it, oldest first.
func (q *queue) shut() *op {
	head := q.head.Swap(queueClosed)
	if head == queueClosed {
		return nil
	}
	return reverse(head)
}

func reverse(o *op) *op {
	var first *op
	for o != nil {
		next := o.next
		o.next = first
		first, o = o, next
	}
	return first
}
