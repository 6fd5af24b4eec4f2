package linear

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"sort"
	"time"

	"github.com/anishathalye/porcupine"
)

// Result is what a check of a history found.
type Result struct {
	Kind      string            `json:"kind"` // "verify-metadata"
	Time      time.Time         `json:"time"`
	Command   string            `json:"command,omitempty"`
	Topics    int               `json:"topics"`
	Ops       int               `json:"ops"`
	Outcomes  map[string]int    `json:"outcomes"`            // by operation and outcome
	Illegal   []string          `json:"illegal,omitempty"`   // topics whose history nothing explains
	Undecided []string          `json:"undecided,omitempty"` // topics whose history took too long
	Explained []Inexplicable    `json:"explained,omitempty"` // of the first illegal topics
	Pages     map[string]string `json:"-"`                   // and of each a picture of the history, as HTML
}

// OK tells whether every history was explained.
func (r *Result) OK() bool { return len(r.Illegal) == 0 && len(r.Undecided) == 0 }

// Inexplicable is the answer that made a history illegal, and those that came just before it.
type Inexplicable struct {
	Topic  string   `json:"topic"`
	Before []string `json:"before"`
	Answer string   `json:"answer"`
}

const (
	maxPages  = 5 // topics that are explained
	maxBefore = 6 // answers that are shown before the one that cannot be
)

// CheckOptions say how a history is checked.
type CheckOptions struct {
	Within time.Duration // the search in the history of one topic; a minute
	// StaleRefusals lets a broker refuse a write on account of an earlier state, as it may answer a read. That is less than what is
	// promised; it shows what else is wrong with a cluster that does so.
	StaleRefusals bool
}

// Check looks for an order that explains each topic's history.
func Check(history []Op, o CheckOptions) (*Result, error) {
	within, model := o.Within, newModel(o.StaleRefusals)
	if within == 0 {
		within = time.Minute
	}
	r := &Result{Kind: "verify-metadata", Time: time.Now().UTC().Truncate(time.Millisecond), Ops: len(history), Outcomes: map[string]int{}, Pages: map[string]string{}}
	byTopic := map[string][]porcupine.Operation{}
	for _, o := range history {
		r.Outcomes[string(o.Kind)+" "+string(o.Outcome)]++
		end := o.Return
		if o.Outcome == Unknown {
			if o.read() {
				continue // it says nothing
			}
			end = math.MaxInt64
		}
		byTopic[o.Topic] = append(byTopic[o.Topic], porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: end})
	}
	r.Topics = len(byTopic)
	for _, name := range slices.Sorted(maps.Keys(byTopic)) {
		verdict, info := porcupine.CheckOperationsVerbose(model, byTopic[name], within)
		switch verdict {
		case porcupine.Ok:
			continue
		case porcupine.Unknown:
			r.Undecided = append(r.Undecided, name)
		case porcupine.Illegal:
			r.Illegal = append(r.Illegal, name)
			if len(r.Explained) < maxPages {
				r.Explained = append(r.Explained, inexplicable(model, name, byTopic[name], within))
			}
		}
		if len(r.Pages) < maxPages {
			var page page
			if err := porcupine.Visualize(model, info, &page); err != nil {
				return nil, fmt.Errorf("draw the history of topic=%s: %w", name, err)
			}
			r.Pages[name] = string(page)
		}
	}
	return r, nil
}

// page is a picture in memory: a history has a bounded number of operations, and so has its picture.
type page []byte

func (p *page) Write(b []byte) (int, error) {
	*p = append(*p, b...)
	return len(b), nil
}

// inexplicable finds the first answer after which no order explains the answers so far, whatever the operations under way at that time did.
func inexplicable(model porcupine.Model, name string, history []porcupine.Operation, within time.Duration) Inexplicable {
	byReturn := slices.SortedFunc(slices.Values(history), func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	known := func(n int) []porcupine.Operation {
		out := slices.Clone(byReturn[:n])
		for _, op := range byReturn[n:] {
			if o := op.Input.(Op); op.Call <= byReturn[n-1].Return && !o.read() {
				o.Outcome, op.Return = Unknown, math.MaxInt64
				op.Input = o
				out = append(out, op)
			}
		}
		return out
	}
	n := 1 + sort.Search(len(byReturn)-1, func(i int) bool {
		return porcupine.CheckOperationsTimeout(model, known(i+1), within) == porcupine.Illegal
	})
	found := Inexplicable{Topic: name, Answer: told(byReturn[n-1])}
	for _, op := range byReturn[max(0, n-1-maxBefore) : n-1] {
		found.Before = append(found.Before, told(op))
	}
	return found
}

func told(op porcupine.Operation) string {
	o := op.Input.(Op)
	return fmt.Sprintf("%.3f-%.3f ms client=%d %v", float64(o.Call)/1e6, float64(o.Return)/1e6, o.Client, o)
}
