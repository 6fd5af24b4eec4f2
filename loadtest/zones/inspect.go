//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// serves reports whether cloud-init is done and the unit says that the broker serves. A machine on which one of them has failed never
// will.
func (m *machine) serves(ctx context.Context) (bool, error) {
	select {
	case <-m.process.Done():
		return false, errors.Join(fmt.Errorf("%s: its first process has ended", m.plan.name), m.process.Err())
	default:
	}
	if _, err := m.run(ctx, "test", "-e", "/run/cloud-init/result.json"); err != nil {
		return false, ctx.Err() // not yet
	}
	text, err := m.run(ctx, "cat", "/run/cloud-init/result.json")
	if err != nil {
		return false, err
	}
	var result struct {
		V1 struct {
			Datasource string   `json:"datasource"`
			Errors     []string `json:"errors"`
		} `json:"v1"`
	}
	if err := json.Unmarshal([]byte(text), &result); err != nil {
		return false, fmt.Errorf("%s: result of cloud-init: %w", m.plan.name, err)
	}
	if len(result.V1.Errors) > 0 {
		return false, fmt.Errorf("%s: cloud-init failed: %s", m.plan.name, strings.Join(result.V1.Errors, "; "))
	}
	state, err := m.run(ctx, "systemctl", "is-active", "tideline.service")
	switch {
	case err == nil:
		return true, nil
	case state == "failed":
		return false, fmt.Errorf("%s: the unit failed", m.plan.name)
	}
	return false, ctx.Err()
}

// unitDescriptors is the LimitNOFILE of the unit.
const unitDescriptors = 1 << 20

// descriptors is how many the unit can give to the broker: where this process may not raise its own limit, no machine in it may.
func descriptors() uint64 {
	limit := unix.Rlimit{Cur: unitDescriptors, Max: unitDescriptors}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
		return unitDescriptors
	}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return unitDescriptors
	}
	return limit.Max
}

// inspect holds a machine that serves against what its user data were to make of it.
func (m *machine) inspect(ctx context.Context) error {
	for _, look := range []struct{ what, want, command string }{
		{"units that failed", "", `systemctl --failed --plain --no-legend | cut -d" " -f1`},
		{"name", m.plan.name, `hostname`},
		{"data disk", "ext4 tideline-wal", `findmnt --noheadings --output FSTYPE,LABEL /var/lib/tideline | tr -s " "`},
		{"source of the data disk", "/dev/loop", `findmnt --noheadings --output SOURCE /var/lib/tideline | tr -d 0-9`},
		{"owner of the data", "tideline:tideline 750", `stat -c "%U:%G %a" /var/lib/tideline`},
		{"settings", "root:tideline 640", `stat -c "%U:%G %a" /etc/tideline/tideline.yaml`},
		{"secrets", "root:root 600", `stat -c "%U:%G %a" /etc/tideline/secrets.env`},
		{"user of the broker", "tideline", `ps -o user= -p $(systemctl show -P MainPID tideline)`},
		{"capabilities of the broker", "0000000000000000", `sed -n "s/^CapBnd:\t*//p" /proc/$(systemctl show -P MainPID tideline)/status`},
		{"new privileges of the broker", "1", `sed -n "s/^NoNewPrivs:\t*//p" /proc/$(systemctl show -P MainPID tideline)/status`},
		{"descriptors of the broker", strconv.FormatUint(descriptors(), 10), `sed -n "s/^Max open files *\([0-9]*\).*/\1/p" /proc/$(systemctl show -P MainPID tideline)/limits`},
		{"enabled", "enabled", `systemctl is-enabled tideline.service`},
		{"secrets in the user data", "0", `grep -c ` + storeSecret + ` /var/lib/cloud/seed/nocloud/user-data || true`},
	} {
		got, err := m.run(ctx, "/bin/sh", "-c", look.command)
		if err != nil {
			return err
		}
		if got != look.want {
			return fmt.Errorf("%s: %s: got %q, expected %q", m.plan.name, look.what, got, look.want)
		}
	}
	return nil
}
