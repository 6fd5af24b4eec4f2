package txn

// State is where a transactional id stands. The numbers are those of Kafka's records.
//
//	                         ┌──── partitions are added ────┐
//	           first         │                              │
//	(none) ──InitProducerId─▶ Empty ──partitions are added─▶ Ongoing ◀─┐ partitions
//	  ▲                      │ ▲ │                          │     │  └──┘ are added
//	  │                      │ │ │  aborted with nothing    │     │ abort, time-out,
//	  │  not used for long   │ │ │  in it (TV2)             │     │ a new instance
//	  ├──────────────────────┘ │ └─────────────┐     commit │     │
//	  │                        │               │            ▼     ▼
//	  │                        │ InitProducerId│  PrepareCommit  PrepareAbort ◀─┐
//	  │                        │               │            │     │ ▲           │ aborted with
//	  │                        │               └────────────┼─────┼─┘           │ nothing in
//	  │                        │                all markers │     │             │ it (TV2)
//	  │                        │                are written ▼     ▼             │
//	  └────────────────────────┴────────────── CompleteCommit    CompleteAbort ─┴─▶ Ongoing
//
// From PrepareCommit and PrepareAbort there is one way on, whoever leads: the transaction is
// decided. Dead is a transactional id whose tombstone is on its way, PrepareEpochFence an abort
// that the coordinator began and that is on its way; here both are decisions that hold the
// gate of their id, so they are states in other brokers' records only. Repeats that are legal
// for retries are answered from the state and are no transitions: EndTxn with the result
// that was reached.
type State int8

// The states.
const (
	Empty State = iota
	Ongoing
	PrepareCommit
	PrepareAbort
	CompleteCommit
	CompleteAbort
	Dead
	PrepareEpochFence
	numStates
)

var stateNames = [numStates]string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

// String is Kafka's name of the state.
func (s State) String() string { return stateNames[s] }

// legalFrom are the states from which each state may be entered.
var legalFrom = [numStates][]State{
	Empty:          {Empty, CompleteCommit, CompleteAbort},
	Ongoing:        {Ongoing, Empty, CompleteCommit, CompleteAbort},
	PrepareCommit:  {Ongoing},
	PrepareAbort:   {Ongoing, Empty, CompleteCommit, CompleteAbort},
	CompleteCommit: {PrepareCommit},
	CompleteAbort:  {PrepareAbort},
}

func (s State) mayFollow(from State) bool {
	for _, f := range legalFrom[s] {
		if f == from {
			return true
		}
	}
	return false
}

// decided says that markers are on their way.
func (s State) decided() bool { return s == PrepareCommit || s == PrepareAbort }

// idle says that no transaction is open: the id may begin one, or expire.
func (s State) idle() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }
