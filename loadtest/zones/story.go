//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/tidelinehq/tideline/loadtest/stage"
	"github.com/tidelinehq/tideline/loadtest/verify"
)

const (
	// The load of the checker: enough for every second to count, little enough for a small machine that runs a whole region.
	verifyRate       = 500
	verifyPartitions = 6
	// goesOn is how many acknowledgements show that writing goes on: some seconds of it.
	goesOn = 5 * verifyRate
)

// story is what doc.go tells.
func (c *cluster) story(ctx context.Context) (err error) {
	c.say.say("three machines are switched on, each with a blank disk and its user data")
	if err := c.startAll(ctx); err != nil {
		return err
	}
	c.say.say("cloud-init is done, the units serve, disks, rights and limits are as they should be")
	if err := c.calm(ctx); err != nil {
		return err
	}
	c.say.say("they are one cluster, and healthy")

	first := c.machines[0]
	if _, err := first.tideline(ctx, "topic", "create", consoleTopic, "--partitions", "6", "--replication-factor", "3",
		"--brokers", first.plan.kafka(), "--tls-ca", machineCA); err != nil {
		return err
	}
	if err := c.write(ctx, first); err != nil {
		return err
	}
	if err := c.read(ctx, "first", c.machines...); err != nil {
		return err
	}
	c.say.say("console clients: %d records written through %s, read in %d zones", consoleRecords, first.plan.zone, zones)

	histories := filepath.Join(c.o.Dir, "histories")
	if err := os.RemoveAll(histories); err != nil {
		return err
	}
	secure, err := trust(c.o)
	if err != nil {
		return err
	}
	run, err := verify.Start(ctx, verify.Options{
		Brokers: c.brokers(), Dir: histories, Partitions: verifyPartitions, ReplicationFactor: zones, MinInSync: zones - 1, Rate: verifyRate,
		Command: "make zones", Client: []kgo.Opt{kgo.DialTLSConfig(secure)},
	})
	if err != nil {
		return err
	}
	began := time.Now()
	judged := false
	defer func() {
		if !judged {
			err = errors.Join(err, run.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if err := run.Await(ctx, goesOn); err != nil {
		return err
	}
	c.say.say("the history checker writes and reads topic=%s", run.Topic())

	if err := c.loseZone(ctx, run); err != nil {
		return err
	}
	if err := c.loseMachine(ctx, run); err != nil {
		return err
	}
	if err := c.rotate(ctx, run); err != nil {
		return err
	}
	c.say.say("new certificates: fetched by the units, shown by the brokers that ran already")
	if err := stage.Wait(ctx, time.Until(began.Add(c.o.Lasts))); err != nil {
		return err
	}
	lasted := time.Since(began)

	judged = true
	if err := run.Stop(ctx); err != nil {
		return err
	}
	result, err := run.Check(ctx)
	if err != nil {
		return err
	}
	result.WriteSummary(c.say.to)
	if err := result.Save(histories); err != nil {
		return err
	}
	if !result.OK() {
		return errors.New("the checker found promises broken")
	}
	c.say.say("the checker is content: %d acknowledged records in %s of writing, none lost", run.Acked(), lasted.Round(time.Second))
	if err := c.read(ctx, "last", c.machines...); err != nil {
		return err
	}
	c.say.say("the console clients read again what they wrote at the beginning")
	verified, err := first.tideline(ctx, "tier", "verify", "--http", "127.0.0.1:8080")
	if err != nil {
		return err
	}
	lines := strings.Split(verified, "\n")
	c.say.say("the bucket is as the ledger says: %s", lines[len(lines)-1])
	return c.allOff(ctx)
}

// controller is the machine that controls the cluster: the one that is missed most.
func (c *cluster) controller(ctx context.Context) (*machine, error) {
	list, err := c.machines[0].list(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range c.machines {
		if m.plan.id == int(list.Controller) {
			return m, nil
		}
	}
	return nil, fmt.Errorf("nobody controls the cluster controller=%d", list.Controller)
}

// loseZone kills the controller's zone, and has it come back with its disks.
func (c *cluster) loseZone(ctx context.Context, run *verify.Run) error {
	m, err := c.controller(ctx)
	if err != nil {
		return err
	}
	if err := run.Mark("lose-zone " + m.plan.zone); err != nil {
		return err
	}
	acked := run.Acked()
	killed := time.Now()
	if err := m.kill(); err != nil {
		return err
	}
	c.say.say("%s, which had the controller, is killed: line cut, all processes ended", m.plan.zone)
	if err := run.Await(ctx, acked+1+verifyRate); err != nil {
		return err
	}
	c.say.say("%d records acknowledged within %s after the loss", verifyRate, time.Since(killed).Round(100*time.Millisecond))
	if err := run.Await(ctx, run.Acked()+goesOn); err != nil {
		return err
	}
	if err := c.start(ctx, m, false); err != nil {
		return err
	}
	if err := c.calm(ctx); err != nil {
		return err
	}
	if err := run.Mark("back " + m.plan.name); err != nil {
		return err
	}
	leaders, replicas, err := c.leads(ctx, m)
	if err != nil {
		return err
	}
	c.say.say("%s has booted from its disks and caught up leaders=%d replicas=%d", m.plan.name, leaders, replicas)
	return run.Await(ctx, run.Acked()+goesOn)
}

// loseMachine destroys a machine that has not been touched yet, and has the same user data make it anew.
func (c *cluster) loseMachine(ctx context.Context, run *verify.Run) error {
	m, err := c.controller(ctx)
	if err != nil {
		return err
	}
	for _, other := range c.machines {
		if m.booted > 1 && other.booted == 1 {
			m = other
		}
	}
	if err := run.Mark("lose-machine " + m.plan.name); err != nil {
		return err
	}
	if err := m.keepLogs(ctx); err != nil {
		return err
	}
	if err := errors.Join(m.kill(), m.destroy()); err != nil {
		return err
	}
	c.say.say("%s is destroyed with its disks", m.plan.name)
	if err := run.Await(ctx, run.Acked()+goesOn); err != nil {
		return err
	}
	if err := c.start(ctx, m, true); err != nil {
		return err
	}
	if err := c.calm(ctx); err != nil {
		return err
	}
	if err := run.Mark("back-anew " + m.plan.name); err != nil {
		return err
	}
	leaders, replicas, err := c.leads(ctx, m)
	if err != nil {
		return err
	}
	c.say.say("the same user data has made %s anew: same node id, all replicas in sync leaders=%d replicas=%d", m.plan.name, leaders, replicas)
	return run.Await(ctx, run.Acked()+goesOn)
}

// allOff stops the brokers as units, and then the machines.
func (c *cluster) allOff(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, offTimeout)
	defer cancel()
	var all errgroup.Group
	for _, m := range c.machines {
		all.Go(func() error {
			if _, err := m.run(ctx, "systemctl", "stop", "tideline.service"); err != nil {
				return err
			}
			result, err := m.run(ctx, "systemctl", "show", "tideline.service", "-P", "Result", "-P", "ExecMainStatus")
			if err != nil {
				return err
			}
			if result != "success\n0" && result != "0\nsuccess" {
				return fmt.Errorf("%s: the unit did not stop in order: %q", m.plan.name, result)
			}
			if err := m.keepLogs(ctx); err != nil {
				return err
			}
			return m.off(ctx)
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	c.say.say("all brokers stopped in order, all machines are off")
	return nil
}
