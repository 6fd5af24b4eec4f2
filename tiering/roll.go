package tiering

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

// rollCandidate is a partition with pending data that no task works on, as the roll decision sees it.
type rollCandidate struct {
	pending     int64         // bytes
	age         time.Duration // of the oldest pending append
	rollBytes   int64
	rollAfter   time.Duration
	retentionMs int64
}

func (c *rollCandidate) full() bool  { return c.pending >= c.rollBytes }
func (c *rollCandidate) stale() bool { return c.age >= c.rollAfter }

// selectRoll returns the indexes of the candidates that a round takes, none when nothing is due. pressure is how many
// bytes the WAL needs freed.
//
// A round that is made because time is up makes a bundle anyway, so it takes everything that has waited for a quarter of its
// time along: that brings all partitions of a broker into one rhythm, one PUT per roll interval. Taking less would leave
// cohorts that never meet, taking all would cut the segments of slow topics as small as the fastest one's. A round that is
// made because a partition is full takes those along that are half full, if it makes a bundle at all.
func selectRoll(cs []rollCandidate, pressure, large int64) []int {
	var timed, bundled bool
	chosen := make([]bool, len(cs))
	n := 0
	choose := func(i int) {
		if !chosen[i] {
			chosen[i] = true
			n++
		}
	}
	for i := range cs {
		c := &cs[i]
		if c.pending <= 0 || !c.full() && !c.stale() {
			continue
		}
		choose(i)
		timed = timed || c.stale()
		bundled = bundled || c.pending < large
		pressure -= c.pending
	}
	if pressure > 0 {
		oldest := make([]int, 0, len(cs))
		for i := range cs {
			if cs[i].pending > 0 && !chosen[i] {
				oldest = append(oldest, i)
			}
		}
		slices.SortStableFunc(oldest, func(a, b int) int { return cmp.Compare(cs[b].age, cs[a].age) })
		for _, i := range oldest {
			if pressure <= 0 {
				break
			}
			choose(i)
			pressure -= cs[i].pending
		}
	}
	if n == 0 {
		return nil
	}
	for i := range cs {
		c := &cs[i]
		if c.pending <= 0 {
			continue
		}
		if timed && (c.age >= c.rollAfter/4 || c.pending >= c.rollBytes/4) || bundled && c.pending >= c.rollBytes/2 {
			choose(i)
		}
	}
	out := make([]int, 0, n)
	for i, ok := range chosen {
		if ok {
			out = append(out, i)
		}
	}
	return out
}

// packLimits bound what one round makes.
type packLimits struct {
	objects      int   // at most so many objects; what does not fit stays due
	large        int64 // partitions with so much pending get an object of their own
	objectBytes  int64 // at most so many bytes of batches in one object
	segmentBytes int64 // at most so many of one partition
	splitBytes   int64 // a retention class with so much gets bundles of its own
	sections     int   // at most so many partitions in one object
}

// part is what an object takes of one candidate.
type part struct {
	candidate int
	bytes     int64 // at most so many
}

// pack distributes the chosen candidates over objects. The most urgent objects come first: those with the oldest data.
//
// Partitions of unlike retention do not share an object if a PUT more is cheap for the bytes it carries, because the
// shared object would live as long as its longest-lived part.
func pack(cs []rollCandidate, chosen []int, l packLimits) [][]part {
	var objects [][]part
	type class struct {
		key   int
		bytes int64
		parts []part
	}
	classes := map[int]*class{}
	for _, i := range chosen {
		c := &cs[i]
		take := min(c.pending, l.segmentBytes, l.objectBytes)
		if c.pending >= l.large {
			objects = append(objects, []part{{i, take}})
			continue
		}
		k := retentionClass(c.retentionMs)
		if classes[k] == nil {
			classes[k] = &class{key: k}
		}
		classes[k].bytes += take
		classes[k].parts = append(classes[k].parts, part{i, take})
	}
	ordered := make([]*class, 0, len(classes))
	for _, c := range classes {
		ordered = append(ordered, c)
	}
	slices.SortFunc(ordered, func(a, b *class) int { return cmp.Compare(a.key, b.key) })
	var rest []part
	for _, c := range ordered {
		if c.bytes >= l.splitBytes {
			objects = append(objects, bundle(c.parts, l)...)
		} else {
			rest = append(rest, c.parts...)
		}
	}
	objects = append(objects, bundle(rest, l)...)
	oldest := func(parts []part) (age time.Duration) {
		for _, p := range parts {
			age = max(age, cs[p.candidate].age)
		}
		return age
	}
	slices.SortStableFunc(objects, func(a, b []part) int { return cmp.Compare(oldest(b), oldest(a)) })
	return objects[:min(len(objects), l.objects)]
}

// bundle fills objects in order.
func bundle(parts []part, l packLimits) (objects [][]part) {
	var size int64
	for _, p := range parts {
		n := len(objects) - 1
		if n < 0 || size+p.bytes > l.objectBytes || len(objects[n]) >= l.sections {
			objects = append(objects, nil)
			n, size = n+1, 0
		}
		objects[n] = append(objects[n], p)
		size += p.bytes
	}
	return objects
}

// retentionClass groups retention times that differ by less than a factor of four; forever is a class of its own.
func retentionClass(ms int64) int {
	if ms < 0 {
		return 64
	}
	return bits.Len64(uint64(ms)) / 2
}
