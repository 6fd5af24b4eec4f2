package cache

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"path"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// DiskOptions are the settings of a Disk.
type DiskOptions struct {
	FS  vfs.FS
	Dir string
	// Bytes is the size of the cache file, reserved when it is opened. It is made smaller where it would leave less free than
	// it takes.
	Bytes int64
	// SlotBytes is the unit of space; 0 means 64 KiB.
	SlotBytes int
	// WriteBytesPerSecond bounds the writing, so that filling the cache never competes with the WAL for the disk; 0 means
	// 64 MiB/s. What is above is not cached.
	WriteBytesPerSecond int64
	Now                 func() time.Time // nil means time.Now
	Logger              *slog.Logger     // nil discards
	Metrics             *Metrics         // nil: not reported
}

const (
	defaultSlotBytes = 64 << 10
	defaultWriteRate = 64 << 20
	minDiskSlots     = 16
	maxDiskSlots     = 1 << 26
	writeQueue       = 16 // blocks that wait to be written; each holds memory of the pool
	maxWriteErrors   = 8  // in a row; then the tier turns itself off
)

const (
	dataName  = "blocks.cache"
	tableName = "blocks.table"
)

// Disk is the tier on disk: one file, used as a ring of fixed-size slots. A block takes as many adjacent slots as it needs;
// the hand goes round, so making room costs a step per block that goes, and writes are sequential. A block that was read
// since the hand last passed is passed over once. Nothing is ever synced: a checksum in memory tells whether the bytes read
// are the bytes written, and anything else is a miss. All methods may be called by any number of goroutines.
type Disk struct {
	opts    DiskOptions
	file    vfs.File
	metrics *Metrics
	queue   chan offer
	stop    chan struct{}
	stopped chan struct{}

	mu      sync.Mutex // guards what follows; no I/O while it is held
	ring    ring
	closed  bool
	off     bool // turned off after write errors
	errors  int  // in a row
	tokens  int64
	refill  time.Time
	pending map[Key]struct{} // in the queue
}

type offer struct {
	key Key
	buf *Buffer
}

// OpenDisk opens or makes the cache in its directory. After a clean Close it has the blocks of then, after a crash it is
// empty. It fails when there is no room for the least of caches.
func OpenDisk(o DiskOptions) (*Disk, error) {
	if o.SlotBytes == 0 {
		o.SlotBytes = defaultSlotBytes
	}
	if o.WriteBytesPerSecond == 0 {
		o.WriteBytesPerSecond = defaultWriteRate
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil, nil)
	}
	if o.SlotBytes < 512 {
		return nil, fmt.Errorf("disk cache: slot too small slot_bytes=%d min=512", o.SlotBytes)
	}
	if slots := o.Bytes / int64(o.SlotBytes); slots < minDiskSlots || slots > maxDiskSlots {
		return nil, fmt.Errorf("disk cache: size out of bounds bytes=%d slot_bytes=%d min_slots=%d max_slots=%d", o.Bytes, o.SlotBytes, minDiskSlots, maxDiskSlots)
	}
	if err := o.FS.MkdirAll(o.Dir); err != nil {
		return nil, fmt.Errorf("disk cache: %w", err)
	}
	f, err := o.FS.OpenOrCreate(path.Join(o.Dir, dataName), 0)
	if err != nil {
		return nil, fmt.Errorf("disk cache: %w", err)
	}
	d := &Disk{
		opts: o, file: f, metrics: o.Metrics, queue: make(chan offer, writeQueue), stop: make(chan struct{}), stopped: make(chan struct{}),
		tokens: o.WriteBytesPerSecond, refill: o.Now(), pending: make(map[Key]struct{}),
	}
	slots, err := d.reserve()
	if err == nil {
		d.ring = newRing(uint32(slots))
		err = d.recover()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	go d.writeLoop()
	return d, nil
}

// reserve brings the file to its size and tells the slots in it. The log shares the disk and needs it more: a file grows to
// half of what it has and what is free at most.
func (d *Disk) reserve() (slots int64, err error) {
	have, err := d.file.Size()
	if err != nil {
		return 0, fmt.Errorf("disk cache: %w", err)
	}
	usage, err := d.opts.FS.DiskUsage(d.opts.Dir)
	if err != nil {
		return 0, fmt.Errorf("disk cache: %w", err)
	}
	unit := int64(d.opts.SlotBytes)
	slots = min(d.opts.Bytes, max(have, (have+usage.Free)/2)) / unit
	if slots < minDiskSlots {
		return 0, fmt.Errorf("disk cache: no room bytes=%d free=%d", d.opts.Bytes, usage.Free)
	}
	size := slots * unit
	if size < d.opts.Bytes/unit*unit {
		d.opts.Logger.Warn("disk cache is smaller than cache.disk.bytes: the disk has no more room to give", "bytes", size, "want", d.opts.Bytes, "free", usage.Free)
	}
	switch {
	case have > size:
		err = d.file.Truncate(size)
	case have < size:
		err = d.file.Preallocate(have, size-have)
	}
	if err != nil {
		return 0, fmt.Errorf("disk cache: reserve bytes=%d: %w", size, err)
	}
	return slots, nil
}

// Capacity is the size of the cache file in bytes.
func (d *Disk) Capacity() int64 { return int64(d.ring.slots) * int64(d.opts.SlotBytes) }

// Len is the number of blocks.
func (d *Disk) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ring.entries)
}

// Has tells whether the block is probably there, and its size in bytes.
func (d *Disk) Has(key Key) (size int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.ring.entries[key]; e != nil && e.ready && !d.closed {
		return int(e.size), true
	}
	return 0, false
}

// Read fills dst, which must be of the size that Has told, and reports whether it got the block. Anything but the exact
// bytes that were written is a miss.
func (d *Disk) Read(key Key, dst []byte) bool {
	d.mu.Lock()
	e := d.ring.entries[key]
	if e == nil || !e.ready || int(e.size) != len(dst) || d.closed {
		d.mu.Unlock()
		return false
	}
	e.used = true
	start, crc := e.start, e.crc
	d.mu.Unlock()

	n, err := d.file.ReadAt(dst, int64(start)*int64(d.opts.SlotBytes))
	if n < len(dst) {
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		d.metrics.diskFailed.Inc()
		d.opts.Logger.Warn("disk cache read failed", "error", err, "slot", start, "size", len(dst))
		d.drop(key, e)
		return false
	}
	sum := crc32.Checksum(dst, castagnoli)
	d.mu.Lock()
	current := d.ring.entries[key] == e // else its slots were given to another block while we read
	d.mu.Unlock()
	if sum != crc || !current {
		if current {
			d.metrics.diskBad.Inc()
			d.opts.Logger.Warn("disk cache block is damaged", "slot", start, "size", len(dst), "got", sum, "want", crc)
			d.drop(key, e)
		}
		return false
	}
	d.metrics.hits.disk.Inc()
	return true
}

func (d *Disk) drop(key Key, e *ringEntry) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ring.entries[key] == e {
		d.ring.remove(e)
	}
}

// Offer hands over a block to be written when the disk has time for it; it keeps a reference until then. A block that is there,
// does not fit, or comes while the queue is full or the rate is used up is left out.
func (d *Disk) Offer(key Key, buf *Buffer) {
	size := int64(buf.n)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.off || d.ring.entries[key] != nil || size > d.Capacity()/4 || size == 0 {
		return
	}
	if _, ok := d.pending[key]; ok {
		return
	}
	if !d.pay(size) {
		d.metrics.diskDropped.Inc()
		return
	}
	buf.Retain()
	select {
	case d.queue <- offer{key, buf}:
		d.pending[key] = struct{}{}
	default:
		d.tokens += size
		d.metrics.diskDropped.Inc()
		defer buf.Release()
	}
}

// pay takes size tokens from a bucket that holds one second's worth, or one block where that is more. The caller holds mu.
func (d *Disk) pay(size int64) bool {
	now := d.opts.Now()
	rate := d.opts.WriteBytesPerSecond
	if since := now.Sub(d.refill); since > 0 {
		d.tokens = min(d.tokens+int64(min(since, time.Second))*rate/int64(time.Second), max(rate, d.tokens))
		d.refill = now
	}
	if d.tokens <= 0 {
		return false
	}
	d.tokens -= size // may fall below zero: a block above the rate is paid off over time
	return true
}

func (d *Disk) writeLoop() {
	defer close(d.stopped)
	for {
		select {
		case o := <-d.queue:
			d.write(o)
			o.buf.Release()
		case <-d.stop:
			return
		}
	}
}

// write stores one block. Only the write loop calls it.
func (d *Disk) write(o offer) {
	b := o.buf.Bytes()
	slots := uint32((len(b) + d.opts.SlotBytes - 1) / d.opts.SlotBytes)
	crc := crc32.Checksum(b, castagnoli)
	d.mu.Lock()
	delete(d.pending, o.key)
	if d.closed || d.off || d.ring.entries[o.key] != nil {
		d.mu.Unlock()
		return
	}
	e := d.ring.allocate(o.key, slots)
	e.size, e.crc = uint32(len(b)), crc
	d.mu.Unlock()

	_, err := d.file.WriteAt(b, int64(e.start)*int64(d.opts.SlotBytes))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		e.ready = true
		d.errors = 0
		d.metrics.diskWritten.Add(float64(len(b)))
		return
	}
	if d.ring.entries[o.key] == e {
		d.ring.remove(e)
	}
	d.metrics.diskFailed.Inc()
	if d.errors++; d.errors >= maxWriteErrors {
		d.off = true
		d.opts.Logger.Error("disk cache is turned off until the next start", "error", err, "failures", d.errors)
		return
	}
	d.opts.Logger.Warn("disk cache write failed", "error", err, "size", len(b))
}

// Close ends the writing, saves the table for the next start, and closes the file. No other call may be under way.
func (d *Disk) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	close(d.stop)
	<-d.stopped
	for {
		select {
		case o := <-d.queue:
			o.buf.Release()
			continue
		default:
		}
		break
	}
	return errors.Join(d.save(), d.file.Close())
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
