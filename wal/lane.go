package wal

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

const (
	// minLaneSlots keeps a disk busy. As many reads as there are processors are enough for one that is quicker than they are.
	minLaneSlots = 4
	// laneTurn is what a reader may take from the disk while others wait for a slot.
	laneTurn = 1 << 20
	// maxLaneWait bounds how long a reader waits. One that has waited as long is not served any better by waiting on.
	maxLaneWait = 2 * time.Second
)

// lane bounds how many consumers read from the log's files at once. Without it a few hundred that are far behind would
// have a few hundred reads before each sync at the disk, and all producers would wait for them. Readers of the
// broker's own (replicas, uploads, loads of coordinators) are few, and do not wait here.
type lane struct {
	slots   chan struct{} // who has sent to it has a slot; senders wait in the order in which they came
	waiting atomic.Int64
	m       *metrics
}

func newLane(m *metrics) *lane {
	return &lane{slots: make(chan struct{}, max(minLaneSlots, runtime.GOMAXPROCS(0))), m: m}
}

// try takes a slot if there is one that nobody waits for.
func (l *lane) try() bool {
	select {
	case l.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// wait takes a slot when it is this reader's turn.
func (l *lane) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxLaneWait)
	defer cancel()
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	l.m.readWaits.Inc()
	began := time.Now()
	defer func() { l.m.readWaitSeconds.Add(time.Since(began).Seconds()) }()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
}

func (l *lane) leave() { <-l.slots }

// InTurn calls f when it is the caller's turn among consumers at the disk: for a search, which may read several files.
// f must not read in turn itself. ErrBusy: its turn did not come, and f was not called.
func (p *Partition) InTurn(ctx context.Context, f func() error) error {
	lane := p.log.lane
	if !lane.try() {
		if err := lane.wait(ctx); err != nil {
			return err
		}
	}
	defer lane.leave()
	return f()
}

// ReadInTurn is Read for consumers, of whom there may be any number: few of them are at the disk at once. The chunk
// may have fewer bytes than there are below maxBytes, as when the rest is on the disk and others wait for that. Where all is there, a reader
// with atLeastOne waits for its turn, holding nothing; the others, which have something already, get ErrBusy at once.
func (p *Partition) ReadInTurn(ctx context.Context, offset, limit int64, maxBytes int, atLeastOne bool) (*Chunk, error) {
	lane := p.log.lane
	c, slot, err := p.read(offset, limit, maxBytes, atLeastOne, lane, false)
	if slot {
		lane.leave()
	}
	if err != errNoSlot {
		return c, err
	}
	if !atLeastOne {
		return nil, ErrBusy
	}
	if err := lane.wait(ctx); err != nil {
		return nil, err
	}
	defer lane.leave()
	c, _, err = p.read(offset, limit, maxBytes, atLeastOne, lane, true)
	return c, err
}
