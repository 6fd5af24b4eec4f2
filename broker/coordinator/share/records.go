package share

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// The kinds of records, which are the versions of their keys.
const (
	snapshotKey = 0
	updateKey   = 1
)

// batchBytes is the size of a batch in a record.
const batchBytes = 8 + 8 + 1 + 2 + 1

// tagComplete is the tagged field with the count of offsets that are done.
const tagComplete = 0

var (
	errTorn    = errors.New("record ends early")
	errUnknown = errors.New("record is of a kind or version that is not known")
	errRange   = errors.New("record has batches that are no ranges")
)

// appendKey writes a record's key.
func appendKey(kind uint16, k Key) []byte {
	b := make([]byte, 0, 2+2+len(k.Group)+16+4)
	b = binary.BigEndian.AppendUint16(b, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(k.Group)))
	b = append(b, k.Group...)
	b = append(b, k.Topic[:]...)
	return binary.BigEndian.AppendUint32(b, uint32(k.Partition))
}

// tombstone deletes a share partition.
func tombstone(k Key) coordinator.Record { return coordinator.Record{Key: appendKey(snapshotKey, k)} }

// snapshotRecord says everything about a share partition.
func snapshotRecord(k Key, s *state) coordinator.Record {
	b := make([]byte, 0, 2+4+4+4+8+8+8+5+len(s.batches)*batchBytes+8)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = appendInt32(b, s.snapshotEpoch)
	b = appendInt32(b, s.stateEpoch)
	b = appendInt32(b, s.leaderEpoch)
	b = appendInt64(b, s.start)
	b = appendInt64(b, s.created)
	b = appendInt64(b, s.written)
	return coordinator.Record{Key: appendKey(snapshotKey, k), Value: appendBatches(b, s.batches, s.complete)}
}

// update is a change of a share partition's state.
type update struct {
	snapshotEpoch int32
	leaderEpoch   int32 // -1: unchanged
	start         int64 // -1: unchanged
	complete      int32
	batches       []StateBatch
}

func updateRecord(k Key, u *update) coordinator.Record {
	b := make([]byte, 0, 2+4+4+8+5+len(u.batches)*batchBytes+8)
	b = binary.BigEndian.AppendUint16(b, 0)
	b = appendInt32(b, u.snapshotEpoch)
	b = appendInt32(b, u.leaderEpoch)
	b = appendInt64(b, u.start)
	return coordinator.Record{Key: appendKey(updateKey, k), Value: appendBatches(b, u.batches, u.complete)}
}

func appendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func appendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func appendBatches(b []byte, batches []StateBatch, complete int32) []byte {
	b = binary.AppendUvarint(b, uint64(len(batches))+1)
	for _, x := range batches {
		b = appendInt64(b, x.First)
		b = appendInt64(b, x.Last)
		b = append(b, byte(x.State))
		b = binary.BigEndian.AppendUint16(b, uint16(x.DeliveryCount))
		b = append(b, 0)
	}
	if complete == unknownComplete {
		return append(b, 0)
	}
	return appendInt32(append(b, 1, tagComplete, 4), complete)
}

// entry is a record that was read. Exactly one of snapshot and update is set, or none:
// then it deletes.
type entry struct {
	key      Key
	snapshot *state
	update   *update
}

func decode(key, value []byte) (entry, error) {
	r := reader{b: key}
	kind := r.int16()
	if kind != snapshotKey && kind != updateKey {
		return entry{}, fmt.Errorf("%w: key version=%d", errUnknown, kind)
	}
	var e entry
	e.key.Group = string(r.take(int(r.int16())))
	copy(e.key.Topic[:], r.take(len(e.key.Topic)))
	e.key.Partition = r.int32()
	if err := r.end(); err != nil {
		return entry{}, fmt.Errorf("key: %w", err)
	}
	if value == nil {
		if kind == updateKey {
			return entry{}, fmt.Errorf("%w: an update without a value", errUnknown)
		}
		return e, nil
	}
	v := reader{b: value}
	if version := v.int16(); version != 0 {
		return entry{}, fmt.Errorf("%w: value version=%d", errUnknown, version)
	}
	if kind == snapshotKey {
		s := &state{}
		s.snapshotEpoch, s.stateEpoch, s.leaderEpoch = v.int32(), v.int32(), v.int32()
		s.start, s.created, s.written = v.int64(), v.int64(), v.int64()
		s.batches, s.complete = v.batches()
		// What another broker wrote may have neighbours that could be joined.
		s.batches = combine(s.batches, nil, s.start)
		e.snapshot = s
	} else {
		u := &update{snapshotEpoch: v.int32(), leaderEpoch: v.int32(), start: v.int64()}
		u.batches, u.complete = v.batches()
		e.update = u
	}
	if err := v.end(); err != nil {
		return entry{}, fmt.Errorf("value: %w", err)
	}
	return e, nil
}

// reader reads a record. Once bytes ran out, everything it reads is zero.
type reader struct {
	b     []byte
	wrong error
}

func (r *reader) fail(err error) {
	if r.wrong == nil {
		r.wrong = err
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail(errTorn)
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// uvarint reads a number that cannot be greater than the bytes that are left.
func (r *reader) uvarint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)) {
		r.fail(errTorn)
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// tags reads tagged fields and gives each to known, which may be nil.
func (r *reader) tags(known func(tag int, b []byte)) {
	for range r.uvarint() {
		tag, n := binary.Uvarint(r.b)
		if n <= 0 || tag > 1<<31 {
			r.fail(errTorn)
			return
		}
		r.b = r.b[n:]
		b := r.take(r.uvarint())
		if r.wrong != nil {
			return
		}
		if known != nil {
			known(int(tag), b)
		}
	}
}

// batches reads the end of a value: its batches and tags.
func (r *reader) batches() (out []StateBatch, complete int32) {
	n := r.uvarint() - 1
	if n < 0 || n > len(r.b)/batchBytes {
		r.fail(errTorn)
		return nil, unknownComplete
	}
	for range n {
		x := StateBatch{First: r.int64(), Last: r.int64()}
		if b := r.take(1); b != nil {
			x.State = int8(b[0])
		}
		x.DeliveryCount = r.int16()
		r.tags(nil)
		if r.wrong != nil {
			return nil, unknownComplete
		}
		out = append(out, x)
	}
	if !valid(out) {
		r.fail(errRange)
	}
	complete = unknownComplete
	r.tags(func(tag int, b []byte) {
		if tag == tagComplete && len(b) == 4 {
			complete = int32(binary.BigEndian.Uint32(b))
		}
	})
	return out, complete
}

func (r *reader) end() error {
	if r.wrong == nil && len(r.b) > 0 {
		return fmt.Errorf("%d bytes after the record", len(r.b))
	}
	return r.wrong
}
