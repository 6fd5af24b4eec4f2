package record

import (
	"encoding/binary"
	"fmt"
)

// ControlType is what a control record says.
type ControlType int16

// The control records of transactions.
const (
	Abort  ControlType = 0
	Commit ControlType = 1
)

// A control record's key is {version int16, type int16}; the value of a
// transaction marker is {version int16, coordinator epoch int32}.

// ControlRecord makes a transaction marker's record; ts is in ms.
func ControlRecord(t ControlType, coordinatorEpoch int32, ts int64) Record {
	key := binary.BigEndian.AppendUint16(make([]byte, 0, 4), 0)
	key = binary.BigEndian.AppendUint16(key, uint16(t))
	value := binary.BigEndian.AppendUint16(make([]byte, 0, 6), 0)
	value = binary.BigEndian.AppendUint32(value, uint32(coordinatorEpoch))
	return Record{Timestamp: ts, Key: key, Value: value}
}

// ParseControl reads a control record. Types other than Abort and Commit are
// returned as they are, with epoch -1: newer brokers may write them, and readers
// pass over them. The error is ErrCorrupt.
func ParseControl(r Record) (t ControlType, coordinatorEpoch int32, err error) {
	if len(r.Key) < 4 {
		return 0, -1, fmt.Errorf("%w: control key of %d bytes at offset=%d", ErrCorrupt, len(r.Key), r.Offset)
	}
	t = ControlType(binary.BigEndian.Uint16(r.Key[2:]))
	if t != Abort && t != Commit {
		return t, -1, nil
	}
	if len(r.Value) < 6 {
		return t, -1, fmt.Errorf("%w: control value of %d bytes at offset=%d", ErrCorrupt, len(r.Value), r.Offset)
	}
	return t, int32(binary.BigEndian.Uint32(r.Value[2:])), nil
}
