package verify

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// reading is what a reader's journal adds up to.
type reading struct {
	witness uint16
	began   int64 // of its journal, µs since 1970
	parts   map[int32]*readPart
}

// readPart is a reader in one partition.
type readPart struct {
	position  int64 // the next offset
	seen      int64 // behind the highest offset that it saw
	watermark int64 // the last that it was told
	epoch     int32 // by the leader of this epoch
	end       int64 // the highest that it was told, by anybody

	covers   bool
	asked    int64 // µs since 1970: when it asked how far the log went
	from, to int64
	held     spans
}

// spans are ranges of offsets, in ascending order.
type spans []struct{ from, to int64 }

// maxSpans bounds the holes of a replay: each is reported, and a log with more of them has been lost altogether.
const maxSpans = 1 << 20

func (s *spans) add(from, to int64) {
	if n := len(*s); n > 0 && (*s)[n-1].to == from {
		(*s)[n-1].to = to
	} else if n < maxSpans {
		*s = append(*s, struct{ from, to int64 }{from, to})
	}
}

// holds tells whether an offset is in one of the ranges.
func (s spans) holds(offset int64) bool {
	low, high := 0, len(s)
	for low < high {
		if middle := (low + high) / 2; s[middle].to <= offset {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low < len(s) && s[low].from <= offset
}

// reads goes through the journal of a reader.
func (c *checker) reads(index int) error {
	s := c.sources[index]
	r := &reading{witness: uint16(index), began: s.began, parts: map[int32]*readPart{}}
	torn, err := scanJournal(s.path, func(e entry) error {
		if err := c.read(r, e); err != nil {
			return fmt.Errorf("%v: %w", s, err)
		}
		return c.ctx.Err()
	})
	if err != nil {
		return err
	}
	if torn {
		c.result.notice(NoticeTorn)
	}
	for _, part := range r.parts {
		if part.covers {
			c.replays = append(c.replays, r)
			break
		}
	}
	return nil
}

func (c *checker) read(r *reading, e entry) error {
	switch e := e.(type) {
	case fetched:
		return c.fetched(r, r.part(e.partition), e)
	case refused:
		c.refused(r, r.part(e.partition), e)
	case listed:
		c.listed(r, r.part(e.partition), e)
	case seek:
		r.part(e.partition).position = e.offset
	case covered:
		p := r.part(e.partition)
		p.covers, p.asked, p.from, p.to = true, r.began+e.asked, e.from, e.to
		c.complete(r, p, e)
	}
	return nil
}

func (r *reading) part(n int32) *readPart {
	p := r.parts[n]
	if p == nil {
		p = &readPart{epoch: -1}
		r.parts[n] = p
	}
	return p
}

// report adds a violation that a reader saw.
func (c *checker) report(class Class, r *reading, partition int32, offset, at int64, format string, args ...any) {
	c.result.add(Violation{Class: class, Partition: partition, Offset: offset, Who: c.who(r.witness),
		At: seconds(r.began + at - c.began), What: fmt.Sprintf(format, args...)})
}

// fetched takes the records of an answer, and its high watermark.
func (c *checker) fetched(r *reading, p *readPart, e fetched) error {
	if e.highWatermark >= 0 {
		switch {
		case e.highWatermark >= p.watermark:
		case e.epoch >= 0 && e.epoch == p.epoch:
			c.report(Watermark, r, e.partition, e.highWatermark, e.at, "the high watermark went back within one leader epoch: was=%d is=%d epoch=%d", p.watermark, e.highWatermark, e.epoch)
		default:
			c.result.notice(NoticeWatermark)
		}
		p.watermark, p.epoch = e.highWatermark, e.epoch
		p.end = max(p.end, e.highWatermark)
	}
	for _, one := range e.runs {
		if err := c.records(r, p, e, one); err != nil {
			return err
		}
	}
	return nil
}

// records takes the records of one run of an answer.
func (c *checker) records(r *reading, p *readPart, e fetched, one run) error {
	switch {
	case one.base > p.position && !c.plan.Gaps:
		c.report(Gap, r, e.partition, p.position, e.at, "offsets were left out: next=%d got=%d", p.position, one.base)
	case one.base < p.position:
		c.report(Order, r, e.partition, one.base, e.at, "an offset came again: next=%d got=%d", p.position, one.base)
	}
	next := one.base + one.count
	if e.highWatermark >= 0 && next > e.highWatermark {
		c.result.notice(NoticeAbove)
	}
	switch one.kind {
	case runCorrupt:
		c.report(Corruption, r, e.partition, one.base, e.at, "%s", one.text)
	case runForeign:
		c.report(Foreign, r, e.partition, one.base, e.at, "%s", one.text)
	case runOurs:
		c.result.Read += one.count
		if one.age > 0 {
			c.result.endToEnd.Record(one.age * 1000)
		}
	}
	seen := claim{kind: one.kind, id: identity{one.producer, one.sequence}, witness: r.witness, at: int64(seconds(r.began + e.at - c.began))}
	for i := range one.count {
		was, known, err := c.tables.meet(e.partition, one.base+i, seen)
		if err != nil {
			return err
		}
		if known && !was.sameRecord(seen) {
			c.report(Divergence, r, e.partition, one.base+i, e.at, "%s here; %s for %s at=%ds", seen, was, c.who(was.witness), was.at)
		}
		if one.kind == runOurs {
			seen.id.sequence++
		}
	}
	p.held.add(one.base, next)
	p.position, p.seen = next, max(p.seen, next)
	return nil
}

func (c claim) String() string {
	switch c.kind {
	case runControl:
		return "a control record"
	case runCorrupt:
		return "a corrupt record"
	case runForeign:
		return "a foreign record"
	}
	return c.id.String()
}

// refused takes an error. A reader asks for the offset behind the last that it saw, which every later leader has, too.
func (c *checker) refused(r *reading, p *readPart, e refused) {
	switch e.code {
	case kerr.OffsetOutOfRange.Code:
		c.report(OutOfRange, r, e.partition, e.position, e.at, "offset %d was refused: %s epoch=%d seen up to=%d", e.position, e.text, e.epoch, p.seen)
	case codeTruncated:
		c.report(Truncation, r, e.partition, e.position, e.at, "%s seen up to=%d", e.text, p.seen)
	default:
		c.result.notice("refused: " + e.text)
	}
}

// listed takes the end of the log as ListOffsets told it. A new leader that does not know its high watermark yet may refuse, and
// may not answer with an old one (KIP-207).
func (c *checker) listed(r *reading, p *readPart, e listed) {
	if e.offset < p.end || e.offset < p.seen {
		c.report(Watermark, r, e.partition, e.offset, e.at, "the end of the log went back: told=%d seen up to=%d is=%d epoch=%d", p.end, p.seen, e.offset, e.epoch)
	}
	p.end = max(p.end, e.offset)
}

// complete takes the word of a replay that it read all there was.
func (c *checker) complete(r *reading, p *readPart, e covered) {
	if e.from > 0 {
		c.report(Gap, r, e.partition, 0, e.asked, "the log begins at offset %d", e.from)
	}
	if p.position < e.to && !c.plan.Gaps {
		c.report(Gap, r, e.partition, p.position, e.asked, "offsets were left out at the end: next=%d end=%d", p.position, e.to)
	}
}
