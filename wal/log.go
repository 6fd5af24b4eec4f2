package wal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// ID names a partition: the topic's id and the partition's number.
type ID struct {
	Topic     [16]byte
	Partition int32
}

// String is the topic id in hexadecimal, a dash, and the partition number.
func (id ID) String() string {
	return hex.EncodeToString(id.Topic[:]) + "-" + strconv.Itoa(int(id.Partition))
}

// Log is the broker's shared log. All methods may be called concurrently.
type Log struct {
	opts Options
	fs   vfs.FS
	dir  string
	log  *slog.Logger
	m    *metrics
	lock io.Closer

	tail    *tail
	lane    *lane
	queue   queue
	files   atomic.Pointer[files]
	used    atomic.Int64 // bytes of files, the open one up to its write position
	noSpace atomic.Bool  // the next file cannot be made for now
	damages atomic.Int64 // damaged ranges met
	lost    atomic.Bool  // see Lost
	room    room
	failed  atomic.Pointer[error]
	dead    chan struct{} // closed when failed is set
	onFatal sync.Once

	prepare *preparer
	free    *freer
	roll    *roller

	// mu guards the maps and edits of files. It is taken before a Partition's mu.
	mu          sync.Mutex
	partitions  map[ID]*Partition
	ordinals    map[uint32]*Partition
	nextOrdinal uint32
	closed      bool

	groups  chan *group // to the completer
	seals   chan *file  // to the sealer
	quit    chan struct{}
	writer  sync.WaitGroup // the writer
	workers sync.WaitGroup // completer, sealer, roller, freer, preparer
}

// Open recovers the log in opts.Dir, or makes a new one. Damage does not make it fail (it is reported to the
// logger and metrics, and reads of it return *CorruptError) unless whole files are missing or unreadable.
func Open(opts Options) (*Log, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	l := &Log{
		opts:       opts,
		fs:         opts.FS,
		dir:        opts.Dir,
		log:        opts.Logger,
		partitions: map[ID]*Partition{},
		ordinals:   map[uint32]*Partition{},
		groups:     make(chan *group, 1),
		seals:      make(chan *file, 2),
		quit:       make(chan struct{}),
		dead:       make(chan struct{}),
	}
	l.queue.wake = make(chan struct{}, 1)
	l.files.Store(new(files))
	l.m = newMetrics(l)
	l.tail = newTail(opts.TailBytes, l.m)
	l.lane = newLane(l.m)
	if err := l.fs.MkdirAll(l.dir); err != nil {
		return nil, fmt.Errorf("wal: open: %w", err)
	}
	lock, err := l.fs.Lock(path.Join(l.dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("wal: open: %w", err)
	}
	l.lock = lock
	r, err := l.recover()
	if err != nil {
		for _, f := range *l.files.Load() {
			err = errors.Join(err, f.close())
		}
		return nil, errors.Join(fmt.Errorf("wal: recover: %w", err), lock.Close())
	}
	l.prepare = newPreparer(l, r.nextSequence, r.spares)
	l.free = newFreer(l)
	l.roll = newRoller(l)
	w := newWriter(l)
	l.writer.Go(w.run)
	l.workers.Go(func() { w.completeLoop() })
	l.workers.Go(func() { l.sealLoop() })
	l.workers.Go(l.prepare.run)
	l.workers.Go(l.free.run)
	l.workers.Go(l.roll.run)
	l.m.register(opts.Registerer)
	l.free.kick()
	return l, nil
}

// Partitions returns what recovery found and Partition made, without the dropped ones, in no order.
func (l *Log) Partitions() []*Partition {
	l.mu.Lock()
	defer l.mu.Unlock()
	ps := make([]*Partition, 0, len(l.partitions))
	for _, p := range l.partitions {
		ps = append(ps, p)
	}
	return ps
}

// Partition returns the handle of id, and registers it first where there is none: then it is empty and starts
// at offset start.
func (l *Log) Partition(id ID, start int64) (*Partition, error) {
	if start < 0 {
		return nil, fmt.Errorf("%w: start=%d", ErrOffset, start)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.partitions[id]; p != nil {
		return p, nil
	}
	if err := l.state(); err != nil {
		return nil, err
	}
	if l.nextOrdinal == ^uint32(0) {
		return nil, fmt.Errorf("wal: all %d ordinals were used", l.nextOrdinal)
	}
	p := &Partition{log: l, id: id, ordinal: l.nextOrdinal, start: start, end: start, next: start}
	// The frame that registers the partition goes into the queue before anybody can append to it.
	if !l.queue.push(p.anchorOp(opState, anchorBody{id: id, start: start, end: start, keep: -1}, nil, nil)) {
		return nil, l.stateOr(ErrClosed)
	}
	l.nextOrdinal++
	l.partitions[id] = p
	l.ordinals[p.ordinal] = p
	return p, nil
}

// state is why nothing can be appended any more, or nil.
func (l *Log) state() error {
	if err := l.failed.Load(); err != nil {
		return *err
	}
	if l.closed {
		return ErrClosed
	}
	return nil
}

func (l *Log) stateOr(err error) error {
	if e := l.failed.Load(); e != nil {
		return *e
	}
	return err
}

// fail makes the log refuse everything from now on.
func (l *Log) fail(err error) {
	l.onFatal.Do(func() {
		err = fmt.Errorf("%w: %w", ErrFatal, err)
		l.failed.Store(&err)
		close(l.dead)
		l.log.Error("wal stops", "error", err)
		l.m.fatal.Set(1)
		l.room.grew()
		if l.opts.OnFatal != nil {
			go l.opts.OnFatal(err)
		}
	})
}

// Close writes what is queued, seals the open file and releases the directory. Appends that come later fail.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	close(l.quit)
	l.writer.Wait() // then no group follows
	close(l.prepare.stop)
	close(l.groups)
	l.workers.Wait()
	err := l.prepare.close()
	for _, f := range *l.files.Load() {
		if f.refs.Add(-1) == 0 {
			err = errors.Join(err, f.close())
		}
	}
	l.m.unregister(l.opts.Registerer)
	err = errors.Join(err, l.lock.Close())
	if e := l.failed.Load(); e != nil {
		return errors.Join(*e, err)
	}
	return err
}
