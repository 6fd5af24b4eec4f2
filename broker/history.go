package broker

import (
	"context"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/wal"
)

// history serves from the object store: the ledger says where, the cold reader
// reads.
type history struct {
	meta    *metadataHandle
	locator *manifest.Locator
	reader  *tiering.Reader
}

func readRequest(q *api.HistoryRequest) tiering.ReadRequest {
	return tiering.ReadRequest{
		Topic: q.ID.Topic, Partition: q.ID.Partition, Offset: q.Offset, Limit: q.Limit, MaxBytes: q.MaxBytes, AtLeastOne: q.AtLeastOne,
	}
}

// ReadAll implements api.History.
func (h *history) ReadAll(ctx context.Context, requests []api.HistoryRequest, maxBytes int) []tiering.ReadResult {
	asked := make([]tiering.ReadRequest, len(requests))
	for i := range requests {
		asked[i] = readRequest(&requests[i])
	}
	return h.reader.ReadAll(ctx, asked, maxBytes)
}

// read reads one partition.
func (h *history) read(ctx context.Context, q api.HistoryRequest) (*tiering.Chunk, error) {
	return h.reader.Read(ctx, readRequest(&q))
}

// FindTime implements api.History.
func (h *history) FindTime(ctx context.Context, id wal.ID, ts, from int64) (partition.TimeOffset, bool, error) {
	for {
		seg, ok, err := h.locator.LocateTime(ctx, id.Topic, id.Partition, from, ts)
		if err != nil || !ok {
			return partition.TimeOffset{}, false, err
		}
		found, err := h.findIn(ctx, id, seg, from, ts)
		if err != nil {
			return partition.TimeOffset{}, false, err
		}
		if found != nil {
			return *found, true, nil
		}
		from = max(from+1, seg.End) // the segment has it only below from
	}
}

// findIn looks for the record in one segment.
func (h *history) findIn(ctx context.Context, id wal.ID, seg manifest.Segment, from, ts int64) (*partition.TimeOffset, error) {
	for from < seg.End {
		_, chunk, err := h.reader.FindTime(ctx, id.Topic, id.Partition, seg, from, ts)
		if err != nil || chunk == nil {
			return nil, err
		}
		found, next, err := firstIn(chunk, from, ts)
		chunk.Release()
		if err != nil || found != nil {
			return found, err
		}
		from = next
	}
	return nil, nil
}

func firstIn(chunk *tiering.Chunk, from, ts int64) (*partition.TimeOffset, int64, error) {
	batch, _, err := record.Next(chunk.Buffers[0])
	if err != nil {
		return nil, 0, err
	}
	found, err := partition.FirstRecord(batch, from, func(t int64) bool { return t >= ts })
	return found, batch.NextOffset(), err
}

// MaxTime implements api.History.
func (h *history) MaxTime(ctx context.Context, id wal.ID) (partition.TimeOffset, bool, error) {
	l, ok := h.Ledger(id)
	if !ok || l.MaxTimestamp < 0 {
		return partition.TimeOffset{}, false, nil
	}
	// The ledger names the batch; the record is in it.
	return h.FindTime(ctx, id, l.MaxTimestamp, max(l.LogStart, l.MaxTimestampOffset))
}

// Aborted implements api.History.
func (h *history) Aborted(ctx context.Context, id wal.ID, from, to int64) (txns []partition.AbortedTxn, until int64, err error) {
	seg, err := h.locator.Locate(ctx, id.Topic, id.Partition, from)
	if err != nil {
		return nil, 0, err
	}
	found, until, err := h.reader.Aborted(ctx, id.Topic, id.Partition, seg, from, to)
	for _, t := range found {
		txns = append(txns, partition.AbortedTxn{
			ProducerID: t.ProducerID, FirstOffset: t.FirstOffset, LastOffset: t.LastOffset, LastStable: t.LastStableOffset,
		})
	}
	return txns, until, err
}

// Ledger implements api.History.
func (h *history) Ledger(id wal.ID) (metadata.Ledger, bool) {
	p, ok := h.meta.Image().Partition(id.Topic, id.Partition)
	if !ok {
		return metadata.Ledger{}, false
	}
	return p.Ledger, true
}
