package wal

import (
	"encoding/binary"
	"hash/crc32"
)

const (
	blockSize       = 4096
	frameHeaderSize = 40
	anchorBodySize  = 48
	anchorVersion   = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// frameType says what a frame's payload is.
type frameType uint8

const (
	frameBatches  frameType = 1 // record batches of one partition
	frameState    frameType = 2 // anchor: identity, start, covered end, the owner's state
	frameTruncate frameType = 3 // anchor that also kills earlier frames at and above an offset
	frameDrop     frameType = 4 // the partition is gone, all its earlier frames are dead
	frameEnd      frameType = 5 // nothing follows in this file
	framePad      frameType = 6 // fills a group up to the next block
)

func (t frameType) valid() bool { return t >= frameBatches && t <= framePad }

// flagGroup marks the first frame of a group. It lies at the start of a block, so that a scan can tell a torn
// last group from damage in front of an acknowledged one.
const flagGroup = 1

// zeroCRC is the checksum of that many zero bytes, which is what padding frames hold.
var zeroCRC = func() (t [blockSize]uint32) {
	for i := 1; i < len(t); i++ {
		t[i] = crc32.Update(t[i-1], castagnoli, []byte{0})
	}
	return t
}()

// frameHeader is drawn in doc.go.
type frameHeader struct {
	length     uint32 // payload bytes
	payloadCRC uint32
	typ        frameType
	flags      uint8
	ordinal    uint32
	epoch      int32
	position   uint32 // of this header in the file
	span       uint32 // offsets covered from base
	base       int64
}

// put writes the header into b, sealed with the file's seed.
func (h *frameHeader) put(b []byte, seed uint32) {
	le := binary.LittleEndian
	_ = b[frameHeaderSize-1]
	le.PutUint32(b[0:], h.length)
	le.PutUint32(b[4:], 0)
	le.PutUint32(b[8:], h.payloadCRC)
	b[12], b[13], b[14], b[15] = byte(h.typ), h.flags, 0, 0
	le.PutUint32(b[16:], h.ordinal)
	le.PutUint32(b[20:], uint32(h.epoch))
	le.PutUint32(b[24:], h.position)
	le.PutUint32(b[28:], h.span)
	le.PutUint64(b[32:], uint64(h.base))
	le.PutUint32(b[4:], crc32.Update(seed, castagnoli, b[:frameHeaderSize]))
}

// parseFrameHeader reads a header that is expected at position; ok is false when it is not a valid header of
// this file at this position. The payload is not looked at.
func parseFrameHeader(b []byte, seed uint32, position int64) (h frameHeader, ok bool) {
	if len(b) < frameHeaderSize {
		return h, false
	}
	le := binary.LittleEndian
	if le.Uint32(b[24:]) != uint32(position) || !frameType(b[12]).valid() {
		return h, false
	}
	var z [frameHeaderSize]byte
	copy(z[:], b)
	z[4], z[5], z[6], z[7] = 0, 0, 0, 0
	if crc32.Update(seed, castagnoli, z[:]) != le.Uint32(b[4:]) {
		return h, false
	}
	return frameHeader{
		length:     le.Uint32(b[0:]),
		payloadCRC: le.Uint32(b[8:]),
		typ:        frameType(b[12]),
		flags:      b[13],
		ordinal:    le.Uint32(b[16:]),
		epoch:      int32(le.Uint32(b[20:])),
		position:   le.Uint32(b[24:]),
		span:       le.Uint32(b[28:]),
		base:       int64(le.Uint64(b[32:])),
	}, true
}

// frameSize is what a frame with that payload takes in the file.
func frameSize(payload int) int64 { return align8(frameHeaderSize + int64(payload)) }

func align8(n int64) int64     { return (n + 7) &^ 7 }
func alignBlock(n int64) int64 { return (n + blockSize - 1) &^ (blockSize - 1) }

// anchorBody is the payload of state and truncate frames, without the owner's bytes behind it.
type anchorBody struct {
	id         ID
	start, end int64
	keep       int64 // truncate: earlier frames at and above it are dead; else -1
}

// append writes the body and the owner's state behind it.
func (a *anchorBody) append(dst, state []byte) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint16(dst, anchorVersion)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint32(dst, uint32(a.id.Partition))
	dst = append(dst, a.id.Topic[:]...)
	dst = le.AppendUint64(dst, uint64(a.start))
	dst = le.AppendUint64(dst, uint64(a.end))
	dst = le.AppendUint64(dst, uint64(a.keep))
	return append(dst, state...)
}

// parseAnchor splits a state or truncate payload. ok is false for one that cannot be.
func parseAnchor(b []byte) (a anchorBody, state []byte, ok bool) {
	le := binary.LittleEndian
	if len(b) < anchorBodySize || le.Uint16(b) != anchorVersion {
		return a, nil, false
	}
	a.id.Partition = int32(le.Uint32(b[4:]))
	copy(a.id.Topic[:], b[8:24])
	a.start = int64(le.Uint64(b[24:]))
	a.end = int64(le.Uint64(b[32:]))
	a.keep = int64(le.Uint64(b[40:]))
	if a.start < 0 || a.end < 0 || a.keep < -1 {
		return a, nil, false
	}
	return a, b[anchorBodySize:], true
}
