package replication

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/wal"
)

type frameType uint8

const (
	typeOpen    frameType = 1
	typeCut     frameType = 2
	typeRestart frameType = 3
	typeAppend  frameType = 4
	typeCommit  frameType = 5
	typeClose   frameType = 6
	typeOpened  frameType = 7
	typeAck     frameType = 8
	typeRefused frameType = 9
	typeTraced  frameType = 10
)

// refusal is why a follower does not take a slot, or not any more.
type refusal uint8

const (
	refusedStale   refusal = 1 // a newer leader epoch is known
	refusedAgain   refusal = 2 // out of step: open it again
	refusedUnknown refusal = 3 // not a replica
)

// errFrame says that bytes are not a frame of this protocol.
var errFrame = errors.New("not a replication frame")

const (
	lengthBytes = 4
	frameHead   = lengthBytes + 4 + 1 // with the type
	pairBytes   = 4 + 8               // a slot and an offset
	// maxControlFrame bounds frames without record batches. The largest is a restart: its
	// state fits into half a file of the smallest write-ahead log.
	maxControlFrame = 16 << 20
)

// beginFrame appends the head of a frame, which endFrame completes.
func beginFrame(dst []byte, t frameType) []byte {
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0, byte(t))
}

// endFrame completes the frame that begins at from; tail are payload bytes that follow
// from other memory.
func endFrame(b []byte, from int, tail ...[]byte) {
	n := len(b) - from - lengthBytes
	for _, t := range tail {
		n += len(t)
	}
	binary.BigEndian.PutUint32(b[from:], uint32(n))
	parts := append([][]byte{b[from+8:]}, tail...)
	binary.BigEndian.PutUint32(b[from+lengthBytes:], codec.CRC32C(parts...))
}

func appendOpen(dst []byte, slot uint32, id wal.ID, epoch int32, index uint64) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(beginFrame(dst, typeOpen), slot)
	dst = append(dst, id.Topic[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(id.Partition))
	dst = binary.BigEndian.AppendUint32(dst, uint32(epoch))
	dst = binary.BigEndian.AppendUint64(dst, index)
	endFrame(dst, from)
	return dst
}

// appendPlan appends the frame that carries a plan out.
func appendPlan(dst []byte, slot uint32, plan *partition.Plan, highWatermark int64) []byte {
	from, t := len(dst), typeCut
	if plan.Restart {
		t = typeRestart
	}
	dst = binary.BigEndian.AppendUint32(beginFrame(dst, t), slot)
	dst = binary.BigEndian.AppendUint64(dst, uint64(plan.To))
	dst = binary.BigEndian.AppendUint64(dst, uint64(highWatermark))
	dst = append(dst, plan.State...)
	endFrame(dst, from)
	return dst
}

// appendHead appends an append frame up to its batches, which follow from other memory.
func appendHead(dst []byte, slot uint32, highWatermark int64, batches [][]byte) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(beginFrame(dst, typeAppend), slot)
	dst = binary.BigEndian.AppendUint64(dst, uint64(highWatermark))
	endFrame(dst, from, batches...)
	return dst
}

// pair is a slot with an offset: a high watermark, or an acknowledged end.
type pair struct {
	slot   uint32
	offset int64
}

func appendPairs(dst []byte, t frameType, pairs []pair) []byte {
	from := len(dst)
	dst = beginFrame(dst, t)
	for _, p := range pairs {
		dst = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(dst, p.slot), uint64(p.offset))
	}
	endFrame(dst, from)
	return dst
}

func appendClose(dst []byte, slot uint32) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(beginFrame(dst, typeClose), slot)
	endFrame(dst, from)
	return dst
}

func appendOpened(dst []byte, slot uint32, h *partition.History) []byte {
	from := len(dst)
	dst = binary.BigEndian.AppendUint32(beginFrame(dst, typeOpened), slot)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.Start))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.End))
	for _, e := range h.Epochs {
		dst = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(dst, uint32(e.Epoch)), uint64(e.Start))
	}
	endFrame(dst, from)
	return dst
}

func appendRefused(dst []byte, slot uint32, why refusal) []byte {
	from := len(dst)
	dst = append(binary.BigEndian.AppendUint32(beginFrame(dst, typeRefused), slot), byte(why))
	endFrame(dst, from)
	return dst
}

// readHead reads the head of the next frame and returns its type, the bytes of its payload
// and the checksum that payload and type must have. max bounds frames with batches.
func readHead(r io.Reader, max int) (t frameType, size int, sum uint32, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, 0, 0, err
	}
	t = frameType(head[frameHead-1])
	n := int64(binary.BigEndian.Uint32(head[:])) - (frameHead - lengthBytes)
	limit := int64(maxControlFrame)
	switch t {
	case typeAppend:
		limit = int64(max)
	case typeTraced:
		limit = maxTracedFrame
	}
	if t < typeOpen || t > typeTraced || n < 0 || n > limit {
		return 0, 0, 0, fmt.Errorf("%w: type=%d bytes=%d max=%d", errFrame, t, n, limit)
	}
	return t, int(n), binary.BigEndian.Uint32(head[lengthBytes:]), nil
}

// readPayload fills dst with a payload and checks it.
func readPayload(r io.Reader, t frameType, dst []byte, sum uint32) error {
	if _, err := io.ReadFull(r, dst); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if codec.CRC32C([]byte{byte(t)}, dst) != sum {
		return fmt.Errorf("%w: checksum of type=%d bytes=%d", errFrame, t, len(dst))
	}
	return nil
}

// opening is an open frame.
type opening struct {
	slot  uint32
	id    wal.ID
	epoch int32
	index uint64
}

func parseOpen(b []byte) (o opening, err error) {
	r := codec.NewReader(b)
	o.slot = r.Uint32()
	o.id = wal.ID{Topic: r.UUID(), Partition: r.Int32()}
	o.epoch, o.index = r.Int32(), r.Uint64()
	return o, finish(&r)
}

// directive is a cut or a restart frame; the state is within b.
type directive struct {
	slot              uint32
	at, highWatermark int64
	state             []byte
}

func parseDirective(b []byte, t frameType) (d directive, err error) {
	r := codec.NewReader(b)
	d.slot, d.at, d.highWatermark = r.Uint32(), r.Int64(), r.Int64()
	if t == typeRestart {
		d.state = r.Rest()
	}
	if err := finish(&r); err != nil {
		return d, err
	}
	if d.at < 0 || d.highWatermark < 0 {
		return d, fmt.Errorf("%w: negative offset: at=%d high watermark=%d", errFrame, d.at, d.highWatermark)
	}
	return d, nil
}

// batches is an append frame; the records are within b.
type batches struct {
	slot          uint32
	highWatermark int64
	records       []byte
}

func parseAppend(b []byte) (a batches, err error) {
	r := codec.NewReader(b)
	a.slot, a.highWatermark, a.records = r.Uint32(), r.Int64(), r.Rest()
	if err := finish(&r); err != nil {
		return a, err
	}
	if a.highWatermark < 0 || len(a.records) == 0 {
		return a, fmt.Errorf("%w: append of bytes=%d high watermark=%d", errFrame, len(a.records), a.highWatermark)
	}
	return a, nil
}

// eachPair calls fn with the pairs of a commit or ack frame.
func eachPair(b []byte, fn func(pair)) error {
	if len(b)%pairBytes != 0 {
		return fmt.Errorf("%w: pairs in bytes=%d", errFrame, len(b))
	}
	for ; len(b) > 0; b = b[pairBytes:] {
		p := pair{binary.BigEndian.Uint32(b), int64(binary.BigEndian.Uint64(b[4:]))}
		if p.offset < 0 {
			return fmt.Errorf("%w: negative offset=%d", errFrame, p.offset)
		}
		fn(p)
	}
	return nil
}

func parseSlot(b []byte) (slot uint32, err error) {
	r := codec.NewReader(b)
	slot = r.Uint32()
	return slot, finish(&r)
}

func parseOpened(b []byte) (slot uint32, h partition.History, err error) {
	r := codec.NewReader(b)
	slot, h.Start, h.End = r.Uint32(), r.Int64(), r.Int64()
	for r.Err() == nil && r.Remaining() > 0 {
		h.Epochs = append(h.Epochs, partition.EpochStart{Epoch: r.Int32(), Start: r.Int64()})
	}
	if err := finish(&r); err != nil {
		return slot, h, err
	}
	last := partition.EpochStart{Epoch: -1, Start: -1}
	for _, e := range h.Epochs {
		if e.Epoch <= last.Epoch || e.Start <= last.Start || e.Start > h.End {
			return slot, h, fmt.Errorf("%w: leader epochs out of order: epoch=%d start=%d", errFrame, e.Epoch, e.Start)
		}
		last = e
	}
	if h.Start < 0 || h.End < h.Start {
		return slot, h, fmt.Errorf("%w: log start=%d end=%d", errFrame, h.Start, h.End)
	}
	return slot, h, nil
}

func parseRefused(b []byte) (slot uint32, why refusal, err error) {
	r := codec.NewReader(b)
	slot, why = r.Uint32(), refusal(r.Uint8())
	return slot, why, finish(&r)
}

func finish(r *codec.Reader) error {
	if err := r.Finish(); err != nil {
		return fmt.Errorf("%w: %w", errFrame, err)
	}
	return nil
}
