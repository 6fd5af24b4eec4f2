//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// again is this program once more, with a verb and what that is to know.
func again(verb string, what any) (*exec.Cmd, error) {
	text, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	return exec.Command("/proc/self/exe", verb, string(text)), nil
}

// needed are the programs without which nothing can be tried, and where they come from.
var needed = []struct{ program, from string }{
	{"ip", "iproute2"}, {"nsenter", "util-linux"}, {"losetup", "mount"}, {"dpkg-deb", "dpkg"}, {"apt-get", "apt"}, {"wget", "wget"},
	{"java", "a JRE 17"}, {"mvn", "maven"}, {"terraform", "Terraform 1.9 or newer"}, {"go", "Go"}, {"make", "make"},
}

// needs says all that is missing at once.
func needs() error {
	var missing []string
	if os.Getuid() != 0 {
		missing = append(missing, "root (it makes namespaces, mounts and loop devices)")
	}
	for _, n := range needed {
		if _, err := exec.LookPath(n.program); err != nil {
			missing = append(missing, n.program+" (of "+n.from+")")
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		missing = append(missing, "loop devices")
	}
	if text, err := os.ReadFile("/proc/filesystems"); err != nil || !strings.Contains(string(text), "\toverlay\n") {
		missing = append(missing, "overlay file systems (modprobe overlay)")
	}
	if _, err := unified(); err != nil {
		missing = append(missing, "version 2 of control groups, mounted somewhere")
	}
	if len(missing) > 0 {
		return fmt.Errorf("what it needs and this machine has not: %s", strings.Join(missing, "; "))
	}
	return nil
}

// lock keeps two runs from sharing a directory.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another run uses the directory: %w path=%s", err, path), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// command runs a program and returns what it printed, both ways.
func command(args ...string) (string, error) { return commandIn("", args...) }

func commandIn(dir string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(output))
	if err != nil {
		return text, fmt.Errorf("%s: %w output=%s", strings.Join(args, " "), err, tail(text, 2000))
	}
	return text, nil
}

func tail(text string, n int) string {
	if len(text) > n {
		return "…" + text[len(text)-n:]
	}
	return text
}
