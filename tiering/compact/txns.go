package compact

import (
	"cmp"
	"slices"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// Txns follows the transactions of a log, batch by batch, and says which of them were aborted and which markers nobody needs
// any more.
type Txns struct {
	ahead     []segment.AbortedTxn // not met yet, by first offset
	aborted   map[int64]*abortedTxn
	committed map[int64]struct{}
	kept      []segment.AbortedTxn
}

type abortedTxn struct {
	segment.AbortedTxn
	met bool // a batch of it
}

// NewTxns takes all aborted transactions that overlap what will be read, in any order and any number of times.
func NewTxns(aborted []segment.AbortedTxn) *Txns {
	ahead := slices.Clone(aborted)
	slices.SortFunc(ahead, func(a, b segment.AbortedTxn) int {
		return cmp.Or(cmp.Compare(a.FirstOffset, b.FirstOffset), cmp.Compare(a.ProducerID, b.ProducerID), cmp.Compare(a.LastOffset, b.LastOffset))
	})
	ahead = slices.CompactFunc(ahead, func(a, b segment.AbortedTxn) bool {
		return a.FirstOffset == b.FirstOffset && a.ProducerID == b.ProducerID
	})
	return &Txns{ahead: ahead, aborted: map[int64]*abortedTxn{}, committed: map[int64]struct{}{}}
}

// begin takes in the transactions that began up to an offset.
func (t *Txns) begin(upTo int64) {
	for len(t.ahead) > 0 && t.ahead[0].FirstOffset <= upTo {
		if a := t.ahead[0]; t.aborted[a.ProducerID] == nil {
			t.aborted[a.ProducerID] = &abortedTxn{AbortedTxn: a}
		}
		t.ahead = t.ahead[1:]
	}
}

// Data takes the next batch of records, and reports whether it was aborted.
func (t *Txns) Data(b record.Batch) bool {
	t.begin(b.LastOffset())
	if !b.Transactional() {
		return false
	}
	if a := t.aborted[b.ProducerID()]; a != nil {
		a.met = true
		return true
	}
	t.committed[b.ProducerID()] = struct{}{}
	return false
}

// Control takes the next control batch, and reports whether it may go: no batch of its transaction was met.
func (t *Txns) Control(b record.Batch) (bool, error) {
	t.begin(b.LastOffset())
	for r, err := range b.Records(MaxBatchBytes) {
		if err != nil {
			return false, err
		}
		kind, _, err := record.ParseControl(r)
		if err != nil {
			return false, err
		}
		switch id := b.ProducerID(); kind {
		case record.Abort:
			a := t.aborted[id]
			delete(t.aborted, id)
			if a == nil || !a.met {
				return true, nil
			}
			t.kept = append(t.kept, a.AbortedTxn)
			return false, nil
		case record.Commit:
			_, met := t.committed[id]
			delete(t.committed, id)
			return !met, nil
		}
		return false, nil // newer than this release
	}
	return true, nil // emptied before
}

// Kept returns the aborted transactions whose markers were met since the last call and stay, by last offset.
func (t *Txns) Kept() []segment.AbortedTxn {
	kept := t.kept
	t.kept = nil
	return kept
}
