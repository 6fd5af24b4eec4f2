package partition

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// A replica that has lost its disk and leads goes on where the object store ends. What it must know of what lies
// below, the object store tells: leader epochs, producers, and the transactions that are open there.
//
//	            tiered: all that is left      appended since
//	  ────────────────────────────────┼──────────────────────────
//	    A begin …  A: open?           │ last stable offset stands here until that is known
//
// Where the object store does not answer, the partition serves all but transactions, and asks again when
// something is appended or uploaded.

// ErrNotRecalled means that it is not known yet which transactions are open.
var ErrNotRecalled = errors.New("the local log is lost and the object store has not told yet which transactions are open")

// recallPause is the time between two questions that were not answered.
const recallPause = time.Second

// recall takes over what the object store knows of epochs and producers, where the local log is lost. It reports
// whether anything was taken over, which no state frame says yet. The caller holds the mutex.
func (p *Partition) recall() bool {
	if !p.lost {
		return false
	}
	known, err := p.fetchRecall()
	if err != nil {
		p.logger.Warn("the local log is lost and the state of the producers is not known", "topic", p.topic, "partition", p.id.Partition, "error", err)
		p.acks.Lock()
		p.resettle() // stands at the seam
		p.acks.Unlock()
		return false
	}
	return p.adopt(known)
}

// fetchRecall asks the object store; nil: there is nothing to know. What it has and can not be read counts as nothing: it
// would not be better the next time.
func (p *Partition) fetchRecall() (*state, error) {
	if p.restore == nil || p.tiered.Load() <= p.logStart.Load() {
		return nil, nil
	}
	history, payload, err := p.restore()
	if err != nil {
		return nil, err
	}
	known, err := decodeState(payload)
	if err != nil {
		p.logger.Error("the state of the producers in the object store can not be read: open transactions are not known", "topic", p.topic, "partition", p.id.Partition, "error", err)
		return nil, nil
	}
	known.epochs = history
	return &known, nil
}

// adopt takes over what is known below what was appended meanwhile, in which there are no transactions. The
// caller holds the mutex.
func (p *Partition) adopt(known *state) bool {
	p.lost = false
	if known != nil {
		for id, e := range known.producers.entries {
			switch here := p.producers.entries[id]; {
			case here == nil:
				if p.producers.entries == nil {
					p.producers.entries = make(map[int64]*producerEntry)
				}
				p.producers.entries[id] = e
			case here.first == none:
				here.first = e.first
			}
		}
		p.producers.ongoing.rebuild(p.producers.entries)
		es := known.epochs
		for _, e := range p.epochs {
			es = es.note(e.Epoch, e.Start)
		}
		p.epochs = es
	}
	p.acks.Lock()
	p.resettle()
	for w := range p.acks.committed {
		w.Advanced(p, math.MaxInt32)
	}
	p.acks.Unlock()
	return known != nil
}

// Recall asks the object store again, where it has not told what lies below the local log. It does nothing where that
// is known.
func (p *Partition) Recall() error {
	p.mu.Lock()
	lost := p.lost && p.Leads()
	p.mu.Unlock()
	if !lost {
		return nil
	}
	known, err := p.fetchRecall()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecalled, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost && p.Leads() && p.adopt(known) {
		p.saveState()
	}
	return nil
}

// recallSoon has Recall run, not more often than it makes sense. The caller holds the mutex.
func (p *Partition) recallSoon() {
	if now := p.now(); now.Sub(p.asked) >= recallPause && p.asking.CompareAndSwap(false, true) {
		p.asked = now
		go func() {
			defer p.asking.Store(false)
			if err := p.Recall(); err != nil {
				p.logger.Warn("transactions are not served", "topic", p.topic, "partition", p.id.Partition, "error", err)
			}
		}()
	}
}

// firstOpen is the first offset that an open transaction may have; the greatest offset: none is open. The caller holds the
// mutex.
func (p *Partition) firstOpen() int64 {
	if p.lost {
		return min(p.seam, p.producers.ongoing.first())
	}
	return p.producers.ongoing.first()
}
