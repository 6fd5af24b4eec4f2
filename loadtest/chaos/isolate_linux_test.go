package chaos

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/tidelinehq/tideline/internal/child"
)

// rerun runs this program with a network and mounts of its own, or as it is where that is not possible.
func rerun() (*child.Process, error) {
	why := ""
	switch _, missing := exec.LookPath("ip"); {
	case *plain:
		why = "-plain is given"
	case os.Getuid() != 0:
		why = "not root"
	case missing != nil:
		why = missing.Error()
	}
	if why == "" {
		p, err := child.Start(self(isolatedVariable+"=1", &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}))
		if err == nil {
			return p, nil
		}
		why = err.Error()
	}
	return child.Start(self(plainVariable+"="+why, nil))
}

func self(variable string, attributes *syscall.SysProcAttr) *exec.Cmd {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), variable)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = attributes
	return cmd
}

// The test is the last address of the bridge's network, the brokers the first.
const network = "10.77.0."

func host(broker int) string    { return network + strconv.Itoa(broker+1) }
func testHost() string          { return network + "254" }
func namespace(b int) string    { return "broker" + strconv.Itoa(b+1) }
func run(args ...string) error  { return runInput("", args...) }
func within(b int) (p []string) { return []string{"ip", "netns", "exec", namespace(b)} }

func runInput(input string, args ...string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(input)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w output=%s", strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// isolate makes the network: a bridge, on which the test has an address, and a namespace for each broker.
func isolate(brokers int) error {
	// Nothing that is mounted here is seen outside, and what the commands leave behind goes with this process.
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounts of its own: %w", err)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	commands := []string{
		"link set lo up", "link add bridge type bridge", "addr add " + testHost() + "/24 dev bridge", "link set bridge up",
	}
	for b := range brokers {
		ns, veth := namespace(b), "veth"+strconv.Itoa(b+1)
		commands = append(commands,
			"netns add "+ns, "link add "+veth+" type veth peer name eth0 netns "+ns, "link set "+veth+" master bridge up",
			"-n "+ns+" addr add "+host(b)+"/24 dev eth0", "-n "+ns+" link set eth0 up", "-n "+ns+" link set lo up")
	}
	for _, c := range commands {
		if err := run(append([]string{"ip"}, strings.Fields(c)...)...); err != nil {
			return err
		}
	}
	return nil
}

// filters reports whether packets can be dropped.
func filters() error {
	return run(append(within(0), "iptables", "-w", "-L", "INPUT", "-n")...)
}

// deaf has a broker not hear a host.
func deaf(broker int, from string) error {
	return run(append(within(broker), "iptables", "-w", "-A", "INPUT", "-s", from, "-j", "DROP")...)
}

// lossy has a broker not hear a part of everything.
func lossy(broker int, part float64) error {
	return run(append(within(broker), "iptables", "-w", "-A", "INPUT", "-m", "statistic", "--mode", "random",
		"--probability", strconv.FormatFloat(part, 'f', 3, 64), "-j", "DROP")...)
}

// hear ends deaf and lossy.
func hear(broker int) error { return run(append(within(broker), "iptables", "-w", "-F", "INPUT")...) }

// thin has a broker send no more than a number of kbit/s. What is sent waits up to a second for its turn.
func thin(broker, kbit int) error {
	return run(append(within(broker), "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", strconv.Itoa(kbit)+"kbit", "burst", "16kb", "latency", "1s")...)
}

// thick ends thin.
func thick(broker int) error {
	return run(append(within(broker), "tc", "qdisc", "del", "dev", "eth0", "root")...)
}

// diskBytes is the size of a broker's disk. The file takes the space that is used.
const diskBytes = 3 << 30

// mountDisk makes a disk and mounts it.
func mountDisk(image, dir string) error {
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(diskBytes), f.Close(), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	if err := run("mkfs.ext4", "-q", "-m", "0", image); err != nil {
		return err
	}
	return run("mount", "-o", "loop", image, dir)
}

func unmountDisk(dir string) error { return run("umount", "-l", dir) }

// ballast is the file that fills a disk.
func ballast(dir string) string { return filepath.Join(dir, "ballast") }

// fillDisk leaves no more than a few bytes free.
func fillDisk(dir string) error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return err
	}
	f, err := os.Create(ballast(dir))
	if err != nil {
		return err
	}
	// Others write meanwhile: what could not be had at once is had in smaller pieces.
	size := int64(0)
	for step := int64(s.Bavail) * s.Bsize; step >= s.Bsize; {
		if err := syscall.Fallocate(int(f.Fd()), 0, size, step); err != nil {
			step /= 2
			continue
		}
		size += step
	}
	return f.Close()
}

func emptyDisk(dir string) error { return os.Remove(ballast(dir)) }

// Where the kernel's group for slow disks is; version 1 of control groups.
const blkio = "/sys/fs/cgroup/blkio"

// slowDisk has a process write no more than a number of bytes per second to the disk on which dir lies.
func slowDisk(dir string, pid, bytes int) (heal func() error, err error) {
	var s syscall.Stat_t
	if err := syscall.Stat(dir, &s); err != nil {
		return nil, err
	}
	group := slowGroup()
	if err := os.Mkdir(group, 0o755); err != nil {
		return nil, err
	}
	limit := fmt.Sprintf("%d:%d %d", s.Dev>>8&0xfff, s.Dev&0xff|s.Dev>>12&0xfff00, bytes)
	heal = func() error {
		// One that has ended is in no group any more.
		if err := os.WriteFile(filepath.Join(blkio, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
		return os.Remove(group)
	}
	if err := os.WriteFile(filepath.Join(group, "blkio.throttle.write_bps_device"), []byte(limit), 0o644); err != nil {
		return nil, errors.Join(err, heal())
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return nil, errors.Join(err, heal())
	}
	return heal, nil
}

func slowGroup() string { return filepath.Join(blkio, "tideline-chaos-"+strconv.Itoa(os.Getpid())) }

// forgetSlowDisks removes what a campaign that failed has left, once its processes have ended.
func forgetSlowDisks() { _ = os.Remove(slowGroup()) }

// throttles reports whether disks can be slowed down.
func throttles() error {
	_, err := os.Stat(filepath.Join(blkio, "blkio.throttle.write_bps_device"))
	return err
}
