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
//	u8  version = 3
//	v   high watermark (from version 2 on; version 1: not there, the log end)
//	v   number of epochs, then each: z epoch, v start offset
//	v   number of producers, then each, ascending by id:
//	      v producer id, z epoch, z last seen (ms)
//	      from version 3 on: z timestamp of its last batch or marker (ms), z epoch of the coordinator of
//	        its last marker or -1, z first offset of its open transaction or -1
//	      u8 number of batches (0-5; from version 3 on 255: none is known, and any sequence may follow), then each:
//	        v base sequence, v last sequence, v base offset, v last offset, z timestamp (ms)
//	from version 3 on:
//	v   offset from which on all markers follow
//	v   number of markers, then each, ascending by offset:
//	      v offset of the marker, v producer id, z first offset of the transaction or -1,
//	      v last stable offset after it, u8 flags: 1 aborted, 2 the producer was known;
//	      of the producer before it: z epoch, z coordinator epoch
//	v   offset from which on all aborted transactions follow
//	v   number of aborted transactions, then each, ascending by marker:
//	      v offset of the marker, v producer id, v first offset, v last stable offset after it
//
// What goes with a section into the object store is the same without high watermark, epochs, markers
// and aborted transactions, which the section has elsewhere or does not need.
const stateVersion = 3

const (
	batchesForgotten = 255

	flagAborted = 1 << 0
	flagKnown   = 1 << 1
)

// Errors of a state frame.
var (
	errStateCorrupt = errors.New("partition state is corrupt")
	errStateVersion = errors.New("partition state has an unknown version")
)

// state is what a state frame says.
type state struct {
	highWatermark int64
	epochs        epochs
	producers     producers
	abortedSince  int64
	aborted       []AbortedTxn
}

// encodeState returns the state frame. The caller holds the mutex, or is the
// only one that knows the partition.
func (p *Partition) encodeState() []byte {
	s := state{highWatermark: p.highWater.Load(), epochs: p.epochs, producers: p.producers}
	s.abortedSince, s.aborted = p.aborted.all()
	return s.encode()
}

func (s *state) encode() []byte {
	b := binary.AppendUvarint([]byte{stateVersion}, uint64(s.highWatermark))
	b = binary.AppendUvarint(b, uint64(len(s.epochs)))
	for _, e := range s.epochs {
		b = binary.AppendVarint(b, int64(e.Epoch))
		b = binary.AppendUvarint(b, uint64(e.Start))
	}
	b = s.producers.encode(b)
	b = s.producers.ended.encode(b)
	b = binary.AppendUvarint(b, uint64(s.abortedSince))
	b = binary.AppendUvarint(b, uint64(len(s.aborted)))
	for _, t := range s.aborted {
		for _, v := range [...]int64{t.LastOffset, t.ProducerID, t.FirstOffset, t.LastStable} {
			b = binary.AppendUvarint(b, uint64(v))
		}
	}
	return b
}

func (p *producers) encode(b []byte) []byte {
	ids := make([]int64, 0, len(p.entries))
	for id := range p.entries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		e := p.entries[id]
		b = binary.AppendUvarint(b, uint64(id))
		for _, v := range [...]int64{int64(e.epoch), e.lastSeen, e.timestamp, int64(e.coordinatorEpoch), e.first} {
			b = binary.AppendVarint(b, v)
		}
		if e.forgotten {
			b = append(b, batchesForgotten)
			continue
		}
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

func (s *decisions) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(s.floor))
	b = binary.AppendUvarint(b, uint64(len(s.list)))
	for i := range s.list {
		d := &s.list[i]
		b = binary.AppendUvarint(b, uint64(d.marker))
		b = binary.AppendUvarint(b, uint64(d.id))
		b = binary.AppendVarint(b, d.first)
		b = binary.AppendUvarint(b, uint64(d.stable))
		flags := byte(0)
		if d.aborted {
			flags |= flagAborted
		}
		if d.known {
			flags |= flagKnown
		}
		b = append(b, flags)
		b = binary.AppendVarint(b, int64(d.epoch))
		b = binary.AppendVarint(b, int64(d.coordinatorEpoch))
	}
	return b
}

// decodeState is the inverse of encode. A count is only believed as far as
// there are bytes for it. A state of version 1, of a partition with one replica,
// has no high watermark: all that it covers was committed. Before version 3 there were no
// transactions. Nothing and an empty state are the same.
func decodeState(b []byte) (s state, err error) {
	if len(b) == 0 {
		return state{}, nil
	}
	version := b[0]
	if version == 0 || version > stateVersion {
		return state{}, fmt.Errorf("%w: version=%d", errStateVersion, version)
	}
	reader := codec.NewReader(b[1:])
	r := &reader
	s.highWatermark = math.MaxInt64
	if version > 1 {
		s.highWatermark = int64(r.Uvarint())
	}
	for n := r.Uvarint(); n > 0 && r.Err() == nil; n-- {
		s.epochs = append(s.epochs, EpochStart{Epoch: int32(r.Varint()), Start: int64(r.Uvarint())})
	}
	s.producers.decode(r, version)
	if version >= 3 {
		s.producers.ended.decode(r)
		s.abortedSince = offset(r)
		for n := r.Uvarint(); n > 0 && r.Err() == nil; n-- {
			t := AbortedTxn{LastOffset: offset(r), ProducerID: offset(r), FirstOffset: offset(r), LastStable: offset(r)}
			if k := len(s.aborted); t.FirstOffset >= t.LastOffset || k > 0 && s.aborted[k-1].LastOffset >= t.LastOffset || k >= maxAborted+maxOpenTransactions {
				r.Fail(errStateCorrupt)
				break
			}
			s.aborted = append(s.aborted, t)
		}
	}
	if err := r.Finish(); err != nil {
		return state{}, fmt.Errorf("%w: length=%d: %w", errStateCorrupt, len(b), err)
	}
	if s.highWatermark < 0 {
		return state{}, fmt.Errorf("%w: high watermark=%d", errStateCorrupt, s.highWatermark)
	}
	return s, nil
}

// offset reads what is never negative.
func offset(r *codec.Reader) int64 {
	v := r.Uvarint()
	if v > math.MaxInt64 {
		r.Fail(errStateCorrupt)
		return 0
	}
	return int64(v)
}

func (p *producers) decode(r *codec.Reader, version byte) {
	begun := make(map[int64]bool)
	for n := r.Uvarint(); n > 0 && r.Err() == nil; n-- {
		id := offset(r)
		e := newProducerEntry(int16(r.Varint()))
		e.lastSeen = r.Varint()
		if e.timestamp = e.lastSeen; version >= 3 {
			e.timestamp, e.coordinatorEpoch, e.first = r.Varint(), int32(r.Varint()), r.Varint()
		}
		count := r.Uint8()
		if e.forgotten = version >= 3 && count == batchesForgotten; e.forgotten {
			count = 0
		}
		if count > retainedBatches || e.first < none || p.entries[id] != nil || e.first != none && begun[e.first] {
			r.Fail(errStateCorrupt)
			return
		}
		begun[e.first] = true
		for ; count > 0 && r.Err() == nil; count-- {
			e.push(batchMeta{
				baseSequence: int32(r.Uvarint()), lastSequence: int32(r.Uvarint()),
				baseOffset: int64(r.Uvarint()), lastOffset: int64(r.Uvarint()), timestamp: r.Varint(),
			})
		}
		if p.entries == nil {
			p.entries = make(map[int64]*producerEntry)
		}
		p.entries[id] = e
	}
	p.ongoing.rebuild(p.entries)
}

func (s *decisions) decode(r *codec.Reader) {
	s.floor = offset(r)
	for n := r.Uvarint(); n > 0 && r.Err() == nil; n-- {
		d := decision{marker: offset(r), id: offset(r), first: r.Varint(), stable: offset(r)}
		flags := r.Uint8()
		d.aborted, d.known = flags&flagAborted != 0, flags&flagKnown != 0
		d.epoch, d.coordinatorEpoch = int16(r.Varint()), int32(r.Varint())
		if k := len(s.list); d.first < none || d.first >= d.marker || k > 0 && s.list[k-1].marker >= d.marker || k >= maxDecisions {
			r.Fail(errStateCorrupt)
			return
		}
		s.list = append(s.list, d)
	}
}

// recover rebuilds epochs, producers and transactions from the newest state frame and the batch
// headers after it.
func (p *Partition) recover() error {
	payload, covered := p.log.State()
	s, err := decodeState(payload)
	if err != nil {
		return err
	}
	if len(payload) == 0 {
		s.producers.ended.floor, s.abortedSince = p.log.Start(), p.log.Start()
	}
	if payload != nil && payload[0] < 3 {
		// There were no transactions, so that nothing is missing.
		s.producers.ended.floor, s.abortedSince = 0, 0
	}
	p.epochs, p.producers = s.epochs, s.producers
	p.aborted.reset(s.abortedSince, s.aborted)
	p.saved = covered
	end := p.log.End()
	p.highWater.Store(min(s.highWatermark, covered))
	if end < covered {
		p.truncate(end)
	}
	// When they were last seen is not known: their own time stamps may be those of an
	// older log that is being copied, and would make them expire at once.
	now := p.now().UnixMilli()
	return p.replay(max(min(covered, end), p.log.Start()), end, func(b record.Batch, m marker) {
		p.update(b, m, now)
		p.epochs = p.epochs.note(b.LeaderEpoch(), b.BaseOffset())
	})
}

// replay calls fn with the header of each batch of the local log in [from, end), and what it says if it
// is a marker. What is damaged is left out: it is refused to those who read it, and is no reason not to
// serve the rest; a retry of a batch in it may be appended again.
func (p *Partition) replay(from, end int64, fn func(record.Batch, marker)) error {
	for {
		err := p.log.Replay(from, func(b record.Batch) error {
			if b.BaseOffset() >= end {
				return errReplayed
			}
			m, err := p.markerOf(b)
			if err == nil {
				fn(b, m)
			}
			return err
		})
		if errors.Is(err, errReplayed) {
			return nil
		}
		next, damaged := p.behindDamage(err, from)
		if !damaged || next >= end {
			return err
		}
		from = next
	}
}

var errReplayed = errors.New("all of the range was replayed")

// markerOf reads the body of a control batch whose header is known.
func (p *Partition) markerOf(header record.Batch) (marker, error) {
	if !header.Control() {
		return noMarker, nil
	}
	chunk, err := p.log.Read(header.BaseOffset(), header.NextOffset(), 1, true)
	if err != nil {
		return noMarker, err
	}
	defer chunk.Release()
	if len(chunk.Buffers) == 0 {
		return noMarker, fmt.Errorf("%w: no control batch at offset=%d", errStateCorrupt, header.BaseOffset())
	}
	b, _, err := record.Next(chunk.Buffers[0])
	if err != nil {
		return noMarker, err
	}
	return parseMarker(b)
}

// truncate goes back to the state of a log that ends at end.
func (p *Partition) truncate(end int64) {
	p.producers.truncate(end)
	p.aborted.truncate(end)
	p.freed()
	p.epochs = p.epochs.truncateEnd(end)
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

// SaveState writes a state frame, so that a restart replays only what follows.
// Producers that were not seen for longer than their expiry are forgotten.
func (p *Partition) SaveState() {
	s := p.settings.Load()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.ProducerExpiry > 0 {
		p.producers.expire(p.now().Add(-s.ProducerExpiry).UnixMilli())
	}
	p.saveState()
}

// saveState writes a state frame. The caller holds the mutex.
func (p *Partition) saveState() {
	p.log.AppendState(p.encodeState())
	p.saved = p.end.Load()
}
