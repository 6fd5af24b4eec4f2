package verify

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// gaps finds out when nothing was acknowledged, to whom, and after what. A gap is the time between two neighbouring
// acknowledgements of a partition or of a producer; what comes before the first is the start of the run. It belongs to the mark
// that is nearest to its beginning: the last before it, for what was under way is acknowledged after a kill, or the first within it.
//
//	acks of a partition   │ │ │ │                 │ │ │ │
//	marks                      ▲ sigkill   ▲ restart
//	gap                         ├─────────────────┤  belongs to the first mark
type gaps struct {
	began      int64
	marks      []mark // at: µs since 1970, ascending
	faults     []Fault
	partitions []int64 // the last acknowledgement, µs since 1970; 0 before the first
	producers  []int64
	longest    []GapAt // longest first
	byProducer []int64 // µs
	byPart     []int64
	stopped    []int64 // when each producer sent no more
}

const (
	maxMarks    = 1 << 16 // one a second for eighteen hours
	longestGaps = 10
	faultWindow = 60e6 // µs: how long after a mark a gap may begin that is its doing
)

func byTime(m mark, at int64) int { return cmp.Compare(m.at, at) }

func newGaps(p *plan, began int64) *gaps {
	return &gaps{began: began, partitions: make([]int64, p.Partitions), producers: make([]int64, p.Producers),
		byProducer: make([]int64, p.Producers), byPart: make([]int64, p.Partitions), stopped: make([]int64, p.Producers)}
}

func (g *gaps) mark(at int64, text string) {
	if len(g.marks) >= maxMarks {
		return
	}
	i, _ := slices.BinarySearchFunc(g.marks, at+1, byTime) // behind those of the same time; nearly always the end
	g.marks = slices.Insert(g.marks, i, mark{at, text})
	g.faults = slices.Insert(g.faults, i, Fault{Mark: text, At: seconds(at - g.began), Partition: -1})
}

// ack takes an acknowledgement. They come in the order of time.
func (g *gaps) ack(producer uint16, partition int32, at int64) {
	if int(producer) < len(g.producers) {
		if last := g.producers[producer]; last > 0 {
			g.byProducer[producer] = max(g.byProducer[producer], at-last)
		}
		g.producers[producer] = at
	}
	if int(partition) < len(g.partitions) {
		g.gap(partition, g.partitions[partition], at)
		g.partitions[partition] = at
	}
}

func (g *gaps) stopping(producer uint16, at int64) {
	if int(producer) < len(g.stopped) {
		g.stopped[producer] = at
	}
}

// gap takes the time between two acknowledgements of a partition.
func (g *gaps) gap(partition int32, from, to int64) {
	if from == 0 || to <= from {
		return
	}
	long := to - from
	g.byPart[partition] = max(g.byPart[partition], long)
	i := g.cause(from, to)
	if i >= 0 && milliseconds(long) > g.faults[i].GapMS {
		g.faults[i].GapMS, g.faults[i].Partition = milliseconds(long), partition
	}
	if len(g.longest) == longestGaps && milliseconds(long) <= g.longest[longestGaps-1].MS {
		return
	}
	at := GapAt{Partition: partition, At: seconds(from - g.began), MS: milliseconds(long)}
	if i >= 0 {
		at.After = g.marks[i].text
	}
	// Partitions that are silent at the same time are one outage; the longest stands for all.
	for n, other := range g.longest {
		if at.At < other.At+other.MS/1e3 && other.At < at.At+at.MS/1e3 {
			if at.MS <= other.MS {
				return
			}
			g.longest = slices.Delete(g.longest, n, n+1)
			break
		}
	}
	g.longest = append(g.longest, at)
	slices.SortStableFunc(g.longest, func(a, b GapAt) int { return cmp.Compare(b.MS, a.MS) })
	g.longest = g.longest[:min(len(g.longest), longestGaps)]
}

// cause is the number of the mark that a gap belongs to, or -1.
func (g *gaps) cause(from, to int64) int {
	within, _ := slices.BinarySearchFunc(g.marks, from, byTime)
	before := within - 1
	if before >= 0 && from-g.marks[before].at >= faultWindow {
		before = -1
	}
	switch {
	case within == len(g.marks) || g.marks[within].at >= to:
		return before
	case before >= 0 && from-g.marks[before].at < g.marks[within].at-from:
		return before
	}
	return within
}

// sum ends the last gaps, those up to where the producers stopped sending, and enters all in a result.
func (g *gaps) sum(r *Result) {
	stopped := slices.Max(g.stopped)
	for partition, last := range g.partitions {
		g.gap(int32(partition), last, stopped)
	}
	for producer, last := range g.producers {
		if last > 0 {
			g.byProducer[producer] = max(g.byProducer[producer], g.stopped[producer]-last)
		}
	}
	// What was done when nothing was to come any more has no gap to show.
	end := max(stopped, slices.Max(g.partitions))
	g.faults = slices.DeleteFunc(g.faults, func(f Fault) bool { return end > 0 && f.At > seconds(end-g.began) })
	r.LongestGaps, r.Faults = g.longest, g.faults
	for _, long := range g.byProducer {
		r.ProducerGapsMS = append(r.ProducerGapsMS, milliseconds(long))
	}
	for _, long := range g.byPart {
		r.PartitionGapsMS = append(r.PartitionGapsMS, milliseconds(long))
	}
	byKind := map[string][]float64{}
	for _, f := range g.faults {
		kind, _, _ := strings.Cut(f.Mark, " ")
		byKind[kind] = append(byKind[kind], f.GapMS)
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		of := byKind[kind]
		slices.Sort(of)
		r.FaultGaps = append(r.FaultGaps, FaultGaps{Kind: kind, Count: len(of), MinMS: of[0], MedianMS: (of[(len(of)-1)/2] + of[len(of)/2]) / 2, MaxMS: of[len(of)-1]})
	}
}

func milliseconds(micros int64) float64 { return float64(micros) / 1000 }
