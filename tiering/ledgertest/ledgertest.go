package ledgertest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// MaxHot is the number of hot entries beyond which a commit is refused.
const MaxHot = 256

// ErrLost is what a caller gets when the answer to its command was lost, be it before or after the command was applied.
var ErrLost = errors.New("no answer from the ledger")

// Fault is what happens to one command.
type Fault int

// The faults.
const (
	None      Fault = iota
	Refuse          // a definite no, nothing applied
	LostFirst       // no answer, nothing applied
	LostReply       // no answer, applied
)

// State is the replicated state. For concurrent use.
type State struct {
	// Fault, when set, decides about each command. Set it before use.
	Fault func(command string) Fault

	mu      sync.Mutex
	parts   map[manifest.ID]*partition
	intents map[[16]byte]*intent
	refs    map[[16]byte]int64 // of closed uploads
	kinds   map[[16]byte]objstore.Kind
	garbage map[[16]byte]time.Time
	purges  map[[16]byte]map[int32]manifest.Ledger
	applied map[string]int
	faults  []error // references that went below zero and the like
}

type partition struct {
	epoch  int32
	ledger manifest.Ledger
}

type intent struct {
	kind   objstore.Kind
	broker int32
	refs   int64
}

// New makes an empty state.
func New() *State {
	return &State{
		parts: map[manifest.ID]*partition{}, intents: map[[16]byte]*intent{}, refs: map[[16]byte]int64{}, kinds: map[[16]byte]objstore.Kind{},
		garbage: map[[16]byte]time.Time{}, purges: map[[16]byte]map[int32]manifest.Ledger{}, applied: map[string]int{},
	}
}

// Create makes a partition, led in the given epoch.
func (s *State) Create(id manifest.ID, epoch int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[id] = &partition{epoch: epoch, ledger: manifest.Ledger{MaxTimestamp: -1, MaxTimestampOffset: -1}}
}

// SetEpoch is a change of leader.
func (s *State) SetEpoch(id manifest.ID, epoch int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[id].epoch = epoch
}

// SetLogStart is DeleteRecords: the log start moves, nothing is released yet.
func (s *State) SetLogStart(id manifest.ID, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := &s.parts[id].ledger; offset > l.LogStart {
		l.LogStart = offset
		l.Generation++
	}
}

// DeleteTopic leaves a purge entry.
func (s *State) DeleteTopic(topic [16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := map[int32]manifest.Ledger{}
	for id, p := range s.parts {
		if id.Topic == topic {
			left[id.Partition] = p.ledger
			delete(s.parts, id)
		}
	}
	s.purges[topic] = left
}

// Applied tells how many commands of a name were applied.
func (s *State) Applied(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied[command]
}

// Ledgers returns every partition, those of deleted topics included.
func (s *State) Ledgers() map[manifest.ID]manifest.Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[manifest.ID]manifest.Ledger{}
	for id, p := range s.parts {
		out[id] = p.ledger
	}
	for topic, left := range s.purges {
		for i, l := range left {
			out[manifest.ID{Topic: topic, Partition: i}] = l
		}
	}
	return out
}

// References returns the reference count of every object that has one.
func (s *State) References() map[[16]byte]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := maps.Clone(s.refs)
	for o, i := range s.intents {
		if i.refs > 0 {
			out[o] = i.refs
		}
	}
	return out
}

// Check returns the first invariant that was broken, or nil.
func (s *State) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) > 0 {
		return s.faults[0]
	}
	for id, p := range s.parts {
		if err := p.ledger.Check(); err != nil {
			return fmt.Errorf("partition=%v: %w", id, err)
		}
	}
	for o := range s.garbage {
		if s.refs[o] > 0 {
			return fmt.Errorf("object %x is garbage with %d references", o, s.refs[o])
		}
	}
	return nil
}

func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: %w", tiering.ErrRefused, fmt.Errorf(format, args...))
}

// begin takes the lock, unless the command is lost or refused before; done gives the lock back and loses the reply.
func (s *State) begin(ctx context.Context, command string) (done func(error) error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := None
	if s.Fault != nil {
		f = s.Fault(command)
	}
	switch f {
	case Refuse:
		return nil, refusal("by the test")
	case LostFirst:
		return nil, ErrLost
	}
	s.mu.Lock()
	return func(err error) error {
		s.applied[command]++
		s.mu.Unlock()
		if f == LostReply {
			return ErrLost
		}
		return err
	}, nil
}

func (s *State) closeIntent(o [16]byte, due time.Time) {
	i := s.intents[o]
	delete(s.intents, o)
	s.kinds[o] = i.kind
	if i.refs == 0 {
		s.garbage[o] = due
	} else {
		s.refs[o] = i.refs
	}
}

// canDrop reports whether the references are there, drop takes them.
func (s *State) canDrop(want map[[16]byte]int64) bool {
	for o, n := range want {
		have := s.refs[o]
		if i := s.intents[o]; i != nil {
			have = i.refs
		}
		if n <= 0 || have < n {
			s.faults = append(s.faults, fmt.Errorf("release of %d references to %x, which has %d", n, o, have))
			return false
		}
	}
	return true
}

func (s *State) drop(want map[[16]byte]int64, due time.Time) {
	for o, n := range want {
		if i := s.intents[o]; i != nil {
			i.refs -= n
			continue
		}
		if s.refs[o] -= n; s.refs[o] == 0 {
			delete(s.refs, o)
			s.garbage[o] = due
		}
	}
}

// Broker is the ledger as one broker sees it.
func (s *State) Broker(id int32, cleaner bool) *Broker {
	return &Broker{State: s, id: id, cleaner: cleaner}
}

// Broker implements tiering.Ledger.
type Broker struct {
	*State
	id      int32
	cleaner bool
}

var _ tiering.Ledger = (*Broker)(nil)

// View implements tiering.Ledger.
func (b *Broker) View(topic [16]byte, index int32) (manifest.Ledger, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.parts[manifest.ID{Topic: topic, Partition: index}]
	if !ok {
		return manifest.Ledger{}, false
	}
	return p.ledger, true
}

// Generation implements tiering.Ledger.
func (b *Broker) Generation(topic [16]byte, index int32) (uint64, bool) {
	v, ok := b.View(topic, index)
	return v.Generation, ok
}

// Intents implements tiering.Ledger.
func (b *Broker) Intents() []tiering.Intent {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []tiering.Intent
	for o, i := range b.intents {
		if i.broker == b.id {
			out = append(out, tiering.Intent{Object: o, Kind: i.kind})
		}
	}
	slices.SortFunc(out, func(a, b tiering.Intent) int { return bytes.Compare(a.Object[:], b.Object[:]) })
	return out
}

// AllIntents returns the open uploads of all brokers.
func (s *State) AllIntents() [][16]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.intents))
}

// Cleaner implements tiering.Ledger.
func (b *Broker) Cleaner() bool { return b.cleaner }

// Garbage implements tiering.Ledger. The kind is not told, as the Raft state does not have it.
func (b *Broker) Garbage() iter.Seq[tiering.Garbage] {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]tiering.Garbage, 0, len(b.garbage))
	for o, due := range b.garbage {
		out = append(out, tiering.Garbage{Object: o, Due: due})
	}
	slices.SortFunc(out, func(a, b tiering.Garbage) int {
		return cmp.Or(a.Due.Compare(b.Due), bytes.Compare(a.Object[:], b.Object[:]))
	})
	return slices.Values(out)
}

// Purges implements tiering.Ledger.
func (b *Broker) Purges() iter.Seq[tiering.Purge] {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []tiering.Purge
	for topic, left := range b.purges {
		p := tiering.Purge{Topic: topic}
		for _, i := range slices.Sorted(maps.Keys(left)) {
			p.Partitions = append(p.Partitions, tiering.PurgePartition{Partition: i, Ledger: left[i]})
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b tiering.Purge) int { return bytes.Compare(a.Topic[:], b.Topic[:]) })
	return slices.Values(out)
}
