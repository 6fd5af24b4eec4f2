package api

import (
	"context"
	"errors"
	"slices"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// sharePart is one partition of a share fetch.
type sharePart struct {
	id     wal.ID
	p      *partition.Partition
	shares *share.Partition
	began  bool   // this fetch reads it, and nobody else does
	mark   uint64 // the state of the share partition at the last look
	seen   int64  // the end of what a member may have, at the last look
	from   int64  // where to read
	cold   bool

	chunk    releaser
	records  [][]byte // of whole batches
	held     int      // memory that the chunk takes until it is released, its bytes at least
	aborted  []partition.AbortedTxn
	acquired []share.Acquisition
	err      error
}

// beginAll looks for partitions that have something to acquire. It returns how many there
// are, and whether one has an error to tell.
func (op *shareOp) beginAll() (began int, failed bool) {
	for i := range op.parts {
		part := &op.parts[i]
		*part = sharePart{id: part.id}
		if part.err = op.c.mayShare(part.id); part.err != nil {
			failed = true
			continue
		}
		if part.p, part.err = op.api.led(part.id); part.err != nil {
			failed = true
			continue
		}
		part.seen = part.p.Limit(op.isolation)
		part.shares, part.from, part.began, part.mark, part.err = op.api.Shares.Begin(op.group, part.p)
		if part.err != nil {
			part.shares, failed = nil, true
			continue
		}
		if part.began {
			began++
		}
	}
	return began, failed
}

// partBytes is a partition's part of the answer.
func (op *shareOp) partBytes(began int) int { return int(op.granted) / max(began, 1) }

// readLocals reads what memory and disk have of the partitions that were begun. It
// returns the bytes found, how many partitions only the object store has, and whether one
// cannot be read.
func (op *shareOp) readLocals(began int) (bytes, cold int, failed bool) {
	for i := range op.parts {
		part := &op.parts[i]
		if !part.began {
			continue
		}
		chunk, err := part.p.ReadInTurn(op.api.ctx, part.from, op.partBytes(began), bytes == 0, op.isolation)
		switch {
		case errors.Is(err, partition.ErrCold):
			part.cold = true
			cold++
		case errors.Is(err, partition.ErrOffsetOutOfRange):
			// The log start has moved, of which the next look knows.
		case errors.Is(err, wal.ErrBusy):
			// The next look finds it less busy, or has waited.
		case err != nil:
			part.err = err
		case chunk != nil:
			part.chunk, part.records, part.held = chunk, chunk.Buffers, max(chunk.Bytes, chunk.Held())
			op.times.read(chunk)
			if op.isolation == partition.ReadCommitted && !part.abortedLocal(chunk.NextOffset) {
				cold++
				continue
			}
			bytes += chunk.Bytes
		}
		failed = failed || part.err != nil
	}
	return bytes, cold, failed
}

// readCold reads what only the object store has.
func (op *shareOp) readCold(ctx context.Context, began, n int) {
	requests := make([]HistoryRequest, 0, n)
	parts := make([]*sharePart, 0, n)
	for i := range op.parts {
		part := &op.parts[i]
		if !part.cold {
			continue
		}
		requests = append(requests, HistoryRequest{
			ID: part.id, Offset: part.from, Limit: part.p.Limit(op.isolation), MaxBytes: op.partBytes(began), AtLeastOne: true,
		})
		parts = append(parts, part)
	}
	for i, r := range op.api.History.ReadAll(ctx, requests, int(op.granted)) {
		part := parts[i]
		if r.Err != nil {
			if part.from < part.p.LogStart() {
				continue // deleted meanwhile
			}
			part.err = r.Err
			op.api.metrics.coldErrors.Inc()
			op.api.logger.WarnContext(ctx, "read from the object store failed", "topic", part.p.Topic(), "partition", part.id.Partition, "offset", part.from, "error", r.Err)
			continue
		}
		part.chunk, part.records, part.held = r.Chunk, r.Chunk.Buffers, r.Chunk.Bytes
		op.times.cold.Add(&r.Chunk.Stats)
		if op.isolation == partition.ReadCommitted {
			one := fetchPart{id: part.id, offset: part.from, p: part.p}
			if part.aborted, part.err = op.api.abortedBoth(ctx, &one, r.Chunk.NextOffset); part.err != nil {
				part.drop()
				op.api.metrics.coldErrors.Inc()
			}
		}
	}
}

// abortedLocal finds the aborted transactions of records of the local log, which end at
// to. It reports false when only the object store has them any more: then the records
// are dropped, and read there.
func (part *sharePart) abortedLocal(to int64) bool {
	var since int64
	if part.aborted, since = part.p.Aborted(nil, part.from, to); since <= part.from {
		return true
	}
	part.aborted, part.err = part.p.ScanAborted(part.from, to)
	if part.err == nil {
		return true
	}
	part.drop()
	if errors.Is(part.err, partition.ErrCold) {
		part.err, part.cold = nil, true
		return false
	}
	return true
}

// acquire locks what was read, and keeps the batches of that. What is acquired counts
// against what the member wants.
func (part *sharePart) acquire(w *share.Wanted) {
	if part.err != nil || len(part.records) == 0 || w.Records <= 0 {
		part.records = nil
		return
	}
	f, err := fetched(part.records, part.aborted)
	if err != nil {
		part.err, part.records = err, nil
		return
	}
	f.From = part.from
	part.acquired = part.shares.Acquire(f, *w)
	for _, a := range part.acquired {
		w.Records -= int(min(a.Last-a.First+1, int64(w.Records)))
	}
	part.records = within(part.records, part.acquired)
}

// fetched returns the offsets of the batches in buffers, and of those that belong to
// aborted transactions. Control batches are members' to pass over.
func fetched(buffers [][]byte, aborted []partition.AbortedTxn) (f share.Fetched, err error) {
	for _, b := range buffers {
		for batch, err := range record.All(b) {
			if err != nil {
				return f, err
			}
			r := share.Range{First: batch.BaseOffset(), Last: batch.LastOffset()}
			f.Batches = append(f.Batches, r)
			if batch.Transactional() && !batch.Control() && slices.ContainsFunc(aborted, func(t partition.AbortedTxn) bool {
				return t.ProducerID == batch.ProducerID() && t.FirstOffset <= r.First && r.First <= t.LastOffset
			}) {
				f.Hidden = append(f.Hidden, r)
			}
		}
	}
	return f, nil
}

// within returns the batches from the one with the first acquired record to the one with
// the last. The buffers were iterated before.
func within(buffers [][]byte, acquired []share.Acquisition) (out [][]byte) {
	if len(acquired) == 0 {
		return nil
	}
	first, last := acquired[0].First, acquired[len(acquired)-1].Last
	for _, b := range buffers {
		from, to := -1, 0
		at := 0
		for batch := range record.All(b) {
			if batch.LastOffset() >= first && batch.BaseOffset() <= last {
				if from < 0 {
					from = at
				}
				to = at + batch.Size()
			}
			at += batch.Size()
		}
		if from >= 0 {
			out = append(out, b[from:to])
		}
	}
	return out
}

// release gives back what the parts hold.
func (op *shareOp) release() {
	for i := range op.parts {
		op.parts[i].drop()
	}
}

// drop gives back what was read of a part.
func (part *sharePart) drop() {
	chunk := part.chunk
	part.chunk, part.records, part.held = nil, nil, 0
	if chunk != nil {
		chunk.Release()
	}
}
