package dirstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/dirstore"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

func open(t *testing.T, dir string, opts dirstore.Options) *dirstore.Store {
	t.Helper()
	s, err := dirstore.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func read(t *testing.T, s objstore.Store, key string) string {
	t.Helper()
	b, _, err := objstore.ReadAll(t.Context(), s, key, 1<<20)
	if errors.Is(err, objstore.ErrNotFound) {
		return "(absent)"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const (
	crashDirEnv  = "TIDELINE_DIRSTORE_CRASH_DIR"
	crashStepEnv = "TIDELINE_DIRSTORE_CRASH_STEP"
	crashIfEnv   = "TIDELINE_DIRSTORE_CRASH_IF" // a condition, see condition
	crashStatus  = 73
)

func condition(name string) objstore.Condition {
	if name == "if-none-match" {
		return objstore.Condition{IfNoneMatch: true}
	}
	return objstore.Condition{IfMatch: name}
}

// TestCrash ends a process before each step of a put. What another process then finds is the old object or the new one, never
// another; and nothing is left in the way of the next put.
func TestCrash(t *testing.T) {
	if dir := os.Getenv(crashDirEnv); dir != "" {
		s := open(t, dir, dirstore.Options{Step: func(step string) {
			if step == os.Getenv(crashStepEnv) {
				os.Exit(crashStatus)
			}
		}})
		_, err := s.Put(t.Context(), "a/k", objstore.BytesBody([]byte("new")), condition(os.Getenv(crashIfEnv)))
		t.Fatalf("the put has ended: %v", err)
	}
	for _, cond := range []string{"", "if-none-match", "if-match"} {
		// prepare returns a fresh directory and the condition that a put must have there.
		prepare := func() (dir, with string) {
			dir = t.TempDir()
			if cond == "if-none-match" {
				return dir, cond
			}
			etag, err := open(t, dir, dirstore.Options{}).Put(t.Context(), "a/k", objstore.BytesBody([]byte("old")), objstore.Condition{})
			if err != nil {
				t.Fatal(err)
			}
			if cond == "" {
				return dir, ""
			}
			return dir, etag
		}
		var steps []string
		dir, with := prepare()
		s := open(t, dir, dirstore.Options{Step: func(step string) { steps = append(steps, step) }})
		if _, err := s.Put(t.Context(), "a/k", objstore.BytesBody([]byte("new")), condition(with)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"create", "write", "sync", "lock", "place", "syncdir", "unlock"}, steps); diff != "" {
			t.Fatalf("%s: steps (-want +got):\n%s", cond, diff)
		}
		for at, step := range steps {
			dir, with := prepare()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrash$")
			cmd.Env = append(os.Environ(), crashDirEnv+"="+dir, crashStepEnv+"="+step, crashIfEnv+"="+with)
			if out, err := cmd.CombinedOutput(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != crashStatus {
				t.Fatalf("%s: no crash before %s: %v\n%s", cond, step, err, out)
			}
			want := "old"
			if at > slices.Index(steps, "place") {
				want = "new"
			} else if cond == "if-none-match" {
				want = "(absent)"
			}
			s := open(t, dir, dirstore.Options{})
			if got := read(t, s, "a/k"); got != want {
				t.Errorf("%s: crash before %s left %q, want %q", cond, step, got, want)
			}
			if _, err := s.Put(t.Context(), "a/k", objstore.BytesBody([]byte("next")), objstore.Condition{}); err != nil {
				t.Errorf("%s: put after a crash before %s: %v", cond, step, err)
			}
			later := func() time.Time { return time.Now().Add(time.Hour) }
			if open(t, dir, dirstore.Options{Now: later}); tmpFiles(t, dir) != 0 {
				t.Errorf("%s: a crash before %s leaves a temporary file for ever", cond, step)
			}
		}
	}
}

func tmpFiles(t *testing.T, dir string) int {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".tideline", "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestOpenSweepsWhatCrashesLeft(t *testing.T) {
	dir := t.TempDir()
	later := func() time.Time { return time.Now().Add(time.Hour) }
	s := open(t, dir, dirstore.Options{})
	if _, err := s.Put(t.Context(), "k", objstore.BytesBody([]byte("x")), objstore.Condition{}); err != nil {
		t.Fatal(err)
	}
	if n := tmpFiles(t, dir); n != 0 {
		t.Errorf("a finished put leaves %d temporary files", n)
	}
	if err := os.WriteFile(filepath.Join(dir, ".tideline", "tmp", "leftover"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, dirstore.Options{})
	if n := tmpFiles(t, dir); n != 1 {
		t.Errorf("a young temporary file was removed")
	}
	open(t, dir, dirstore.Options{Now: later})
	if n := tmpFiles(t, dir); n != 0 {
		t.Errorf("%d old temporary files are left", n)
	}

	// A put under way in another process is never swept, however old it is.
	writer := open(t, dir, dirstore.Options{Step: func(step string) {
		if step == "place" {
			open(t, dir, dirstore.Options{Now: later})
			if n := tmpFiles(t, dir); n != 1 {
				t.Errorf("the file of a put under way was swept")
			}
		}
	}})
	if _, err := writer.Put(t.Context(), "k", objstore.BytesBody([]byte("y")), objstore.Condition{}); err != nil {
		t.Error(err)
	}
}

// TestETagWithStoppedClock: versions of a key have different ETags though clock and size stay the same, or the clock goes back.
func TestETagWithStoppedClock(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := open(t, t.TempDir(), dirstore.Options{Now: func() time.Time { return now }})
	seen := make(map[string]bool)
	for i := range 20 {
		if i == 10 {
			now = now.Add(-time.Hour)
		}
		etag, err := s.Put(t.Context(), "k", objstore.BytesBody([]byte{byte(i)}), objstore.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		if seen[etag] {
			t.Fatalf("version %d has the ETag of an earlier one: %s", i, etag)
		}
		seen[etag] = true
		if info, err := s.Head(t.Context(), "k"); err != nil || info.ETag != etag {
			t.Fatalf("head: %+v %v, want etag %s", info, err, etag)
		}
	}
}

func TestSymbolicLinksDoNotLeadOut(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, dirstore.Options{})
	for link, target := range map[string]string{"out": outside, "file": filepath.Join(outside, "secret")} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"out/secret", "file"} {
		if b, _, err := objstore.ReadAll(t.Context(), s, key, 100); err == nil {
			t.Errorf("get %s: read %q", key, b)
		}
	}
	if _, err := s.Put(t.Context(), "out/new", objstore.BytesBody([]byte("x")), objstore.Condition{}); err == nil {
		t.Error("put through a link succeeded")
	}
	if _, err := s.Delete(t.Context(), []string{"out/secret"}); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "secret")); err != nil {
		t.Errorf("the file outside: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outside, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written outside: %v", err)
	}
}

func TestKeyThatIsADirectory(t *testing.T) {
	s := open(t, t.TempDir(), dirstore.Options{})
	if _, err := s.Put(t.Context(), "a/b", objstore.BytesBody([]byte("x")), objstore.Condition{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "a", objstore.BytesBody([]byte("x")), objstore.Condition{}); err == nil {
		t.Error("a key may not be a directory")
	}
	if _, err := s.Put(t.Context(), "a/b/c", objstore.BytesBody([]byte("x")), objstore.Condition{}); !errors.Is(err, objstore.ErrInvalid) {
		t.Errorf("put below an object: %v", err)
	}
	for _, key := range []string{"a", "a/b/c"} {
		if _, err := s.Head(t.Context(), key); !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("head %s: %v", key, err)
		}
		if _, _, err := s.Get(t.Context(), key, 0, -1); !errors.Is(err, objstore.ErrNotFound) {
			t.Errorf("get %s: %v", key, err)
		}
	}
	if failed, err := s.Delete(t.Context(), []string{"a", "a/b/c"}); err != nil || len(failed) > 0 {
		t.Errorf("delete: %v %v", failed, err)
	}
	if got := read(t, s, "a/b"); got != "x" {
		t.Errorf("a/b is %q", got)
	}
}

const (
	childEnv        = "TIDELINE_DIRSTORE_CHILD"
	childIncrements = 25
)

// TestProcessesShareACounter lets several processes increment one object by If-Match: no increment is lost, so the lock
// holds between processes.
func TestProcessesShareACounter(t *testing.T) {
	if dir := os.Getenv(childEnv); dir != "" {
		increment(t, open(t, dir, dirstore.Options{}), os.Getpid())
		return
	}
	dir := t.TempDir()
	s := open(t, dir, dirstore.Options{})
	if _, err := s.Put(t.Context(), "counter", objstore.BytesBody([]byte("0 start")), objstore.Condition{}); err != nil {
		t.Fatal(err)
	}
	const processes = 3
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcessesShareACounter$")
			cmd.Env = append(os.Environ(), childEnv+"="+dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("child: %v\n%s", err, out)
			}
		})
	}
	increment(t, s, os.Getpid())
	wg.Wait()
	var n int
	if _, err := fmt.Sscan(read(t, s, "counter"), &n); err != nil || n != (processes+1)*childIncrements {
		t.Errorf("counter is %d (%v), want %d", n, err, (processes+1)*childIncrements)
	}
}

func increment(t *testing.T, s objstore.Store, id int) {
	for i := 0; i < childIncrements; {
		b, info, err := objstore.ReadAll(t.Context(), s, "counter", 1<<10)
		if err != nil {
			t.Error(err)
			return
		}
		var n int
		if _, err := fmt.Sscan(string(b), &n); err != nil {
			t.Errorf("counter is %q: %v", b, err)
			return
		}
		body := objstore.BytesBody(fmt.Appendf(nil, "%d by %d at %d", n+1, id, i))
		_, err = s.Put(t.Context(), "counter", body, objstore.Condition{IfMatch: info.ETag})
		if err == nil {
			i++
		} else if !errors.Is(err, objstore.ErrPrecondition) {
			t.Error(err)
			return
		}
	}
}

func TestPutIntoDirectoryThatWasRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, dirstore.Options{})
	for _, cond := range []objstore.Condition{{}, {IfNoneMatch: true}} {
		if _, err := s.Put(t.Context(), "a/b/k", objstore.BytesBody([]byte("x")), cond); err != nil {
			t.Errorf("%+v: %v", cond, err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSurvivesReopen(t *testing.T) {
	dir := t.TempDir()
	data := objstoretest.Bytes(1, 3<<20)
	first := open(t, dir, dirstore.Options{})
	etag, err := first.Put(t.Context(), "data/aa/x.seg", objstore.BytesBody(data), objstore.Condition{IfNoneMatch: true})
	if err != nil {
		t.Fatal(err)
	}
	b, info, err := objstore.ReadAll(t.Context(), open(t, dir, dirstore.Options{}), "data/aa/x.seg", 1<<30)
	if err != nil || !bytes.Equal(b, data) || info.ETag != etag {
		t.Errorf("after reopening: etag %s, want %s; err=%v", info.ETag, etag, err)
	}
}

// FuzzKeyPath: whatever the key, a put creates a file below the directory at the path that is the key, or nothing.
func FuzzKeyPath(f *testing.F) {
	for _, key := range objstoretest.BadKeys {
		f.Add(key)
	}
	f.Add("data/ab/abcd.seg")
	base := f.TempDir()
	dir := filepath.Join(base, "store")
	s, err := dirstore.Open(dir, dirstore.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, key string) {
		_, err := s.Put(t.Context(), key, objstore.BytesBody([]byte(key)), objstore.Condition{})
		if (err == nil) != (objstore.CheckKey(key) == nil) {
			t.Fatalf("put %q: %v, but CheckKey: %v", key, err, objstore.CheckKey(key))
		}
		if err == nil {
			if b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(key))); err != nil || string(b) != key {
				t.Errorf("file of %q: %q, %v", key, b, err)
			}
			if failed, err := s.Delete(t.Context(), []string{key}); err != nil || len(failed) > 0 {
				t.Errorf("delete %q: %v %v", key, failed, err)
			}
			// The next key may need a directory here, or a file where this key made a directory.
			if first, _, nested := strings.Cut(key, "/"); nested {
				if err := os.RemoveAll(filepath.Join(dir, first)); err != nil {
					t.Fatal(err)
				}
			}
		}
		entries, err := os.ReadDir(base)
		if err != nil || len(entries) != 1 {
			t.Errorf("put %q: something is beside the store: %v %v", key, entries, err)
		}
	})
}
