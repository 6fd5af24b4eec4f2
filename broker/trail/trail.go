package trail

import (
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/trace"
)

// Entries is how many a broker remembers: two minutes of as many traces as it takes
// part in at most, in a megabyte.
const Entries = 8192

// Entry says that the offsets First to Last of a partition belong to a trace.
type Entry struct {
	First, Last int64
	// Context is that of the span which later ones are children of.
	Context trace.SpanContext
}

// Trail is a bounded memory of entries. Make it by New.
type Trail struct {
	used atomic.Bool // something was ever added

	mu     sync.Mutex
	ring   []slot
	last   uint64 // number of the newest slot; they are numbered from 1
	newest map[key]uint64
}

type key struct {
	topic     [16]byte
	partition int32
}

// slot is the place of an entry. Number n is at n modulo the length of the ring, until a later
// one takes its place.
type slot struct {
	number uint64 // 0: none
	older  uint64 // the one before it of the same partition; it may be forgotten
	key    key
	entry  Entry
}

// New makes a Trail that remembers so many entries.
func New(entries int) *Trail {
	return &Trail{ring: make([]slot, max(entries, 1)), newest: make(map[key]uint64)}
}

// Add remembers that the offsets first to last of a partition belong to the trace of c. What
// the partition had at and above first is forgotten.
func (t *Trail) Add(topic [16]byte, partition int32, first, last int64, c trace.SpanContext) {
	if t == nil {
		return
	}
	k := key{topic, partition}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used.Store(true)
	older := t.forget(k, first)
	t.last++
	s := t.at(t.last)
	if s.number != 0 && t.newest[s.key] == s.number {
		delete(t.newest, s.key) // the last that its partition had
	}
	*s = slot{number: t.last, older: older, key: k, entry: Entry{First: first, Last: last, Context: c}}
	t.newest[k] = t.last
}

// Forget forgets what the partition has at and above an offset: it was not appended after
// all, or is truncated.
func (t *Trail) Forget(topic [16]byte, partition int32, from int64) {
	if t == nil || !t.used.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(key{topic, partition}, from)
}

// forget returns the number of the newest entry that is left of the partition, or 0.
func (t *Trail) forget(k key, from int64) uint64 {
	n, known := t.newest[k]
	if !known {
		return 0
	}
	for s := t.get(n); s != nil && s.entry.Last >= from; s = t.get(n) {
		n = s.older
		*s = slot{}
	}
	if t.get(n) == nil {
		delete(t.newest, k)
		return 0
	}
	t.newest[k] = n
	return n
}

// Between returns the entries of a partition that overlap the offsets [from, to), ascending;
// the newest of them where there are more than max.
func (t *Trail) Between(topic [16]byte, partition int32, from, to int64, max int) []Entry {
	if t == nil || max <= 0 || !t.used.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []Entry
	for s := t.get(t.newest[key{topic, partition}]); s != nil && s.entry.Last >= from && len(found) < max; s = t.get(s.older) {
		if s.entry.First < to {
			found = append(found, s.entry)
		}
	}
	slices.Reverse(found)
	return found
}

func (t *Trail) at(number uint64) *slot { return &t.ring[number%uint64(len(t.ring))] }

// get returns the slot of a number; nil when it is forgotten.
func (t *Trail) get(number uint64) *slot {
	if s := t.at(number); number != 0 && s.number == number {
		return s
	}
	return nil
}
