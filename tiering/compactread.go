package tiering

import (
	"context"
	"fmt"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// compactReadBytes is how much one GET of compaction asks for: enough that the store's latency does not count.
const compactReadBytes = 4 << 20

// compactGetTimeout bounds one GET to its last byte: a store that does not answer must not stop compaction for ever.
const compactGetTimeout = time.Minute

// compactSource reads one object, each range in its time.
type compactSource struct{ verifySource }

// ReadRange implements segment.Source.
func (s compactSource) ReadRange(ctx context.Context, dst []byte, off int64) error {
	ctx, cancel := context.WithTimeout(ctx, compactGetTimeout)
	defer cancel()
	return s.verifySource.ReadRange(ctx, dst, off)
}

func (c *compaction) source(s *manifest.Segment) compactSource {
	return compactSource{verifySource{c.e.o.Store, objstore.DataKey(s.Object)}}
}

// open reads a section's index, and checks that it is the one that the ledger means.
func (c *compaction) open(ctx context.Context, s *manifest.Segment) (*segment.Index, error) {
	sec, err := segment.OpenSection(ctx, c.source(s), s.Position, s.Size)
	if err != nil {
		return nil, fmt.Errorf("open segment base=%d: %w", s.Base, err)
	}
	x := sec.Index
	if got := manifest.Segment(x.Segment(s.Object, s.Position)); got != *s || x.Topic != c.l.id.Topic || x.Partition != c.l.id.Partition {
		return nil, fmt.Errorf("%w: section is not what the ledger says base=%d end=%d crc=%08x", segment.ErrCorrupt, s.Base, s.End, s.CRC)
	}
	return x, c.wait(ctx, x.Size)
}

// batches gives fn the batches of a section from the block that has offset on, and with each whether it is the last of the
// section. A batch is valid until fn returns. It ends early when fn says so.
func (c *compaction) batches(ctx context.Context, s *manifest.Segment, x *segment.Index, offset int64, fn func(b record.Batch, last bool) (more bool, err error)) error {
	for i := x.FindOffset(offset); i < len(x.Blocks); {
		n, size := i, int64(0) // the run [i, n) makes one GET
		for n < len(x.Blocks) && (n == i || size+int64(x.Blocks[n].Stored) <= compactReadBytes) {
			size += int64(x.Blocks[n].Stored)
			n++
		}
		if int64(cap(c.stored)) < size || int64(cap(c.stored)) > 2*max(size, compactReadBytes) {
			c.stored = make([]byte, size)
		}
		stored := c.stored[:size]
		if err := c.wait(ctx, size); err != nil {
			return err
		}
		if err := c.source(s).ReadRange(ctx, stored, s.Position+x.Blocks[i].Position); err != nil {
			return fmt.Errorf("read segment base=%d: %w", s.Base, err)
		}
		c.e.m.compactReadBytes.Add(float64(size))
		for ; i < n; i++ {
			k := &x.Blocks[i]
			raw, err := k.Decode(c.raw, stored, 0)
			if err != nil {
				return fmt.Errorf("read segment base=%d: %w", s.Base, err)
			}
			if k.Codec != segment.Raw {
				c.raw = raw
			}
			stored = stored[k.Stored:]
			if err := c.block(raw, i == len(x.Blocks)-1, fn); err != nil {
				if err == errEnough {
					return nil
				}
				return err
			}
		}
	}
	return nil
}

func (c *compaction) block(raw []byte, last bool, fn func(record.Batch, bool) (bool, error)) error {
	for len(raw) > 0 {
		b, rest, err := record.Next(raw)
		if err == nil {
			err = b.ValidateCRC()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", segment.ErrCorrupt, err)
		}
		raw = rest
		more, err := fn(b, last && len(rest) == 0)
		if err != nil {
			return err
		}
		if !more {
			return errEnough
		}
	}
	return nil
}

// wait keeps compaction within its rate.
func (c *compaction) wait(ctx context.Context, n int64) error {
	return c.e.compactPace.wait(ctx, n)
}
