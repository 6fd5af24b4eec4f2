package api

import (
	"context"
	"errors"

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
	seen   int64  // high watermark at the last look
	from   int64  // where to read
	cold   bool

	chunk    releaser
	records  [][]byte // of whole batches
	batches  []share.Range
	acquired []share.Acquisition
	err      error
}

func (part *sharePart) bytes() (n int) {
	for _, b := range part.records {
		n += len(b)
	}
	return n
}

// begin looks for partitions that have something to acquire. It returns how many there
// are, and whether one has an error to tell.
func (op *shareOp) begin() (began int, failed bool) {
	for i := range op.parts {
		part := &op.parts[i]
		*part = sharePart{id: part.id}
		if part.p, part.err = op.api.led(part.id); part.err != nil {
			failed = true
			continue
		}
		part.seen = part.p.HighWatermark()
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
// returns the bytes found, and how many partitions only the object store has.
func (op *shareOp) readLocals(began int) (bytes, cold int) {
	for i := range op.parts {
		part := &op.parts[i]
		if !part.began {
			continue
		}
		chunk, err := part.p.Read(part.from, op.partBytes(began), bytes == 0, op.isolation)
		switch {
		case errors.Is(err, partition.ErrCold):
			part.cold = true
			cold++
		case errors.Is(err, partition.ErrOffsetOutOfRange):
			// The log start has moved, of which the next look knows.
		case err != nil:
			part.err = err
		case chunk != nil:
			part.chunk, part.records = chunk, chunk.Buffers
			bytes += chunk.Bytes
		}
	}
	return bytes, cold
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
			op.api.logger.Warn("read from the object store failed", "topic", part.p.Topic(), "partition", part.id.Partition, "offset", part.from, "error", r.Err)
			continue
		}
		part.chunk, part.records = r.Chunk, r.Chunk.Buffers
	}
}

// acquire locks what was read, and keeps the batches of that. What is acquired counts
// against what the member wants.
func (part *sharePart) acquire(w *share.Wanted) {
	if part.err != nil || len(part.records) == 0 || w.Records <= 0 {
		part.records = nil
		return
	}
	if part.batches, part.err = batchesOf(part.records); part.err != nil {
		part.records = nil
		return
	}
	part.acquired = part.shares.Acquire(share.Fetched{From: part.from, Batches: part.batches}, *w)
	for _, a := range part.acquired {
		w.Records -= int(min(a.Last-a.First+1, int64(w.Records)))
	}
	part.records = within(part.records, part.acquired)
}

// batchesOf returns the offsets of the batches in buffers.
func batchesOf(buffers [][]byte) (out []share.Range, err error) {
	for _, b := range buffers {
		for batch, err := range record.All(b) {
			if err != nil {
				return nil, err
			}
			out = append(out, share.Range{First: batch.BaseOffset(), Last: batch.LastOffset()})
		}
	}
	return out, nil
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
		part := &op.parts[i]
		chunk := part.chunk
		part.chunk, part.records = nil, nil
		if chunk != nil {
			chunk.Release()
		}
	}
}
