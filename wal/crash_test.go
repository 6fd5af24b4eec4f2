package wal_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// rounds is how many seeds a campaign runs: few by default, TIDELINE_WAL_SEEDS for more.
func rounds(t *testing.T, short int) (first, n int) {
	if v := os.Getenv("TIDELINE_WAL_SEEDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		short = n
	}
	if v := os.Getenv("TIDELINE_WAL_SEED"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n, 1
	}
	return 1, short
}

// image is the disk at one moment, and what must and may be on it.
type image struct {
	fs    *memfs.FS
	at    string
	acked map[wal.ID]int
	hist  map[wal.ID]*history
}

// crashOptions keep files small, so that a short run rolls, seals, frees and recycles.
func crashOptions(fs *memfs.FS, mode wal.SyncMode) wal.Options {
	return wal.Options{FS: fs, Dir: "/wal", FileBytes: 64 << 10, MaxBytes: 1 << 20, TailBytes: 64 << 10, DirectIO: true, Sync: mode}
}

// play runs steps against a log on fs, and returns the disk's images after every change of it, thinned to about keep.
func play(t *testing.T, d *driver, fs *memfs.FS, mode wal.SyncMode, steps, keep int) []image {
	t.Helper()
	var mu sync.Mutex
	var images []image
	seen := 0
	pick := rand.New(rand.NewPCG(d.r.Uint64(), 3))
	fs.OnOp(func(op memfs.Op) {
		mu.Lock()
		defer mu.Unlock()
		// Reservoir of a fixed size: every change has the same chance.
		seen++
		slot := len(images)
		if slot >= keep {
			if slot = pick.IntN(seen); slot >= keep {
				return
			}
		} else {
			images = append(images, image{})
		}
		acked := d.snapshot() // before the disk is copied: a later acknowledgement need not be on it
		c := fs.Clone()
		images[slot] = image{fs: c, at: fmt.Sprintf("%d:%s:%s:%d", seen, op.Kind, op.Name, op.Position), acked: acked, hist: d.histories()}
	})
	o := crashOptions(fs, mode)
	o.OnRoll = d.roll
	l, err := wal.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.attach(l, ackedOf); err != nil {
		t.Fatal(err)
	}
	for range steps {
		if err := d.step(4); err != nil {
			t.Fatal(err)
		}
		if d.r.IntN(12) == 0 {
			if err := d.settle(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := d.settle(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	fs.OnOp(nil)
	return images
}

// resume makes a driver that knows what an image's model knows.
func (im *image) resume(seed uint64, tag byte) *driver {
	d := newDriver(seed)
	d.tag = tag
	for id, h := range im.hist {
		h = h.clone()
		h.acked = im.acked[id]
		d.hist[id] = h
	}
	return d
}

type crashKind struct {
	name  string
	mode  wal.SyncMode
	power bool // the machine loses power; else only the process dies
}

// TestCrash cuts the power after changes of the disk, all through appends, rolls, seals, truncations, drops, frees and
// recoveries. Unsynced sectors are lost, kept or mixed. The recovered log must hold what was acknowledged and nothing that was
// not submitted; then the log goes on, and is cut again.
func TestCrash(t *testing.T) {
	for _, k := range []crashKind{
		{"always-power", wal.SyncAlways, true},
		{"always-process", wal.SyncAlways, false},
		{"os-power", wal.SyncOS, true},
		{"os-process", wal.SyncOS, false},
	} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			first, n := rounds(t, 1)
			for seed := first; seed < first+n; seed++ {
				crashRound(t, k, uint64(seed))
			}
		})
	}
}

func crashRound(t *testing.T, k crashKind, seed uint64) {
	fs := memfs.New(0)
	images := play(t, newDriver(seed), fs, k.mode, 250, 20)
	// The log that was closed in order is the last image.
	r := rand.New(rand.NewPCG(seed, 11))
	for i, im := range images {
		for j, c := range crashes(&im, k, r) {
			label := fmt.Sprintf("seed=%d image=%d (%s) variant=%d", seed, i, im.at, j)
			d := im.resume(r.Uint64(), byte(j+1))
			if k.mode == wal.SyncOS && k.power {
				for _, h := range d.hist {
					h.acked = 0
				}
			}
			again := recheck(t, label, d, c, k, r.IntN(4) == 0)
			for n, im := range again {
				c := crashes(&im, k, r)
				d := im.resume(r.Uint64(), byte(100+n))
				if k.mode == wal.SyncOS && k.power {
					for _, h := range d.hist {
						h.acked = 0
					}
				}
				recheck(t, label+fmt.Sprintf(" again=%d (%s)", n, im.at), d, c[len(c)-1], k, false)
			}
		}
	}
}

// crashes returns the disks that may be found after the image's moment.
func crashes(im *image, k crashKind, r *rand.Rand) []*memfs.FS {
	if !k.power {
		return []*memfs.FS{im.fs.Clone()}
	}
	return []*memfs.FS{im.fs.Crash(memfs.LoseAll), im.fs.Crash(memfs.KeepAll), im.fs.Crash(r.IntN)}
}

// recheck opens what a crash left and holds it against the model; with goOn it plays on and returns images of that.
func recheck(t *testing.T, label string, d *driver, fs *memfs.FS, k crashKind, goOn bool) []image {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(label)
		}
	}()
	before := fs.Clone()
	l, err := wal.Open(crashOptions(fs, k.mode))
	if err != nil {
		t.Fatalf("%s: %v", label, err)
	}
	if err := d.attach(l, ackedOf); err != nil {
		t.Fatalf("%s: %v", label, err)
	}
	if err := l.Close(); err != nil {
		t.Fatalf("%s: %v", label, err)
	}
	// What recovery found, it finds again: on the disk that it left, and on the one it started from.
	for i, again := range []*memfs.FS{fs, before} {
		l, err := wal.Open(crashOptions(again, k.mode))
		if err != nil {
			t.Fatalf("%s: reopen %d: %v", label, i, err)
		}
		if err := d.attach(l, ackedOf); err != nil {
			t.Fatalf("%s: reopen %d: %v", label, i, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !goOn {
		return nil
	}
	return play(t, d, fs, k.mode, 60, 4)
}
