package partition

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// The state frame of a partition. Integers are varints (v: unsigned, z: zigzag)
// unless a width is given. The write-ahead log checks its CRC.
//
//	u8  version = 2
//	v   high watermark (from version 2 on; version 1: not there, the log end)
//	v   number of epochs, then each: z epoch, v start offset
//	v   number of producers, then each, ascending by id:
//	      v producer id, z epoch, z last seen (ms)
//	      u8 number of batches (0-5), then each:
//	        v base sequence, v last sequence, v base offset, v last offset, z timestamp (ms)
const stateVersion = 2

// Errors of a state frame.
var (
	errStateCorrupt = errors.New("partition state is corrupt")
	errStateVersion = errors.New("partition state has an unknown version")
)

// encodeState returns the state frame. The caller holds the mutex, or is the
// only one that knows the partition.
func (p *Partition) encodeState() []byte {
	return encodeState(p.epochs, &p.producers, p.highWater.Load())
}

func encodeState(es epochs, ps *producers, highWatermark int64) []byte {
	b := binary.AppendUvarint([]byte{stateVersion}, uint64(highWatermark))
	b = binary.AppendUvarint(b, uint64(len(es)))
	for _, e := range es {
		b = binary.AppendVarint(b, int64(e.Epoch))
		b = binary.AppendUvarint(b, uint64(e.Start))
	}
	ids := make([]int64, 0, len(ps.entries))
	for id := range ps.entries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		e := ps.entries[id]
		b = binary.AppendUvarint(b, uint64(id))
		b = binary.AppendVarint(b, int64(e.epoch))
		b = binary.AppendVarint(b, e.lastSeen)
		b = append(b, byte(e.count))
		for i := int8(0); i < e.count; i++ {
			m := &e.batches[i]
			b = binary.AppendUvarint(b, uint64(m.baseSequence))
			b = binary.AppendUvarint(b, uint64(m.lastSequence))
			b = binary.AppendUvarint(b, uint64(m.baseOffset))
			b = binary.AppendUvarint(b, uint64(m.lastOffset))
			b = binary.AppendVarint(b, m.timestamp)
		}
	}
	return b
}

// decodeState is the inverse of encodeState. A count is only believed as far as
// there are bytes for it. A state of version 1, of a partition with one replica,
// has no high watermark: all that it covers was committed.
func decodeState(b []byte) (es epochs, ps producers, highWatermark int64, err error) {
	if len(b) == 0 {
		return nil, producers{}, 0, nil
	}
	if b[0] == 0 || b[0] > stateVersion {
		return nil, producers{}, 0, fmt.Errorf("%w: version=%d", errStateVersion, b[0])
	}
	r := codec.NewReader(b[1:])
	highWatermark = math.MaxInt64
	if b[0] > 1 {
		highWatermark = int64(r.Uvarint())
	}
	for n := r.Uvarint(); n > 0 && r.Err() == nil; n-- {
		es = append(es, EpochStart{Epoch: int32(r.Varint()), Start: int64(r.Uvarint())})
	}
	for n := r.Uvarint(); n > 0 && r.Err() == nil; n-- {
		id := int64(r.Uvarint())
		e := &producerEntry{epoch: int16(r.Varint()), lastSeen: r.Varint()}
		count := r.Uint8()
		if count > retainedBatches {
			r.Fail(errStateCorrupt)
		}
		for ; count > 0 && r.Err() == nil; count-- {
			e.push(batchMeta{
				baseSequence: int32(r.Uvarint()), lastSequence: int32(r.Uvarint()),
				baseOffset: int64(r.Uvarint()), lastOffset: int64(r.Uvarint()), timestamp: r.Varint(),
			})
		}
		if ps.entries == nil {
			ps.entries = make(map[int64]*producerEntry)
		}
		ps.entries[id] = e
	}
	if err := r.Finish(); err != nil {
		return nil, producers{}, 0, fmt.Errorf("%w: length=%d: %w", errStateCorrupt, len(b), err)
	}
	if highWatermark < 0 {
		return nil, producers{}, 0, fmt.Errorf("%w: high watermark=%d", errStateCorrupt, highWatermark)
	}
	return es, ps, highWatermark, nil
}

// recover rebuilds epochs and producers from the newest state frame and the batch
// headers after it.
func (p *Partition) recover() error {
	payload, covered := p.log.State()
	es, ps, highWatermark, err := decodeState(payload)
	if err != nil {
		return err
	}
	p.epochs, p.producers = es, ps
	end := p.log.End()
	p.highWater.Store(min(highWatermark, covered))
	p.producers.truncate(end)
	p.epochs = p.epochs.truncateEnd(end)
	// When they were last seen is not known: their own time stamps may be those of an
	// older log that is being copied, and would make them expire at once.
	now := p.now().UnixMilli()
	for from := max(min(covered, end), p.log.Start()); ; {
		err := p.log.Replay(from, func(b record.Batch) error {
			p.producers.update(b, now)
			p.epochs = p.epochs.note(b.LeaderEpoch(), b.BaseOffset())
			return nil
		})
		// What is damaged is refused to those who read it. It is no reason not to serve
		// the rest; a retry of a batch in it may be appended again.
		next, damaged := p.behindDamage(err, from)
		if !damaged {
			return err
		}
		from = next
	}
}

// behindDamage returns the offset after a damaged range that begins at or above
// from, and reports the damage. It is false for every other error.
func (p *Partition) behindDamage(err error, from int64) (int64, bool) {
	var damage *wal.CorruptError
	if !errors.As(err, &damage) || damage.To <= from {
		return 0, false
	}
	p.logger.Error("part of the local log is damaged", "topic", p.topic, "partition", p.id.Partition, "from", damage.From, "to", damage.To, "error", err)
	return damage.To, true
}

// Snapshot returns the leader epochs that apply to the offsets in [from, end), and
// the producers' state as far as it was made below end.
func (p *Partition) Snapshot(from, end int64) (history []EpochStart, producers []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, e := range p.epochs {
		if last := i == len(p.epochs)-1; e.Start < end && (last || p.epochs[i+1].Start > from) {
			history = append(history, e)
		}
	}
	return history, encodeState(nil, p.producers.below(end), end)
}

// SaveState writes a state frame, so that a restart replays only what follows.
// Producers that were not seen for longer than their expiry are forgotten.
func (p *Partition) SaveState() {
	s := p.settings.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.ProducerExpiry > 0 {
		p.producers.expire(p.now().Add(-s.ProducerExpiry).UnixMilli())
	}
	p.log.AppendState(p.encodeState())
}
