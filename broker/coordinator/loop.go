package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

// loop is the shell around a shard: its goroutine, mailbox and clock.
type loop struct {
	opts             *Options
	metrics          *metrics
	log              *slog.Logger
	partition, epoch int32
	ctx              context.Context
	stop             context.CancelFunc
	previous         *loop // of an older epoch: ends before this one loads
	ended            chan struct{}
	wake             chan struct{} // one token: the mailbox has something

	mu      sync.Mutex // guards the fields below
	state   loopState
	pending int // calls not yet answered
	mail    []mail
}

type loopState uint8

const (
	loading loopState = iota
	active
	ended
)

// mail is an event, or the fate of a write.
type mail struct {
	ev    Event
	write *write
	base  int64
	err   error
}

func newLoop(opts *Options, mx *metrics, partition, epoch int32, previous *loop) *loop {
	ctx, cancel := context.WithCancel(context.Background())
	return &loop{
		opts: opts, metrics: mx, partition: partition, epoch: epoch, ctx: ctx, stop: cancel, previous: previous,
		log:   opts.Logger.With("topic_partition", partition, "leader_epoch", epoch),
		ended: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// submit queues an event; an error means that it was not.
func (l *loop) submit(ev Event) error {
	l.mu.Lock()
	switch {
	case l.state == loading && ev.Call != nil:
		l.mu.Unlock()
		return ErrLoading
	case l.state == loading && len(l.mail) >= l.opts.MaxPending:
		l.mu.Unlock()
		return ErrBusy
	case l.state == ended:
		l.mu.Unlock()
		return ErrNotCoordinator
	case ev.Call != nil && l.pending >= l.opts.MaxPending:
		l.mu.Unlock()
		return ErrBusy
	}
	if ev.Call != nil {
		l.pending++
		ev.Call.release = l.released
		l.metrics.pending.Inc()
	}
	l.mail = append(l.mail, mail{ev: ev})
	l.mu.Unlock()
	l.poke()
	return nil
}

func (l *loop) released() {
	l.mu.Lock()
	l.pending--
	l.mu.Unlock()
	l.metrics.pending.Dec()
}

// settled queues the fate of a write. A loop that ended has answered everybody.
func (l *loop) settled(w *write, base int64, err error) {
	l.mu.Lock()
	if l.state != ended {
		l.mail = append(l.mail, mail{write: w, base: base, err: err})
	}
	l.mu.Unlock()
	l.poke()
}

func (l *loop) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take empties the mailbox into buf.
func (l *loop) take(buf []mail) []mail {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.mail
	l.mail = buf[:0]
	return taken
}

func (l *loop) run() {
	defer close(l.ended)
	defer l.stop()
	if l.previous != nil {
		<-l.previous.ended
		l.previous = nil
	}
	l.metrics.shards.WithLabelValues("loading").Inc()
	s, err := l.load()
	l.metrics.shards.WithLabelValues("loading").Dec()
	if err != nil {
		l.end(nil, nil)
		return
	}
	l.metrics.shards.WithLabelValues("active").Inc()
	defer l.metrics.shards.WithLabelValues("active").Dec()
	l.serve(s)
}

// load replays the log until that works or the loop is stopped.
func (l *loop) load() (*shard, error) {
	pause := l.opts.RetryPause
	for {
		began := l.opts.Now()
		m := l.opts.New(l.partition, l.epoch)
		records, err := l.replay(m)
		if err == nil {
			took := l.opts.Now().Sub(began)
			l.metrics.loadSeconds.Observe(took.Seconds())
			l.log.Debug("coordinator loaded", "records", records, "took", took)
			return newShard(m, l.opts, l.metrics), nil
		}
		if l.ctx.Err() != nil {
			return nil, err
		}
		l.metrics.loadFailures.Inc()
		l.log.Error("coordinator could not load and will try again", "error", err, "pause", pause)
		t := time.NewTimer(pause)
		select {
		case <-l.ctx.Done():
			t.Stop()
			return nil, l.ctx.Err()
		case <-t.C:
		}
		pause = min(2*pause, 30*l.opts.RetryPause)
	}
}

// maxSkippedLogged bounds the log lines of one replay about what it skipped.
const maxSkippedLogged = 20

// replay applies the whole log to m. What cannot be understood is skipped: one
// bad record must not take a whole partition of groups away.
func (l *loop) replay(m Machine) (records int, err error) {
	skipped := 0
	err = l.opts.Log.Replay(l.ctx, l.partition, l.epoch, func(b record.Batch) error {
		for r, err := range b.Records(l.opts.MaxReplayBytes) {
			if err == nil {
				records++
				err = m.Replay(b, r.Offset, r.Key, r.Value)
			}
			if err != nil {
				l.metrics.skipped.Inc()
				if skipped++; skipped <= maxSkippedLogged {
					l.log.Error("skipped a record that cannot be understood", "error", err, "base_offset", b.BaseOffset(), "offset", r.Offset)
				}
			}
		}
		return l.ctx.Err()
	})
	l.metrics.loadRecords.Add(float64(records))
	if skipped > maxSkippedLogged {
		l.log.Error("skipped more records that cannot be understood", "skipped", skipped)
	}
	if err != nil {
		return records, fmt.Errorf("replay partition=%d: %w", l.partition, err)
	}
	return records, nil
}

// serve decides events until the loop is stopped or leadership turns out to be over.
func (l *loop) serve(s *shard) {
	s.loaded(l.opts.Now())
	l.mu.Lock()
	l.state = active
	l.mu.Unlock()

	clock := time.NewTimer(time.Hour)
	defer clock.Stop()
	var batch []mail
	for {
		now := l.opts.Now()
		batch = l.take(batch)
		for i, m := range batch {
			if m.write != nil {
				s.done(m.write, m.base, m.err, now)
			} else {
				s.submit(m.ev, now)
			}
			batch[i] = mail{}
		}
		s.tick(now)
		for _, w := range s.flush(now) {
			l.append(w)
		}
		if s.fenced || l.ctx.Err() != nil {
			l.end(s, batch)
			return
		}
		if at, ok := s.next(); ok {
			clock.Reset(at.Sub(now))
		} else {
			clock.Reset(time.Hour)
		}
		select {
		case <-l.ctx.Done():
		case <-l.wake:
		case <-clock.C:
		}
	}
}

// append hands a batch to the log.
func (l *loop) append(w *write) {
	done := func(base int64, err error) { l.settled(w, base, err) }
	if w.producer == nil {
		l.opts.Log.Append(l.partition, l.epoch, w.batch, done)
		return
	}
	log, ok := l.opts.Log.(TransactionalLog)
	if !ok {
		panic("coordinator: a machine writes in transactions, and its log does not")
	}
	log.AppendTransactional(l.partition, l.epoch, w.batch, w.producer.Guard, done)
}

// end answers everybody who waits for this loop.
func (l *loop) end(s *shard, buf []mail) {
	l.mu.Lock()
	l.state = ended
	l.mu.Unlock()
	for _, m := range l.take(buf) {
		if m.write == nil {
			m.ev.refuse(ErrNotCoordinator)
		}
	}
	if s != nil {
		s.unload(ErrNotCoordinator)
	}
	l.log.Debug("coordinator unloaded")
}
