package cache

import "sync"

// shard is one part of the memory tier: S3-FIFO by bytes. New blocks enter a small queue; only those that somebody asks for
// again while they are in it, or that come back while the ghost list remembers them, enter the main queue. So a scan
// of any length passes through a tenth of the memory, and through scanBytes of it even while the rest is free: memory that is
// touched for the first time costs more than the block that is read into it, and a replay uses the same few buffers again.
//
//	            ┌──────────┐ asked for twice  ┌───────────────┐ asked for: once more round
//	new block ─▶│  small   │─────────────────▶│     main      │◀┐
//	            │  ≤ 10 %  │                  │     ≥ 90 %    │─┘
//	            └────┬─────┘                  └───────┬───────┘
//	                 ▼ key to the ghost list          ▼ out
//
// A block that was asked for at least once after it came in is offered to the disk tier on its way out.
type shard struct {
	mu      sync.Mutex // guards what follows; taken before the pool's
	entries map[Key]*entry
	flights map[Key]*Flight
	small   queue
	main    queue
	ghost   ghost
	limit   int64
	scan    int64 // what small may hold, whatever is free
}

type entry struct {
	key        Key
	buf        *Buffer
	freq       uint8 // times asked for since it came in, at most maxFreq
	inMain     bool
	prev, next *entry
}

const maxFreq = 3

// queue is a FIFO: in at the head, out at the tail.
type queue struct {
	head, tail *entry
	bytes      int64
}

func (q *queue) push(e *entry) {
	e.prev, e.next = nil, q.head
	if q.head != nil {
		q.head.prev = e
	} else {
		q.tail = e
	}
	q.head = e
	q.bytes += e.buf.charge
}

func (q *queue) pop() *entry {
	e := q.tail
	q.tail = e.prev
	if q.tail != nil {
		q.tail.next = nil
	} else {
		q.head = nil
	}
	e.prev, e.next = nil, nil
	q.bytes -= e.buf.charge
	return e
}

// insert takes in a block that was just filled and returns what had to go for it. again says that the ghost list knew it.
// The entry holds a reference of its own. The caller holds mu.
func (s *shard) insert(key Key, buf *Buffer) (evicted []*entry, again bool) {
	hash := key.hash()
	again = s.ghost.has(hash)
	if buf.charge > s.limit/2 {
		s.ghost.add(hash) // too large to be worth half the shard, yet its next fill is a second one
		return nil, again
	}
	evicted = s.makeRoom(buf.charge)
	buf.Retain()
	e := &entry{key: key, buf: buf, inMain: again}
	s.entries[key] = e
	if again {
		s.main.push(e)
	} else {
		s.small.push(e)
	}
	return evicted, again
}

// makeRoom evicts until need more bytes fit. The caller holds mu.
func (s *shard) makeRoom(need int64) (evicted []*entry) {
	for {
		crowded := s.small.tail != nil && s.small.bytes+need > s.scan
		if !crowded && s.small.bytes+s.main.bytes+need <= s.limit {
			return evicted
		}
		if crowded || s.small.bytes > s.limit/10 || s.main.tail == nil {
			e := s.small.pop()
			if e.freq > 1 {
				e.freq, e.inMain = 0, true
				s.main.push(e)
				continue
			}
			s.ghost.add(e.key.hash())
			evicted = append(evicted, e)
			delete(s.entries, e.key)
			continue
		}
		e := s.main.pop()
		if e.freq > 0 {
			e.freq--
			s.main.push(e)
			continue
		}
		evicted = append(evicted, e)
		delete(s.entries, e.key)
	}
}
