package wire

import (
	"encoding/binary"
	"net"
)

// FetchResponse is the answer to a FetchRequest. It is reusable: Reset keeps
// the memory of its slices.
type FetchResponse struct {
	ThrottleMillis int32
	ErrorCode      int16 // version 7+
	SessionID      int32 // version 7+
	Topics         []FetchTopicResponse
	Nodes          []NodeEndpoint // version 16+: where the current leaders are

	cuts []cut
}

// FetchTopicResponse is one topic of a FetchResponse.
type FetchTopicResponse struct {
	Name       []byte   // up to version 12
	ID         [16]byte // from version 13
	Partitions []FetchPartitionResponse
}

// FetchPartitionResponse is what one partition has.
type FetchPartitionResponse struct {
	Index                int32
	ErrorCode            int16
	HighWatermark        int64 // -1 on error
	LastStableOffset     int64 // -1 on error
	LogStartOffset       int64 // version 5+; -1 on error
	Aborted              []AbortedTransaction
	NullAborted          bool  // null instead of an empty Aborted: read uncommitted
	PreferredReadReplica int32 // version 11+; -1: none

	// Records are whole batches, in any number of buffers; none is empty, not
	// null. The buffers must stay as they are until the response was written.
	Records [][]byte

	DivergingEpoch *EpochEndOffset // version 12+; nil: absent
	CurrentLeader  *LeaderAndEpoch // version 12+; nil: absent
	SnapshotID     *EpochEndOffset // version 12+; nil: absent
}

// AbortedTransaction tells a consumer from where on to drop a producer's records.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// EpochEndOffset is a leader epoch and the offset where it ends.
type EpochEndOffset struct {
	Epoch     int32
	EndOffset int64
}

// cut is a place among the encoded fields where record buffers go.
type cut struct {
	at      int // position in the fields
	records [][]byte
}

// Reset empties the response.
func (f *FetchResponse) Reset() {
	clear(f.cuts)
	*f = FetchResponse{Topics: f.Topics[:0], Nodes: f.Nodes[:0], cuts: f.cuts[:0]}
}

// AppendTo encodes the body in the given version: fields are appended to
// fields, and the pieces of the body, fields and records by turns, to bufs. The
// returned fields slice is what to give back to its pool after the write; what
// it held before the call is not part of the body.
func (f *FetchResponse) AppendTo(bufs net.Buffers, fields []byte, version int16) (net.Buffers, []byte) {
	flexible := version >= 12
	f.cuts = f.cuts[:0]
	start := len(fields)
	dst := appendInt32(fields, f.ThrottleMillis)
	if version >= 7 {
		dst = appendInt16(dst, f.ErrorCode)
		dst = appendInt32(dst, f.SessionID)
	}
	dst = appendCount(dst, len(f.Topics), flexible)
	for i := range f.Topics {
		t := &f.Topics[i]
		if version >= fetchTopicIDs {
			dst = append(dst, t.ID[:]...)
		} else {
			dst = appendString(dst, t.Name, flexible)
		}
		dst = appendCount(dst, len(t.Partitions), flexible)
		for j := range t.Partitions {
			dst = f.appendPartition(dst, &t.Partitions[j], version, flexible)
		}
		dst = appendNoTags(dst, flexible)
	}
	switch {
	case version >= 16:
		dst = appendNodes(dst, f.Nodes)
	case flexible:
		dst = append(dst, 0)
	}
	// The fields have stopped moving: now they can be sliced.
	for i := range f.cuts {
		c := &f.cuts[i]
		bufs = append(bufs, dst[start:c.at:c.at])
		bufs = append(bufs, c.records...)
		start = c.at
	}
	bufs = append(bufs, dst[start:len(dst):len(dst)])
	clear(f.cuts)
	return bufs, dst
}

func (f *FetchResponse) appendPartition(dst []byte, p *FetchPartitionResponse, version int16, flexible bool) []byte {
	dst = appendInt32(dst, p.Index)
	dst = appendInt16(dst, p.ErrorCode)
	dst = appendInt64(dst, p.HighWatermark)
	dst = appendInt64(dst, p.LastStableOffset)
	if version >= 5 {
		dst = appendInt64(dst, p.LogStartOffset)
	}
	if p.NullAborted {
		dst = appendCount(dst, -1, flexible)
	} else {
		dst = appendCount(dst, len(p.Aborted), flexible)
		for i := range p.Aborted {
			dst = appendInt64(dst, p.Aborted[i].ProducerID)
			dst = appendInt64(dst, p.Aborted[i].FirstOffset)
			dst = appendNoTags(dst, flexible)
		}
	}
	if version >= 11 {
		dst = appendInt32(dst, p.PreferredReadReplica)
	}
	size := 0
	for _, b := range p.Records {
		size += len(b)
	}
	dst = appendCount(dst, size, flexible)
	if size > 0 {
		f.cuts = append(f.cuts, cut{at: len(dst), records: p.Records})
	}
	if !flexible {
		return dst
	}
	tags := byte(0)
	for _, set := range [...]bool{p.DivergingEpoch != nil, p.CurrentLeader != nil, p.SnapshotID != nil} {
		if set {
			tags++
		}
	}
	dst = append(dst, tags)
	if e := p.DivergingEpoch; e != nil {
		dst = append(dst, 0, 13)
		dst = appendInt32(dst, e.Epoch)
		dst = appendInt64(dst, e.EndOffset)
		dst = append(dst, 0)
	}
	if p.CurrentLeader != nil {
		dst = p.CurrentLeader.appendTag(dst, 1)
	}
	if e := p.SnapshotID; e != nil {
		dst = append(dst, 2, 13)
		dst = appendInt64(dst, e.EndOffset)
		dst = appendInt32(dst, e.Epoch)
		dst = append(dst, 0)
	}
	return dst
}

// AppendFrame prepends the size and the header of a response to its body, which
// has bodyBytes bytes: it appends them to dst.
func AppendFrame(dst []byte, key, version int16, correlationID int32, bodyBytes int) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = AppendResponseHeader(dst, key, version, correlationID)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-SizePrefix+bodyBytes))
	return dst
}
