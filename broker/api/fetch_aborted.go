package api

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/wire"
)

// A consumer that reads committed records gets the aborted ones, too, and is told which they are: for each
// aborted transaction that overlaps the records, its producer and first offset. From there on it drops the
// producer's records until it meets the marker.
//
//	                    seam: what the disk has no more          high watermark
//	  section indexes     │   index in memory                        │
//	  ────────────────────┼──────────────────────────────────────────┤
//	     markers found there │ and here, for a transaction that spans the seam

// abortedLocal adds the aborted transactions to records that the disk gave, which end at to. It reports
// whether the part has something to say that cannot wait.
func (op *fetchOp) abortedLocal(part *fetchPart, to int64) bool {
	txns, since := part.p.Aborted(nil, part.offset, to)
	if since > part.offset {
		var err error
		if txns, err = part.p.ScanAborted(part.offset, to); err != nil {
			part.drop()
			if errors.Is(err, partition.ErrCold) {
				part.cold = true // freed a moment ago
				return false
			}
			part.fail(errorCode(err))
			op.api.logger.Error("fetch failed: aborted transactions are not known", "topic", part.topic, "partition", part.id.Partition, "offset", part.offset, "error", err)
			return true
		}
	}
	part.setAborted(txns)
	return false
}

// abortedCold adds the aborted transactions to records from the object store, which end at to.
func (op *fetchOp) abortedCold(ctx context.Context, part *fetchPart, to int64) {
	txns, err := op.api.abortedBoth(ctx, part, to)
	if err != nil {
		part.drop()
		part.resp.ErrorCode = errorCode(err)
		op.api.metrics.coldErrors.Inc()
		op.api.logger.WarnContext(ctx, "read from the object store failed: aborted transactions are not known", "topic", part.topic, "partition", part.id.Partition, "offset", part.offset, "error", err)
		return
	}
	part.setAborted(txns)
}

// maxSeamLooks bounds how often the seam between the tiers is looked for, which moves with each upload.
const maxSeamLooks = 8

// errSeamMoves says that the object store took more than could be looked at.
var errSeamMoves = errors.New("the end of the object store moves faster than it is read")

// abortedBoth asks both tiers: first the object store, whose end moves up, then memory, whose begin does.
func (a *API) abortedBoth(ctx context.Context, part *fetchPart, to int64) ([]partition.AbortedTxn, error) {
	for range maxSeamLooks {
		txns, until, err := a.History.Aborted(ctx, part.id, part.offset, to)
		if err != nil {
			return nil, err
		}
		if until == math.MaxInt64 {
			return txns, nil
		}
		txns = slices.DeleteFunc(txns, func(t partition.AbortedTxn) bool { return t.LastOffset >= until }) // memory has those, too
		local, since := part.p.Aborted(nil, max(part.offset, until), to)
		if since > until {
			continue // what memory has not any more is in the object store by now
		}
		for _, t := range local {
			if t.LastOffset >= until {
				txns = append(txns, t)
			}
		}
		return txns, nil
	}
	return nil, errSeamMoves
}

func (part *fetchPart) setAborted(txns []partition.AbortedTxn) {
	part.aborted = part.aborted[:0]
	for _, t := range txns {
		part.aborted = append(part.aborted, wire.AbortedTransaction{ProducerID: t.ProducerID, FirstOffset: t.FirstOffset})
	}
}
