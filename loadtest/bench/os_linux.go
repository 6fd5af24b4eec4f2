package main

import (
	"errors"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dieWithParent has the kernel kill the child when the benchmark is gone.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// beNice has this process run only when no other wants the processor.
func beNice() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) } // whoever is not nice is as he was

// syncDisks returns when no written page of any file waits for its disk, so that nobody pays for the one before.
func syncDisks() { unix.Sync() }

// monotonic is the time in nanoseconds on the clock that sleepUntil sleeps by.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("bench: no monotonic clock: " + err.Error())
	}
	return ts.Nano()
}

// sleepUntil returns at a monotonic time, within some 60 µs. The runtime's timers are a millisecond apart when idle.
func sleepUntil(at int64) error {
	ts := unix.NsecToTimespec(at)
	for {
		err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// kernel is the release of the running kernel.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// fileSystem names the type of the file system that holds a path.
func fileSystem(path string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return "unknown"
	}
	switch s.Type {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.TMPFS_MAGIC:
		return "tmpfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	}
	return "other"
}

// tick is the unit of processor times in /proc: USER_HZ, a hundredth of a second on every architecture that Go runs on.
const tick = 10 * time.Millisecond
