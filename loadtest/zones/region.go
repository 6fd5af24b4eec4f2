//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidelinehq/tideline/loadtest/stage"
)

const (
	zones = 3

	// storyTimeout bounds all of it.
	storyTimeout = 25 * time.Minute
	// bootTimeout bounds the way from power on to a broker that serves, on a small, busy machine.
	bootTimeout = 4 * time.Minute
	// calmTimeout bounds the way back to a cluster about which there is nothing to be said.
	calmTimeout = 3 * time.Minute
	// offTimeout is longer than the unit gives the broker.
	offTimeout = 2 * time.Minute
	logTimeout = 20 * time.Second
	// lookEvery is how often something is looked at that nobody tells of.
	lookEvery = time.Second
)

// cluster is what runs in the region.
type cluster struct {
	o        *options
	say      *teller
	machines []*machine
}

// region is the story, in namespaces of its own.
func region(text string) (err error) {
	o := &options{}
	if err := json.Unmarshal([]byte(text), o); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, storyTimeout)
	defer cancel()
	if err := settle(o); err != nil {
		return err
	}
	if err := serve(ctx, o); err != nil {
		return err
	}
	c := &cluster{o: o, say: &teller{os.Stdout, o.Began}}
	for id := 1; id <= zones; id++ {
		c.machines = append(c.machines, &machine{plan: planOf(id), o: o})
	}
	defer func() {
		for _, m := range c.machines {
			if m.process != nil {
				// Of a story that was interrupted, too.
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTimeout)
				err = errors.Join(err, m.keepLogs(ctx))
				cancel()
			}
		}
	}()
	return c.story(ctx)
}

// start makes a machine, if it is a new one, and waits until its broker serves.
func (c *cluster) start(ctx context.Context, m *machine, fresh bool) error {
	if fresh {
		text, err := userData(c.o, m.plan)
		if err != nil {
			return err
		}
		if err := m.create(text); err != nil {
			return err
		}
	}
	if err := m.boot(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	for {
		up, err := m.serves(ctx)
		if err != nil {
			return err
		}
		if up {
			return m.inspect(ctx)
		}
		if err := stage.Wait(ctx, lookEvery); err != nil {
			return fmt.Errorf("%s does not serve: %w", m.plan.name, err)
		}
	}
}

// startAll switches several new machines on at once.
func (c *cluster) startAll(ctx context.Context) error {
	var all errgroup.Group
	for _, m := range c.machines {
		all.Go(func() error { return c.start(ctx, m, true) })
	}
	return all.Wait()
}

// brokers are the addresses that clients are given.
func (c *cluster) brokers() (out []string) {
	for _, m := range c.machines {
		out = append(out, m.plan.kafka())
	}
	return out
}
