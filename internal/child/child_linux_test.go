package child_test

import (
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/tidelinehq/tideline/internal/child"
)

// The pipe's end is seen when the last process that could write to it is gone.
func TestDiesWithItsParent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), keeper+"=1")
	cmd.Stdout = w
	parent, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err) // the grandchild has said its number, so it runs
	}
	if err := parent.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err)
	}
}
