package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"text/tabwriter"
)

// report prints the table and draws the picture.
func (b *bench) report(path string) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "measured\tunit\tTideline\tKafka\tratio (min … max)\ttarget\t")
	for _, r := range b.results.ratios {
		kafka, ratio := "", fmt.Sprintf("(%s … %s)", short(r.Min), short(r.Max))
		if r.Kafka != nil {
			kafka, ratio = figure(*r.Kafka, r.Theirs), fmt.Sprintf("%.2f (%.2f … %.2f)", r.Median, r.Min, r.Max)
		}
		target := ""
		switch {
		case r.AtMost != nil:
			target = fmt.Sprintf("≤ %g", *r.AtMost)
		case r.AtLeast != nil:
			target = fmt.Sprintf("≥ %g", *r.AtLeast)
		}
		if r.missed() {
			target += " missed"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", titleOf(r), r.Unit, figure(r.Tideline, r.Ours), kafka, ratio, target)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, note := range b.doubts() {
		fmt.Println(note)
	}
	if !slices.ContainsFunc(b.results.ratios, func(r Ratio) bool { return r.Kafka != nil }) {
		return nil
	}
	return os.WriteFile(path+".svg", picture(b.results.ratios), 0o644)
}

// figure is a median, with the range of what it is the median of where that is told.
func figure(median float64, of *Range) string {
	if of == nil {
		return short(median)
	}
	return fmt.Sprintf("%s (%s … %s)", short(median), short(of.Min), short(of.Max))
}

// short is a number with three digits, or with all that are before the point.
func short(v float64) string {
	if math.Abs(v) >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// doubts tells what in the run speaks against its figures.
func (b *bench) doubts() []string {
	var notes []string
	most := 0.0
	for _, s := range b.results.samples {
		most = max(most, s.Load)
	}
	if cores := b.results.stamp.Machine.Cores; most > 1.5*float64(cores) {
		notes = append(notes, fmt.Sprintf("the machine was shared: load average up to %.1f on %d cores; ratios of processor time hold, latencies and throughputs are those of a busy machine", most, cores))
	}
	for _, system := range []string{tidelineName, kafkaName} {
		late, p99 := b.results.figures("latency", system, "generator_late_p99_ms"), b.results.figures("latency", system, "p99")
		if len(late) > 0 && median(late) > median(p99)/4 {
			notes = append(notes, fmt.Sprintf("%s: a quarter or more of the p99 is the generator's own lateness (p99 %.2f ms of %.2f ms)", system, median(late), median(p99)))
		}
	}
	return notes
}

func titleOf(r Ratio) string {
	for _, s := range scenarios {
		for _, m := range s.metrics {
			if m.scenario == r.Scenario && m.key == r.Metric {
				return m.title
			}
		}
	}
	return r.Scenario + " " + r.Metric
}
