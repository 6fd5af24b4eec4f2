package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// CheckOptions say how a directory is checked.
type CheckOptions struct {
	// Explain is how many violations of each class are explained; 10 if it is 0.
	Explain int
}

// Check compares all histories in a directory with one another, and with what is promised. It asks no broker: Read does.
// A result with violations is no error.
func Check(ctx context.Context, dir string, o CheckOptions) (_ *Result, err error) {
	p, err := readPlan(dir)
	if err != nil {
		return nil, err
	}
	id, err := p.id()
	if err != nil {
		return nil, err
	}
	c := &checker{ctx: ctx, plan: p, result: newResult(p, o)}
	if c.sources, err = sources(dir, id); err != nil {
		return nil, err
	}
	if c.tables, err = newTables(dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.tables.close()) }()
	err = c.run()
	c.result.finish()
	return c.result, err
}

// checker is one check. It goes through the journals three times: who read, who wrote, and then through what they said together.
//
//	replays, newest first ─┐
//	readers               ─┼─► table: partition, offset → record ─► sequences of each producer: order, once
//	acknowledgements      ─┘
type checker struct {
	ctx     context.Context
	plan    *plan
	result  *Result
	sources []source // by number of witness
	tables  *tables
	replays []*reading // those that cover anything, newest first
	began   int64      // of the run, µs since 1970
	ended   int64      // the last acknowledgement
}

func (c *checker) run() error {
	c.began = math.MaxInt64
	for _, s := range c.sources {
		c.began = min(c.began, s.began)
	}
	// The newest replay is the first witness: it is what the log is now.
	for i, s := range slices.Backward(c.sources) {
		if s.role == roleReplay {
			if err := c.reads(i); err != nil {
				return err
			}
		}
	}
	for i, s := range c.sources {
		if s.role == roleReader {
			if err := c.reads(i); err != nil {
				return err
			}
		}
	}
	if err := c.writes(); err != nil {
		return err
	}
	c.covered()
	for partition := range c.plan.Partitions {
		if err := c.sweep(partition); err != nil {
			return err
		}
	}
	return nil
}

// covered asks that each partition was read to its end after the last acknowledgement.
func (c *checker) covered() {
	for partition := range c.plan.Partitions {
		if !slices.ContainsFunc(c.replays, func(r *reading) bool {
			part := r.parts[partition]
			return part != nil && part.covers && part.asked >= c.ended
		}) {
			c.result.add(Violation{Class: Unread, Partition: partition, Offset: -1, Who: "check", At: seconds(c.ended - c.began),
				What: "no reader got from the beginning to the end after the last acknowledgement"})
		}
	}
}

// who names a witness.
func (c *checker) who(witness uint16) string { return c.sources[witness].String() }

func (s source) String() string { return fmt.Sprintf("%v-%d", s.role, s.number) }

// sweep goes through a partition by offset: the records of each producer in their order, each once.
func (c *checker) sweep(partition int32) (err error) {
	type state struct {
		next, offset int64 // behind the highest sequence met, and where that was
		met          sequences
	}
	producers := map[uint16]*state{}
	for offset, claim := range c.tables.all(partition, &err) {
		if claim.kind != runOurs || c.sources[claim.witness].role == roleProducer {
			continue // an acknowledgement alone says nothing of where a record lies
		}
		of := producers[claim.id.producer]
		if of == nil {
			of = &state{met: sequences{}}
			producers[claim.id.producer] = of
		}
		fresh := of.met.add(claim.id.sequence)
		v := Violation{Partition: partition, Offset: offset, Who: c.who(claim.witness), At: float64(claim.at)}
		switch {
		case claim.id.sequence >= of.next:
			of.next, of.offset = claim.id.sequence+1, offset
		case fresh:
			v.Class = Order
			v.What = fmt.Sprintf("%v lies behind sequence=%d, which is at offset=%d", claim.id, of.next-1, of.offset)
			c.result.add(v)
		case !c.plan.Idempotent:
			c.result.notice(NoticeDuplicate)
		default:
			v.Class = Duplicate
			v.What = fmt.Sprintf("%v lies at two offsets", claim.id)
			if c.result.Counts[Duplicate] < int64(c.result.each) { // the search is worth it for what is shown only
				first, err := c.first(partition, claim.id)
				if err != nil {
					return err
				}
				v.What += fmt.Sprintf(" first=%d", first)
			}
			c.result.add(v)
		}
	}
	return errors.Join(err, c.ctx.Err())
}

// first is the lowest offset at which a record lies.
func (c *checker) first(partition int32, id identity) (first int64, err error) {
	for offset, claim := range c.tables.all(partition, &err) {
		if claim.kind == runOurs && claim.id == id {
			return offset, nil
		}
	}
	return -1, err
}
