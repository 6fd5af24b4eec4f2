package compat

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A page is what a document tells its reader to do: its fenced blocks, in their order.
//
//	```            commands, for bash; all blocks of a page share one shell
//	```python      a program
//	```yaml        a file, whose name is in its first line: # name.yaml
//
// How a block is tested is said in comments before it, which a reader does not see:
//
//	<!-- test: serves -->                 it does not end: it has a terminal of its own, is awaited, and runs until another block serves
//	<!-- test: prints PATTERN -->         a regular expression that its output has; there may be several
//	<!-- test: only settings: REASON -->  a file that no command here reads: it is held against the table of settings
//	<!-- test: not run: REASON -->        with the reason
type block struct {
	language, text string
	line           int
	serves         bool
	prints         []string
	settings, not  string // reasons
}

var (
	markLine  = regexp.MustCompile(`^<!-- test: (.*) -->$`)
	fenceLine = regexp.MustCompile("^```([a-z]*)$")
)

// blocks finds the blocks of a page. A mark that belongs to no block, or that says nothing that is known, is an error: it would be believed.
func blocks(text string) ([]block, error) {
	var found []block
	next, marked, inside := block{}, false, false
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		if inside {
			if line == "```" {
				found = append(found, next)
				next, marked, inside = block{}, false, false
				continue
			}
			next.text += line + "\n"
			continue
		}
		if m := fenceLine.FindStringSubmatch(line); m != nil {
			next.language, next.line, inside = m[1], number, true
			continue
		}
		m := markLine.FindStringSubmatch(line)
		if m == nil {
			if marked && strings.TrimSpace(line) != "" || strings.HasPrefix(line, "<!-- test") {
				return nil, fmt.Errorf("a mark that belongs to no block, or that is not one: line=%d", number)
			}
			continue
		}
		marked = true
		word, rest, _ := strings.Cut(m[1], " ")
		switch {
		case m[1] == "serves":
			next.serves = true
		case word == "prints" && rest != "":
			next.prints = append(next.prints, rest)
		case strings.HasPrefix(m[1], "only settings: "):
			next.settings = m[1]
		case strings.HasPrefix(m[1], "not run: "):
			next.not = m[1]
		default:
			return nil, fmt.Errorf("an unknown mark: line=%d mark=%q", number, m[1])
		}
	}
	if inside || marked {
		return nil, errors.New("the page ends within a block, or after a mark")
	}
	return found, nil
}

// terminal is where one page is followed: a directory, the ports moved to where nobody else is, a shell that remembers, and what serves
// beside it.
type terminal struct {
	t     testing.TB
	dir   string
	shift int
	env   []string // of everything
	n     int

	shell  *program
	give   io.WriteCloser // paths of scripts, for the shell
	done   *bufio.Reader  // a line for each that has ended
	output *os.File       // of the shell
	server *program
}

func (w *terminal) close() {
	w.t.Helper()
	w.stopServer()
	if w.shell == nil {
		return
	}
	w.give.Close()
	<-w.shell.process.Done()
}

var address = regexp.MustCompile(`\b127\.0\.0\.1:(\d{4,5})\b`)

// moved is a text with all ports of the loopback address moved.
func (w *terminal) moved(text string) string {
	text = address.ReplaceAllStringFunc(text, func(found string) string {
		var port int
		if _, err := fmt.Sscanf(found, "127.0.0.1:%d", &port); err != nil {
			w.t.Fatal(err)
		}
		return fmt.Sprintf("127.0.0.1:%d", port+w.shift)
	})
	// make cluster has ports of its own, and takes a number to add to them.
	text = strings.ReplaceAll(text, "CLUSTER='", fmt.Sprintf("CLUSTER='-shift %d ", w.shift))
	return regexp.MustCompile(`(?m)^make cluster$`).ReplaceAllString(text, fmt.Sprintf("make cluster CLUSTER='-shift %d'", w.shift))
}

// script writes a block down and returns where.
func (w *terminal) script(text string) string {
	w.t.Helper()
	w.n++
	path := filepath.Join(w.t.TempDir(), fmt.Sprintf("%d.sh", w.n))
	if err := os.WriteFile(path, []byte(w.moved(text)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// loop is the shell: it runs what it is told of in itself, so that variables and jobs stay, and ends at the first command that fails.
const loop = `set -eo pipefail
while read -r script <&3; do
  . "$script" </dev/null 2>&1 3<&- 4>&-
  echo done >&4
done`

// run runs commands in the shell, and returns what they print.
func (w *terminal) run(commands string) string {
	w.t.Helper()
	if w.shell == nil {
		w.startShell()
	}
	from, err := w.output.Seek(0, io.SeekEnd)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(w.give, w.script(commands)+"\n"); err != nil {
		w.t.Fatal(err)
	}
	_, failed := w.done.ReadString('\n')
	printed, err := io.ReadAll(io.NewSectionReader(w.output, from, 1<<20))
	if err != nil {
		w.t.Fatal(err)
	}
	if failed != nil {
		w.t.Fatalf("a command failed:\n%s\nprinted:\n%s", w.moved(commands), printed)
	}
	return string(printed)
}

func (w *terminal) startShell() {
	w.t.Helper()
	scripts, give, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	done, say, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if w.output, err = os.Create(filepath.Join(w.t.TempDir(), "output")); err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command("bash", "-c", loop)
	cmd.Dir, cmd.Env = w.dir, w.env
	cmd.ExtraFiles = []*os.File{scripts, say}
	w.shell = startProgram(w.t, "the shell", cmd, w.output)
	scripts.Close()
	say.Close()
	w.give, w.done = give, bufio.NewReader(done)
	w.endsWithTest(w.shell)
	w.t.Cleanup(func() { give.Close(); done.Close(); w.output.Close() })
}

// serve starts what does not end, and returns when it says that it serves.
func (w *terminal) serve(commands string, env ...string) {
	w.t.Helper()
	w.stopServer()
	r, out, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command("bash", "-eo", "pipefail", w.script(commands))
	cmd.Dir, cmd.Env = w.dir, append(w.env[:len(w.env):len(w.env)], env...)
	w.server = startProgram(w.t, "what serves", cmd, out)
	out.Close()
	w.endsWithTest(w.server)
	ready := make(chan bool, 1)
	go func() {
		defer r.Close() // not before: what serves goes on writing
		found := false
		for lines := bufio.NewScanner(r); lines.Scan(); {
			fmt.Fprintln(w.server.log, lines.Text())
			if strings.HasPrefix(lines.Text(), "ready ") && !found {
				found = true
				ready <- true
			}
		}
		ready <- found
	}()
	if !<-ready {
		w.t.Fatalf("it ended and never served:\n%s\n%s", w.moved(commands), w.server.log.String())
	}
}

// endsWithTest has all that a program has started end when the test does, however it does.
func (w *terminal) endsWithTest(p *program) {
	group := -p.process.PID()
	w.t.Cleanup(func() { _ = syscall.Kill(group, syscall.SIGKILL) })
}

// stopPatience is more than a program of ours takes to stop.
const stopPatience = 100 * time.Second

// stopServer ends all that runs in that terminal: the end of its output is that of the last of them.
func (w *terminal) stopServer() {
	w.t.Helper()
	if w.server == nil {
		return
	}
	group := -w.server.process.PID()
	if err := syscall.Kill(group, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		w.t.Fatal(err)
	}
	late := time.AfterFunc(stopPatience, func() { _ = syscall.Kill(group, syscall.SIGKILL) })
	<-w.server.process.Done()
	if !late.Stop() {
		w.t.Errorf("what serves did not stop:\n%s", w.server.log.String())
	}
	w.server = nil
}
