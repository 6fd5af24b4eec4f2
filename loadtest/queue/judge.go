package queue

import (
	"fmt"
	"sync"
)

// status is what a member does with a record.
type status uint8

const (
	accepts status = iota
	releases
	rejects
)

// what is known of one record.
type what struct {
	deliveries int
	last       int32 // delivery count
	// released is the delivery count with which a release was acknowledged last, and disturbed how often somebody had been killed
	// by then; released 0: never.
	released  int32
	disturbed int
	done      bool // accepted or rejected, and that was acknowledged
	unknown   bool // an acknowledgement was sent of which nobody knows what became
}

// journal takes down what happens to records, and judges at once.
type journal struct {
	mu        sync.Mutex
	limit     int32
	records   map[int64]*what
	disturbed int // kills
	result    Result
}

// Result is the verdict about a group.
type Result struct {
	Records    int64 `json:"records"`
	Deliveries int64 `json:"deliveries"`
	Accepted   int64 `json:"accepted"`
	Released   int64 `json:"released"`
	Rejected   int64 `json:"rejected"`
	Unknown    int64 `json:"unknown"` // acknowledgements whose outcome is not known
	Stale      int64 `json:"stale"`   // deliveries that were none any more
	Kills      int64 `json:"kills"`
	Exhausted  int64 `json:"exhausted"` // records given up after as many deliveries as are allowed
	MaxCount   int32 `json:"max_delivery_count"`

	Missing  int64    `json:"missing"`
	Again    int64    `json:"again"`
	Undone   int64    `json:"undone"`
	Count    int64    `json:"count"`
	Examples []string `json:"examples,omitempty"`
}

// OK reports whether nothing was broken.
func (r *Result) OK() bool { return r.Missing+r.Again+r.Undone+r.Count == 0 }

const maxExamples = 10

func (r *Result) violation(of *int64, format string, args ...any) {
	if *of++; len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
	}
}

func newJournal(limit int32) *journal { return &journal{limit: limit, records: make(map[int64]*what)} }

// produced says that a record is there.
func (j *journal) produced(id int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.of(id)
}

func (j *journal) of(id int64) *what {
	w := j.records[id]
	if w == nil {
		w = &what{}
		j.records[id] = w
	}
	return w
}

// suspicion is what is wrong with a delivery if it is one. A client may still hold records that it was given before somebody was
// killed, and that others were given and settled since: then its own acknowledgement is refused.
type suspicion struct {
	of   *int64 // nil: none
	text string
}

// delivered says that a member was given a record.
func (j *journal) delivered(id int64, count int32) suspicion {
	j.mu.Lock()
	defer j.mu.Unlock()
	w, r := j.of(id), &j.result
	r.Deliveries++
	r.MaxCount = max(r.MaxCount, count)
	var s suspicion
	switch {
	case w.done:
		s = suspicion{&r.Again, fmt.Sprintf("again: record=%d count=%d", id, count)}
	case count < 1 || count > j.limit:
		r.violation(&r.Count, "count: record=%d count=%d allowed=%d", id, count, j.limit)
	case w.released > 0 && count <= w.released:
		s = suspicion{&r.Count, fmt.Sprintf("count: record=%d count=%d after a release with count=%d", id, count, w.released)}
	case w.released > 0 && count > w.released+1 && j.disturbed == w.disturbed:
		s = suspicion{&r.Count, fmt.Sprintf("count: record=%d count=%d after a release with count=%d, and nobody was killed", id, count, w.released)}
	}
	w.deliveries++
	if s.of == nil {
		w.last, w.released = count, 0
	}
	return s
}

// answered says what became of the acknowledgement of a delivery.
func (j *journal) answered(id int64, d suspicion, s status, known bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	w, r := j.of(id), &j.result
	if d.of != nil && known {
		r.violation(d.of, "%s", d.text)
	}
	switch {
	case !known && d.of != nil:
		r.Stale++
	case !known:
		r.Unknown++
		w.unknown = true
	case s == accepts:
		r.Accepted++
		w.done = true
	case s == rejects:
		r.Rejected++
		w.done = true
	default:
		r.Released++
		w.released, w.disturbed = w.last, j.disturbed
	}
}

// kill says that a member or a broker is killed.
func (j *journal) kill() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.disturbed++
	j.result.Kills++
}

// open is how many records wait for somebody. The outcome of an acknowledgement may be unknown for good.
func (j *journal) open() (n int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range j.records {
		if !w.done && !w.unknown && w.last < j.limit {
			n++
		}
	}
	return n
}

// end judges what is left.
func (j *journal) end() *Result {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &j.result
	r.Records = int64(len(j.records))
	for id, w := range j.records {
		switch {
		case w.deliveries == 0:
			r.violation(&r.Missing, "missing: record=%d", id)
		case w.done || w.unknown:
		case w.last >= j.limit:
			r.Exhausted++
		default:
			r.violation(&r.Undone, "undone: record=%d deliveries=%d last count=%d", id, w.deliveries, w.last)
		}
	}
	return r
}
