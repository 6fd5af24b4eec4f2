package tiering_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/ledgertest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// crashPoint counts the steps of an engine, which are its commands and its requests to the store, and kills it at one: just
// before the step has its effect, or just after.
type crashPoint struct {
	at    int64 // step; negative: never
	after bool
	steps atomic.Int64
	dead  atomic.Bool
}

var errDead = errors.New("the broker is dead")

// step reports whether the step may have its effect, and whether its reply arrives.
func (c *crashPoint) step() (effect, reply bool) {
	if c.dead.Load() {
		return false, false
	}
	if c.steps.Add(1)-1 != c.at {
		return true, true
	}
	c.dead.Store(true)
	return c.after, false
}

type crashStore struct {
	objstore.Store
	c *crashPoint
}

func (s crashStore) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (string, error) {
	effect, reply := s.c.step()
	if !effect {
		return "", errDead
	}
	tag, err := s.Store.Put(context.WithoutCancel(ctx), key, body, cond)
	if !reply {
		return "", errDead
	}
	return tag, err
}

func (s crashStore) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	if effect, reply := s.c.step(); !effect || !reply {
		return nil, objstore.Info{}, errDead
	}
	return s.Store.Get(ctx, key, off, n)
}

func (s crashStore) Delete(ctx context.Context, keys []string) (map[string]error, error) {
	effect, reply := s.c.step()
	if !effect {
		return nil, errDead
	}
	failed, err := s.Store.Delete(context.WithoutCancel(ctx), keys)
	if !reply {
		return nil, errDead
	}
	return failed, err
}

// TestCrashAtEveryStep kills the engine once at every step of a life with bundles, spills, retention and garbage, before and
// after the step's effect, and has its next life clean up.
func TestCrashAtEveryStep(t *testing.T) {
	atEveryStep(t, 100, 7, crashLife)
}

// atEveryStep lives once without a crash, which must take at least so many steps, and then with one at every stride-th.
func atEveryStep(t *testing.T, least, stride int64, life func(*testing.T, *crashPoint) int64) {
	t.Helper()
	steps := life(t, &crashPoint{at: -1})
	if steps < least {
		t.Fatalf("only %d steps", steps)
	}
	t.Logf("%d steps", steps)
	if long() {
		stride = 1
	}
	for at := int64(0); at < steps; at += stride {
		for _, after := range []bool{false, true} {
			if !t.Run(fmt.Sprintf("step=%d/after=%t", at, after), func(t *testing.T) { life(t, &crashPoint{at: at, after: after}) }) {
				return
			}
		}
	}
}

// runUntil runs an engine that dies at the point. A restarted one does not.
func (w *world) runUntil(c *crashPoint, o tiering.Options) (restart, stop func()) {
	w.state.Fault = func(string) ledgertest.Fault {
		switch effect, reply := c.step(); {
		case !effect:
			return ledgertest.LostFirst
		case !reply:
			return ledgertest.LostReply
		}
		return ledgertest.None
	}
	o.Store = crashStore{o.Store, c}
	o.Locator = tieringLocator(w, o.Store)
	_, end := w.run(o)
	return func() {
		end()
		c.at = -1
		c.dead.Store(false)
		o.Locator = tieringLocator(w, o.Store)
		_, end = w.run(o)
	}, func() { end() }
}

func crashLife(t *testing.T, c *crashPoint) (steps int64) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		for i := range 3 {
			l := w.create(i, 0)
			l.settings.RetentionMs = (15 * time.Minute).Milliseconds()
		}
		o := w.options(w.state.Broker(1, true))
		o.SpillAt, o.SpillKeep, o.HeadSpread, o.Grace = 6, 2, time.Second, 5*time.Minute
		o.MemoryBytes = 200 // everything goes through a spool file
		restart, stop := w.runUntil(c, o)
		for range 30 {
			for _, id := range w.ids() {
				w.logs[id].append(1, 20)
			}
			pass(61 * time.Second)
			synctest.Wait()
			if c.dead.Load() {
				restart()
			}
		}
		pass(time.Hour)
		synctest.Wait()
		if c.dead.Load() {
			restart()
			pass(time.Hour)
			synctest.Wait()
		}
		steps = c.steps.Load()
		stop()
		w.allTiered()
		w.check()
		w.clean()
	})
	return steps
}
