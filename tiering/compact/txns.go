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
	kept      []segment.AbortedTxn // see Kept
}

type abortedTxn struct {
	segment.AbortedTxn
	met  bool // a batch of it
	kept bool // is in Txns.kept
}

func (t *Txns) keep(a *abortedTxn) {
	if !a.kept {
		a.kept = true
		t.kept = append(t.kept, a.AbortedTxn)
	}
}

// NewTxns takes all aborted transactions that overlap what will be read, which begins at from, in any order and any number of
// times. Those that ended before are left out: their markers will not be met.
func NewTxns(aborted []segment.AbortedTxn, from int64) *Txns {
	ahead := slices.DeleteFunc(slices.Clone(aborted), func(a segment.AbortedTxn) bool { return a.LastOffset < from })
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
		t.keep(a)
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
			t.keep(a)
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

// Kept returns the aborted transactions that the list of a new segment has to have, by last offset: those of which a batch or,
// after batches, the marker was met since the last call. Their records are gone, but a reader that still has the segments
// before asks the new one which of them were aborted. The list lets go of a transaction in the next round, when no batch of it is met
// any more; its marker goes in a later one. An entry without its marker would have readers drop what the producer wrote after.
func (t *Txns) Kept() []segment.AbortedTxn {
	kept := t.kept
	t.kept = nil
	for _, a := range t.aborted {
		a.kept = false
	}
	slices.SortFunc(kept, func(a, b segment.AbortedTxn) int {
		return cmp.Or(cmp.Compare(a.LastOffset, b.LastOffset), cmp.Compare(a.FirstOffset, b.FirstOffset))
	})
	return kept
}
