package compat

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/devtools"
)

// TestReadme and TestQuickStartMinIO do what these pages tell their readers to do, from the first block to the last, in a copy of the
// repository: with the Makefile, the shell and the tools of a reader, on ports that are free.
func TestReadme(t *testing.T)          { follow(t, "README.md") }
func TestQuickStartMinIO(t *testing.T) { follow(t, "docs/quickstart-minio.md") }

func follow(t *testing.T, page string) {
	root, err := devtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	steps, err := blocks(read(t, filepath.Join(root, filepath.FromSlash(page))))
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) == 0 {
		t.Fatal("the page tells its reader to do nothing")
	}
	w := &terminal{t: t, dir: copyOf(t, root), shift: freeShift(t)}
	w.env = w.environ(root)
	defer w.close()
	begun := time.Now()
	for _, s := range steps {
		t.Logf("%s line %d: %s %s", time.Since(begun).Round(time.Second), s.line, s.language, strings.Join(append([]string{s.not, s.settings}, s.prints...), " "))
		printed := w.do(s)
		for _, pattern := range s.prints {
			if !regexp.MustCompile(`(?m)` + w.moved(pattern)).MatchString(printed) {
				t.Fatalf("line %d: no match of %q in:\n%s", s.line, pattern, printed)
			}
		}
	}
}

// do does one block, and returns what it prints.
func (w *terminal) do(s block) string {
	w.t.Helper()
	if s.not != "" {
		return ""
	}
	switch {
	case s.language == "yaml":
		name, ok := strings.CutPrefix(strings.SplitN(s.text, "\n", 2)[0], "# ")
		if !ok || !filepath.IsLocal(name) {
			w.t.Fatalf("line %d: a file whose first line does not name it", s.line)
		}
		path := filepath.Join(w.dir, name)
		if err := os.WriteFile(path, []byte(w.moved(s.text)), 0o600); err != nil {
			w.t.Fatal(err)
		}
		if s.settings != "" {
			if _, err := config.Load(config.Sources{File: path, Machine: config.ThisMachine()}); err != nil {
				w.t.Fatalf("line %d: %v", s.line, err)
			}
		}
	case s.language == "python":
		cmd := exec.Command(python(w.t), "-c", w.moved(s.text))
		cmd.Dir, cmd.Env = w.dir, w.env
		printed, err := cmd.CombinedOutput()
		if err != nil {
			w.t.Fatalf("line %d: %v\n%s", s.line, err, printed)
		}
		return string(printed)
	case s.language != "":
		w.t.Fatalf("line %d: a block of %s that nothing is known of: say with a mark why it is not run", s.line, s.language)
	case s.serves:
		// A flag that is not given is below the environment, which so moves the ports of `tideline dev`. A file says its own.
		var env []string
		if !strings.Contains(s.text, "--config") {
			env = append(env, "TIDELINE_LISTENERS=PLAINTEXT://"+w.moved("127.0.0.1:9092"))
		}
		w.serve(s.text, env...)
	default:
		return w.run(s.text)
	}
	return ""
}

// environ is what a reader has, and the tools that the pages suppose.
func (w *terminal) environ(root string) []string {
	w.t.Helper()
	tools := w.t.TempDir()
	lib := jars(w.t)
	for name, class := range toolClasses {
		script := fmt.Sprintf("#!/bin/sh\nexec java %s -cp '%s' %s \"$@\"\n", strings.Join(javaFlags, " "), filepath.Join(lib, "*"), class)
		if err := os.WriteFile(filepath.Join(tools, "kafka-"+name+".sh"), []byte(script), 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.Symlink(kcat(w.t), filepath.Join(tools, "kcat")); err != nil {
		w.t.Fatal(err)
	}
	// MinIO is built before, once for all: that takes minutes.
	if err := run(w.t.Context(), root, "scripts/tools.sh", "minio"); err != nil {
		w.t.Fatal(err)
	}
	foreign := regexp.MustCompile(`^(TIDELINE_|AWS_|OTEL_|MINIO_|MAKE|MFLAGS|CLUSTER=|GOFLAGS=|PATH=)`)
	env := slices.DeleteFunc(os.Environ(), foreign.MatchString)
	return append(env, "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"), "GOWORK=off",
		w.moved("TIDELINE_BROKERS=127.0.0.1:9092"), w.moved("TIDELINE_HTTP=127.0.0.1:8080"), w.moved("TIDELINE_HTTP_LISTENER=127.0.0.1:8080"))
}

// copyOf is a copy of the repository as it lies there, without what is not to be committed. Tools that were built once are shared.
func copyOf(t *testing.T, root string) string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	list, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name := range bytes.SplitSeq(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		from, to := filepath.Join(root, string(name)), filepath.Join(dir, string(name))
		info, err := os.Stat(from)
		if os.IsNotExist(err) || err == nil && info.IsDir() {
			continue // removed, but not committed yet; or a link to a folder
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, info.Mode().Perm()|0o200); err != nil {
			t.Fatal(err)
		}
	}
	// What is built while a page is followed goes with the copy.
	if err := os.Mkdir(filepath.Join(dir, ".tools"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(root, ".tools", "bin"), filepath.Join(dir, ".tools", "bin")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// freeShift is a number that can be added to all ports of the pages.
func freeShift(t *testing.T) int {
	t.Helper()
	ports := []int{4318, 8080, 8180, 8280, 9000, 9092, 9093, 9192, 9193, 9292, 9293}
	for range 50 {
		shift := 1000 + rand.IntN(20_000)
		if !slices.ContainsFunc(ports, func(port int) bool {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+shift))
			if err != nil {
				return true
			}
			return l.Close() != nil
		}) {
			return shift
		}
	}
	t.Fatal("no free ports")
	return 0
}

// What the marks of a page mean, and that none is overlooked.
func TestBlocks(t *testing.T) {
	got, err := blocks("# A page\n\n<!-- test: serves -->\n\n```\nmake run\n```\ntext `make x`\n<!-- test: prints ^a$ -->\n<!-- test: prints b c -->\n```python\nprint(1)\n```\n" +
		"<!-- test: not run: no network -->\n```\ngit clone\n```\n<!-- test: only settings: no bucket -->\n```yaml\n# a.yaml\n```\n")
	if err != nil || len(got) != 4 || !got[0].serves || got[0].text != "make run\n" || got[0].line != 5 || got[1].language != "python" ||
		!slices.Equal(got[1].prints, []string{"^a$", "b c"}) || got[2].not == "" || got[3].settings == "" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"<!-- test: serves -->\ntext\n```\na\n```\n", "<!-- test: sings -->\n```\na\n```\n", "<!-- tests: serves -->\n", "```\na\n", "<!-- test: serves -->\n",
		"<!-- test: not run -->\n```\na\n```\n"} {
		if got, err := blocks(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}
