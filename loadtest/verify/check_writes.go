package verify

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// writer is the journal of a producer, open.
type writer struct {
	witness uint16
	began   int64
	scan    *scanner
	file    *os.File
	pending acks // of the frame under way
}

// writes goes through the journals of all producers together, in the order of time.
func (c *checker) writes() (err error) {
	gaps := newGaps(c.plan, c.began)
	var writers []*writer
	defer func() {
		for _, w := range writers {
			err = errors.Join(err, w.file.Close())
		}
	}()
	for i, s := range c.sources {
		switch s.role {
		case roleRun:
			if _, err := scanJournal(s.path, func(e entry) error {
				if m, ok := e.(mark); ok {
					gaps.mark(s.began+m.at, m.text)
				}
				return nil
			}); err != nil {
				return err
			}
		case roleProducer:
			scan, file, err := openJournal(s.path)
			if err != nil {
				return err
			}
			writers = append(writers, &writer{witness: uint16(i), began: s.began, scan: scan, file: file})
		}
	}
	for _, w := range writers {
		if err := c.advance(w, gaps); err != nil {
			return err
		}
	}
	for n := 0; ; n++ {
		var first *writer // there are few producers
		for _, w := range writers {
			if len(w.pending) > 0 && (first == nil || w.began+w.pending[0].at < first.began+first.pending[0].at) {
				first = w
			}
		}
		if first == nil {
			break
		}
		a := first.pending[0]
		first.pending = first.pending[1:]
		if err := c.acked(first, a); err != nil {
			return err
		}
		gaps.ack(c.sources[first.witness].number, a.partition, first.began+a.at)
		if len(first.pending) == 0 {
			if err := c.advance(first, gaps); err != nil {
				return err
			}
		}
		if n%4096 == 0 && c.ctx.Err() != nil {
			return c.ctx.Err()
		}
	}
	gaps.sum(c.result)
	return nil
}

// advance reads a producer's journal up to its next acknowledgements, or to its end.
func (c *checker) advance(w *writer, gaps *gaps) error {
	for {
		e, err := w.scan.next()
		if errors.Is(err, io.EOF) {
			if w.scan.torn {
				c.result.notice(NoticeTorn)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.who(w.witness), err)
		}
		switch e := e.(type) {
		case acks:
			if len(e) > 0 {
				w.pending = e
				return nil
			}
		case failed:
			c.result.Failed++
			tally(c.result.Failures, e.text)
		case done:
			c.result.Sent += e.sent
			gaps.stopping(c.sources[w.witness].number, w.began+e.stopping)
		}
	}
}

// acked compares an acknowledgement with what was read.
func (c *checker) acked(w *writer, a ack) error {
	c.result.Acked++
	at := w.began + a.at
	c.ended = max(c.ended, at)
	c.result.acknowledged.Record(a.waited * 1000)
	c.result.count(at - c.began)
	id := identity{c.sources[w.witness].number, a.sequence}
	said := claim{kind: runOurs, id: id, witness: w.witness, at: int64(seconds(at - c.began))}
	v := Violation{Partition: a.partition, Offset: a.offset, Who: c.who(w.witness), At: seconds(at - c.began)}
	was, known, err := c.tables.meet(a.partition, a.offset, said)
	switch {
	case err != nil:
		return err
	case known && !was.sameRecord(said):
		v.Class = Divergence
		if c.sources[was.witness].role == roleReplay {
			v.Class = Loss
		}
		v.What = fmt.Sprintf("%v was acknowledged here; %s for %s at=%ds", id, was, c.who(was.witness), was.at)
		c.broken(v)
		return nil
	}
	for _, r := range c.replays {
		p := r.parts[a.partition]
		if p == nil || !p.covers || at > p.asked || p.held.holds(a.offset) {
			continue
		}
		v.Class = Loss
		v.What = fmt.Sprintf("%v was acknowledged here; %s read offsets from %d to %d and not this one", id, c.who(r.witness), p.from, p.to)
		c.broken(v)
		return nil
	}
	return nil
}

// broken adds a violation of what an acknowledgement means. One that did not wait for all in-sync replicas means little.
func (c *checker) broken(v Violation) {
	if c.plan.Acks != AcksAll {
		c.result.notice(NoticeLoss)
		return
	}
	c.result.add(v)
}
