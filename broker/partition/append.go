package partition

import (
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// Errors that refuse a batch for what it contains.
var (
	// ErrTooLarge means that a batch is larger than max.message.bytes.
	ErrTooLarge = errors.New("batch is larger than max.message.bytes")
	// ErrInvalidTimestamp means that a timestamp is outside
	// message.timestamp.before.max.ms and message.timestamp.after.max.ms.
	ErrInvalidTimestamp = errors.New("timestamp is out of the allowed range")
	// ErrInvalidRecord means that a batch breaks a rule of its topic or of the protocol.
	ErrInvalidRecord = errors.New("invalid record")
)

// Origin says who made a batch.
type Origin int8

const (
	// FromClient: everything is checked, control batches are refused.
	FromClient Origin = iota
	// FromCoordinator: the broker's own records.
	FromCoordinator
)

// Owner is told that an append ended: all its records are durable on all replicas
// in sync, or with Append.Alone on this broker; or err says why that is not known.
// It is called once, on a goroutine of the write-ahead log or of replication, and
// must not block.
type Owner interface {
	Appended(a *Append, err error)
}

// Append is one append under way. The caller keeps it, and the memory of the
// batches, untouched until the owner is told.
type Append struct {
	wal   wal.Append
	p     *Partition
	next  *Append
	owner Owner
	end   int64
	bytes int

	// Guarded by the acks mutex.
	waiting bool  // in the list
	logged  bool  // the write-ahead log has given the memory back
	given   error // what its owner is told as soon as the log gives the memory back

	// inflated is by how many bytes the records outgrew what the client sent, when they were given
	// another codec; until the write-ahead log has them.
	inflated int64

	// Trace asks what becomes of the append; nil: nobody does. Like the append it is the
	// partition's until the owner is told.
	Trace *Trace
	// Alone says that the records need be durable on this broker only (acks 0 and 1,
	// and what a follower takes).
	Alone bool
	// Guard is that of a transactional batch; see VerificationGuard.
	Guard Guard
	// Index is the owner's to use: which of its appends this is.
	Index int
	// BaseOffset is the offset of the first record.
	BaseOffset int64
	// AppendTime is the broker's time in ms for topics with log-append time, else -1.
	AppendTime int64
	// Duplicate says that the same batch had been appended before, at BaseOffset.
	Duplicate bool
}

// LogStart returns the partition's log start offset.
func (a *Append) LogStart() int64 { return a.p.LogStart() }

// Append assigns offsets to the record batches in records, which it patches in
// place, and hands them to the write-ahead log. An error means that nothing was
// appended and that the owner will not be told. More than one batch is allowed
// from the coordinator only, as in Kafka since message format v2.
func (p *Partition) Append(a *Append, records []byte, origin Origin, owner Owner) error {
	s := p.settings.Load()
	now := p.now().UnixMilli()
	records, inflated, err := p.validate(records, s, origin, now)
	if err != nil {
		return err
	}
	a.reset(p, owner)
	a.Trace.validated(p)
	a.inflated = inflated
	laid := false
	defer func() {
		if !laid {
			a.deflate() // else the write-ahead log gives it back
		}
	}()
	a.AppendTime, a.Duplicate, a.bytes = -1, false, len(records)
	if s.LogAppendTime {
		a.AppendTime = now
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.Leads() {
		return ErrStopped
	}
	duplicate, err := p.checkProducers(records, a.Guard, origin)
	if err != nil {
		return err
	}
	if duplicate != nil {
		a.BaseOffset, a.end, a.Duplicate, a.bytes = duplicate.baseOffset, duplicate.lastOffset+1, true, 0
		a.deflate()
		laid = true // its owner may have been told, and a may be another append by now
		p.await(a)
		return nil
	}
	err = p.lay(a, records, now)
	laid = err == nil
	return err
}

// checkProducers decides about the batches as far as their producers go.
func (p *Partition) checkProducers(records []byte, g Guard, origin Origin) (*batchMeta, error) {
	if p.lost {
		p.recallSoon()
	}
	if first := record.Batch(records); origin == FromClient {
		if first.ProducerID() < 0 {
			return nil, nil
		}
		if p.lost && first.Transactional() {
			return nil, ErrNotRecalled
		}
		return p.producers.check(first, g)
	}
	for b, err := range record.All(records) {
		if err != nil {
			return nil, err
		}
		if b.ProducerID() < 0 {
			continue
		}
		if b.Control() {
			return nil, fmt.Errorf("%w: control batch", ErrInvalidRecord)
		}
		if p.lost && b.Transactional() {
			return nil, ErrNotRecalled
		}
		if err := p.producers.checkTransaction(b, p.producers.entries[b.ProducerID()], g); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// lay gives the batches their offsets and hands them to the write-ahead log. The caller
// holds the mutex, and has found nothing against them.
func (p *Partition) lay(a *Append, records []byte, now int64) error {
	a.BaseOffset = p.end.Load()
	end, err := p.patch(records, a.AppendTime)
	if err != nil {
		return err
	}
	a.end = end
	a.wal = wal.Append{Batches: records, Done: a, Trace: a.Trace.queued(p, a)}
	transactional := p.hold(records)
	err = p.admit(a)
	if err == nil {
		if err = p.log.Append(&a.wal); err != nil {
			p.dequeue(a)
		}
	}
	if err != nil {
		a.Trace.refused(p, a)
		if transactional {
			p.release()
		}
		unpatch(records) // the caller may try the same bytes again
		return fmt.Errorf("append topic=%s partition=%d: %w", p.topic, p.id.Partition, err)
	}
	p.end.Store(end)
	p.remember(records, now)
	if transactional {
		p.release()
	}
	return nil
}

func (a *Append) reset(p *Partition, owner Owner) {
	a.p, a.owner, a.next = p, owner, nil
	a.waiting, a.logged, a.given = false, false, nil
}

// admit puts a new append among those that wait for the high watermark, unless too
// few replicas are in sync for it ever to move.
func (p *Partition) admit(a *Append) error {
	if a.Alone {
		return nil
	}
	p.acks.Lock()
	defer p.acks.Unlock()
	if l := p.acks.lead; len(l.isr) < l.minISR {
		return fmt.Errorf("%w: in_sync=%d min=%d", ErrNotEnoughReplicas, len(l.isr), l.minISR)
	}
	p.enqueue(a)
	return nil
}

// validate checks what can be checked without the lock, and gives a client's batch the codec of the
// topic. It returns the records to append, and by how much they were inflated.
func (p *Partition) validate(records []byte, s *Settings, origin Origin, now int64) (kept []byte, inflated int64, err error) {
	if len(records) == 0 {
		return nil, 0, fmt.Errorf("%w: empty record set", ErrInvalidRecord)
	}
	if origin == FromClient {
		return p.validateProduced(records, s, now)
	}
	for rest := records; len(rest) > 0; {
		_, after, err := record.Next(rest)
		if err != nil {
			return nil, 0, err
		}
		rest = after
	}
	return records, 0, nil
}

// validateProduced is validate for what a client sent.
func (p *Partition) validateProduced(records []byte, s *Settings, now int64) (kept []byte, inflated int64, err error) {
	b, rest, err := record.Next(records)
	switch {
	case err != nil:
		return nil, 0, err
	case b.Size() > s.MaxMessageBytes:
		return nil, 0, fmt.Errorf("%w: size=%d max=%d", ErrTooLarge, b.Size(), s.MaxMessageBytes)
	case s.Compression == nil || s.Compression.Codec == b.Codec():
		if err := checkProduced(b, s, now); err != nil {
			return nil, 0, err
		}
		kept = records
	default:
		if kept, inflated, err = recompress(b, s, now); err != nil {
			return nil, 0, err
		}
	}
	if len(rest) > 0 {
		deflate(inflated)
		return nil, 0, fmt.Errorf("%w: one batch per partition expected, bytes behind it=%d", ErrInvalidRecord, len(rest))
	}
	return kept, inflated, nil
}

// What a compressed batch may become. Who may create a topic chooses its
// max.message.bytes, so a multiple of that alone would bound nothing.
const (
	// maxInflation is a multiple of the greatest batch that the topic allows.
	maxInflation = 64
	// maxInflated is the end of it for any topic: as many bytes as compaction can work
	// with. One batch at a time is so great in a process.
	maxInflated = 256 << 20
	// maxParts bounds the records and headers of a batch. Taken apart, each is tens of
	// bytes, where a compressed one may be a bit: no more than this can be so in less
	// than 8 MiB of plain records.
	maxParts = 4 << 20
)

// inflation is how many bytes the records of a batch may take.
func inflation(maxMessageBytes int) int {
	return min(max(maxMessageBytes, 1<<20), maxInflated/maxInflation) * maxInflation
}

// checkProduced checks a client's batch against the rules of the protocol and of
// the topic. A max timestamp that the records contradict is corrected.
func checkProduced(b record.Batch, s *Settings, now int64) error {
	summary, err := b.ValidateProduced(inflation(s.MaxMessageBytes))
	if err != nil {
		return refusal(b, err)
	}
	return checkTopic(b, summary, s, now)
}

// checkTopic checks a batch without faults against the rules of the topic.
func checkTopic(b record.Batch, summary record.Summary, s *Settings, now int64) error {
	if parts := int(b.Count()) + summary.Headers; parts > maxParts {
		return fmt.Errorf("%w: records and headers=%d max=%d", ErrTooLarge, parts, maxParts)
	}
	if s.LogAppendTime {
		if b.LogAppendTime() {
			return fmt.Errorf("%w: log-append time is the broker's to set", ErrInvalidTimestamp)
		}
	} else {
		if latest := now + s.TimestampAfterMax.Milliseconds(); summary.MaxTimestamp > latest {
			return fmt.Errorf("%w: timestamp=%d latest_allowed=%d", ErrInvalidTimestamp, summary.MaxTimestamp, latest)
		}
		if ts := summary.MinTimestamp; ts >= 0 && ts < now-s.TimestampBeforeMax.Milliseconds() {
			return fmt.Errorf("%w: timestamp=%d earliest_allowed=%d", ErrInvalidTimestamp, ts, now-s.TimestampBeforeMax.Milliseconds())
		}
		if b.LogAppendTime() || b.MaxTimestamp() != summary.MaxTimestamp {
			b.SetCreateTime(summary.MaxTimestamp)
		}
	}
	if s.Compacted && summary.NullKeys > 0 {
		return fmt.Errorf("%w: a compacted topic cannot take a record without a key: index=%d", ErrInvalidRecord, summary.FirstNullKey)
	}
	return nil
}

// refusal tells damage on the way from a producer's mistake. A checksum that does
// not match is damage, whatever else is wrong with the batch: the producer sends
// it again. Behind a checksum that matches, records that do not parse are what the
// producer made, and would be no better the next time.
func refusal(b record.Batch, err error) error {
	if damaged := b.ValidateCRC(); damaged != nil {
		return damaged
	}
	if errors.Is(err, record.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrInvalidRecord, err)
	}
	return err
}

// patch writes offsets, leader epoch and, where the topic wants it, the append
// time into the batches, and returns the offset after the last record.
func (p *Partition) patch(records []byte, appendTime int64) (int64, error) {
	next, epoch := p.end.Load(), p.epoch.Load()
	for rest := records; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err != nil {
			return 0, err
		}
		b.SetBaseOffset(next)
		b.SetLeaderEpoch(epoch)
		if appendTime >= 0 {
			b.SetAppendTime(appendTime)
		}
		next, rest = b.NextOffset(), after
	}
	return next, nil
}

// unpatch gives the batches the base offset again with which clients send them.
func unpatch(records []byte) {
	for b, err := range record.All(records) {
		if err != nil {
			panic(fmt.Sprintf("partition: batch that was patched does not parse: %v", err))
		}
		b.SetBaseOffset(0)
	}
}

// remember updates producers and epochs for batches that are on their way.
func (p *Partition) remember(records []byte, now int64) {
	for rest := records; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err != nil {
			panic(fmt.Sprintf("partition: batch that was patched does not parse: %v", err))
		}
		m, err := parseMarker(b)
		if err != nil {
			panic(fmt.Sprintf("partition: control batch that was checked does not parse: %v", err))
		}
		p.update(b, m, now)
		p.epochs = p.epochs.note(b.LeaderEpoch(), b.BaseOffset())
		rest = after
	}
}

// End returns the offset after the last record.
func (a *Append) End() int64 { return a.end }

// Replicated reports whether the append was accepted, and waits for other brokers or did.
func (a *Append) Replicated() bool { return a.p != nil && a.p.replicated.Load() }

// GiveUp is Partition.GiveUp for an append that may not have been accepted.
func (a *Append) GiveUp(err error) {
	if a.p != nil {
		a.p.GiveUp(a, err)
	}
}
