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
	// released is the greatest delivery count with which a release was acknowledged; 0: never.
	released int32
	// next says that the delivery to come is the first one after that release, and disturbed how often somebody had been killed by then.
	next      bool
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

// delivery is a record that a member was given.
type delivery struct {
	id    int64
	nth   int // of this record
	count int32
	// wrong is what it breaks if it is one, and text tells how; nil: nothing. A client may still hold records that it was given before
	// somebody was killed, and that others were given and settled since: then its own acknowledgement is refused.
	wrong *int64
	text  string
}

// delivered says that a member was given a record.
func (j *journal) delivered(id int64, count int32) delivery {
	j.mu.Lock()
	defer j.mu.Unlock()
	w, r := j.of(id), &j.result
	r.Deliveries++
	r.MaxCount = max(r.MaxCount, count)
	w.deliveries++
	d := delivery{id: id, nth: w.deliveries, count: count}
	switch {
	case w.done:
		d.wrong, d.text = &r.Again, fmt.Sprintf("again: record=%d count=%d", id, count)
	case count < 1 || count > j.limit:
		r.violation(&r.Count, "count: record=%d count=%d allowed=%d", id, count, j.limit)
	case count <= w.released:
		d.wrong, d.text = &r.Count, fmt.Sprintf("count: record=%d count=%d after a release with count=%d", id, count, w.released)
	case w.next && count > w.released+1 && j.disturbed == w.disturbed:
		d.wrong, d.text = &r.Count, fmt.Sprintf("count: record=%d count=%d after a release with count=%d, and nobody was killed", id, count, w.released)
	}
	if d.wrong == nil {
		w.last, w.next = count, false
	}
	return d
}

// answered says what became of the acknowledgement of a delivery. That of a release may be known to others before it is known here:
// then the next one has the record already.
func (j *journal) answered(d delivery, s status, known bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	w, r := j.of(d.id), &j.result
	if d.wrong != nil && known {
		r.violation(d.wrong, "%s", d.text)
	}
	switch {
	case !known && d.wrong != nil:
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
		w.released = max(w.released, d.count)
		w.next, w.disturbed = w.deliveries == d.nth, j.disturbed
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
