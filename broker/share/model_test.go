package share

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// model drives the state of one share partition by random events, as its owner, its
// members and its persister would, and keeps for each offset what must be true.
type model struct {
	t      testing.TB
	pick   func(n int) int // a choice of 0 to n-1
	s      *inFlight
	limits Limits
	now    time.Time
	kept   fakeState

	log      []Range // batches of the log, with holes between them
	logStart int64

	offsets map[int64]*modelOffset
	w       *write
	waiting []modelAck // acknowledgements that wait for w or the next write
}

// modelOffset is what the test knows of one record.
type modelOffset struct {
	count     int16
	delivered bool      // ever
	holder    string    // who has it
	until     time.Time // and how long
	acked     bool      // said to be done, and told that this is kept
}

type modelAck struct {
	write  uint64
	member string
	batch  AckBatch
}

func newModel(t testing.TB, pick func(n int) int) *model {
	m := &model{t: t, pick: pick, now: time.Unix(1000, 0), offsets: map[int64]*modelOffset{}}
	m.limits = Limits{Deliveries: int16(2 + pick(4)), RecordLocks: 20 + pick(60), LockDuration: 30 * time.Second}
	at := int64(0)
	for range 12 {
		at += int64(pick(3)) * int64(pick(2)) // a hole now and then
		n := int64(1 + pick(9))
		m.log = append(m.log, Range{at, at + n - 1})
		at += n
	}
	m.s = begin(0, m.limits)
	m.w = m.s.flush()
	m.outcome(0)
	return m
}

func (m *model) at(offset int64) *modelOffset {
	o := m.offsets[offset]
	if o == nil {
		o = &modelOffset{}
		m.offsets[offset] = o
	}
	return o
}

func (m *model) end() int64 { return m.log[len(m.log)-1].Last + 1 }

func (m *model) fatalf(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf("%s\nstart=%d end=%d log start=%d\n%s", fmt.Sprintf(format, args...), m.s.start, m.s.end, m.logStart, m.dump())
}

func (m *model) dump() (text string) {
	for i := range m.s.spans {
		p := &m.s.spans[i]
		text += fmt.Sprintf("  %d-%d %s %d %s pending=%d gap=%v\n", p.first, p.last, stateNames[p.state], p.count, p.member, p.pending, p.gap)
	}
	return text
}

// read returns the batches from the one that contains an offset on.
func (m *model) read(from int64, most int) (out []Range) {
	for _, b := range m.log {
		if b.Last >= from && b.Last >= m.logStart && len(out) < most {
			out = append(out, b)
		}
	}
	return out
}

var modelMembers = []string{"a", "b", "c"}

func (m *model) step() {
	member := modelMembers[m.pick(len(modelMembers))]
	switch m.pick(12) {
	case 0, 1, 2:
		m.fetch(member)
	case 3, 4, 5:
		m.ack(member)
	case 6:
		m.leave(member)
	case 7:
		m.tick(time.Duration(1+m.pick(20)) * time.Second)
	case 8, 9:
		if m.w == nil {
			m.w = m.s.flush()
		} else {
			m.outcome(m.pick(6))
		}
	case 10:
		if m.pick(8) == 0 {
			m.failover()
		}
	case 11:
		if m.pick(10) == 0 {
			m.logStart = min(m.logStart+int64(m.pick(8)), m.end())
			m.s.advance(m.logStart)
		}
	}
	if err := m.s.check(); err != nil {
		m.fatalf("%v", err)
	}
}

// tick moves the clock; locks end.
func (m *model) tick(d time.Duration) {
	m.now = m.now.Add(d)
	m.s.expire(m.now)
}

func (m *model) fetch(member string) {
	m.s.expire(m.now)
	from, ok := m.s.fetchFrom()
	if !ok {
		return
	}
	batches := m.read(from, 1+m.pick(3))
	if m.pick(4) == 0 { // somebody else changes the state between the read and the acquisition
		m.leave(modelMembers[m.pick(len(modelMembers))])
	}
	w := Wanted{Member: member, Records: 1 + m.pick(30), BatchSize: m.pick(12), Strict: m.pick(3) == 0}
	got := m.s.acquire(Fetched{From: from, Batches: batches}, w, m.now)
	n := 0
	for _, a := range got {
		n += int(a.Last - a.First + 1)
		for o := a.First; o <= a.Last; o++ {
			m.delivered(o, member, a.DeliveryCount)
		}
	}
	if w.Strict && n > w.Records {
		m.fatalf("acquired %d, wanted at most %d: %v", n, w.Records, got)
	}
	if len(got) > 0 && (got[0].First < batches[0].First || got[len(got)-1].Last > batches[len(batches)-1].Last) {
		m.fatalf("acquired %v, read only %v", got, batches)
	}
}

func (m *model) delivered(offset int64, member string, count int16) {
	o := m.at(offset)
	switch {
	case o.acked:
		m.fatalf("offset %d is delivered after it was done with", offset)
	case o.holder != "" && o.until.After(m.now):
		m.fatalf("offset %d is delivered to %s while %s has it", offset, member, o.holder)
	case count != o.count+1:
		m.fatalf("offset %d: delivery %d, want %d", offset, count, o.count+1)
	case count > m.limits.Deliveries:
		m.fatalf("offset %d: delivery %d of %d", offset, count, m.limits.Deliveries)
	}
	o.count, o.delivered, o.holder, o.until = count, true, member, m.now.Add(m.limits.LockDuration)
}

// held returns a range that a member has and has not yet acknowledged.
func (m *model) held(member string) (Range, bool) {
	var all []int64
	for o := m.logStart; o < m.end(); o++ {
		if x := m.offsets[o]; x != nil && x.holder == member && x.until.After(m.now) && !m.isWaiting(o) {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return Range{}, false
	}
	first := all[m.pick(len(all))]
	r := Range{first, first}
	for _, o := range all {
		if o == r.Last+1 && m.pick(5) != 0 {
			r.Last = o
		}
	}
	return r, true
}

func (m *model) isWaiting(offset int64) bool {
	for _, a := range m.waiting {
		if a.batch.First <= offset && offset <= a.batch.Last {
			return true
		}
	}
	return false
}

func (m *model) ack(member string) {
	r, ok := m.held(member)
	if !ok {
		return
	}
	b := AckBatch{Range: r, Types: []AckType{AckType(m.pick(5))}}
	if m.pick(2) == 0 {
		b.Types = b.Types[:0]
		for range r.Last - r.First + 1 {
			b.Types = append(b.Types, AckType(m.pick(5)))
		}
	}
	if m.pick(10) == 0 {
		other := modelMembers[(int(member[0]-'a')+1)%len(modelMembers)]
		if _, err := m.s.acknowledge(other, []AckBatch{b}, m.now); err == nil && r.Last >= m.s.start {
			m.fatalf("%s acknowledged what %s has: %v", other, member, r)
		}
		return
	}
	id, err := m.s.acknowledge(member, []AckBatch{b}, m.now)
	if err != nil {
		m.fatalf("%s acknowledges %v: %v", member, b, err)
	}
	runs(b, func(first, last int64, t AckType) {
		if t != Renew {
			m.waiting = append(m.waiting, modelAck{id, member, AckBatch{Range{first, last}, []AckType{t}}})
			return
		}
		for o := first; o <= last; o++ {
			m.at(o).until = m.now.Add(m.limits.LockDuration)
		}
	})
	if id == 0 { // nothing to write: all below the start offset, or locks only
		m.settle(0, true)
	}
}

// leave ends a member's session.
func (m *model) leave(member string) {
	m.s.expire(m.now)
	m.s.release(member)
	for at, o := range m.offsets {
		if o.holder == member && o.until.After(m.now) && !m.isWaiting(at) {
			o.holder = ""
			o.count--
		}
	}
}

// outcome ends the write under way: 0 and 1 well, 2 badly, 3 badly though it was made.
func (m *model) outcome(how int) {
	ok := how != 2 && how != 3
	if how != 2 {
		m.kept.write(m.w.start, m.w.batches)
	}
	m.s.written(m.w, ok, m.now)
	m.settle(m.w.id, ok)
	m.w = nil
}

// settle answers the acknowledgements of a write.
func (m *model) settle(id uint64, ok bool) {
	kept := m.waiting[:0]
	for _, a := range m.waiting {
		if a.write != id {
			kept = append(kept, a)
			continue
		}
		for o := a.batch.First; o <= a.batch.Last && ok; o++ {
			m.at(o).holder = ""
			m.at(o).acked = m.at(o).acked || a.batch.Types[0] != Release
		}
	}
	m.waiting = kept
}

// failover has the next leader load what the persister has. A write under way may
// have been made.
func (m *model) failover() {
	if m.w != nil && m.pick(2) == 0 {
		m.kept.write(m.w.start, m.w.batches)
	}
	m.w, m.waiting = nil, nil
	var err error
	if m.s, err = load(m.kept.state(), m.logStart, m.limits); err != nil {
		m.fatalf("load: %v", err)
	}
	for at, o := range m.offsets {
		k, known := m.kept.offsets[at]
		o.holder, o.count = "", 0
		if known {
			o.count = k.DeliveryCount
		}
		if o.acked && at >= m.s.start && (!known || !terminal(k.State)) {
			m.fatalf("offset %d was done with, and the persister has %v", at, k)
		}
	}
}

// finish delivers what is left to one member that accepts it all, and checks that
// nothing was left out.
func (m *model) finish() {
	for _, member := range modelMembers {
		m.leave(member)
	}
	for i := 0; ; i++ {
		if i > 10_000 {
			m.fatalf("it does not end")
		}
		if m.w == nil {
			m.w = m.s.flush()
		}
		if m.w != nil {
			m.outcome(0)
			continue
		}
		m.tick(31 * time.Second)
		from, ok := m.s.fetchFrom()
		if !ok {
			m.fatalf("too much is in flight, and nobody has it")
		}
		batches := m.read(from, 3)
		if len(batches) == 0 && !m.s.urgent {
			break
		}
		for _, a := range m.s.acquire(Fetched{From: from, Batches: batches}, Wanted{Member: "z", Records: 10}, m.now) {
			for o := a.First; o <= a.Last; o++ {
				m.delivered(o, "z", a.DeliveryCount)
			}
			if _, err := m.s.acknowledge("z", []AckBatch{{a.Range, []AckType{Accept}}}, m.now); err != nil {
				m.fatalf("acknowledge: %v", err)
			}
			m.waiting = append(m.waiting, modelAck{m.s.next, "z", AckBatch{a.Range, []AckType{Accept}}})
		}
	}
	if m.s.start < m.end() {
		m.fatalf("the start offset stays at %d of %d", m.s.start, m.end())
	}
	for _, b := range m.log {
		for o := max(b.First, m.logStart); o <= b.Last; o++ {
			if !m.at(o).delivered {
				m.fatalf("offset %d was never delivered", o)
			}
		}
	}
}

func TestModel(t *testing.T) {
	seeds := 3000
	if testing.Short() {
		seeds = 300
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		if !t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := newModel(t, r.IntN)
			for range 300 {
				m.step()
			}
			m.finish()
		}) {
			return
		}
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte("records are locked, released, and done"))
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) > 4096 {
			return
		}
		m := newModel(t, func(n int) int {
			if len(choices) == 0 {
				return 0
			}
			c := int(choices[0])
			choices = choices[1:]
			return c % n
		})
		for len(choices) > 0 {
			m.step()
		}
		m.finish()
	})
}
