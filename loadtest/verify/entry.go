package verify

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/internal/codec"
)

// What a journal says: one thing that an observer did, was told, or saw. Times are in µs since the journal's own.
//
// The bodies of the frames; u is an unsigned varint, v a zigzag one, s a string behind its length as u:
//
//	1 acks     count u, count × { partition u, sequence u, offset u, at u, waited u }
//	2 failed   partition u, sequence u, at u, text s
//	3 fetched  partition u, epoch v, at u, high watermark v, log start v, runs u, runs ×
//	           { kind u8, base u, count u, producer u, sequence u, age u, text s }
//	4 refused  partition u, epoch v, at u, position v, code v, text s
//	5 listed   partition u, epoch v, at u, offset v
//	6 seek     partition u, at u, offset v
//	7 covered  partition u, asked u, from v, to v
//	8 mark     at u, text s
//	9 done     stopping u, at u, sent u
type entry interface {
	kind() entryKind
	append(dst []byte) []byte
}

type entryKind uint8

const (
	kindAcks entryKind = iota + 1
	kindFailed
	kindFetched
	kindRefused
	kindListed
	kindSeek
	kindCovered
	kindMark
	kindDone
)

// ack is the acknowledgement of a record: the broker said that it lies at the offset.
type ack struct {
	partition int32
	sequence  int64
	offset    int64
	at        int64
	waited    int64 // since it was given to the client
}

// acks are acknowledgements of one producer, in the order in which they came.
type acks []ack

// failed is a record that the client gave up. It may have been written all the same.
type failed struct {
	partition int32
	sequence  int64
	at        int64
	text      string
}

// fetched is the answer to a fetch: the records, and what the broker said of the log.
type fetched struct {
	partition     int32
	epoch         int32 // the leader's; -1 when the observer cannot know it
	at            int64
	highWatermark int64
	logStart      int64
	runs          []run
}

// run is records of one kind at offsets that follow one another. Those of a producer have sequences that do so, too.
type run struct {
	kind     runKind
	base     int64
	count    int64
	producer uint16
	sequence int64 // of the first
	age      int64 // µs between the writing of the first and its arrival; 0 where nobody measured
	text     string
}

type runKind uint8

const (
	runOurs    runKind = iota // records of this run
	runControl                // control records
	runCorrupt                // a record that is not as it was written; text says why
	runForeign                // a record of somebody else
)

// refused is a fetch that was answered with an error.
type refused struct {
	partition int32
	epoch     int32
	at        int64
	position  int64
	code      int16
	text      string
}

// codeTruncated is the code of a refusal that comes from the client, not from the broker: it found out that the log was
// truncated below what it had read.
const codeTruncated = -1000

// listed is the end of a log, as ListOffsets told it.
type listed struct {
	partition int32
	epoch     int32
	at        int64
	offset    int64
}

// seek says that a reader goes on at another offset, of its own will or because it was told to.
type seek struct {
	partition int32
	at        int64
	offset    int64
}

// covered says that a reader has read all of a partition that was there when it asked: offsets from ≤ o < to.
type covered struct {
	partition int32
	asked     int64
	from, to  int64
}

// mark is something that was done to the cluster.
type mark struct {
	at   int64
	text string
}

// done ends the journal of a producer.
type done struct {
	stopping int64 // when it sent no more
	at       int64
	sent     int64
}

// Bounds of what is written and believed.
const (
	maxText      = 512
	maxFrame     = 1 << 20
	acksPerFrame = 512
	runsPerFrame = 8192 // times runBytes, with a text in each only where something is wrong
	maxPartition = 1 << 20
)

func (acks) kind() entryKind    { return kindAcks }
func (failed) kind() entryKind  { return kindFailed }
func (fetched) kind() entryKind { return kindFetched }
func (refused) kind() entryKind { return kindRefused }
func (listed) kind() entryKind  { return kindListed }
func (seek) kind() entryKind    { return kindSeek }
func (covered) kind() entryKind { return kindCovered }
func (mark) kind() entryKind    { return kindMark }
func (done) kind() entryKind    { return kindDone }

// appendU appends numbers that are not negative.
func appendU[T ~int32 | ~int64](dst []byte, values ...T) []byte {
	for _, v := range values {
		dst = binary.AppendUvarint(dst, uint64(v))
	}
	return dst
}

func appendV[T ~int16 | ~int32 | ~int64](dst []byte, values ...T) []byte {
	for _, v := range values {
		dst = binary.AppendVarint(dst, int64(v))
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return codec.AppendString(dst, s[:min(len(s), maxText)])
}

func (e acks) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(e)))
	for _, a := range e {
		dst = appendU(appendU(dst, a.partition), a.sequence, a.offset, a.at, a.waited)
	}
	return dst
}

func (e failed) append(dst []byte) []byte {
	return appendText(appendU(appendU(dst, e.partition), e.sequence, e.at), e.text)
}

func (e fetched) append(dst []byte) []byte {
	dst = appendU(appendV(appendU(dst, e.partition), e.epoch), e.at)
	dst = binary.AppendUvarint(appendV(dst, e.highWatermark, e.logStart), uint64(len(e.runs)))
	for _, r := range e.runs {
		dst = appendU(append(dst, byte(r.kind)), r.base, r.count, int64(r.producer), r.sequence, r.age)
		dst = appendText(dst, r.text)
	}
	return dst
}

func (e refused) append(dst []byte) []byte {
	dst = appendU(appendV(appendU(dst, e.partition), e.epoch), e.at)
	return appendText(appendV(appendV(dst, e.position), e.code), e.text)
}

func (e listed) append(dst []byte) []byte {
	return appendV(appendU(appendV(appendU(dst, e.partition), e.epoch), e.at), e.offset)
}

func (e seek) append(dst []byte) []byte {
	return appendV(appendU(appendU(dst, e.partition), e.at), e.offset)
}

func (e covered) append(dst []byte) []byte {
	return appendV(appendU(appendU(dst, e.partition), e.asked), e.from, e.to)
}

func (e mark) append(dst []byte) []byte { return appendText(appendU(dst, e.at), e.text) }
func (e done) append(dst []byte) []byte { return appendU(dst, e.stopping, e.at, e.sent) }

// runBytes is the least that a run takes, ackBytes an acknowledgement.
const (
	runBytes = 7
	ackBytes = 5
)

var errBound = errors.New("value out of bounds")

// body reads the fields of a frame.
type body struct{ codec.Reader }

func (b *body) number() int64 {
	v := b.Uvarint()
	if v > 1<<62 {
		b.Fail(fmt.Errorf("%w: value=%d", errBound, v))
		return 0
	}
	return int64(v)
}

func (b *body) partition() int32 { return int32(b.within(maxPartition)) }

func (b *body) within(limit int64) int64 {
	v := b.number()
	if v > limit {
		b.Fail(fmt.Errorf("%w: value=%d max=%d", errBound, v, limit))
		return 0
	}
	return v
}

func (b *body) signed(low, high int64) int64 {
	v := b.Varint()
	if v < low || v > high {
		b.Fail(fmt.Errorf("%w: value=%d min=%d max=%d", errBound, v, low, high))
		return 0
	}
	return v
}

func (b *body) epoch() int32    { return int32(b.signed(-1, 1<<31-1)) }
func (b *body) offset() int64   { return b.signed(-1<<62, 1<<62) }
func (b *body) sequence() int64 { return b.within(maxSequence) }

func (b *body) text() string {
	raw := b.Bytes()
	if len(raw) > maxText {
		b.Fail(fmt.Errorf("%w: text bytes=%d max=%d", errBound, len(raw), maxText))
		return ""
	}
	return string(raw)
}

// decodeEntry reads the body of a frame. A kind that it does not know is errUnknownKind.
func decodeEntry(kind entryKind, raw []byte) (entry, error) {
	b := body{codec.NewReader(raw)}
	var e entry
	switch kind {
	case kindAcks:
		e = b.acks()
	case kindFailed:
		e = failed{b.partition(), b.sequence(), b.number(), b.text()}
	case kindFetched:
		e = b.fetched()
	case kindRefused:
		e = refused{b.partition(), b.epoch(), b.number(), b.offset(), int16(b.signed(-1<<15, 1<<15-1)), b.text()}
	case kindListed:
		e = listed{b.partition(), b.epoch(), b.number(), b.offset()}
	case kindSeek:
		e = seek{b.partition(), b.number(), b.offset()}
	case kindCovered:
		e = covered{b.partition(), b.number(), b.offset(), b.offset()}
	case kindMark:
		e = mark{b.number(), b.text()}
	case kindDone:
		e = done{b.number(), b.number(), b.number()}
	default:
		return nil, fmt.Errorf("%w: kind=%d", errUnknownKind, kind)
	}
	if err := b.Finish(); err != nil {
		return nil, fmt.Errorf("frame of kind %d: %w", kind, err)
	}
	return e, nil
}

func (b *body) acks() acks {
	list := make(acks, b.Count(ackBytes))
	for i := range list {
		list[i] = ack{b.partition(), b.sequence(), b.number(), b.number(), b.number()}
	}
	return list
}

func (b *body) fetched() fetched {
	e := fetched{partition: b.partition(), epoch: b.epoch(), at: b.number(), highWatermark: b.offset(), logStart: b.offset()}
	e.runs = make([]run, b.Count(runBytes))
	for i := range e.runs {
		kind := runKind(b.Uint8())
		if kind > runForeign {
			b.Fail(fmt.Errorf("%w: run kind=%d", errBound, kind))
		}
		r := run{kind, b.number(), b.number(), uint16(b.within(1<<16 - 1)), b.sequence(), b.number(), b.text()}
		if r.base > 1<<61 || r.count > 1<<61 || r.sequence+r.count > maxSequence {
			b.Fail(fmt.Errorf("%w: run base=%d count=%d sequence=%d", errBound, r.base, r.count, r.sequence))
		}
		e.runs[i] = r
	}
	return e
}
