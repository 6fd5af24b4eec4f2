package cache

// ring gives out runs of adjacent slots and takes them back, oldest first. Entries are in a list by position; next is
// the first one that the hand has not passed yet.
//
//	slots  │ a a a │ b b │ · │ c c c c │ d │ · · │
//	                     ▲ hand    ▲ next = c
//
// To give out k slots the hand takes what it meets until k are free behind it. A used entry is passed over instead, a
// bounded number of times per request. At the end of the ring the hand starts over; no run wraps.
type ring struct {
	slots      uint32
	hand       uint32
	entries    map[Key]*ringEntry
	head, tail *ringEntry // by position
	next       *ringEntry // nil: none from the hand to the end
}

type ringEntry struct {
	key        Key
	start      uint32 // slot
	count      uint32 // slots
	size       uint32 // bytes
	crc        uint32 // crc32c of them
	ready      bool   // was written
	used       bool   // was read since the hand passed
	prev, list *ringEntry
}

const maxPassed = 8

func newRing(slots uint32) ring { return ring{slots: slots, entries: make(map[Key]*ringEntry)} }

// allocate gives count slots to key, which has none, and evicts what was there. count is at most slots.
func (r *ring) allocate(key Key, count uint32) *ringEntry {
	passed := 0
	for {
		if r.slots-r.hand < count {
			// The entries from here to the end stay until the hand comes round again.
			r.hand, r.next = 0, r.head
		}
		n := r.next
		if n == nil || n.start-r.hand >= count {
			break
		}
		r.next = n.list
		if n.used && passed < maxPassed {
			n.used = false
			passed++
			r.hand = n.start + n.count
			continue
		}
		r.unlink(n)
	}
	e := &ringEntry{key: key, start: r.hand, count: count}
	r.hand += count
	r.insertBefore(e, r.next)
	return e
}

// insertBefore puts e before at, at the end when at is nil.
func (r *ring) insertBefore(e, at *ringEntry) {
	r.entries[e.key] = e
	e.list = at
	if at != nil {
		e.prev, at.prev = at.prev, e
	} else {
		e.prev, r.tail = r.tail, e
	}
	if e.prev != nil {
		e.prev.list = e
	} else {
		r.head = e
	}
}

// remove takes an entry out, wherever the hand is.
func (r *ring) remove(e *ringEntry) {
	if r.next == e {
		r.next = e.list
	}
	r.unlink(e)
}

func (r *ring) unlink(e *ringEntry) {
	delete(r.entries, e.key)
	if e.prev != nil {
		e.prev.list = e.list
	} else {
		r.head = e.list
	}
	if e.list != nil {
		e.list.prev = e.prev
	} else {
		r.tail = e.prev
	}
	e.prev, e.list = nil, nil
}
