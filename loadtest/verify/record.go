package verify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/internal/codec"
)

// The value of a record, big endian. Everything behind the header follows from it, so a reader can compute the whole record again.
//
//	 0 magic "TLVR"
//	 4 version u8 = 1      5 zero u8         6 producer u16
//	 8 run, 16 bytes
//	24 partition u32      28 payload length u32
//	32 sequence u64       40 sent i64 µs
//	48 crc32c u32 of the header before it, the payload, the key and the header's value
//	52 payload
//
// The key is "producer-partition-sequence" in decimal, the one header, "run", is the run's 16 bytes. The sequence counts the
// records of one producer to one partition from 0.
const (
	recordMagic   = "TLVR"
	recordVersion = 1
	recordHeader  = 52
	crcAt         = 48
	runHeader     = "run"

	// MinRecordBytes and MaxRecordBytes bound the size of a record's value. The largest fits Kafka's default message.max.bytes.
	MinRecordBytes = recordHeader
	MaxRecordBytes = 1000000
	maxSequence    = 1<<46 - 1 // what an entry of a table holds
)

// RunID tells the records of one run from those of any other.
type RunID [16]byte

// identity is one record among all of a run that were sent to the same partition.
type identity struct {
	producer uint16
	sequence int64
}

func (id identity) String() string {
	return fmt.Sprintf("producer=%d sequence=%d", id.producer, id.sequence)
}

// errForeign means that a record is not one of this run.
var errForeign = errors.New("not a record of this run")

// makeRecord builds a record of a value of the given size, which is at least MinRecordBytes.
func makeRecord(run RunID, partition int32, id identity, sent int64, size int) *kgo.Record {
	value := make([]byte, size)
	copy(value, recordMagic)
	value[4] = recordVersion
	binary.BigEndian.PutUint16(value[6:], id.producer)
	copy(value[8:], run[:])
	binary.BigEndian.PutUint32(value[24:], uint32(partition))
	binary.BigEndian.PutUint32(value[28:], uint32(size-recordHeader))
	binary.BigEndian.PutUint64(value[32:], uint64(id.sequence))
	binary.BigEndian.PutUint64(value[40:], uint64(sent))
	fillPayload(value[recordHeader:], value[:40])
	key := recordKey(partition, id)
	binary.BigEndian.PutUint32(value[crcAt:], codec.CRC32C(value[:crcAt], value[recordHeader:], key, run[:]))
	return &kgo.Record{Timestamp: time.UnixMicro(sent).Truncate(time.Millisecond), Partition: partition, Key: key, Value: value, Headers: []kgo.RecordHeader{{Key: runHeader, Value: run[:]}}}
}

func recordKey(partition int32, id identity) []byte {
	return fmt.Appendf(nil, "%d-%d-%d", id.producer, partition, id.sequence)
}

// checkRecord finds out which record it is and whether all of it is as it was written. The identity is valid when there is no error.
func checkRecord(run RunID, partition int32, r *kgo.Record) (id identity, sent int64, err error) {
	v := r.Value
	if len(v) < recordHeader || string(v[:4]) != recordMagic || v[4] != recordVersion || RunID(v[8:24]) != run {
		return id, 0, fmt.Errorf("%w: value=%.32x bytes=%d", errForeign, v, len(v))
	}
	id = identity{binary.BigEndian.Uint16(v[6:]), int64(binary.BigEndian.Uint64(v[32:]))}
	sent = int64(binary.BigEndian.Uint64(v[40:]))
	var header []byte
	if len(r.Headers) == 1 {
		header = r.Headers[0].Value
	}
	if stored, computed := binary.BigEndian.Uint32(v[crcAt:]), codec.CRC32C(v[:crcAt], v[recordHeader:], r.Key, header); stored != computed {
		return id, sent, fmt.Errorf("checksum is wrong: stored=%08x computed=%08x %w", stored, computed, whatDiffers(run, partition, id, r))
	}
	switch at := int32(binary.BigEndian.Uint32(v[24:])); {
	case at != partition:
		return id, sent, fmt.Errorf("record was written to another partition: %v partition=%d", id, at)
	case id.sequence < 0 || id.sequence > maxSequence:
		return id, sent, fmt.Errorf("record has a sequence that cannot be: %v", id)
	case r.Attrs.TimestampType() == 0 && r.Timestamp.UnixMilli() != sent/1000: // else it is the broker's
		return id, sent, fmt.Errorf("timestamp differs: %v got=%d want=%d", id, r.Timestamp.UnixMilli(), sent/1000)
	case len(r.Headers) != 1 || r.Headers[0].Key != runHeader:
		return id, sent, fmt.Errorf("headers are not those that were written: %v count=%d", id, len(r.Headers))
	}
	return id, sent, nil
}

// whatDiffers compares a record whose checksum is wrong with what must have been written, if its header is to be believed.
func whatDiffers(run RunID, partition int32, id identity, r *kgo.Record) error {
	want := makeRecord(run, partition, id, int64(binary.BigEndian.Uint64(r.Value[40:])), len(r.Value))
	for i := range want.Value {
		if r.Value[i] != want.Value[i] && (i < crcAt || i >= recordHeader) {
			return fmt.Errorf("value differs: %v at=%d got=%02x want=%02x", id, i, r.Value[i], want.Value[i])
		}
	}
	switch {
	case string(r.Key) != string(want.Key):
		return fmt.Errorf("key differs: %v got=%.64q want=%q", id, r.Key, want.Key)
	case len(r.Headers) != 1 || string(r.Headers[0].Value) != string(run[:]):
		return fmt.Errorf("header differs: %v count=%d", id, len(r.Headers))
	}
	return fmt.Errorf("nothing else differs: %v", id)
}

// fillPayload fills b from a seed. Each word stands four times, so that compression has something to find.
func fillPayload(b, seed []byte) {
	state := uint64(codec.CRC32C(seed))<<32 | uint64(codec.CRC32C(seed, []byte{1}))
	var word [8]byte
	for i := range b {
		if i%32 == 0 { // splitmix64
			state += 0x9e3779b97f4a7c15
			z := (state ^ state>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			binary.BigEndian.PutUint64(word[:], z^z>>31)
		}
		b[i] = word[i%8]
	}
}
