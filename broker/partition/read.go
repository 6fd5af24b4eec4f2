package partition

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// Isolation is the isolation level of a fetch.
type Isolation int8

const (
	// ReadUncommitted reads up to the high watermark.
	ReadUncommitted Isolation = 0
	// ReadCommitted reads up to the last stable offset.
	ReadCommitted Isolation = 1
)

// Limit returns the offset below which a consumer with this isolation may read.
func (p *Partition) Limit(i Isolation) int64 {
	if i == ReadCommitted {
		return p.LastStable()
	}
	return p.HighWatermark()
}

// Read returns whole record batches from the one that contains offset, as far as
// the isolation level allows and up to maxBytes; with atLeastOne the first batch
// is returned even if it is larger. A nil chunk means that offset is the end of
// what may be read. ErrCold sends the caller to the object store,
// ErrOffsetOutOfRange to the client.
func (p *Partition) Read(offset int64, maxBytes int, atLeastOne bool, isolation Isolation) (*wal.Chunk, error) {
	return p.read(offset, isolation, func(limit int64) (*wal.Chunk, error) {
		return p.log.Read(offset, limit, maxBytes, atLeastOne)
	})
}

// ReadInTurn is Read for consumers, of whom few may be at the disk at once: wal.Partition.ReadInTurn has the rules. Here, too,
// one that is asked for at least one batch waits for its turn, and one that is not gets wal.ErrBusy.
func (p *Partition) ReadInTurn(ctx context.Context, offset int64, maxBytes int, atLeastOne bool, isolation Isolation) (*wal.Chunk, error) {
	return p.read(offset, isolation, func(limit int64) (*wal.Chunk, error) {
		return p.log.ReadInTurn(ctx, offset, limit, maxBytes, atLeastOne)
	})
}

// read decides what may be read, and what an error of the log means.
func (p *Partition) read(offset int64, isolation Isolation, below func(limit int64) (*wal.Chunk, error)) (*wal.Chunk, error) {
	if p.stopped.Load() {
		return nil, ErrStopped
	}
	limit := p.Limit(isolation)
	start := p.LogStart()
	if offset < start || offset >= limit {
		return nil, p.CheckOffset(offset)
	}
	if offset < p.log.Start() {
		return nil, ErrCold
	}
	chunk, err := below(limit)
	switch {
	case errors.Is(err, wal.ErrBusy):
		return nil, err
	case errors.Is(err, wal.ErrBelowStart):
		return nil, ErrCold // freed a moment ago
	case errors.Is(err, wal.ErrDropped):
		return nil, ErrStopped // a moment ago
	case err != nil:
		if corrupt := (*wal.CorruptError)(nil); errors.As(err, &corrupt) && offset < p.Tiered() {
			return nil, ErrCold // the object store has a good copy
		}
		return nil, fmt.Errorf("read topic=%s partition=%d offset=%d: %w", p.topic, p.id.Partition, offset, err)
	}
	return chunk, nil
}

// CheckOffset returns ErrOffsetOutOfRange for an offset that never was, or is not
// any more. Between the high watermark and the log end a consumer waits.
func (p *Partition) CheckOffset(offset int64) error {
	if start := p.LogStart(); offset < start || offset > p.HighWatermark() && offset > p.End() {
		return fmt.Errorf("%w: offset=%d log_start=%d log_end=%d", ErrOffsetOutOfRange, offset, start, p.End())
	}
	return nil
}

// ReadLocal returns batches of the local log for the uploader: at least one, all
// below limit, whether or not a consumer may still read them.
func (p *Partition) ReadLocal(from, limit int64, maxBytes int) (*wal.Chunk, error) {
	return p.log.Read(from, min(limit, p.HighWatermark()), maxBytes, true)
}

// TimeOffset is an offset with the timestamp of its record.
type TimeOffset struct {
	Offset, Timestamp int64
	Epoch             int32
}

// FindTime returns the first local record at or above from whose timestamp is at
// least ts. ErrCold means that the disk does not have all from from on any more:
// what it dropped meanwhile might have been the answer. It waits for its turn at the disk, as ReadInTurn does.
func (p *Partition) FindTime(ctx context.Context, ts, from int64, isolation Isolation) (found TimeOffset, ok bool, err error) {
	err = p.log.InTurn(ctx, func() (err error) {
		found, ok, err = p.findTime(ts, from, isolation)
		return err
	})
	switch {
	case p.stopped.Load():
		return TimeOffset{}, false, ErrStopped
	case from < p.log.Start() && (!ok || found.Offset > from):
		return TimeOffset{}, false, ErrCold
	}
	return found, ok, err
}

func (p *Partition) findTime(ts, from int64, isolation Isolation) (TimeOffset, bool, error) {
	limit := p.Limit(isolation)
	for from < limit {
		base, ok, err := p.log.FindTime(ts, from, limit)
		if err != nil || !ok {
			return TimeOffset{}, false, err
		}
		found, next, err := p.firstRecord(base, limit, from, func(t int64) bool { return t >= ts })
		if err != nil || found != nil {
			return deref(found), found != nil, err
		}
		from = next // the batch has it only below from: go on behind it
	}
	return TimeOffset{}, false, nil
}

// MaxTime returns the local record with the greatest timestamp, the first of them
// where several have it. It waits for its turn at the disk, as ReadInTurn does.
func (p *Partition) MaxTime(ctx context.Context) (found TimeOffset, ok bool, err error) {
	err = p.log.InTurn(ctx, func() (err error) {
		found, ok, err = p.maxTime()
		return err
	})
	return found, ok, err
}

func (p *Partition) maxTime() (TimeOffset, bool, error) {
	limit := p.HighWatermark()
	base, ts, ok := p.log.MaxTime(limit)
	if !ok {
		return TimeOffset{}, false, nil
	}
	found, _, err := p.firstRecord(base, limit, max(base, p.log.Start()), func(t int64) bool { return t >= ts })
	return deref(found), found != nil, err
}

func deref(t *TimeOffset) TimeOffset {
	if t == nil {
		return TimeOffset{}
	}
	return *t
}

// firstRecord looks into the batch that contains base for the first record at or
// above from whose timestamp matches. next is the offset after the batch.
func (p *Partition) firstRecord(base, limit, from int64, match func(int64) bool) (found *TimeOffset, next int64, err error) {
	// The local log may begin within the batch.
	chunk, err := p.log.Read(max(base, min(p.log.Start(), from)), limit, 1, true)
	if err != nil {
		return nil, 0, err
	}
	defer chunk.Release()
	if len(chunk.Buffers) == 0 {
		return nil, limit, nil
	}
	batch, _, err := record.Next(chunk.Buffers[0])
	if err != nil {
		return nil, 0, err
	}
	t, err := FirstRecord(batch, from, match)
	return t, batch.NextOffset(), err
}

// maxScanBytes bounds how much of one batch is inflated while its records are
// searched for a timestamp.
const maxScanBytes = maxInflated
