package tiering

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

// Engine moves what the led partitions of one broker have committed into the object store, and what nobody keeps out of
// it. See the package page.
type Engine struct {
	o        Options
	m        *metrics
	wake     chan struct{} // of capacity one: something is new for the scheduler
	advanced atomic.Int64  // bytes that went over the high watermark, ever

	tuned       atomic.Pointer[Tuning]
	uploadPace  pace
	compactPace pace

	mu       sync.Mutex // guards what follows; a leaf: nothing is called with it held
	leases   map[manifest.ID]*Lease
	inbox    []*Lease
	finished []func() // what tasks have the scheduler do when they end; bounded by the tasks
	pressure int64    // bytes that the WAL wants freed
	active   map[[16]byte]bool
	health   health
	parked   map[[16]byte]*backoff // garbage that could not be deleted
}

// health is what the status tells of the engine as a whole.
type health struct {
	store, ledger  backoff
	spool          backoff // of the local disk: while it lasts, objects stay so small that they need none
	advancedAtFail int64   // Engine.advanced when the store began to fail
}

// New makes an engine. It does nothing until Run.
func New(o Options) (*Engine, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	e := &Engine{
		o: o, m: newMetrics(o.Registerer), wake: make(chan struct{}, 1),
		leases: map[manifest.ID]*Lease{}, active: map[[16]byte]bool{}, parked: map[[16]byte]*backoff{},
	}
	if o.Registerer != nil {
		o.Registerer.MustRegister(lagCollector{e})
	}
	return e, e.Tune(o.tuning())
}

// Lead takes a partition on: this broker leads it. An earlier lease of the same partition is closed.
func (e *Engine) Lead(src Source) *Lease {
	l := &Lease{e: e, src: src, id: src.ID(), rollIndex: -1, retainIndex: -1}
	e.mu.Lock()
	old := e.leases[l.id]
	e.leases[l.id] = l
	e.mu.Unlock()
	if old != nil {
		old.Close()
	}
	l.Changed()
	return l
}

// Pressure says that the WAL needs bytes freed soon: the oldest pending data goes up without waiting for its time.
func (e *Engine) Pressure(bytes int64) {
	e.mu.Lock()
	e.pressure = max(e.pressure, bytes)
	e.mu.Unlock()
	e.kick()
}

func (e *Engine) kick() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// finish hands the end of a task to the scheduler.
func (e *Engine) finish(f func()) {
	e.mu.Lock()
	e.finished = append(e.finished, f)
	e.mu.Unlock()
	e.kick()
}

// Run works until the context ends, and returns when all tasks have ended. An upload that was under way stays an open
// intent, which the next life of this broker closes.
func (e *Engine) Run(ctx context.Context) error {
	if err := cleanSpool(e.o.FS, e.o.Dir); err != nil {
		return fmt.Errorf("tiering: %w", err)
	}
	s := newScheduler(e, ctx)
	defer s.tasks.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		next := s.step(e.o.Now())
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(next.Sub(e.o.Now()), 0))
		}
		select {
		case <-ctx.Done():
		case <-e.wake:
		case <-timer.C:
		}
	}
	return ctx.Err()
}

// storeFailed and storeWorked keep the health of the store. The first failure of a row and the recovery are logged.
func (e *Engine) storeFailed(err error) {
	e.mu.Lock()
	if e.health.store.failures == 0 {
		e.health.advancedAtFail = e.advanced.Load()
	}
	e.health.store.failed(e.o.Now(), err)
	first := e.health.store.failures == 1
	e.mu.Unlock()
	e.m.storeDown.Set(1)
	if first {
		e.o.Logger.Warn("object store fails, uploads wait", "error", err)
	}
}

func (e *Engine) storeWorked() {
	e.mu.Lock()
	old := e.health.store
	e.health.store = backoff{}
	e.mu.Unlock()
	if old.failures > 0 {
		e.m.storeDown.Set(0)
		e.o.Logger.Info("object store works again", "after", e.o.Now().Sub(old.since), "failures", old.failures)
		e.kick()
	}
}

func (e *Engine) ledgerFailed(err error) {
	e.mu.Lock()
	e.health.ledger.failed(e.o.Now(), err)
	first := e.health.ledger.failures == 1
	e.mu.Unlock()
	if first {
		e.o.Logger.Warn("ledger fails, uploads wait", "error", err)
	}
}

func (e *Engine) ledgerWorked() {
	e.mu.Lock()
	old := e.health.ledger.failures
	e.health.ledger = backoff{}
	e.mu.Unlock()
	if old > 0 {
		e.kick()
	}
}

// spoolFailed and spoolWorked keep the health of the local disk. A full disk must not stop what would free it.
func (e *Engine) spoolFailed(err error) {
	e.mu.Lock()
	e.health.spool.failed(e.o.Now(), err)
	e.mu.Unlock()
}

func (e *Engine) spoolWorked() {
	e.mu.Lock()
	e.health.spool = backoff{}
	e.mu.Unlock()
}

// track keeps an object id among those that a task of this engine works on, so that its intent is not taken for abandoned.
func (e *Engine) track(object [16]byte) (untrack func()) {
	e.mu.Lock()
	e.active[object] = true
	e.mu.Unlock()
	return func() {
		e.mu.Lock()
		delete(e.active, object)
		e.mu.Unlock()
	}
}

// due is when garbage made now may be deleted.
func (e *Engine) due() time.Time { return e.o.Now().Add(e.o.Grace) }

// abort gives an object up. When the ledger cannot be reached the sweep of abandoned intents does it later.
func (e *Engine) abort(ctx context.Context, object [16]byte) {
	if err := e.o.Ledger.AbortUpload(ctx, object, e.due()); err != nil {
		e.o.Logger.InfoContext(ctx, "upload not aborted yet, its intent stays open", "object", fmt.Sprintf("%x", object), "error", err)
	}
}

// sleep waits, or returns the context's error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
