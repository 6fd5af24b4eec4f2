package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Machine is what the defaults of budgets are taken from.
type Machine struct {
	MemoryBytes int64                  // memory that this process may use
	DiskBytes   func(dir string) int64 // size of the file system that has, or will have, dir
	Hostname    func() (string, error)
}

// fallbackMemory and fallbackDisk are taken when the system does not tell: small
// enough that the budgets made of them fit everywhere.
const (
	fallbackMemory = 1 << 30
	fallbackDisk   = 16 << 30
)

// ThisMachine asks the operating system. Limits of the control group count, so
// that a broker in a container sizes itself by the container.
func ThisMachine() Machine {
	return Machine{MemoryBytes: memoryBytes("/"), DiskBytes: diskBytes, Hostname: os.Hostname}
}

// memoryBytes returns the lesser of the machine's memory and the limits of the
// control groups that are mounted below root.
func memoryBytes(root string) int64 {
	memory := int64(fallbackMemory)
	if text, err := os.ReadFile(filepath.Join(root, "proc/meminfo")); err == nil {
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) >= 2 && fields[0] == "MemTotal:" {
				if kib, err := strconv.ParseInt(fields[1], 10, 53); err == nil && kib > 0 {
					memory = kib << 10
				}
			}
		}
	}
	for _, file := range []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue
		}
		// "max" is no limit; version 1 writes a huge number for the same.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 {
			memory = min(memory, limit)
		}
	}
	return memory
}

// diskBytes returns the size of the file system of dir, or of the nearest parent
// that exists.
func diskBytes(dir string) int64 {
	dir, err := filepath.Abs(dir)
	for ; err == nil; dir = filepath.Dir(dir) {
		var st syscall.Statfs_t
		err = syscall.Statfs(dir, &st)
		if err == nil {
			return int64(st.Blocks) * int64(st.Bsize) //nolint:unconvert // the width of Bsize differs between platforms
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		err = nil
	}
	return fallbackDisk
}

// share returns part/whole of total, rounded down to whole MiB and held between
// low and high.
func share(total, part, whole, low, high int64) string {
	n := total / whole * part
	return fmt.Sprint(max(low, min(high, n>>20<<20)))
}
