//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// hardware is what a machine is switched on with.
type hardware struct {
	Name   string
	Base   string // the root that it was installed from, read-only
	Dir    string // upper: what it has written; work, root: for the mounts
	Groups string // its directory among the control groups
	Device string // its data disk, here and there
}

// dataDisk is the name of the data disk, as clouds name a volume.
const dataDisk = "/dev/disk/by-id/zones-volume-wal"

// plugged is the descriptor that ends when the network is there.
const plugged = 3

// withheld are the capabilities that a machine has no use for, because the kernel is not its own.
var withheld = []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_TIME, unix.CAP_SYSLOG, unix.CAP_SYS_RAWIO, unix.CAP_WAKE_ALARM, unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE}

// become makes this process, which has been started in namespaces of its own, the first process of a machine.
func become(text string) error {
	// Namespaces and capabilities belong to a thread until it becomes the process.
	runtime.LockOSThread()
	var h hardware
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.NewFile(plugged, "plugged")); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(*hardware) error
	}{{"control group", enterGroup}, {"root", mountRoot}, {"devices", makeDevices}, {"root", enterRoot}, {"capabilities", withhold}} {
		if err := step.do(&h); err != nil {
			return fmt.Errorf("machine: %s: %w name=%s", step.what, err, h.Name)
		}
	}
	// systemd takes its environment for what a container's manager tells it.
	return unix.Exec("/sbin/init", []string{"/sbin/init"}, []string{"container=zones", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
}

func enterGroup(h *hardware) error {
	if err := os.WriteFile(filepath.Join(h.Groups, "cgroup.procs"), []byte("0"), 0o644); err != nil {
		return err
	}
	return unix.Unshare(unix.CLONE_NEWCGROUP)
}

// mounting is one mount of a machine.
type mounting struct {
	what, where, kind string
	flags             uintptr
	data              string
}

func (m *mounting) do(root string) error {
	where := filepath.Join(root, m.where)
	if err := unix.Mount(m.what, where, m.kind, m.flags, m.data); err != nil {
		return fmt.Errorf("mount %s: %w what=%s", where, err, m.what)
	}
	return nil
}

func mountRoot(h *hardware) error {
	if err := unix.Sethostname([]byte(h.Name)); err != nil {
		return err
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	root := filepath.Join(h.Dir, "root")
	for _, m := range []mounting{
		{"overlay", "/", "overlay", 0, "lowerdir=" + h.Base + ",upperdir=" + filepath.Join(h.Dir, "upper") + ",workdir=" + filepath.Join(h.Dir, "work")},
		{"proc", "/proc", "proc", quiet, ""},
		{"sysfs", "/sys", "sysfs", quiet, ""}, // writable, or systemd believes that there are no devices
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", quiet, ""},
		{"tmpfs", "/dev", "tmpfs", unix.MS_NOSUID, "mode=755"},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	} {
		if err := m.do(root); err != nil {
			return err
		}
	}
	// The kernel's settings are those of everybody.
	for _, shared := range []string{"/proc/sys", "/proc/sysrq-trigger"} {
		if _, err := os.Stat(filepath.Join(root, shared)); err != nil {
			continue // not every kernel has both
		}
		for _, flags := range []uintptr{unix.MS_BIND, unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY} {
			m := mounting{what: filepath.Join(root, shared), where: shared, flags: flags}
			if err := m.do(root); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeDevices fills /dev, of which the machine has a few devices and its own disk.
func makeDevices(h *hardware) error {
	dev := filepath.Join(h.Dir, "root", "dev")
	defer unix.Umask(unix.Umask(0))
	for name, number := range map[string]uint64{
		"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5), "full": unix.Mkdev(1, 7), "random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9), "tty": unix.Mkdev(5, 0),
		"console": unix.Mkdev(1, 3), // nobody looks: the journal has it
	} {
		if err := unix.Mknod(filepath.Join(dev, name), unix.S_IFCHR|0o666, int(number)); err != nil {
			return fmt.Errorf("make device: %w name=%s", err, name)
		}
	}
	var disk unix.Stat_t
	if err := unix.Stat(h.Device, &disk); err != nil {
		return err
	}
	if err := unix.Mknod(filepath.Join(dev, filepath.Base(h.Device)), unix.S_IFBLK|0o660, int(disk.Rdev)); err != nil {
		return err
	}
	for _, dir := range []string{"pts", "shm", "disk/by-id"} {
		if err := os.MkdirAll(filepath.Join(dev, dir), 0o755); err != nil {
			return err
		}
	}
	links := map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
		"ptmx": "pts/ptmx", "disk/by-id/" + filepath.Base(dataDisk): "../../" + filepath.Base(h.Device),
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	for _, m := range []mounting{
		{"devpts", "/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"},
		{"tmpfs", "/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	} {
		if err := m.do(dev); err != nil {
			return err
		}
	}
	return nil
}

// enterRoot leaves the machine that this one is made on.
func enterRoot(h *hardware) error {
	return errors.Join(
		unix.Chdir(filepath.Join(h.Dir, "root")),
		// The old root comes to lie over the new one, and is taken off.
		unix.PivotRoot(".", "."),
		unix.Unmount(".", unix.MNT_DETACH),
		unix.Chdir("/"),
	)
}

func withhold(*hardware) error {
	for _, c := range withheld {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("withhold: %w capability=%d", err, c)
		}
	}
	return nil
}
