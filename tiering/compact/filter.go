package compact

import (
	"fmt"

	"github.com/tidelinehq/tideline/internal/record"
)

// MaxBatchBytes bounds the records of one batch, decompressed: four times what a broker takes in while max.message.bytes is
// not raised.
const MaxBatchBytes = 256 << 20

// LastRecord is what the log has to keep of an active producer.
type LastRecord struct {
	DataOffset int64 // last offset of its last batch of records; -1 when the log has none
	Epoch      int16
}

// Filter decides about the batches of a log, from the log start on and in order.
type Filter struct {
	Keys      *Keys
	End       int64 // Keys knows all keys below it; records at or above stay
	Txns      *Txns
	Producers map[int64]LastRecord // active ones
	Now       int64                // ms
	Retention int64                // delete.retention.ms

	Stats Stats

	builder record.Builder
	kept    []record.Record
}

// Stats are sums over what a Filter has seen.
type Stats struct {
	BatchesRead, BatchesKept int64
	RecordsRead, RecordsKept int64
	Changed                  int64 // batches that are not what they were, or gone
	// Horizon is the time in ms from which on all tombstones and markers that stay, and that have a horizon, may go; 0: none has.
	Horizon int64
}

// Append appends what stays of the next batch to dst. last: it is the last batch of a new segment.
func (f *Filter) Append(dst []byte, b record.Batch, last bool) ([]byte, error) {
	f.Stats.BatchesRead++
	f.Stats.RecordsRead += int64(b.Count())
	horizon := int64(0)
	if b.DeleteHorizon() {
		horizon = b.FirstTimestamp()
	}
	discard, idle := false, false // idle: a marker without a transaction
	if b.Control() {
		var err error
		if idle, err = f.Txns.Control(b); err != nil {
			return dst, fmt.Errorf("control batch offset=%d: %w", b.BaseOffset(), err)
		}
		discard = idle && horizon > 0 && horizon <= f.Now
	} else {
		discard = f.Txns.Data(b)
	}

	kept, tombstones := f.kept[:0], false
	defer func() {
		clear(kept) // hold no memory of batches
		f.kept = kept[:0]
	}()
	if !discard {
		for r, err := range b.Records(MaxBatchBytes) {
			if err != nil {
				return dst, fmt.Errorf("batch offset=%d: %w", b.BaseOffset(), err)
			}
			if b.Control() || f.keep(&r, horizon) {
				kept = append(kept, r)
				tombstones = tombstones || r.Value == nil
			}
		}
	}
	if len(kept) == 0 {
		if !last && !f.lastOf(b) {
			f.Stats.Changed++
			return dst, nil
		}
		f.Stats.BatchesKept++
		if b.Count() == 0 {
			return append(dst, b...), nil
		}
		f.Stats.Changed++
		return record.AppendEmpty(dst, b), nil
	}

	f.Stats.BatchesKept++
	f.Stats.RecordsKept += int64(len(kept))
	fresh := false
	if tombstones || idle {
		if horizon == 0 {
			// At least one millisecond: 0 says that there is none.
			horizon, fresh = max(f.Now+min(f.Retention, maxRetention), 1), true
		}
		f.Stats.Horizon = max(f.Stats.Horizon, horizon)
	}
	if !fresh && len(kept) == int(b.Count()) {
		return append(dst, b...), nil
	}
	f.Stats.Changed++
	return f.rebuild(dst, b, kept, horizon)
}

// maxRetention keeps horizons within what a timestamp holds.
const maxRetention = 1 << 52

// keep decides about one record of a batch that was not aborted.
func (f *Filter) keep(r *record.Record, horizon int64) bool {
	switch {
	case r.Offset >= f.End:
		return true
	case r.Key == nil:
		return false
	case r.Offset < f.Keys.Last(r.Key):
		return false
	}
	return r.Value != nil || horizon == 0 || f.Now < horizon
}

// lastOf reports whether the batch has the last sequence, or failing that the epoch, of an active producer.
func (f *Filter) lastOf(b record.Batch) bool {
	last, active := f.Producers[b.ProducerID()]
	switch {
	case !active || b.ProducerID() < 0:
		return false
	case last.DataOffset >= 0:
		return b.LastOffset() == last.DataOffset
	}
	return b.Control() && b.ProducerEpoch() == last.Epoch
}

// rebuild appends the batch with some of its records.
func (f *Filter) rebuild(dst []byte, b record.Batch, kept []record.Record, horizon int64) ([]byte, error) {
	f.builder.Reset(record.Options{
		Codec: b.Codec(), BaseOffset: b.BaseOffset(), LeaderEpoch: b.LeaderEpoch(),
		ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), Sequence: b.BaseSequence(),
		Transactional: b.Transactional(), Control: b.Control(),
		LogAppendTime: b.LogAppendTime(), AppendTime: b.MaxTimestamp(), DeleteHorizon: horizon,
	})
	for i := range kept {
		if err := f.builder.AddAt(kept[i]); err != nil {
			return dst, fmt.Errorf("batch offset=%d: %w", b.BaseOffset(), err)
		}
	}
	if err := f.builder.SetLastOffset(b.LastOffset()); err != nil {
		return dst, fmt.Errorf("batch offset=%d: %w", b.BaseOffset(), err)
	}
	return f.builder.AppendTo(dst), nil
}
