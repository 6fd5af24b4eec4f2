package coordinator

import (
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

// Machine is the state of one shard and the rules that change it. Its methods
// are called by one goroutine, and none of them blocks, reads a clock, starts a
// goroutine, or depends on the order of a map.
type Machine interface {
	// Replay applies one committed record while the shard loads; value nil is a tombstone.
	// The records of control batches come too.
	// Key and value are valid during the call only. An error means that the record
	// cannot be understood: it is logged, counted and skipped.
	Replay(batch record.Batch, offset int64, key, value []byte) error
	// Loaded is called once after the replay. Its Outcome may set timers and
	// follow up with events, but has no records.
	Loaded(now time.Time) Outcome
	// Decide is pure: it changes nothing but what Outcome.Apply will change.
	Decide(ev Event, now time.Time) Outcome
	// Fire makes the event of a timer that is due; false if it is of no interest any more.
	Fire(key TimerKey) (Event, bool)
	// Unload answers all calls that are parked in the state, which is then dropped.
	Unload(err error) []Reply
}

// Access is how an event uses its key. See the package's page.
type Access uint8

const (
	// Read events see the committed state, have no records and never wait.
	Read Access = iota
	// Share events may be under way together.
	Share
	// Exclusive events are under way alone.
	Exclusive
)

// Event is something that a Machine decides about.
type Event struct {
	// Key is what the decision is about; empty for events about all keys, which are Read.
	Key    string
	Access Access
	// Body is the machine's own.
	Body any
	// Call is whoever waits for an answer; nil if nobody does.
	Call *Call
	// Refuse makes the answer for a reason in this package's errors. Not nil when Call is not.
	Refuse func(err error) any
}

// refuse answers the event's call, if it has one, with err.
func (ev *Event) refuse(err error) {
	if ev.Call != nil {
		ev.Call.Answer(ev.Refuse(err))
	}
}

// Outcome is a decision. With no Records it takes effect at once; otherwise when
// they are committed, whole; and not at all when they are not.
type Outcome struct {
	Records []Record
	// Producer has the records written as part of a producer's transaction, in a batch of
	// their own; nil for all others.
	Producer *Producer
	// Apply installs the new state; nil if nothing changes.
	Apply func()
	// ApplyAt is called after Apply with the offset of the first record, for
	// machines that must know what of the log they still need; it may be nil.
	ApplyAt func(offset int64)
	// Replies are delivered after Apply. One to the event's own call is among
	// them, unless Apply parked that call in the state.
	Replies []Reply
	// Timers are set or cancelled after Apply, in order.
	Timers []Timer
	// Follow are events to be decided afterwards.
	Follow []Event
	// Again asks for the same event to be decided once more, before all others
	// that wait for its key: for work too large for one batch.
	Again bool
}

// Producer is whose transaction records belong to. Guard is what the log gave out when it was
// verified that the transaction is open; the log's own.
type Producer struct {
	ID    int64
	Epoch int16
	Guard uint64
}

// Record is a key and a value for the log; a nil value is a tombstone.
type Record struct{ Key, Value []byte }

// Reply is an answer on its way to a call.
type Reply struct {
	To   *Call
	Body any
}

// Timer sets or, with a zero At, cancels the timer of a key. A key has one timer.
type Timer struct {
	Key TimerKey
	At  time.Time
	// Keep leaves a timer that is set as it is.
	Keep bool
}

// TimerKey names a timer. Its parts are the machine's own.
type TimerKey struct {
	Kind      uint8
	Key, Name string
}

// Call is a request that waits for its answer. The first answer counts, all
// later ones are dropped: a request that timed out may still be committed. It is
// used by one goroutine at a time: the submitter's, then the shard's.
type Call struct {
	answer   func(any)
	release  func()
	answered bool
}

// NewCall returns a call whose first answer goes to answer, which must not block.
func NewCall(answer func(any)) *Call { return &Call{answer: answer} }

// Answer delivers body unless the call was answered before.
func (c *Call) Answer(body any) {
	if c.answered {
		return
	}
	c.answered = true
	if c.release != nil {
		c.release()
	}
	c.answer(body)
}
