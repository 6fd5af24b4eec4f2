package once

import (
	"fmt"
	"maps"
	"slices"
)

// Kind names what was broken; see the package's page.
type Kind string

// The kinds of violations.
const (
	Missing   Kind = "missing"
	Duplicate Kind = "duplicate"
	Torn      Kind = "torn"
	Aborted   Kind = "aborted"
	Early     Kind = "early"
	Unsteady  Kind = "unsteady"
	Unfenced  Kind = "unfenced"
	Foreign   Kind = "foreign"
)

// maxExamples bounds the violations of a kind that are described.
const maxExamples = 5

// Result is the verdict about a run.
type Result struct {
	Inputs int64 `json:"inputs"`
	// Attempts that were committed, aborted, and of which nobody was told.
	Committed int64 `json:"committed"`
	Aborted   int64 `json:"aborted"`
	Unknown   int64 `json:"unknown"`
	// Processes that were given a producer id, Readings of a topic from its beginning, and the records Read in them.
	Processes int64 `json:"processes"`
	Readings  int64 `json:"readings"`
	Read      int64 `json:"read"`

	Counts   map[Kind]int64 `json:"violations,omitempty"`
	Examples []string       `json:"examples,omitempty"`
}

// OK reports whether nothing was broken.
func (r *Result) OK() bool { return len(r.Counts) == 0 }

func (r *Result) violation(k Kind, format string, args ...any) {
	if r.Counts == nil {
		r.Counts = make(map[Kind]int64)
	}
	if r.Counts[k]++; r.Counts[k] <= maxExamples {
		r.Examples = append(r.Examples, string(k)+": "+fmt.Sprintf(format, args...))
	}
}

// compare judges a reading of a topic by an earlier one, which must be its beginning.
func (r *Result) compare(earlier, later *reading) {
	for _, p := range slices.Sorted(maps.Keys(earlier.partitions)) {
		was, is := earlier.partitions[p], later.partitions[p]
		for i, s := range was {
			if i >= len(is) || is[i] != s {
				r.violation(Unsteady, "topic=%s partition=%d: record=%d was %+v and is another, of %d", later.topic, p, i, s, len(is))
				break
			}
		}
	}
}

func (r *Result) count(got *reading) {
	r.Readings++
	for _, p := range got.partitions {
		r.Read += int64(len(p))
	}
}

// judge judges the last reading of each topic, made at rest, by the ends of the input's partitions and by the journals.
func (r *Result) judge(ends map[int32]int64, last []*reading, all *sightings, j *journals) {
	for _, end := range ends {
		r.Inputs += end
	}
	for _, f := range j.attempts {
		switch f.outcome {
		case committed:
			r.Committed++
		case aborted:
			r.Aborted++
		default:
			r.Unknown++
		}
	}
	for _, s := range j.starts {
		r.Processes += int64(len(s))
	}
	r.judgeAttempts(all, j)
	var first map[input]int32
	for _, topic := range last {
		by := r.judgeTopic(ends, topic, all)
		if first == nil {
			first = by
		}
		for in, a := range by {
			if b, ok := first[in]; ok && a != b {
				r.violation(Torn, "input=%v attempts=%v and %v", in, all.attempts[b], all.attempts[a])
			}
		}
	}
}

// judgeAttempts looks at each attempt of which a reader was given anything.
func (r *Result) judgeAttempts(all *sightings, j *journals) {
	for i, a := range all.attempts {
		f, at := j.attempts[a], all.earliest[i]
		switch {
		case f == nil:
			r.violation(Early, "attempt=%v: its worker had not asked for anything", a)
			continue
		case f.asked == 0 || f.outcome == aborted:
			r.violation(Aborted, "attempt=%v", a)
			continue
		case at < f.asked:
			r.violation(Early, "attempt=%v: read %d ns before the commit was asked for", a, f.asked-at)
		}
		starts := j.starts[f.slot]
		own := slices.IndexFunc(starts, func(s start) bool { return s.process == a.process })
		if own >= 0 && own+1 < len(starts) && f.asked > starts[own+1].at {
			r.violation(Unfenced, "attempt=%v was asked for %d ns after process=%s had taken its place", a, f.asked-starts[own+1].at, starts[own+1].process)
		}
	}
}

// judgeTopic compares a whole topic with the inputs, and returns which attempt each is of.
func (r *Result) judgeTopic(ends map[int32]int64, topic *reading, all *sightings) map[input]int32 {
	by := make(map[input]int32)
	for _, p := range slices.Sorted(maps.Keys(topic.partitions)) {
		for _, s := range topic.partitions[p] {
			if s.input.offset < 0 || s.input.offset >= ends[s.input.partition] {
				r.violation(Foreign, "topic=%s partition=%d offset=%d: no such input=%v", topic.topic, p, s.offset, s.input)
				continue
			}
			if was, again := by[s.input]; again {
				r.violation(Duplicate, "topic=%s partition=%d offset=%d input=%v attempts=%v and %v", topic.topic, p, s.offset, s.input, all.attempts[was], all.attempts[s.attempt])
			}
			by[s.input] = s.attempt
		}
	}
	for _, p := range slices.Sorted(maps.Keys(ends)) {
		for at := range ends[p] {
			if _, ok := by[input{p, at}]; !ok {
				r.violation(Missing, "topic=%s input partition=%d offset=%d", topic.topic, p, at)
			}
		}
	}
	return by
}
