package memfs_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/internal/vfs/vfstest"
)

func TestSuite(t *testing.T) { vfstest.Run(t, memfs.New(0), "/data") }

func write(t *testing.T, f vfs.File, at int64, b []byte) {
	t.Helper()
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, m *memfs.FS, name string, n int) []byte {
	t.Helper()
	f, err := m.Open(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCrashLosesUnsynced(t *testing.T) {
	m := memfs.New(0)
	f, err := m.Create("/a", 0)
	check(t, err)
	write(t, f, 0, bytes.Repeat([]byte{1}, 8192))
	if c := m.Crash(memfs.LoseAll); len(list(t, c)) != 0 {
		t.Fatal("a name survived without SyncDir")
	}
	check(t, f.Sync())
	check(t, m.SyncDir("/"))
	write(t, f, 100, bytes.Repeat([]byte{2}, 8192)) // extends by 100
	write(t, f, 4096, bytes.Repeat([]byte{3}, 10))

	if got := read(t, m.Crash(memfs.LoseAll), "/a", 8192); !bytes.Equal(got, bytes.Repeat([]byte{1}, 8192)) {
		t.Fatal("unsynced bytes survived LoseAll")
	}
	if got := read(t, m.Crash(memfs.KeepAll), "/a", 8292); got[100] != 2 || got[4096] != 3 || got[8291] != 2 || got[99] != 1 {
		t.Fatal("KeepAll lost bytes")
	}
	// A torn crash mixes whole sectors of versions that existed.
	mixed := false
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := m.Crash(r.IntN)
		info, err := c.Stat("/a")
		check(t, err)
		if info.Size != 8192 && info.Size != 8292 {
			t.Fatalf("size %d", info.Size)
		}
		got := read(t, c, "/a", 8192)
		for s := 512; s < 4096; s += vfs.SectorSize {
			for _, b := range got[s : s+vfs.SectorSize] {
				if b != got[s] {
					t.Fatal("a sector is torn")
				}
			}
			mixed = mixed || got[s] != got[512]
		}
		again := m.Crash(rand.New(rand.NewPCG(seed, 1)).IntN)
		if !bytes.Equal(read(t, again, "/a", 8192), got) {
			t.Fatal("one seed gives two results")
		}
	}
	if !mixed {
		t.Fatal("no crash tore the write")
	}
	// The original is untouched, and syncing makes everything stay.
	check(t, f.Sync())
	if got := read(t, m.Crash(memfs.LoseAll), "/a", 8292); got[8291] != 2 {
		t.Fatal("synced bytes are lost")
	}
}

func list(t *testing.T, m *memfs.FS) []vfs.Info {
	t.Helper()
	infos, err := m.ReadDir("/")
	check(t, err)
	return infos
}

func TestCrashNames(t *testing.T) {
	m := memfs.New(0)
	f, err := m.Create("/a", 0)
	check(t, err)
	write(t, f, 0, []byte("x"))
	check(t, f.Sync())
	check(t, m.SyncDir("/"))
	check(t, m.Rename("/a", "/b"))
	if got := list(t, m.Crash(memfs.LoseAll)); len(got) != 1 || got[0].Name != "a" {
		t.Fatalf("after an unsynced rename: %v", got)
	}
	if got := list(t, m.Crash(memfs.KeepAll)); len(got) != 1 || got[0].Name != "b" {
		t.Fatalf("after a rename that made it: %v", got)
	}
	check(t, m.SyncDir("/"))
	if got := list(t, m.Crash(memfs.LoseAll)); len(got) != 1 || got[0].Name != "b" {
		t.Fatalf("after a synced rename: %v", got)
	}
	check(t, m.Remove("/b"))
	if got := list(t, m.Crash(memfs.LoseAll)); len(got) != 1 {
		t.Fatalf("after an unsynced removal: %v", got)
	}
}

func TestCloneIsApart(t *testing.T) {
	m := memfs.New(0)
	f, err := m.Create("/a", 0)
	check(t, err)
	write(t, f, 0, []byte("one"))
	c := m.Clone()
	write(t, f, 0, []byte("two"))
	if got := read(t, c, "/a", 3); string(got) != "one" {
		t.Fatalf("clone reads %q", got)
	}
	g, err := c.Open("/a", 0)
	check(t, err)
	write(t, g, 0, []byte("six"))
	if got := read(t, m, "/a", 3); string(got) != "two" {
		t.Fatalf("original reads %q", got)
	}
}

func TestFull(t *testing.T) {
	m := memfs.New(10000)
	f, err := m.Create("/a", 0)
	check(t, err)
	write(t, f, 0, make([]byte, 9000))
	if _, err := f.WriteAt(make([]byte, 2000), 9000); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v", err)
	}
	if err := f.Preallocate(0, 20000); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v", err)
	}
	m.SetTotal(20000)
	write(t, f, 9000, make([]byte, 2000))
}

func TestCorruptAndHook(t *testing.T) {
	m := memfs.New(0)
	var kinds []string
	m.OnOp(func(op memfs.Op) { kinds = append(kinds, op.Kind) })
	f, err := m.Create("/a", 0)
	check(t, err)
	write(t, f, 0, []byte("abc"))
	check(t, f.Sync())
	check(t, m.SyncDir("/"))
	check(t, m.Corrupt("/a", 1, 1))
	if got := read(t, m.Crash(memfs.LoseAll), "/a", 3); string(got) != "acc" {
		t.Fatalf("read %q", got)
	}
	if err := m.Corrupt("/a", 3, 1); err == nil {
		t.Fatal("corrupted behind the end")
	}
	if want := []string{"create", "write", "sync", "syncdir"}; len(kinds) != 4 || kinds[0] != want[0] || kinds[3] != want[3] {
		t.Fatalf("hook saw %v", kinds)
	}
}
