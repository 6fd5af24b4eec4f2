package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/loadtest/latency"
)

// Sample is one measurement of one broker: one line of the results.
type Sample struct {
	Kind     string               `json:"kind"` // "sample"
	Time     time.Time            `json:"time"`
	Commit   string               `json:"commit"`
	Machine  Machine              `json:"machine"`
	Command  string               `json:"command"`
	Seed     uint64               `json:"seed"`
	Load     float64              `json:"load_average"` // of the machine, just before
	Scenario string               `json:"scenario"`
	System   string               `json:"system"`
	Round    int                  `json:"round"`
	Values   map[string]float64   `json:"values"`
	Latency  *latency.Percentiles `json:"latency_ms,omitempty"`
}

// Ratio compares the two brokers over all rounds, or one figure with its target: one line of the table and of the results.
type Ratio struct {
	Kind     string    `json:"kind"` // "ratio", or "figure" where there is no peer
	Time     time.Time `json:"time"`
	Commit   string    `json:"commit"`
	Command  string    `json:"command"`
	Scenario string    `json:"scenario"`
	Metric   string    `json:"metric"`
	Unit     string    `json:"unit"`     // of the absolute figures
	Tideline float64   `json:"tideline"` // medians
	Kafka    *float64  `json:"kafka,omitempty"`
	Ours     *Range    `json:"tideline_range,omitempty"` // where rounds are not compared one by one
	Theirs   *Range    `json:"kafka_range,omitempty"`
	Min      float64   `json:"min"`
	Median   float64   `json:"median"`
	Max      float64   `json:"max"`
	Rounds   int       `json:"rounds"`
	AtMost   *float64  `json:"at_most,omitempty"`
	AtLeast  *float64  `json:"at_least,omitempty"`
}

// Range is the smallest and the largest figure of one broker.
type Range struct {
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

// missed tells whether there is a target and the median is not within it.
func (r *Ratio) missed() bool {
	return r.AtMost != nil && r.Median > *r.AtMost || r.AtLeast != nil && r.Median < *r.AtLeast
}

// metric is a row of the table: a figure of a scenario, and what is asked of it.
type metric struct {
	scenario, key, title, unit string
	atMost, atLeast            float64 // of the ratio, or of the figure where there is no peer; 0: no target
	// apart: the rounds of the two are not neighbours in time, so the ratio is that of the medians, and its range what the
	// smallest and the largest figures allow.
	apart bool
}

// recorder keeps all samples and writes each as it comes: a run that is broken off leaves what it has.
type recorder struct {
	file    *os.File
	stamp   Sample // what all samples share
	samples []Sample
	ratios  []Ratio
}

func newRecorder(path string, stamp Sample) (*recorder, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &recorder{file: file, stamp: stamp}, nil
}

func (r *recorder) write(line any) error {
	raw, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = r.file.Write(append(raw, '\n'))
	return err
}

func (r *recorder) add(scenario, system string, round int, load float64, values map[string]float64, seen *latency.Percentiles) error {
	s := r.stamp
	s.Kind, s.Time, s.Load = "sample", time.Now().UTC().Truncate(time.Millisecond), load
	s.Scenario, s.System, s.Round, s.Values, s.Latency = scenario, system, round, values, seen
	r.samples = append(r.samples, s)
	return r.write(s)
}

// figures are the values of one figure, in rounds.
func (r *recorder) figures(scenario, system, key string) []float64 {
	var out []float64
	for _, s := range r.samples {
		if v, ok := s.Values[key]; ok && s.Scenario == scenario && s.System == system {
			out = append(out, v)
		}
	}
	return out
}

// conclude works out the row of a metric, if both (or, without a peer, one) were measured.
func (r *recorder) conclude(m metric) error {
	ours, theirs := r.figures(m.scenario, tidelineName, m.key), r.figures(m.scenario, kafkaName, m.key)
	if len(ours) == 0 || len(theirs) != 0 && len(theirs) != len(ours) && !m.apart {
		return nil
	}
	row := Ratio{Kind: "figure", Time: time.Now().UTC().Truncate(time.Millisecond), Commit: r.stamp.Commit, Command: r.stamp.Command,
		Scenario: m.scenario, Metric: m.key, Unit: m.unit, Tideline: median(ours), Rounds: len(ours)}
	compared := slices.Clone(ours)
	if m.apart {
		row.Ours = rangeOf(ours)
	}
	if len(theirs) > 0 {
		row.Kind = "ratio"
		peer := median(theirs)
		row.Kafka = &peer
		if m.apart {
			row.Theirs = rangeOf(theirs)
			if row.Theirs.Min <= 0 {
				return fmt.Errorf("a figure of the peer is zero scenario=%s metric=%s", m.scenario, m.key)
			}
			compared = []float64{row.Ours.Min / row.Theirs.Max, row.Tideline / peer, row.Ours.Max / row.Theirs.Min}
		}
		for i := 0; i < len(compared) && !m.apart; i++ {
			if theirs[i] == 0 {
				return fmt.Errorf("a figure of the peer is zero scenario=%s metric=%s round=%d", m.scenario, m.key, i+1)
			}
			compared[i] /= theirs[i]
		}
	}
	row.Min, row.Median, row.Max = slices.Min(compared), median(compared), slices.Max(compared)
	if m.atMost > 0 {
		row.AtMost = &m.atMost
	}
	if m.atLeast > 0 {
		row.AtLeast = &m.atLeast
	}
	r.ratios = append(r.ratios, row)
	return r.write(row)
}

func rangeOf(values []float64) *Range { return &Range{slices.Min(values), slices.Max(values)} }

// median is the middle value, or the mean of the two middle ones.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
