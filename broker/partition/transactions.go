package partition

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// openTransactions are the open transactions of a partition in the order in which they began,
// which is that of their first offsets. The one that began first holds the last stable offset.
// It is guarded by the partition's mutex.
type openTransactions struct {
	list []openTransaction // from the oldest that is open; those that ended meanwhile have no id
	gone int               // how many of the list have ended
}

type openTransaction struct{ first, id int64 }

func (o *openTransactions) len() int { return len(o.list) - o.gone }

// first returns the first offset of the oldest, or the greatest offset there is.
func (o *openTransactions) first() int64 {
	if len(o.list) == 0 {
		return math.MaxInt64
	}
	return o.list[0].first
}

// add takes in a transaction that begins above all others.
func (o *openTransactions) add(first, id int64) {
	if n := len(o.list); n > 0 && o.list[n-1].first >= first {
		panic("partition: a transaction begins below another that began before")
	}
	o.list = append(o.list, openTransaction{first, id})
}

// remove takes out the one that began at first. What it costs on average does not depend on
// how many are open.
func (o *openTransactions) remove(first int64) {
	i := sort.Search(len(o.list), func(i int) bool { return o.list[i].first >= first })
	if i == len(o.list) || o.list[i].first != first || o.list[i].id == none {
		panic("partition: a transaction ends that was not open")
	}
	o.list[i].id = none
	o.gone++
	dead := 0
	for dead < len(o.list) && o.list[dead].id == none {
		dead++
	}
	o.list, o.gone = o.list[dead:], o.gone-dead
	if o.gone > 16 && o.gone > len(o.list)/2 {
		o.list = slices.DeleteFunc(o.list, func(t openTransaction) bool { return t.id == none })
		o.gone = 0
	}
	if len(o.list) == 0 {
		o.list = nil // so that an idle partition keeps nothing
	}
}

// rebuild makes the list of what the entries say.
func (o *openTransactions) rebuild(entries map[int64]*producerEntry) {
	*o = openTransactions{}
	for id, e := range entries {
		if e.first != none {
			o.list = append(o.list, openTransaction{e.first, id})
		}
	}
	slices.SortFunc(o.list, func(a, b openTransaction) int { return cmp.Compare(a.first, b.first) })
}

// decision is what a marker did: enough to undo it.
type decision struct {
	id               int64
	marker           int64 // offset of the marker
	first            int64 // first offset of the transaction that it ended; none: it ended none
	stable           int64 // the last stable offset after it, replicas aside
	coordinatorEpoch int32 // of the producer, before
	epoch            int16 // of the producer, before
	known            bool  // the producer had an entry before
	aborted          bool
}

// decisions are the newest markers of a log, in log order: all at or above floor. They say which
// transactions were open at an offset that lies in the past, which is asked when the log is cut
// there, when a follower begins there, and when what is below goes into the object store. So
// they are needed down to where the object store ends, or the log start. It is guarded by the
// partition's mutex.
type decisions struct {
	list  []decision
	floor int64
	new   int // how many at the end of the list nobody has looked at
}

// maxDecisions bounds them; a variable for tests. Of an offset for which they do not go back far enough, the
// state is taken from the object store and what was appended since.
var maxDecisions = 16 << 10

func (s *decisions) add(d decision) {
	if len(s.list) == maxDecisions {
		s.forget(s.list[maxDecisions/4].marker)
	}
	s.list = append(s.list, d)
	s.new++
}

// fresh returns those of transactions that were added since it was asked last.
func (s *decisions) fresh() []decision {
	n := len(s.list) - min(s.new, len(s.list))
	s.new = 0
	return s.list[n:]
}

// forget drops what lies below floor.
func (s *decisions) forget(floor int64) {
	if floor <= s.floor {
		return
	}
	s.floor = floor
	i := sort.Search(len(s.list), func(i int) bool { return s.list[i].marker >= floor })
	if i == 0 {
		return
	}
	// What is left is copied: a view of the old list may be in use.
	s.list = slices.Clone(s.list[i:])
}

// undo calls fn for each marker at or above end, newest first, and drops it.
func (s *decisions) undo(end int64, fn func(d *decision, end int64)) {
	n := len(s.list)
	for n > 0 && s.list[n-1].marker >= end {
		n--
		fn(&s.list[n], end)
	}
	s.list = s.list[:n:n]
	if n == 0 {
		s.list = nil
	}
}
