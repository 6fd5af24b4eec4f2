package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// decision is what becomes of one wish for another state of a partition.
type decision struct {
	change command.PartitionChange
	needed bool // false: the partition is as wished
	err    error
}

// maxDecisions is how often a wish is decided about. Every time but the first,
// somebody else has changed the very same partition between the decision and its
// place in the log; that this goes on is no accident any more, and the client had
// better ask later.
const maxDecisions = 8

var (
	errOvertaken = fmt.Errorf("%w: the partition changes faster than it can be decided about", kerr.RequestTimedOut)
	errNoAnswer  = errors.New("a change of a partition was not answered")
)

// changePartitions carries out wishes 0 to n-1 and returns what became of each.
// decide is called with those that are open and returns one decision for each; it
// is called again, on an image that is newer, for those that another change
// overtook.
func (a *API) changePartitions(ctx context.Context, n int, decide func(m *metadata.Image, open []int) []decision) []error {
	errs := make([]error, n)
	open := make([]int, n)
	for i := range open {
		open[i] = i
	}
	for range maxDecisions {
		var changes []command.PartitionChange
		var proposed []int
		for i, d := range decide(a.Metadata.Image(), open) {
			errs[open[i]] = d.err
			if d.err == nil && d.needed {
				changes, proposed = append(changes, d.change), append(proposed, open[i])
			}
		}
		if len(changes) == 0 {
			return errs
		}
		results, err := a.Metadata.AlterPartitions(ctx, changes)
		if err == nil {
			err = errNoAnswer
		}
		var again []int
		for i, wish := range proposed {
			switch {
			case i >= len(results): // the command that had it failed
				errs[wish] = err
			case overtaken(results[i].Reason):
				errs[wish] = errOvertaken
				again = append(again, wish)
			default:
				errs[wish] = results[i].Reason.Err()
			}
		}
		if len(again) == 0 || ctx.Err() != nil {
			return errs
		}
		open = again
	}
	return errs
}

// overtaken reports whether a refusal says no more than that the decision was made
// on an image that was too old: of the partition, or of a broker in it.
func overtaken(r command.Reason) bool {
	return r == command.StaleEpoch || r == command.NoBroker || r == command.IneligibleReplica
}

// policy returns the settings on which leaders depend.
func (a *API) policy() controller.Policy {
	if a.Policy != nil {
		return a.Policy()
	}
	defaults, _ := a.settings().Topic(nil) // no settings, nothing to pass over
	return controller.Policy{MinISR: int(defaults.MinInsyncReplicas), Unclean: defaults.UncleanElection}
}
