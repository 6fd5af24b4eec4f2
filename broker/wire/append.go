package wire

import (
	"encoding/binary"

	"github.com/tidelinehq/tideline/internal/codec"
)

func appendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }
func appendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }
func appendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

// appendCount appends the length of an array, or of bytes, in either encoding;
// -1 for null.
func appendCount(dst []byte, n int, flexible bool) []byte {
	if flexible {
		return binary.AppendUvarint(dst, uint64(n+1))
	}
	return appendInt32(dst, int32(n))
}

func appendString[S ~string | ~[]byte](dst []byte, s S, flexible bool) []byte {
	if flexible {
		dst = binary.AppendUvarint(dst, uint64(len(s)+1))
	} else {
		dst = appendInt16(dst, int16(len(s)))
	}
	return append(dst, s...)
}

// appendOptional appends s, or null when it is empty.
func appendOptional(dst []byte, s string, flexible bool) []byte {
	switch {
	case s != "":
		return appendString(dst, s, flexible)
	case flexible:
		return append(dst, 0)
	}
	return appendInt16(dst, -1)
}

// appendNoTags ends a structure without tagged fields.
func appendNoTags(dst []byte, flexible bool) []byte {
	if flexible {
		return append(dst, 0)
	}
	return dst
}

// LeaderAndEpoch tells a client who leads a partition now.
type LeaderAndEpoch struct {
	LeaderID int32 // -1: not known
	Epoch    int32 // -1: not known
}

// appendTag appends the field as tagged field tag.
func (l *LeaderAndEpoch) appendTag(dst []byte, tag byte) []byte {
	dst = append(dst, tag, 9)
	dst = appendInt32(dst, l.LeaderID)
	dst = appendInt32(dst, l.Epoch)
	return append(dst, 0)
}

// NodeEndpoint is where to reach a broker that some LeaderAndEpoch names.
type NodeEndpoint struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   string // "": null
}

// appendNodes appends the top level's tagged fields: the endpoints as tag 0, or
// none.
func appendNodes(dst []byte, nodes []NodeEndpoint) []byte {
	if len(nodes) == 0 {
		return append(dst, 0)
	}
	size := codec.UvarintLen(uint64(len(nodes) + 1))
	for i := range nodes {
		n := &nodes[i]
		size += 4 + codec.UvarintLen(uint64(len(n.Host)+1)) + len(n.Host) + 4 + codec.UvarintLen(uint64(len(n.Rack)+1)) + len(n.Rack) + 1
	}
	dst = append(dst, 1, 0)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = appendCount(dst, len(nodes), true)
	for i := range nodes {
		n := &nodes[i]
		dst = appendInt32(dst, n.NodeID)
		dst = appendString(dst, n.Host, true)
		dst = appendInt32(dst, n.Port)
		dst = appendOptional(dst, n.Rack, true)
		dst = append(dst, 0)
	}
	return dst
}
