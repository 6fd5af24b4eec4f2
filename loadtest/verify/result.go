package verify

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/loadtest/latency"
)

// Result is what a check found: one line of JSON.
type Result struct {
	Kind       string    `json:"kind"` // "verify"
	Time       time.Time `json:"time"`
	Command    string    `json:"command,omitempty"`
	Run        string    `json:"run"`
	Topic      string    `json:"topic"`
	Partitions int32     `json:"partitions"`
	Producers  int       `json:"producers"`

	Sent     int64            `json:"sent"` // by producers that came to their end
	Acked    int64            `json:"acked"`
	Failed   int64            `json:"failed"` // given up by the client; their fate is unknown
	Failures map[string]int64 `json:"failures,omitempty"`
	Read     int64            `json:"read"` // by all readers together

	Violations

	Seconds         int                  `json:"seconds"` // from the first second with an acknowledgement to the last
	AckedPerSecond  Spread               `json:"acked_per_second"`
	SilentSeconds   int                  `json:"silent_seconds"` // without any acknowledgement
	LatencyMS       *latency.Percentiles `json:"latency_ms"`
	EndToEndMS      *latency.Percentiles `json:"end_to_end_ms"`
	ProducerGapsMS  []float64            `json:"producer_gaps_ms"`
	PartitionGapsMS []float64            `json:"partition_gaps_ms"`
	LongestGaps     []GapAt              `json:"longest_gaps"`
	Faults          []Fault              `json:"faults,omitempty"`
	FaultGaps       []FaultGaps          `json:"fault_gaps,omitempty"`

	perSecond              []uint32 // acknowledgements in each second of the run
	acknowledged, endToEnd latency.Histogram
}

// Spread is the least, the middle and the most of something.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// GapAt is a time without acknowledgements in a partition.
type GapAt struct {
	Partition int32   `json:"partition"`
	At        float64 `json:"at"` // its beginning, seconds since the run began
	MS        float64 `json:"ms"`
	After     string  `json:"after,omitempty"` // the mark that it belongs to
}

// Fault is a mark, and the longest gap of any partition that belongs to it.
type Fault struct {
	Mark      string  `json:"mark"`
	At        float64 `json:"at"`
	GapMS     float64 `json:"gap_ms"`
	Partition int32   `json:"partition"` // -1: no gap
}

// FaultGaps are the gaps of all marks that begin with the same word.
type FaultGaps struct {
	Kind     string  `json:"kind"`
	Count    int     `json:"count"`
	MinMS    float64 `json:"min_ms"`
	MedianMS float64 `json:"median_ms"`
	MaxMS    float64 `json:"max_ms"`
}

func newResult(p *plan, o CheckOptions) *Result {
	if o.Explain <= 0 {
		o.Explain = 10
	}
	return &Result{Kind: "verify", Time: time.Now().UTC().Truncate(time.Millisecond), Command: p.Command, Run: p.Run, Topic: p.Topic,
		Partitions: p.Partitions, Producers: p.Producers, Failures: map[string]int64{},
		Violations: Violations{Counts: map[Class]int64{}, Notices: map[string]int64{}, each: o.Explain}}
}

// OK tells whether every promise was kept.
func (r *Result) OK() bool { return len(r.Counts) == 0 }

// maxSeconds bounds the seconds that are told apart: twelve days.
const maxSeconds = 1 << 20

// count adds an acknowledgement to its second.
func (r *Result) count(sinceBegan int64) {
	second := int(min(max(sinceBegan/1e6, 0), maxSeconds-1))
	for len(r.perSecond) <= second {
		r.perSecond = append(r.perSecond, 0)
	}
	r.perSecond[second]++
}

// finish works out the figures.
func (r *Result) finish() {
	r.LatencyMS, r.EndToEndMS = r.acknowledged.Percentiles(), r.endToEnd.Percentiles()
	first := slices.IndexFunc(r.perSecond, func(n uint32) bool { return n > 0 })
	if first < 0 {
		return
	}
	during := slices.Clone(r.perSecond[first:])
	r.Seconds = len(during)
	if len(during) > 2 { // the first and the last are parts of a second
		during = during[1 : len(during)-1]
	}
	slices.Sort(during)
	for _, n := range during {
		if n == 0 {
			r.SilentSeconds++
		}
	}
	r.AckedPerSecond = Spread{float64(during[0]), float64(during[len(during)/2]), float64(during[len(during)-1])}
}

// PerSecond is how many records were acknowledged in each second since the run began.
func (r *Result) PerSecond() []uint32 { return r.perSecond }

// WriteSummary tells a reader what was found.
func (r *Result) WriteSummary(w io.Writer) {
	fmt.Fprintf(w, "run %s topic=%s partitions=%d producers=%d\n", r.Run, r.Topic, r.Partitions, r.Producers)
	fmt.Fprintf(w, "  records  sent %d, acknowledged %d, given up %d, read %d (by all readers)\n", r.Sent, r.Acked, r.Failed, r.Read)
	for _, text := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(w, "           given up %d: %s\n", r.Failures[text], text)
	}
	fmt.Fprintf(w, "  rate     %d s; acknowledged per second: min %.0f, median %.0f, max %.0f; silent seconds: %d\n",
		r.Seconds, r.AckedPerSecond.Min, r.AckedPerSecond.Median, r.AckedPerSecond.Max, r.SilentSeconds)
	percentiles(w, "ack", r.LatencyMS)
	percentiles(w, "arrival", r.EndToEndMS)
	if len(r.ProducerGapsMS) > 0 && len(r.PartitionGapsMS) > 0 {
		fmt.Fprintf(w, "  gaps     longest without an acknowledgement: of a producer %.0f ms, of a partition %.0f ms\n",
			slices.Max(r.ProducerGapsMS), slices.Max(r.PartitionGapsMS))
	}
	for _, g := range r.LongestGaps {
		if g.MS >= 100 {
			fmt.Fprintf(w, "           %.0f ms partition=%d at=%.1fs after=%q\n", g.MS, g.Partition, g.At, g.After)
		}
	}
	for _, f := range r.FaultGaps {
		fmt.Fprintf(w, "  faults   %s ×%d: gap min %.0f, median %.0f, max %.0f ms\n", f.Kind, f.Count, f.MinMS, f.MedianMS, f.MaxMS)
	}
	for _, text := range slices.Sorted(maps.Keys(r.Notices)) {
		fmt.Fprintf(w, "  notice   %d × %s\n", r.Notices[text], text)
	}
	if r.OK() {
		fmt.Fprintln(w, "  verdict  no violation")
		return
	}
	var counts []string
	for _, class := range slices.Sorted(maps.Keys(r.Counts)) {
		counts = append(counts, fmt.Sprintf("%s %d", class, r.Counts[class]))
	}
	fmt.Fprintf(w, "  verdict  VIOLATIONS: %s\n", strings.Join(counts, ", "))
	for _, v := range r.Explained {
		fmt.Fprintf(w, "  %v\n", v)
	}
}

func percentiles(w io.Writer, what string, p *latency.Percentiles) {
	if p != nil && p.Count > 0 {
		fmt.Fprintf(w, "  %-8s p50 %.1f, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f ms (%d)\n", what, p.P50, p.P90, p.P99, p.P999, p.Max, p.Count)
	}
}
