package linear

import (
	"fmt"
	"maps"
	"math"
	"slices"
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
	Pages     map[string]string `json:"-"`                   // of the first illegal topics: a picture of the history, as HTML
}

// OK tells whether every history was explained.
func (r *Result) OK() bool { return len(r.Illegal) == 0 && len(r.Undecided) == 0 }

// maxPages bounds the pictures.
const maxPages = 5

// Check looks for an order that explains each topic's history, for at most the time given for each.
func Check(history []Op, within time.Duration) (*Result, error) {
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
