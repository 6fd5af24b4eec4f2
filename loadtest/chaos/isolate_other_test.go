//go:build !linux

package chaos

import (
	"errors"
	"os"
	"os/exec"
	"runtime"

	"github.com/tidelinehq/tideline/internal/child"
)

var errNoLinux = errors.New("needs Linux")

// rerun runs this program as it is.
func rerun() (*child.Process, error) {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), plainVariable+"="+runtime.GOOS)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return child.Start(cmd)
}

func host(int) string             { return "127.0.0.1" }
func testHost() string            { return "127.0.0.1" }
func within(int) []string         { return nil }
func forgetSlowDisks()            {}
func isolate(int) error           { return errNoLinux }
func filters() error              { return errNoLinux }
func throttles() error            { return errNoLinux }
func deaf(int, string) error      { return errNoLinux }
func lossy(int, float64) error    { return errNoLinux }
func hear(int) error              { return errNoLinux }
func thin(int, int) error         { return errNoLinux }
func thick(int) error             { return errNoLinux }
func fillDisk(string) error       { return errNoLinux }
func emptyDisk(string) error      { return errNoLinux }
func unmountDisk(string) error    { return errNoLinux }
func mountDisk(_, _ string) error { return errNoLinux }

func slowDisk(string, int, int) (func() error, error) { return nil, errNoLinux }
