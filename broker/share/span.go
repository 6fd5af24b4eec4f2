package share

import (
	"sort"
	"time"
)

// span is a range of offsets in one state. The spans of a share partition follow one
// another without a hole, from its start offset to its end offset.
type span struct {
	first, last int64 // both inclusive
	state       RecordState
	count       int16 // deliveries, the current one included

	member   string    // who has acquired it
	deadline time.Time // when its lock ends

	// fetched is the first offset of what was acquired together when it was new, size
	// the number of offsets of that. Spans of different fetches are never merged: a
	// member gets ranges as they were fetched.
	fetched int64
	size    int

	// gap says that there never were records here: members do not know these offsets.
	gap bool

	// pending is the write that is to confirm the change to the state to, 0: none. Only
	// acquired spans have one.
	pending uint64
	to      RecordState
	// dirty is the write that tells the persister what it does not know, 0: none.
	dirty uint64
}

func (p *span) length() int64 { return p.last - p.first + 1 }

// done reports whether nothing becomes of the records any more.
func (p *span) done() bool { return terminal(p.state) }

// terminal reports whether a state is final.
func terminal(s RecordState) bool { return s == Acknowledged || s == Archived }

// alike reports whether p and its successor q can be one span.
func (p *span) alike(q *span) bool {
	return p.state == q.state && p.count == q.count && p.member == q.member && p.deadline.Equal(q.deadline) && p.fetched == q.fetched &&
		p.gap == q.gap && p.pending == q.pending && p.to == q.to && p.dirty == q.dirty
}

// find returns the index of the span that contains offset, or of the first one after
// it.
func (s *inFlight) find(offset int64) int {
	return sort.Search(len(s.spans), func(i int) bool { return s.spans[i].last >= offset })
}

// cut makes offset the first of a span, if it is within one, and returns the index of
// the first span at or after it.
func (s *inFlight) cut(offset int64) int {
	i := s.find(offset)
	if i == len(s.spans) || s.spans[i].first >= offset {
		return i
	}
	s.spans = append(s.spans, span{})
	copy(s.spans[i+1:], s.spans[i:])
	s.spans[i].last = offset - 1
	s.spans[i+1].first = offset
	return i + 1
}

// each calls visit with the spans of [first, last], cut to that range. visit changes
// the span in place; it reports false to end.
func (s *inFlight) each(first, last int64, visit func(p *span) bool) {
	if first > last {
		return
	}
	i := s.cut(first)
	end := s.cut(last + 1)
	for ; i < end; i++ {
		if !visit(&s.spans[i]) {
			return
		}
	}
}

// merge joins neighbours that are alike.
func (s *inFlight) merge() {
	if len(s.spans) < 2 {
		return
	}
	kept := s.spans[:1]
	for i := 1; i < len(s.spans); i++ {
		p := &s.spans[i]
		if last := &kept[len(kept)-1]; last.alike(p) {
			last.last = p.last
			continue
		}
		kept = append(kept, *p)
	}
	clear(s.spans[len(kept):])
	s.spans = kept
}
