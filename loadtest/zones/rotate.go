//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/tidelinehq/tideline/loadtest/verify"
)

// rotate gives each machine new certificates where its secrets come from, has the unit fetch them that a timer starts every hour, and
// waits until clients are shown the new one, by the process that showed the old one.
func (c *cluster) rotate(ctx context.Context, run *verify.Run) error {
	for _, m := range c.machines {
		before, err := m.run(ctx, "systemctl", "show", "tideline.service", "-P", "MainPID")
		if err != nil {
			return err
		}
		old, err := c.shown(ctx, m)
		if err != nil {
			return err
		}
		if err := run.Mark("new-certificates " + m.plan.name); err != nil {
			return err
		}
		secrets, err := issue(c.o, m.plan)
		if err != nil {
			return err
		}
		for name, text := range secrets {
			if err := m.put(ctx, imageSecrets+name, text); err != nil {
				return err
			}
		}
		if _, err := m.run(ctx, "systemctl", "start", "tideline-secrets.service"); err != nil {
			return err
		}
		if err := c.until(ctx, "the old certificate is still shown", func(ctx context.Context) error {
			serial, err := c.shown(ctx, m)
			if err == nil && serial == old {
				err = fmt.Errorf("broker=%s serial=%s", m.plan.name, serial)
			}
			return err
		}); err != nil {
			return err
		}
		after, err := m.run(ctx, "systemctl", "show", "tideline.service", "-P", "MainPID")
		if err != nil {
			return err
		}
		if before != after {
			return fmt.Errorf("%s: new certificates ended the broker pid=%s was=%s", m.plan.name, after, before)
		}
	}
	return run.Await(ctx, run.Acked()+goesOn)
}

// shown is the serial number of the certificate that a broker shows to clients.
func (c *cluster) shown(ctx context.Context, m *machine) (_ string, err error) {
	config, err := trust(c.o)
	if err != nil {
		return "", err
	}
	d := tls.Dialer{Config: config}
	conn, err := d.DialContext(ctx, "tcp", m.plan.kafka())
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Text(16), nil
}

// put has the machine write a file that only root may read.
func (m *machine) put(ctx context.Context, path, text string) error {
	_, err := m.runInput(ctx, strings.NewReader(text), "/bin/sh", "-c", `umask 077 && cat >"$1"`, "sh", path)
	return err
}
