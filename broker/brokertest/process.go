package brokertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/child"
	"github.com/tidelinehq/tideline/internal/freeport"
)

const (
	// ReadyTimeout bounds a start: a recovery of a full WAL on a small, busy machine.
	ReadyTimeout = 2 * time.Minute
	// stopTimeout is longer than the program allows itself for a graceful stop.
	stopTimeout    = 75 * time.Second
	commandTimeout = 2 * time.Minute
)

// Options say how a broker is run.
type Options struct {
	Settings map[string]string // --set key=value; {listen} in a value stands for Addr
	Env      []string          // added to the test's own environment
	Dir      string            // data.dir; empty: a temporary one of the test
}

// Process is a tideline broker in a process of its own.
type Process struct {
	tb      testing.TB
	options Options
	binary  string
	kafka   string // HOST:PORT, the same after a restart
	http    string
	within  []string // the command through which the program is run; empty: none
	args    []string // before the settings
	log     tail
	logFile *os.File // all that log has only the end of; nil: nowhere
	running *running // nil when it is stopped
}

// running is one run of the program.
type running struct {
	*child.Process
	ready chan string // of one element: the first line that it printed
	ended atomic.Bool // somebody of the test ends it, or it may end
}

// Start builds the program if need be, runs a broker and returns when it serves. The broker is ended with the test.
func Start(tb testing.TB, o Options) *Process {
	tb.Helper()
	binary, err := Binary()
	if err != nil {
		tb.Fatal(err)
	}
	if o.Dir == "" {
		o.Dir = tb.TempDir()
	}
	p := &Process{tb: tb, options: o, binary: binary}
	tb.Cleanup(p.cleanup)
	free := freeport.ForTest(tb, 2)
	p.kafka, p.http = free[0], free[1]
	p.args = []string{"dev", "--data-dir", o.Dir, "--listen", p.kafka, "--http", p.http}
	if err := p.launch(); err != nil {
		tb.Fatalf("start tideline: %v", err)
	}
	return p
}

// Addr is where Kafka clients connect.
func (p *Process) Addr() string { return p.kafka }

// HTTP is the address of the admin API and the metrics.
func (p *Process) HTTP() string { return p.http }

// Dir is the data directory.
func (p *Process) Dir() string { return p.options.Dir }

// Log is the newest part of what the broker wrote, over all its runs.
func (p *Process) Log() string { return p.log.String() }

// Set changes a setting for the next Restart.
func (p *Process) Set(key, value string) {
	p.options.Settings = maps.Clone(p.options.Settings)
	if p.options.Settings == nil {
		p.options.Settings = map[string]string{}
	}
	p.options.Settings[key] = value
}

// Use has the next Restart run another program.
func (p *Process) Use(binary string) { p.binary = binary }

// Kill ends the broker at once with SIGKILL, as a crash would, and returns when it is gone.
func (p *Process) Kill() {
	p.tb.Helper()
	if err := p.take("kill").Kill(); err != nil {
		p.tb.Fatalf("kill tideline: %v", err)
	}
}

// Stop ends the broker politely with SIGTERM. A stop that fails or takes too long fails the test.
func (p *Process) Stop() {
	p.tb.Helper()
	if err := p.take("stop").Stop(stopTimeout); err != nil {
		p.tb.Fatalf("stop tideline: %v", err)
	}
}

// Pause suspends the broker: it answers nothing until Resume.
func (p *Process) Pause() { p.tb.Helper(); p.signal(syscall.SIGSTOP) }

// Resume lets a suspended broker go on.
func (p *Process) Resume() { p.tb.Helper(); p.signal(syscall.SIGCONT) }

// PID is the number of the process, 0 when the broker is stopped.
func (p *Process) PID() int {
	if p.running == nil {
		return 0
	}
	return p.running.PID()
}

// MayEnd says that from now on the broker may end by itself, until MustGoOn or its next start. Ended tells whether it has.
func (p *Process) MayEnd() {
	if p.running != nil {
		p.running.ended.Store(true)
	}
}

// MustGoOn ends MayEnd. It means nothing to a broker that has ended.
func (p *Process) MustGoOn() {
	if !p.Ended() {
		p.running.ended.Store(false)
	}
}

// Ended reports whether the broker does not run: it was stopped, or has ended by itself.
func (p *Process) Ended() bool {
	if p.running == nil {
		return true
	}
	select {
	case <-p.running.Done():
		return true
	default:
		return false
	}
}

// Restart starts a stopped or killed broker on the same ports and data, and returns when it serves.
func (p *Process) Restart() {
	p.tb.Helper()
	if !p.Ended() {
		p.tb.Fatal("restart tideline: it is running")
	}
	if err := p.launch(); err != nil {
		p.tb.Fatalf("restart tideline: %v", err)
	}
}

// Command is a client-side command of the program, aimed at this broker.
func (p *Process) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.binary, args...)
	cmd.Env = append(environ(), "TIDELINE_BROKERS="+p.kafka, "TIDELINE_HTTP="+p.http)
	return cmd
}

// Run runs a client-side command and returns its standard output. A command that fails fails the test.
func (p *Process) Run(args ...string) string {
	p.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := p.Command(ctx, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		p.tb.Fatalf("tideline %s: %v\n%s%s", strings.Join(args, " "), err, output, stderr.String())
	}
	return string(output)
}

// launch runs the program and returns when it serves.
func (p *Process) launch() error {
	if err := p.begin(); err != nil {
		return err
	}
	return p.awaitReady()
}

// begin runs the program.
func (p *Process) begin() error {
	args := slices.Concat(p.within, []string{p.binary}, p.args)
	for _, key := range slices.Sorted(maps.Keys(p.options.Settings)) {
		args = append(args, "--set", key+"="+strings.ReplaceAll(p.options.Settings[key], "{listen}", p.kafka))
	}
	var log io.Writer = &p.log
	if p.logFile != nil {
		log = io.MultiWriter(log, p.logFile)
	}
	ready := &readyLine{log: log, ready: make(chan string, 1)}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(append(environ(), "GORACE=halt_on_error=1"), p.options.Env...)
	cmd.Stdout, cmd.Stderr = ready, log
	process, err := child.Start(cmd)
	if err != nil {
		return err
	}
	p.running = &running{Process: process, ready: ready.ready}
	return nil
}

// awaitReady returns when the program that was begun serves. One that does not is ended.
func (p *Process) awaitReady() error {
	run := p.running
	timer := time.NewTimer(ReadyTimeout)
	defer timer.Stop()
	var err error
	select {
	case line := <-run.ready:
		want := fmt.Sprintf("ready kafka=%s http=%s", p.kafka, p.http)
		if line == want {
			go p.watch(run)
			return nil
		}
		err = fmt.Errorf("it printed %q, not %q", line, want)
	case <-run.Done():
		err = fmt.Errorf("it ended before it served: %w", run.Err())
	case <-timer.C:
		err = fmt.Errorf("not ready after %s", ReadyTimeout)
	}
	p.running = nil
	return errors.Join(err, run.Kill())
}

// watch fails the test when a broker ends that nobody ended.
func (p *Process) watch(run *running) {
	<-run.Done()
	if !run.ended.Load() {
		p.tb.Errorf("tideline kafka=%s ended by itself: %v", p.kafka, run.Err())
	}
}

// take ends the watch over the current run, which the caller is about to end.
func (p *Process) take(verb string) *running {
	p.tb.Helper()
	run := p.running
	if run == nil {
		p.tb.Fatalf("%s tideline: it is not running", verb)
	}
	p.running = nil
	run.ended.Store(true)
	return run
}

func (p *Process) signal(s syscall.Signal) {
	p.tb.Helper()
	if p.running == nil {
		p.tb.Fatalf("signal tideline: it is not running signal=%s", s)
	}
	if err := p.running.Signal(s); err != nil {
		p.tb.Fatalf("signal tideline: %v signal=%s", err, s)
	}
}

func (p *Process) cleanup() {
	if run := p.running; run != nil {
		p.running = nil
		// A broker that ended by itself is the watcher's to report.
		select {
		case <-run.Done():
		default:
			run.ended.Store(true)
			_ = run.Signal(syscall.SIGCONT) // it may be suspended, or be gone
			if err := run.Stop(stopTimeout); err != nil {
				p.tb.Errorf("stop tideline: %v", err)
			}
		}
	}
	if p.logFile != nil {
		if err := p.logFile.Close(); err != nil {
			p.tb.Errorf("log of tideline: %v", err)
		}
	}
	if p.tb.Failed() {
		p.tb.Logf("log of tideline kafka=%s:\n%s", p.kafka, p.Log())
	}
}

// environ is the test's environment without what would configure the broker: that is for Options to say.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TIDELINE_") })
}
