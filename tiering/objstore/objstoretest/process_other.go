//go:build !linux

package objstoretest

import (
	"errors"
	"os/exec"
	"time"
)

// Elsewhere a killed test leaves its server running: there is no portable way to tie them.
func dieWithParent(*exec.Cmd) {}

func processCPU(int) (time.Duration, error) {
	return 0, errors.New("no process times on this system")
}
