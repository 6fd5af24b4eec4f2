package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/wal"
)

// releaser is a chunk of either tier.
type releaser interface{ Release() }

// fetchPart is one partition of a fetch: what is asked, and what was found.
type fetchPart struct {
	id      wal.ID
	topic   string
	offset  int64
	max     int32
	epoch   int32 // current leader epoch as the client knows it
	fetched int32 // epoch of the record before offset as the client knows it

	denied  bool // the client may not read the topic
	p       *partition.Partition
	seen    int64 // high watermark at the last look, or last stable offset: what the client waits for
	cold    bool
	chunk   releaser
	next    int64 // offset after the records; only where there are some
	records [][]byte
	bytes   int
	held    int // memory that the chunk takes until it is released, its bytes at least
	aborted []wire.AbortedTransaction
	resp    wire.FetchPartitionResponse
}

// readLocals looks at all parts once and fills in what the disk has, at most budget
// bytes. It returns the bytes found, how many parts only the object store has, and
// whether there is an answer that does not wait for more bytes. Where there are
// such parts, the others leave them their share of the budget: a consumer that is
// far behind in one partition must get on while another brings more than fits.
func (op *fetchOp) readLocals(budget int) (bytes, cold int, ready bool) {
	for i := range op.parts {
		if op.parts[i].isCold() {
			cold++
		}
	}
	if cold > 0 {
		budget -= int(int64(budget) * int64(cold) / int64(len(op.parts)))
		cold = 0
	}
	for i := range op.parts {
		part := &op.parts[i]
		if op.readLocal(part, budget-bytes, bytes == 0) {
			ready = true
		}
		if part.cold {
			cold++
		}
		bytes += part.bytes
	}
	return bytes, cold, ready
}

// isCold reports whether a part begins below what the disk has.
func (part *fetchPart) isCold() bool {
	return part.p != nil && !part.denied && part.offset < part.p.LocalStart() && part.offset >= part.p.LogStart()
}

// readLocal reads one part from memory or disk. It reports whether the part has
// something to say that cannot wait: an error, or a diverging epoch.
func (op *fetchOp) readLocal(part *fetchPart, budget int, first bool) bool {
	part.resp = wire.FetchPartitionResponse{
		Index: part.id.Partition, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1,
		PreferredReadReplica: -1, NullAborted: op.isolation == partition.ReadUncommitted,
	}
	part.bytes, part.held, part.records, part.aborted, part.chunk, part.cold = 0, 0, nil, nil, nil, false
	if part.denied || part.p == nil {
		part.resp.NullAborted = false // as Kafka tells of what is not there, or not for this client
	}
	if part.denied {
		part.fail(deniedTopic)
		return true
	}
	if part.p == nil {
		part.resp.ErrorCode = op.api.missingFetch(part, op.r.Version)
		return true
	}
	if err := part.p.CheckEpoch(part.epoch); err != nil {
		part.resp.ErrorCode = errorCode(err)
		return true
	}
	part.look()
	part.seen = part.resp.HighWatermark
	if op.isolation == partition.ReadCommitted {
		part.seen = part.resp.LastStableOffset
	}
	// An offset below the log start is out of range, whatever its epoch.
	if part.fetched >= 0 && part.offset >= part.resp.LogStartOffset {
		switch epoch, end := part.p.EndOfEpoch(part.fetched); {
		case epoch < 0 || end < 0:
			part.fail(kerr.OffsetOutOfRange.Code)
			return true
		case epoch < part.fetched || end < part.offset:
			part.resp.DivergingEpoch = &wire.EpochEndOffset{Epoch: epoch, EndOffset: end}
			return true
		}
	}
	if id := op.nearest(part); id >= 0 && part.p.CheckOffset(part.offset) == nil {
		part.resp.PreferredReadReplica = id
		return true
	}
	if budget <= 0 && !first {
		if err := part.p.CheckOffset(part.offset); err != nil {
			part.fail(errorCode(err))
			return true
		}
		return part.hasMore(op.isolation)
	}
	chunk, err := part.p.ReadInTurn(op.api.ctx, part.offset, max(min(int(part.max), budget), 0), first, op.isolation)
	switch {
	case errors.Is(err, partition.ErrCold):
		part.cold = true
	case errors.Is(err, wal.ErrBusy):
		// The client asks again, or this fetch does when it has waited for more.
	case errors.Is(err, partition.ErrStopped):
		part.fail(op.api.missingFetch(part, op.r.Version))
		return true
	case err != nil:
		part.fail(errorCode(err))
		if part.resp.ErrorCode != kerr.OffsetOutOfRange.Code {
			op.api.logger.Error("fetch failed", "topic", part.topic, "partition", part.id.Partition, "offset", part.offset, "error", err)
		}
		return true
	case chunk != nil:
		part.chunk, part.records, part.bytes, part.next = chunk, chunk.Buffers, chunk.Bytes, chunk.NextOffset
		part.held = max(chunk.Bytes, chunk.Held())
		op.times.read(chunk)
		part.look()
		if op.isolation == partition.ReadCommitted {
			return op.abortedLocal(part, chunk.NextOffset)
		}
	}
	return false
}

// look takes the offsets of the answer. Records that are read after it may lie above them, so it comes after the records, too.
func (part *fetchPart) look() {
	// The last stable offset never passes the high watermark, which may rise in between.
	stable := part.p.LastStable()
	part.resp.HighWatermark, part.resp.LastStableOffset, part.resp.LogStartOffset = part.p.HighWatermark(), stable, part.p.LogStart()
}

// fail answers with an error. As in Kafka it comes without offsets.
func (part *fetchPart) fail(code int16) {
	part.resp.ErrorCode = code
	part.resp.HighWatermark, part.resp.LastStableOffset, part.resp.LogStartOffset = -1, -1, -1
}

// hasMore reports whether there are records that this response has no room for.
func (part *fetchPart) hasMore(i partition.Isolation) bool {
	return part.offset < part.p.Limit(i)
}

// readCold reads the n parts that only the object store has, all of them together
// under one limit of bytes. The first batch is returned whatever its size, also
// when other parts brought some: else they could keep it back for ever.
func (op *fetchOp) readCold(ctx context.Context, budget, n int) {
	requests := make([]HistoryRequest, 0, n)
	parts := make([]*fetchPart, 0, n)
	for i := range op.parts {
		part := &op.parts[i]
		if !part.cold {
			continue
		}
		requests = append(requests, HistoryRequest{
			ID: part.id, Offset: part.offset, Limit: part.p.Limit(op.isolation), MaxBytes: max(int(part.max), 0), AtLeastOne: true,
		})
		parts = append(parts, part)
	}
	for i, r := range op.api.History.ReadAll(ctx, requests, max(budget, 0)) {
		part := parts[i]
		if r.Err != nil {
			if op.deletedMeanwhile(part) {
				continue
			}
			part.resp.ErrorCode = errorCode(r.Err)
			op.api.metrics.coldErrors.Inc()
			op.api.logger.WarnContext(ctx, "read from the object store failed", "topic", part.topic, "partition", part.id.Partition, "offset", part.offset, "error", r.Err)
			continue
		}
		part.chunk, part.records, part.bytes, part.held = r.Chunk, r.Chunk.Buffers, r.Chunk.Bytes, r.Chunk.Bytes
		part.next = r.Chunk.NextOffset
		op.times.cold.Add(&r.Chunk.Stats)
		part.look()
		if op.isolation == partition.ReadCommitted {
			op.abortedCold(ctx, part, r.Chunk.NextOffset)
		}
	}
}

// deletedMeanwhile answers for a part that could not be read because its topic or
// its records were deleted during the read.
func (op *fetchOp) deletedMeanwhile(part *fetchPart) bool {
	if _, ok := op.api.History.Ledger(part.id); !ok {
		part.fail(op.api.missingFetch(part, op.r.Version))
		return true
	}
	if part.offset < part.p.LogStart() {
		part.fail(kerr.OffsetOutOfRange.Code)
		return true
	}
	return false
}

// release gives back what the parts hold.
func (op *fetchOp) release() {
	for i := range op.parts {
		part := &op.parts[i]
		part.drop()
	}
}

// drop gives back what was read of a part.
func (part *fetchPart) drop() {
	chunk := part.chunk
	part.chunk, part.records, part.bytes, part.held, part.aborted = nil, nil, 0, 0, nil
	if chunk != nil {
		chunk.Release()
	}
}

// missingFetch says why this broker does not serve a partition of a fetch.
func (a *API) missingFetch(part *fetchPart, version int16) int16 {
	if version < topicIDsSince {
		return a.missing(part.topic, part.id.Partition)
	}
	t, ok := a.Metadata.Image().TopicByID(part.id.Topic)
	if !ok {
		return kerr.UnknownTopicID.Code
	}
	return a.missing(t.Name, part.id.Partition)
}
