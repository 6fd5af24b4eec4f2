package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a program that runs, or has ended.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; valid when done is closed
}

// Start runs a command that has not been started.
func Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = attributes(cmd.SysProcAttr)
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ties the child's life to the thread that made it, so that thread must stay as long as the child does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// PID is its number, which the system may give to another program once Done is closed.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when it has ended and all its output is written.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how it ended, nil for a success. It is known when Done is closed.
func (p *Process) Err() error { return p.err }

// Signal sends a signal. To a program that has ended it is os.ErrProcessDone.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Kill ends it at once, as a crash would, and returns when it is gone. One that has ended stays so.
func (p *Process) Kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// lastWords is how long a program that does not stop may take to say where it stands.
const lastWords = 5 * time.Second

// Stop asks it to end, with SIGTERM, and returns how it did. One that is not gone when the patience ends is asked where it stands, with
// SIGQUIT, to which a Go program answers with the stacks of all its goroutines, and killed.
func (p *Process) Stop(patience time.Duration) error {
	// An error means that it has ended already, which the wait finds.
	_ = p.Signal(syscall.SIGTERM)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
	}
	_ = p.Signal(syscall.SIGQUIT)
	timer.Reset(lastWords)
	select {
	case <-p.done:
	case <-timer.C:
	}
	return errors.Join(fmt.Errorf("still running after SIGTERM patience=%s pid=%d", patience, p.PID()), p.Kill())
}
