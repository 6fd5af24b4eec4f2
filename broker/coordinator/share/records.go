package share

import (
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/codec"
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
	errUnknown = errors.New("record is of a kind or version that is not known")
	errRange   = errors.New("record has batches that are no ranges")
)

// appendKey writes a record's key.
func appendKey(kind int16, k Key) []byte {
	b := codec.AppendInt16(make([]byte, 0, 2+2+len(k.Group)+16+4), kind)
	b = codec.AppendShortString(b, k.Group)
	b = append(b, k.Topic[:]...)
	return codec.AppendInt32(b, k.Partition)
}

// tombstone deletes a share partition.
func tombstone(k Key) coordinator.Record { return coordinator.Record{Key: appendKey(snapshotKey, k)} }

// snapshotRecord says everything about a share partition.
func snapshotRecord(k Key, s *state) coordinator.Record {
	b := make([]byte, 0, 2+4+4+4+8+8+8+5+len(s.batches)*batchBytes+8)
	b = codec.AppendInt16(b, 0)
	b = codec.AppendInt32(b, s.snapshotEpoch)
	b = codec.AppendInt32(b, s.stateEpoch)
	b = codec.AppendInt32(b, s.leaderEpoch)
	b = codec.AppendInt64(b, s.start)
	b = codec.AppendInt64(b, s.created)
	b = codec.AppendInt64(b, s.written)
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
	b = codec.AppendInt16(b, 0)
	b = codec.AppendInt32(b, u.snapshotEpoch)
	b = codec.AppendInt32(b, u.leaderEpoch)
	b = codec.AppendInt64(b, u.start)
	return coordinator.Record{Key: appendKey(updateKey, k), Value: appendBatches(b, u.batches, u.complete)}
}

func appendBatches(b []byte, batches []StateBatch, complete int32) []byte {
	b = codec.AppendCompactLen(b, len(batches))
	for _, x := range batches {
		b = codec.AppendInt64(b, x.First)
		b = codec.AppendInt64(b, x.Last)
		b = append(b, byte(x.State))
		b = codec.AppendInt16(b, x.DeliveryCount)
		b = codec.AppendTags(b)
	}
	if complete == unknownComplete {
		return codec.AppendTags(b)
	}
	return codec.AppendTags(b, codec.Tag{Tag: tagComplete, Value: codec.AppendInt32(nil, complete)})
}

// entry is a record that was read. Exactly one of snapshot and update is set, or none:
// then it deletes.
type entry struct {
	key      Key
	snapshot *state
	update   *update
}

func decode(key, value []byte) (entry, error) {
	r := codec.NewReader(key)
	kind := r.Int16()
	if kind != snapshotKey && kind != updateKey {
		return entry{}, fmt.Errorf("%w: key version=%d", errUnknown, kind)
	}
	var e entry
	e.key.Group, e.key.Topic, e.key.Partition = r.ShortString(), r.UUID(), r.Int32()
	if err := r.Finish(); err != nil {
		return entry{}, fmt.Errorf("key: %w", err)
	}
	if value == nil {
		if kind == updateKey {
			return entry{}, fmt.Errorf("%w: an update without a value", errUnknown)
		}
		return e, nil
	}
	v := codec.NewReader(value)
	if version := v.Int16(); version != 0 {
		return entry{}, fmt.Errorf("%w: value version=%d", errUnknown, version)
	}
	if kind == snapshotKey {
		s := &state{}
		s.snapshotEpoch, s.stateEpoch, s.leaderEpoch = v.Int32(), v.Int32(), v.Int32()
		s.start, s.created, s.written = v.Int64(), v.Int64(), v.Int64()
		s.batches, s.complete = readBatches(&v)
		// What another broker wrote may have neighbours that could be joined.
		s.batches = combine(s.batches, nil, s.start)
		e.snapshot = s
	} else {
		u := &update{snapshotEpoch: v.Int32(), leaderEpoch: v.Int32(), start: v.Int64()}
		u.batches, u.complete = readBatches(&v)
		e.update = u
	}
	if err := v.Finish(); err != nil {
		return entry{}, fmt.Errorf("value: %w", err)
	}
	return e, nil
}

// readBatches reads the end of a value: its batches and tags.
func readBatches(r *codec.Reader) (out []StateBatch, complete int32) {
	if r.Peek() == 0 {
		r.Fail(errRange) // Kafka has no null there
	}
	r.CompactEach(batchBytes, func() {
		out = append(out, StateBatch{First: r.Int64(), Last: r.Int64(), State: r.Int8(), DeliveryCount: r.Int16()})
		r.Tags(nil)
	})
	if r.Err() != nil || !valid(out) {
		r.Fail(errRange)
		return nil, unknownComplete
	}
	complete = unknownComplete
	r.Tags(func(tag uint64, field *codec.Reader) {
		if tag == tagComplete && field.Remaining() == 4 {
			complete = field.Int32()
		}
	})
	return out, complete
}
