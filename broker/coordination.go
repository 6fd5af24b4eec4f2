package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/group"
	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/metadata"
)

// internalLog is an internal topic as the coordinators see it.
type internalLog struct {
	topic   string
	table   *partition.Table
	history *history
}

var _ coordinator.TransactionalLog = (*internalLog)(nil)

// internalAppend is one append of a coordinator under way.
type internalAppend struct {
	partition.Append
	done func(int64, error)
}

// Appended implements partition.Owner.
func (a *internalAppend) Appended(_ *partition.Append, err error) {
	if err != nil {
		err = fmt.Errorf("%w: %w", coordinator.ErrNotLeader, err) // the log failed for good
	}
	a.done(a.BaseOffset, err)
}

func (l *internalLog) led(index, epoch int32) (*partition.Partition, error) {
	p := l.table.Get(l.topic, index)
	if p == nil || !p.Leads() || p.Epoch() != epoch {
		return nil, fmt.Errorf("%w: topic=%s partition=%d epoch=%d", coordinator.ErrNotLeader, l.topic, index, epoch)
	}
	return p, nil
}

// Append implements coordinator.Log.
func (l *internalLog) Append(index, epoch int32, batch record.Batch, done func(base int64, err error)) {
	l.AppendTransactional(index, epoch, batch, 0, done)
}

// AppendTransactional implements coordinator.TransactionalLog.
func (l *internalLog) AppendTransactional(index, epoch int32, batch record.Batch, guard uint64, done func(base int64, err error)) {
	p, err := l.led(index, epoch)
	if err == nil {
		a := &internalAppend{done: done}
		a.Guard = partition.Guard(guard)
		err = p.Append(&a.Append, batch, partition.FromCoordinator, a)
		switch {
		case errors.Is(err, partition.ErrStopped):
			err = fmt.Errorf("%w: %w", coordinator.ErrNotLeader, err)
		case errors.Is(err, partition.ErrTooLarge):
			err = fmt.Errorf("%w: %w", coordinator.ErrTooLarge, err)
		case errors.Is(err, partition.ErrInvalidProducerEpoch):
			err = fmt.Errorf("%w: %w", coordinator.ErrProducerFenced, err)
		case errors.Is(err, partition.ErrTransactionUnverified):
			err = fmt.Errorf("%w: %w", coordinator.ErrNotInTransaction, err)
		}
	}
	if err != nil {
		done(-1, err)
	}
}

// replayBytes is how much of a log is read at a time while a coordinator loads.
const replayBytes = 4 << 20

// Replay implements coordinator.Log.
func (l *internalLog) Replay(ctx context.Context, index, epoch int32, fn func(record.Batch) error) error {
	p, err := l.led(index, epoch)
	if err != nil {
		return err
	}
	end := p.End()
	if err := p.AwaitHighWatermark(ctx, end); err != nil {
		return err
	}
	for at := p.LogStart(); at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := l.replayChunk(ctx, p, at, end, fn)
		if errors.Is(err, partition.ErrOffsetOutOfRange) && at < p.LogStart() {
			at = p.LogStart()
			continue
		}
		if err != nil {
			return fmt.Errorf("replay topic=%s partition=%d offset=%d: %w", l.topic, index, at, err)
		}
		if next <= at {
			return fmt.Errorf("replay topic=%s partition=%d: log ends early: offset=%d end=%d", l.topic, index, at, end)
		}
		at = next
	}
	return nil
}

func (l *internalLog) replayChunk(ctx context.Context, p *partition.Partition, at, end int64, fn func(record.Batch) error) (int64, error) {
	chunk, err := p.Read(at, replayBytes, true, partition.ReadUncommitted)
	if errors.Is(err, partition.ErrCold) {
		cold, err := l.history.read(ctx, api.HistoryRequest{ID: p.ID(), Offset: at, MaxBytes: replayBytes, AtLeastOne: true})
		if err != nil {
			return 0, err
		}
		defer cold.Release()
		return replayBuffers(cold.Buffers, at, fn)
	}
	if err != nil || chunk == nil {
		return at, err
	}
	defer chunk.Release()
	return replayBuffers(chunk.Buffers, at, fn)
}

func replayBuffers(buffers [][]byte, at int64, fn func(record.Batch) error) (int64, error) {
	for _, b := range buffers {
		for batch, err := range record.All(b) {
			if err != nil {
				return 0, err
			}
			if err := fn(batch); err != nil {
				return 0, err
			}
			at = batch.NextOffset()
		}
	}
	return at, nil
}

// topicNames answers the group coordinator from the image.
type topicNames struct{ meta *metadataHandle }

var _ group.Topics = topicNames{}

// Lookup implements group.Topics.
func (t topicNames) Lookup(name string) (id [16]byte, partitions int32, ok bool) {
	return topicImage{t.meta.Image()}.Lookup(name)
}

// Name implements group.Topics.
func (t topicNames) Name(id [16]byte) (string, bool) { return topicImage{t.meta.Image()}.Name(id) }

// Image implements group.Topics.
func (t topicNames) Image() group.Image { return topicImage{t.meta.Image()} }

// topicImage is the topics of an image of the metadata.
type topicImage struct{ image *metadata.Image }

var _ group.Image = topicImage{}

// Version implements group.Image.
func (t topicImage) Version() uint64 { return t.image.Layout() }

// Lookup implements group.Image.
func (t topicImage) Lookup(name string) (id [16]byte, partitions int32, ok bool) {
	topic, ok := t.image.Topic(name)
	if !ok {
		return metadata.ID{}, 0, false
	}
	return topic.ID, topic.Partitions, true
}

// Name implements group.Image.
func (t topicImage) Name(id [16]byte) (string, bool) {
	topic, ok := t.image.TopicByID(id)
	if !ok {
		return "", false
	}
	return topic.Name, true
}

// Names implements group.Image.
func (t topicImage) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for topic := range t.image.Topics() {
			if !yield(topic.Name) {
				return
			}
		}
	}
}

// Racks implements group.Image.
func (t topicImage) Racks(name string, index int32) []string {
	topic, ok := t.image.Topic(name)
	if !ok {
		return nil
	}
	p, ok := t.image.PartitionOf(topic, index)
	if !ok {
		return nil
	}
	var racks []string
	for _, id := range p.Replicas {
		if b, ok := t.image.Broker(id); ok && b.Rack != "" {
			racks = append(racks, b.Rack)
		}
	}
	return racks
}
