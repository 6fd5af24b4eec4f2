package tiering

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

const (
	// collectObjects is how many objects one multi-delete names; an object whose kind is not known costs two keys.
	collectObjects = objstore.MaxDeleteKeys / 2
	// collectBatches bounds one turn, so that a backlog of garbage does not keep purges and intents waiting.
	collectBatches = 8
	// deleteTimeout bounds one multi-delete, with the store's own attempts.
	deleteTimeout = 2 * time.Minute
	// maxParked bounds the memory of keys that cannot be deleted. Beyond it they are simply tried again.
	maxParked = 10_000
)

// clean does one turn of all upkeep and reports whether there is more to do at once. When nothing is to be done it makes no
// request to the store and no command.
func (e *Engine) clean(ctx context.Context) (more bool) {
	e.sweepIntents(ctx)
	if !e.o.Ledger.Cleaner() || ctx.Err() != nil {
		return false
	}
	purged := e.purge(ctx)
	collected := e.collect(ctx)
	return (purged || collected) && ctx.Err() == nil
}

// sweepIntents aborts the open uploads of this broker that no task works on: those of an earlier life, and those that were
// given up while the ledger could not be reached.
func (e *Engine) sweepIntents(ctx context.Context) {
	for _, i := range e.o.Ledger.Intents() {
		e.mu.Lock()
		active := e.active[i.Object]
		e.mu.Unlock()
		if active {
			continue
		}
		if err := e.o.Ledger.AbortUpload(ctx, i.Object, e.due()); err != nil {
			e.o.Logger.InfoContext(ctx, "abandoned upload not aborted yet", "object", fmt.Sprintf("%x", i.Object), "error", err)
			return // the ledger has trouble; the next turn goes on
		}
		e.m.abandonedIntents.Inc()
	}
}

// collect deletes garbage that is due, and reports whether there is more.
func (e *Engine) collect(ctx context.Context) (more bool) {
	for range collectBatches {
		batch := e.dueGarbage(collectObjects)
		if len(batch) == 0 {
			return false
		}
		if e.o.Fence != nil {
			if err := e.o.Fence(ctx); err != nil {
				e.o.Logger.WarnContext(ctx, "garbage not deleted", "error", err)
				return false
			}
		}
		if !e.collectBatch(ctx, batch) {
			return false
		}
	}
	return true
}

// dueGarbage returns garbage that may be deleted now, without what is parked.
func (e *Engine) dueGarbage(limit int) (batch []Garbage) {
	now := e.o.Now()
	e.m.garbageOverdue.Set(0)
	for g := range e.o.Ledger.Garbage() {
		if g.Due.After(now) || len(batch) == limit {
			break
		}
		e.mu.Lock()
		b := e.parked[g.Object]
		parked := b != nil && b.waiting(now)
		e.mu.Unlock()
		if parked {
			continue
		}
		if len(batch) == 0 {
			e.m.garbageOverdue.Set(overdue(now, g).Seconds())
		}
		batch = append(batch, g)
	}
	return batch
}

// keysOf are the keys that an object may have.
func keysOf(g Garbage) []string {
	if g.Kind == objstore.KindUnknown {
		return []string{objstore.DataKey(g.Object), objstore.PagesKey(g.Object)}
	}
	return []string{objstore.Key(g.Kind, g.Object)}
}

// deleteKeys is one multi-delete with an end: a store that does not answer must not stop all upkeep.
func (e *Engine) deleteKeys(ctx context.Context, keys []string) (map[string]error, error) {
	ctx, cancel := context.WithTimeout(ctx, deleteTimeout)
	defer cancel()
	return e.o.Store.Delete(ctx, keys)
}

// collectBatch deletes a batch and has the ledger forget what went. Objects that could not be deleted are parked with
// back-off, each by itself, and stay in the ledger's queue. It reports progress.
func (e *Engine) collectBatch(ctx context.Context, batch []Garbage) bool {
	keys := make([]string, 0, 2*len(batch))
	for _, g := range batch {
		keys = append(keys, keysOf(g)...)
	}
	start := e.o.Now()
	failed, err := e.deleteKeys(ctx, keys)
	if err != nil {
		e.traceFailed(ctx, "tiering.collect", start, err)
		if ctx.Err() == nil {
			e.m.deleteFailures.Add(float64(len(batch)))
			e.o.Logger.WarnContext(ctx, "garbage not deleted", "objects", len(batch), "error", err)
		}
		return false
	}
	e.traceDone(ctx, "tiering.collect", start, attribute.Int("tideline.objects", len(batch)), attribute.Int("tideline.keys.failed", len(failed)))
	now := e.o.Now()
	gone := make([][16]byte, 0, len(batch))
	e.mu.Lock()
	for _, g := range batch {
		var err error
		for _, key := range keysOf(g) {
			if f := failed[key]; f != nil {
				err = f
			}
		}
		if err == nil {
			delete(e.parked, g.Object)
			gone = append(gone, g.Object)
			continue
		}
		b := e.parked[g.Object]
		if b == nil && len(e.parked) < maxParked {
			b = new(backoff)
			e.parked[g.Object] = b
		}
		if b != nil {
			b.failed(now, err)
		}
	}
	e.m.parkedGarbage.Set(float64(len(e.parked)))
	e.mu.Unlock()
	e.m.deleteFailures.Add(float64(len(batch) - len(gone)))
	if len(gone) == 0 {
		return false
	}
	if err := e.o.Ledger.CollectGarbage(ctx, gone); err != nil {
		e.o.Logger.InfoContext(ctx, "deleted garbage not forgotten yet", "objects", len(gone), "error", err) // deleted once more then
		return false
	}
	e.m.deletedObjects.Add(float64(len(gone)))
	return true
}
