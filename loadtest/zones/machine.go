//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/tidelinehq/tideline/internal/child"
)

// machine is one root that boots: a broker in a zone.
type machine struct {
	plan    plan
	o       *options
	made    int // how often
	booted  int // since it was made
	disk    *disk
	process *child.Process // its first process; nil while it is off
}

// plan is what is known of a machine before there is one.
type plan struct {
	id      int // node.id, and the number of its network
	name    string
	zone    string
	address string
	gateway string
}

const (
	domain   = "zones.internal"
	services = "10.81.0.1" // of the store, the packages and the clients
)

func planOf(id int) plan {
	network := "10.81." + strconv.Itoa(id) + "."
	return plan{id: id, name: "broker-" + strconv.Itoa(id), zone: "zone-" + string(rune('a'+id-1)), address: network + "10", gateway: network + "1"}
}

func (p plan) host() string    { return p.name + "." + domain }
func (p plan) kafka() string   { return p.host() + ":9092" }
func (p plan) rpc() string     { return p.host() + ":9093" }
func (p plan) link() string    { return "zone" + strconv.Itoa(p.id) }
func (m *machine) dir() string { return filepath.Join(m.o.Dir, "machines", m.plan.name) }

// upper is a path in what the machine has written.
func (m *machine) upper(path ...string) string {
	return filepath.Join(append([]string{m.dir(), "upper"}, path...)...)
}

// create makes the disks of a new machine, as a cloud does: a system disk with the seed of cloud-init, a blank one for data.
func (m *machine) create(userData string) error {
	m.made, m.booted = m.made+1, 0
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(m.dir(), d), 0o755); err != nil {
			return err
		}
	}
	seed := "var/lib/cloud/seed/nocloud"
	files := map[string]string{
		seed + "/user-data": userData,
		// An instance that is made anew is another one, by the same name.
		seed + "/meta-data": fmt.Sprintf("instance-id: i-%s-%d\nlocal-hostname: %s\n", m.plan.name, m.made, m.plan.host()),
	}
	if err := m.lay(files, 0o644); err != nil {
		return err
	}
	secrets, err := secretsOf(m.o, m.plan)
	if err != nil {
		return err
	}
	return m.laySecrets(secrets)
}

// lay writes files to the system disk.
func (m *machine) lay(files map[string]string, mode os.FileMode) error {
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(m.upper(path)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(m.upper(path), []byte(text), mode); err != nil {
			return err
		}
	}
	return nil
}

// laySecrets puts secrets where the user data has them fetched from.
func (m *machine) laySecrets(secrets map[string]string) error {
	files := map[string]string{}
	for name, text := range secrets {
		files[imageSecrets+name] = text
	}
	return m.lay(files, 0o600)
}

// boot switches it on. What comes of that is asked with ready.
func (m *machine) boot() (err error) {
	if m.disk == nil {
		if m.disk, err = attach(filepath.Join(m.dir(), "disk")); err != nil {
			return err
		}
	}
	h := hardware{Name: m.plan.name, Base: m.o.Base, Dir: m.dir(), Groups: filepath.Join(m.o.Groups, m.plan.name), Device: m.disk.device}
	// What the last boot has left in there is empty by now.
	if err := removeGroups(h.Groups); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Mkdir(h.Groups, 0o755); err != nil {
		return err
	}
	cmd, err := again(machineVerb, &h)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	cmd.ExtraFiles = []*os.File{r}
	m.process, err = child.Start(cmd)
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("boot %s: %w", m.plan.name, err)
	}
	m.booted++
	return plug(m.plan, m.process.PID())
}

// kill is the loss of a zone: nothing goes in or out, and then everything in it ends.
func (m *machine) kill() error {
	if err := cut(m.plan); err != nil {
		return err
	}
	err := m.process.Kill()
	m.process = nil
	return err
}

// destroy throws away a machine that is off, with its disks.
func (m *machine) destroy() error {
	err := m.disk.detach()
	m.disk = nil
	return errors.Join(err, os.RemoveAll(m.dir()))
}

// off has it shut down in order.
func (m *machine) off(ctx context.Context) error {
	if _, err := m.run(ctx, "systemctl", "poweroff", "--no-block"); err != nil {
		return err
	}
	select {
	case <-m.process.Done():
		m.process = nil
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not shut down: %w", m.plan.name, context.Cause(ctx))
	}
}

// run has the machine run a program, as its root, and returns what that printed.
func (m *machine) run(ctx context.Context, args ...string) (string, error) {
	return m.runInput(ctx, nil, args...)
}

func (m *machine) runInput(ctx context.Context, input io.Reader, args ...string) (string, error) {
	if m.process == nil {
		return "", fmt.Errorf("%s is off", m.plan.name)
	}
	enter := []string{"--target", strconv.Itoa(m.process.PID()), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--",
		"/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Stdin = input
	output, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(output))
	if err != nil {
		return text, fmt.Errorf("%s: %s: %w output=%s", m.plan.name, strings.Join(args, " "), errors.Join(err, ctx.Err()), tail(text, 2000))
	}
	return text, nil
}

// keepLogs copies what the machine has to say for itself to where it outlives the machine.
func (m *machine) keepLogs(ctx context.Context) (err error) {
	f, err := os.Create(filepath.Join(m.o.Dir, fmt.Sprintf("%s-%d.log", m.plan.name, m.made)))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if m.process != nil {
		if text, err := m.run(ctx, "journalctl", "--no-pager", "-o", "short-precise"); err == nil {
			fmt.Fprintln(f, text)
		} else {
			fmt.Fprintln(f, err)
		}
	}
	for _, name := range []string{"var/log/cloud-init-output.log", "var/log/cloud-init.log"} {
		log, err := os.Open(m.upper(name))
		if err != nil {
			fmt.Fprintln(f, err) // it did not come so far
			continue
		}
		fmt.Fprintf(f, "==> /%s\n", name)
		_, err = io.Copy(f, log)
		if err := errors.Join(err, log.Close()); err != nil {
			return err
		}
	}
	return nil
}
