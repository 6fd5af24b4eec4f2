package sim

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/errfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
)

// disk is what one process has of its machine's disk: it can fail, and syncs take time.
type disk struct {
	*errfs.FS

	mu     sync.Mutex // guards what follows
	random *rand.Rand
	slow   time.Duration // what every sync takes, beside the usual
}

func newDisk(mem *memfs.FS, seed uint64) *disk {
	return &disk{FS: errfs.New(mem), random: rand.New(rand.NewPCG(seed, 0x6469736b))}
}

// setSlow has every sync take longer.
func (d *disk) setSlow(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.slow = by
}

// wait is how long a sync takes. One in fifty meets something else.
func (d *disk) wait() {
	d.mu.Lock()
	t := 50*time.Microsecond + time.Duration(d.random.Int64N(int64(2*time.Millisecond))) + d.slow
	if d.random.IntN(50) == 0 {
		t += 30 * time.Millisecond
	}
	d.mu.Unlock()
	pause(context.Background(), t)
}

type slowFile struct {
	vfs.File
	d *disk
}

// Sync implements vfs.File.
func (f slowFile) Sync() error {
	f.d.wait()
	return f.File.Sync()
}

func (d *disk) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{f, d}, nil
}

// Open implements vfs.FS.
func (d *disk) Open(name string, flags vfs.Flag) (vfs.File, error) {
	return d.wrap(d.FS.Open(name, flags))
}

// Create implements vfs.FS.
func (d *disk) Create(name string, flags vfs.Flag) (vfs.File, error) {
	return d.wrap(d.FS.Create(name, flags))
}

// OpenOrCreate implements vfs.FS.
func (d *disk) OpenOrCreate(name string, flags vfs.Flag) (vfs.File, error) {
	return d.wrap(d.FS.OpenOrCreate(name, flags))
}
