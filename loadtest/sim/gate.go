package sim

import (
	"context"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// gate is the object store as one process reaches it: over a network, and no more once the
// process has ended. What was on its way then may still happen.
type gate struct {
	inner objstore.Store
	shut  atomic.Bool
}

func (g *gate) pass(ctx context.Context, op, key string) error {
	if !g.shut.Load() && pause(ctx, time.Millisecond+rand.N(20*time.Millisecond)) && !g.shut.Load() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return &objstore.Error{Class: objstore.ErrUnavailable, Op: op, Key: key, Detail: "this process has ended"}
}

// Put implements objstore.Store.
func (g *gate) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (string, error) {
	if err := g.pass(ctx, "put", key); err != nil {
		return "", err
	}
	return g.inner.Put(ctx, key, body, cond)
}

// Get implements objstore.Store.
func (g *gate) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	if err := g.pass(ctx, "get", key); err != nil {
		return nil, objstore.Info{}, err
	}
	return g.inner.Get(ctx, key, off, n)
}

// Head implements objstore.Store.
func (g *gate) Head(ctx context.Context, key string) (objstore.Info, error) {
	if err := g.pass(ctx, "head", key); err != nil {
		return objstore.Info{}, err
	}
	return g.inner.Head(ctx, key)
}

// Delete implements objstore.Store.
func (g *gate) Delete(ctx context.Context, keys []string) (map[string]error, error) {
	if err := g.pass(ctx, "delete", ""); err != nil {
		return nil, err
	}
	return g.inner.Delete(ctx, keys)
}

// List implements objstore.Store.
func (g *gate) List(ctx context.Context, prefix, start string, max int) ([]objstore.Info, bool, error) {
	if err := g.pass(ctx, "list", ""); err != nil {
		return nil, false, err
	}
	return g.inner.List(ctx, prefix, start, max)
}

// Close implements objstore.Store. The store is that of all processes.
func (g *gate) Close() error { return nil }
