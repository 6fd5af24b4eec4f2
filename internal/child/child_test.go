package child_test

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/child"
)

const patience = 30 * time.Second

// start runs a shell script and returns it with the lines that it prints.
func start(t *testing.T, script string) (*child.Process, *bufio.Reader) {
	t.Helper()
	r, w := io.Pipe()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Stdout = w
	p, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill(); _ = r.Close() })
	go func() { <-p.Done(); _ = w.Close() }()
	return p, bufio.NewReader(r)
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func TestStop(t *testing.T) {
	p, out := start(t, `trap 'echo bye; exit 0' TERM; echo hello; while :; do sleep 0.05; done`)
	if line := readLine(t, out); line != "hello" {
		t.Fatalf("it printed %q", line)
	}
	line := make(chan string, 1)
	go func() { s, _ := out.ReadString('\n'); line <- s }()
	if err := p.Stop(patience); err != nil {
		t.Error(err)
	}
	if s := <-line; s != "bye\n" {
		t.Errorf("its last words were %q", s)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("a signal to what has ended: %v", err)
	}
	if err := errors.Join(p.Kill(), p.Stop(patience)); err != nil {
		t.Errorf("ended twice: %v", err)
	}
}

func TestOneThatDoesNotStopIsMadeTo(t *testing.T) {
	p, out := start(t, `trap '' TERM; echo hello; while :; do sleep 0.05; done`)
	readLine(t, out)
	if err := p.Stop(time.Millisecond); err == nil || !strings.Contains(err.Error(), "still running") {
		t.Errorf("got %v", err)
	}
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGQUIT {
		t.Errorf("it ended with %v", p.Err())
	}
}

func TestFailures(t *testing.T) {
	if _, err := child.Start(exec.Command("/does/not/exist")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
	p, _ := start(t, "exit 3")
	<-p.Done()
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.ExitCode() != 3 {
		t.Errorf("it ended with %v", p.Err())
	}
}

// keeper is set in the process that TestDiesWithItsParent kills.
const keeper = "TIDELINE_TEST_CHILD_KEEPER"

func TestMain(m *testing.M) {
	if os.Getenv(keeper) == "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/bin/sh", "-c", "echo $$; while :; do sleep 0.05; done")
	cmd.Stdout = os.Stdout
	p, err := child.Start(cmd)
	if err != nil {
		panic(err)
	}
	<-p.Done()
}
