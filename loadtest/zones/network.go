//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// settle makes the namespaces of the region a place of their own: its mounts are seen by nobody else, and it routes.
func settle(o *options) error {
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	// Processes are numbered anew in here.
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	hosts := filepath.Join(o.Dir, "hosts")
	if err := os.WriteFile(hosts, []byte(hostsFile()), 0o644); err != nil {
		return err
	}
	if err := syscall.Mount(hosts, "/etc/hosts", "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount /etc/hosts: %w", err)
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return err
	}
	return ip("link set lo up", "addr add "+services+"/32 dev lo")
}

// hostsFile stands for the region's private names.
func hostsFile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "127.0.0.1 localhost\n%s services.%s\n", services, domain)
	for id := 1; id <= zones; id++ {
		p := planOf(id)
		fmt.Fprintf(&b, "%s %s %s\n", p.address, p.host(), p.name)
	}
	return b.String()
}

// ip runs commands of ip(8), one after the other.
func ip(commands ...string) error {
	for _, c := range commands {
		if _, err := command(append([]string{"ip"}, strings.Fields(c)...)...); err != nil {
			return err
		}
	}
	return nil
}

// plug connects the machine whose first process is pid to the router.
func plug(p plan, pid int) error {
	if err := ip(
		"link add "+p.link()+" type veth peer name eth0 netns "+strconv.Itoa(pid),
		"addr add "+p.gateway+"/24 dev "+p.link(),
		"link set "+p.link()+" up",
	); err != nil {
		return err
	}
	for _, c := range []string{"addr add " + p.address + "/24 dev eth0", "link set lo up", "link set eth0 up", "route add default via " + p.gateway} {
		inside := []string{"nsenter", "--target", strconv.Itoa(pid), "--net", "--", "ip"}
		if _, err := command(append(inside, strings.Fields(c)...)...); err != nil {
			return err
		}
	}
	return nil
}

// cut takes the machine's line away. It has another one when it boots again.
func cut(p plan) error { return ip("link delete " + p.link()) }
