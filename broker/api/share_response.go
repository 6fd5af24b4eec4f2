package api

import (
	"encoding/binary"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// appendShareFetch encodes a response, of version 1 or 2, whose records are buffers
// beside it, so that they are not copied: records(topic, partition) are those of a
// partition, whose own field is not looked at. Otherwise the bytes are those of kmsg.
func appendShareFetch(r *kmsg.ShareFetchResponse, records func(topic, partition int) [][]byte) net.Buffers {
	var out net.Buffers
	var b []byte
	b = be.AppendUint32(b, uint32(r.ThrottleMillis))
	b = be.AppendUint16(b, uint16(r.ErrorCode))
	b = appendNullable(b, r.ErrorMessage)
	b = be.AppendUint32(b, uint32(r.AcquisitionLockTimeoutMillis))
	b = appendLength(b, len(r.Topics))
	for i := range r.Topics {
		t := &r.Topics[i]
		b = append(b, t.TopicID[:]...)
		b = appendLength(b, len(t.Partitions))
		for j := range t.Partitions {
			p := &t.Partitions[j]
			b = be.AppendUint32(b, uint32(p.Partition))
			b = be.AppendUint16(b, uint16(p.ErrorCode))
			b = appendNullable(b, p.ErrorMessage)
			b = be.AppendUint16(b, uint16(p.AcknowledgeErrorCode))
			b = appendNullable(b, p.AcknowledgeErrorMessage)
			b = be.AppendUint32(b, uint32(p.CurrentLeader.LeaderID))
			b = be.AppendUint32(b, uint32(p.CurrentLeader.LeaderEpoch))
			b = append(b, 0)
			size := 0
			buffers := records(i, j)
			for _, x := range buffers {
				size += len(x)
			}
			b = appendLength(b, size)
			if size > 0 {
				out = append(append(out, b), buffers...)
				b = nil
			}
			b = appendLength(b, len(p.AcquiredRecords))
			for k := range p.AcquiredRecords {
				a := &p.AcquiredRecords[k]
				b = be.AppendUint64(b, uint64(a.FirstOffset))
				b = be.AppendUint64(b, uint64(a.LastOffset))
				b = be.AppendUint16(b, uint16(a.DeliveryCount))
				b = append(b, 0)
			}
			b = append(b, 0)
		}
		b = append(b, 0)
	}
	b = appendLength(b, len(r.NodeEndpoints))
	for i := range r.NodeEndpoints {
		n := &r.NodeEndpoints[i]
		b = be.AppendUint32(b, uint32(n.NodeID))
		b = appendNullable(b, &n.Host)
		b = be.AppendUint32(b, uint32(n.Port))
		b = appendNullable(b, n.Rack)
		b = append(b, 0)
	}
	return append(out, append(b, 0))
}

var be = binary.BigEndian

// appendLength appends the length of an array, a string or bytes.
func appendLength(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)+1) }

func appendNullable(b []byte, s *string) []byte {
	if s == nil {
		return append(b, 0)
	}
	return append(appendLength(b, len(*s)), *s...)
}
