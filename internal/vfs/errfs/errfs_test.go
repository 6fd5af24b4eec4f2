package errfs_test

import (
	"errors"
	"syscall"
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/errfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/internal/vfs/vfstest"
)

func TestSuite(t *testing.T) {
	vfstest.Run(t, errfs.New(memfs.New(0)), "/data")
	vfstest.Run(t, errfs.New(vfs.OS()), t.TempDir())
}

func TestFaults(t *testing.T) {
	e := errfs.New(memfs.New(0))
	f, err := e.Create("/a", 0)
	if err != nil {
		t.Fatal(err)
	}
	e.Inject(errfs.Fault{Op: errfs.Write, Skip: 1, Count: 1, Err: syscall.EIO, Short: 2})
	e.Inject(errfs.Fault{Op: errfs.Sync, Match: "b*", Err: syscall.EIO})
	if _, err := f.WriteAt([]byte("abcd"), 0); err != nil {
		t.Fatal(err)
	}
	if n, err := f.WriteAt([]byte("ABCD"), 0); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Fatalf("short write: %d %v", n, err)
	}
	b := make([]byte, 4)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "ABcd" {
		t.Fatalf("read %q %v", b, err)
	}
	if _, err := f.WriteAt([]byte("abcd"), 0); err != nil {
		t.Fatalf("the fault fired twice: %v", err)
	}
	if err := f.Sync(); err != nil {
		t.Fatalf("the fault matched another name: %v", err)
	}
	g, err := e.Create("/b1", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	if e.Fired(errfs.Sync) != 1 || e.Fired(errfs.Write) != 1 {
		t.Fatal("wrong counts")
	}
	e.Clear()
	if err := g.Sync(); err != nil {
		t.Fatal(err)
	}
}
