package tiering

import (
	"container/list"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/manifest"
)

// stream is what is remembered of a consumer that reads on where its last Read ended. Between two Reads it lies in the
// streamTable under the offset where the next one should begin; during a Read it belongs to that Read alone.
//
//	          pos                          tail
//	           ▼                            ▼
//	slots  │ block b │ b+1 │ b+2 │ … │ b+n │   blocks not claimed yet   │ next section …
//	           └──────── ahead ────────────┘
//	           read-ahead window: 0 at first; then twice what was read in sequence, up to one GET; doubled
//	           from there on whenever the consumer had to wait
type stream struct {
	id         partitionID
	next       int64 // offset of the next Read
	sequential int   // Reads that began where the one before ended
	read       int64 // bytes that they and the first one returned

	slots []slot
	pos   int   // bytes of slots[0] that were consumed
	ahead int64 // raw bytes of all slots

	tail     *section // where claiming goes on; nil before the first
	tailNext int      // block
	later    []*section
	look     *lookup // for the sections behind later

	current    bool   // all of these were in the ledger of generation
	generation uint64 // see manifest.Locator.Generation

	window int64

	squeeze chan struct{} // while a Read waits for slots[0]: somebody needs the memory of the others

	// Of the Read that has the stream; see begun.
	stats  ReadStats
	turn   uint32            // Reads so far
	caller trace.SpanContext // the span that the Read belongs to, where it is recorded
	seeded *section          // small, and this Read has read all of it with its index

	parked  time.Time
	element *list.Element // in the table's order, while it is there
	same    *stream       // next one under the same key
}

// slot is a claimed block.
type slot struct {
	s     *section
	block int
	raw   int64
	claim cache.Claim
	ours  bool // this stream's read-ahead started its fill
	from  origin
	turn  uint32 // of the Read that claimed it
}

// pop gives the first slot up after all of it was consumed.
func (st *stream) pop(m *readMetrics) {
	s := &st.slots[0]
	if s.ours {
		m.useful.Add(float64(s.raw))
	}
	st.ahead -= s.raw
	s.claim.Release()
	st.slots[0] = slot{}
	st.slots = st.slots[1:]
	st.pos = 0
}

// drop gives all slots up. It returns how many bytes of them are still being filled.
func (st *stream) drop(m *readMetrics) (pending int64) {
	for i := range st.slots {
		s := &st.slots[i]
		if s.ours && (i > 0 || st.pos == 0) {
			m.wasted.Add(float64(s.raw))
		}
		if !s.claim.Ready() {
			pending += s.raw
		}
		s.claim.Release()
	}
	st.slots, st.ahead, st.pos = nil, 0, 0
	return pending
}

// keepFirst gives all slots up but the first.
func (st *stream) keepFirst(m *readMetrics) {
	first, pos := st.slots[0], st.pos
	st.slots, st.ahead, st.pos = st.slots[1:], st.ahead-first.raw, 0
	st.drop(m)
	st.slots, st.ahead, st.pos = []slot{first}, first.raw, pos
	st.tail, st.tailNext = first.s, first.block+1
	st.later, st.look = nil, nil
	st.narrow()
}

// narrow makes the stream read less ahead, and grow again from there.
func (st *stream) narrow() { st.window, st.read = st.window/2, 0 }

// begin makes block i of s the next one to claim, without any slots.
func (st *stream) begin(s *section, i int, m *readMetrics) {
	st.drop(m)
	st.tail, st.tailNext = s, i
	st.later, st.look = nil, nil
	st.current = false // whoever located it may have done so a while ago
}

// lookup finds the sections that follow, off the path of the consumer.
type lookup struct {
	done  chan struct{}
	found []*section
	err   error
}

// What one lookup fetches at most: a few large sections, or enough small ones to keep up with.
const lookupSections = 8

// lookAhead starts to find the sections from an offset on, about want bytes of them.
func (r *Reader) lookAhead(id partitionID, offset, want int64) *lookup {
	l := &lookup{done: make(chan struct{}), err: ErrReaderClosed}
	r.closing.RLock()
	defer r.closing.RUnlock()
	if r.ctx.Err() != nil {
		close(l.done)
		return l
	}
	l.err = nil
	r.work.Go(func() {
		defer close(l.done)
		var segs []manifest.Segment
		for bytes := int64(0); len(segs) < lookupSections && bytes < want; {
			seg, err := r.opts.Locator.Locate(r.ctx, id.topic, id.partition, offset)
			if err != nil {
				l.err = err
				break
			}
			segs = append(segs, seg)
			offset = seg.End
			bytes += seg.LogBytes
		}
		// Small sections come a handful at a time, and their indexes in parallel.
		found, errs := make([]*section, len(segs)), make([]error, len(segs))
		var group sync.WaitGroup
		for i := range segs {
			group.Go(func() { found[i], _, errs[i] = r.section(r.ctx, id, segs[i].Base, &segs[i]) })
		}
		group.Wait()
		for i := range found {
			if errs[i] != nil {
				l.err = errs[i]
				break
			}
			l.found = append(l.found, found[i])
		}
	})
	return l
}

type streamKey struct {
	topic     [16]byte
	partition int32
	offset    int64
}

// streamTable holds the streams whose consumers are between two Reads, bounded in number, and drops those that were not
// continued. A consumer that vanished costs its read-ahead until then, or until somebody needs the memory.
type streamTable struct {
	max     int
	idle    time.Duration
	pool    *cache.Pool
	metrics *readMetrics

	mu     sync.Mutex // guards what follows
	byKey  map[streamKey]*stream
	order  list.List            // of *stream, parked last in front
	many   int                  // of them with read-ahead
	asking map[*stream]struct{} // of Reads that wait for their first block
	timer  *time.Timer
	closed bool
}

func (t *streamTable) init(most int, idle time.Duration, pool *cache.Pool, m *readMetrics) {
	t.max, t.idle, t.pool, t.metrics = most, idle, pool, m
	t.byKey, t.asking = make(map[streamKey]*stream), make(map[*stream]struct{})
}

func (st *stream) key() streamKey { return streamKey{st.id.topic, st.id.partition, st.next} }

// take removes and returns a stream that goes on at key, or nil.
func (t *streamTable) take(key streamKey) *stream {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.byKey[key]
	if st != nil {
		t.remove(st)
	}
	return st
}

// remove takes a stream out. The caller holds mu.
func (t *streamTable) remove(st *stream) {
	key := st.key()
	if head := t.byKey[key]; head == st {
		if st.same == nil {
			delete(t.byKey, key)
		} else {
			t.byKey[key] = st.same
		}
	} else {
		for head.same != st {
			head = head.same
		}
		head.same = st.same
	}
	t.order.Remove(st.element)
	st.element, st.same = nil, nil
	if st.window > 0 {
		t.many--
	}
}

// put parks a stream under its next offset. Streams of consumers in lock-step share a key, and their blocks.
func (t *streamTable) put(st *stream) {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		st.drop(t.metrics)
		return
	}
	var old *stream
	if t.order.Len() >= t.max {
		old = t.order.Back().Value.(*stream)
		t.remove(old)
	}
	key := st.key()
	st.parked = time.Now()
	st.same = t.byKey[key]
	t.byKey[key] = st
	st.element = t.order.PushFront(st)
	if st.window > 0 {
		t.many++
	}
	if t.timer == nil {
		t.timer = time.AfterFunc(t.idle, t.sweep)
	}
	t.mu.Unlock()
	if old != nil {
		old.drop(t.metrics)
	}
}

// readers is how many parked streams read ahead.
func (t *streamTable) readers() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.many
}

// sweep drops what was parked for too long, and comes again while there is anything.
func (t *streamTable) sweep() {
	t.mu.Lock()
	var old []*stream
	now := time.Now()
	t.timer = nil
	for e := t.order.Back(); e != nil && !t.closed; e = t.order.Back() {
		st := e.Value.(*stream)
		if left := t.idle - now.Sub(st.parked); left > 0 {
			t.timer = time.AfterFunc(left, t.sweep)
			break
		}
		t.remove(st)
		old = append(old, st)
	}
	t.mu.Unlock()
	for _, st := range old {
		st.drop(t.metrics)
	}
}

// asks registers a stream whose Read waits for its first block, so that it can be told to give up the others: nobody may hold
// blocks and wait for more.
func (t *streamTable) asks(st *stream) {
	t.mu.Lock()
	if st.squeeze == nil {
		st.squeeze = make(chan struct{}, 1)
	}
	t.asking[st] = struct{}{}
	t.mu.Unlock()
	if t.pool.Stats().Waiting > 0 { // who waits may have looked for us before
		st.squeezed()
	}
}

func (t *streamTable) asked(st *stream) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.asking, st)
}

func (st *stream) squeezed() {
	select {
	case st.squeeze <- struct{}{}:
	default:
	}
}

// spare gives up the read-ahead of the streams that were parked longest, until about need bytes are free or will be; and when
// that is not enough, of those whose Reads are waiting.
func (t *streamTable) spare(need int64) {
	for need > 0 {
		t.mu.Lock()
		e := t.order.Back()
		if e == nil {
			for st := range t.asking {
				st.squeezed()
			}
			t.mu.Unlock()
			return
		}
		st := e.Value.(*stream)
		t.remove(st)
		t.mu.Unlock()
		before := t.pool.Stats().Used
		pending := st.drop(t.metrics)
		need -= before - t.pool.Stats().Used + pending
		t.metrics.spared.Inc()
	}
}

// close drops all.
func (t *streamTable) close() {
	t.mu.Lock()
	t.closed = true
	if t.timer != nil {
		t.timer.Stop()
		t.timer = nil
	}
	t.mu.Unlock()
	t.spare(1 << 62)
}
