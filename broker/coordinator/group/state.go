package group

import "strings"

// State is where a group stands.
//
//	                    first member joins
//	        ┌─▶ Empty ───────────────────▶ PreparingRebalance ◀──────────────────┐
//	        │    │                           │    ▲                              │
//	no member    │ deleted, or      all have │    │ join with new metadata,      │ member joins,
//	  is left    │ offsets expired  joined,  │    │ member leaves or fails       │ leaves or fails,
//	        │    ▼                  or time  ▼    │                              │ leader rejoins
//	        │   (none)              is up  CompletingRebalance ──────────────▶ Stable
//	        │                                │          leader's assignment
//	        └────────────────────────────────┘             is committed
//
// A group that is gone has no state; clients are told Dead. Repeats are legal
// for retries only where a request answers from the state (a follower's join or
// sync in Stable), never as a transition.
type State uint8

// The states, and how many there are.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	numStates
)

var stateNames = [numStates]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}

// dead is what clients are told about a group that is not there.
const dead = "Dead"

// String is Kafka's name of the state.
func (s State) String() string { return stateNames[s] }

// legalFrom are the states from which each state may be entered.
var legalFrom = [numStates][]State{
	Empty:               {PreparingRebalance},
	PreparingRebalance:  {Empty, CompletingRebalance, Stable},
	CompletingRebalance: {PreparingRebalance},
	Stable:              {CompletingRebalance},
}

func (s State) mayFollow(from State) bool {
	for _, f := range legalFrom[s] {
		if f == from {
			return true
		}
	}
	return false
}

// matchesFilter says whether name is in the filter of a ListGroups request; an
// empty filter lets all pass. Kafka ignores case.
func matchesFilter(filter []string, name string) bool {
	for _, f := range filter {
		if strings.EqualFold(f, name) {
			return true
		}
	}
	return len(filter) == 0
}
