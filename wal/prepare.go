package wal

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tidelinehq/tideline/internal/vfs"
)

// preparer keeps one file ready ahead of the writer, so that a roll waits for nothing, and one spare behind it.
//
// Files are written with zeros from end to end before they are used, or are recycled from freed ones: on a file
// that is only reserved (fallocate) each fdatasync must commit an extent conversion to the file system's journal,
// which more than doubles its time; the figures are in doc.go.
type preparer struct {
	l     *Log
	next  uint64     // sequence of the next file
	ready chan *file // holds at most one
	stop  chan struct{}
	stuck chan struct{} // told while there is no space
	wake  chan struct{} // something was retired

	mu      sync.Mutex
	retired map[uint64]*file // freed, no reader left; guarded by mu
	closed  bool             // guarded by mu

	// Owned by run.
	spares []string // names of files of full size
	oldest uint64   // the sequence that goes next; names go in order, so that no gap can appear
	zero   []byte
	serial int
}

const (
	// maxSpares bounds the files kept for reuse beside the one that is ready.
	maxSpares = 1
	// retryNoSpace is how often a full disk is asked again; a freed file asks at once.
	retryNoSpace = time.Second
	zeroStep     = 1 << 20
)

func newPreparer(l *Log, next uint64, spares []string) *preparer {
	oldest := next
	if len(*l.files.Load()) > 0 {
		oldest = l.oldest()
	}
	return &preparer{
		l:       l,
		next:    next,
		ready:   make(chan *file),
		stop:    make(chan struct{}),
		stuck:   make(chan struct{}),
		wake:    make(chan struct{}, 1),
		retired: map[uint64]*file{},
		spares:  spares,
		oldest:  oldest,
	}
}

// await gives the writer its next file. While the disk is full it waits, and gives up only when the log is closed.
func (p *preparer) await(quit <-chan struct{}) (*file, error) {
	began := time.Now()
	defer func() { p.l.m.waitSeconds.Add(time.Since(began).Seconds()) }()
	select {
	case f := <-p.ready:
		return f, nil
	case <-p.l.dead:
		return nil, *p.l.failed.Load()
	case <-quit:
	}
	select {
	case f := <-p.ready:
		return f, nil
	case <-p.l.dead:
		return nil, *p.l.failed.Load()
	case <-p.stuck:
		return nil, fmt.Errorf("%w: no space for the next file", ErrClosed)
	}
}

// run makes files until the log is closed.
func (p *preparer) run() {
	for {
		f, ok := p.make()
		if !ok {
			return
		}
		for handed := false; !handed; {
			p.settle()
			if len(p.spares) < maxSpares && p.roomForSpare() {
				if name, err := p.create(); err == nil {
					p.spares = append(p.spares, name)
				} else {
					// It is only a spare; the file itself will tell if the disk is full.
					p.l.log.Warn("wal could not make a spare file", "error", err)
				}
			}
			select {
			case p.ready <- f:
				handed = true
			case <-p.wake:
			case <-p.stop:
				p.unmake(f)
				p.settle()
				return
			}
		}
	}
}

// make prepares the next file. ok is false when the log is closed or has failed.
func (p *preparer) make() (f *file, ok bool) {
	for {
		p.settle()
		f, err := p.prepare()
		if err == nil {
			p.l.noSpace.Store(false)
			p.l.room.grew()
			return f, true
		}
		if !noSpace(err) {
			p.l.fail(fmt.Errorf("prepare file: %w", err))
			<-p.stop
			return nil, false
		}
		if !p.l.noSpace.Swap(true) {
			p.l.log.Error("wal has no space for its next file, appends are refused", "error", err)
		}
		retry := time.NewTimer(retryNoSpace)
		select {
		case <-retry.C:
		case <-p.wake:
		case p.stuck <- struct{}{}:
		case <-p.stop:
			retry.Stop()
			return nil, false
		}
		retry.Stop()
	}
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// roomForSpare tells whether another file fits beside the log and the ready one.
func (p *preparer) roomForSpare() bool {
	return p.l.used.Load()+3*p.l.opts.FileBytes <= p.l.opts.MaxBytes
}

// prepare turns a spare into the next file of the log: header, name, both durable.
func (p *preparer) prepare() (*file, error) {
	l := p.l
	if len(p.spares) == 0 {
		name, err := p.create()
		if err != nil {
			return nil, err
		}
		p.spares = append(p.spares, name)
	}
	spare := p.spares[len(p.spares)-1]
	l.mu.Lock()
	head := fileHeader{sequence: p.next, salt: l.opts.salt(), size: l.opts.FileBytes, created: l.opts.now(), nextOrdinal: l.nextOrdinal}
	l.mu.Unlock()
	if l.opts.Sync == SyncAlways {
		head.flags |= flagSyncedGroups
	}
	w, err := l.fs.Open(path.Join(l.dir, spare), vfs.Direct)
	if err != nil {
		return nil, err
	}
	b := vfs.AlignedBuffer(blockSize)
	head.put(b)
	_, err = w.WriteAt(b, 0)
	if err == nil {
		err = w.Sync()
	}
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, err
	}
	name := fileName(p.next)
	if err := l.fs.Rename(path.Join(l.dir, spare), path.Join(l.dir, name)); err != nil {
		return nil, err
	}
	p.spares = p.spares[:len(p.spares)-1]
	if err := l.fs.SyncDir(l.dir); err != nil {
		return nil, err
	}
	f, err := l.openFile(name, head, true)
	if err != nil {
		return nil, err
	}
	f.pos = blockSize
	p.next++
	return f, nil
}

// create makes a file of zeros that is really on the disk, and returns its name.
func (p *preparer) create() (name string, err error) {
	l := p.l
	p.serial++
	name = fmt.Sprintf("%016x-%d%s", p.next, p.serial, spareSuffix)
	full := path.Join(l.dir, name)
	f, err := l.fs.Create(full, vfs.Direct)
	if err != nil {
		return "", err
	}
	err = p.fillZeros(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, l.fs.Remove(full))
	}
	return name, nil
}

func (p *preparer) fillZeros(f vfs.File) error {
	size := p.l.opts.FileBytes
	if err := f.Preallocate(0, size); err != nil {
		return err
	}
	if p.zero == nil {
		p.zero = vfs.AlignedBuffer(zeroStep)
	}
	for at := int64(0); at < size; at += zeroStep {
		if _, err := f.WriteAt(p.zero[:min(zeroStep, size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}

// unmake turns the ready file that nobody took back into a spare.
func (p *preparer) unmake(f *file) {
	spare := strings.TrimSuffix(f.name, fileSuffix) + spareSuffix
	err := errors.Join(f.close(), p.l.fs.Rename(path.Join(p.l.dir, f.name), path.Join(p.l.dir, spare)), p.l.fs.SyncDir(p.l.dir))
	if err != nil {
		p.l.log.Warn("wal could not put back its next file", "file", f.name, "error", err)
	}
}

// retire takes a file that the log has freed and no reader holds any more.
func (p *preparer) retire(f *file) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.retired[f.sequence()] = f
	}
	p.mu.Unlock()
	if closed {
		if err := f.close(); err != nil {
			p.l.log.Warn("wal could not close a file", "file", f.name, "error", err)
		}
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// settle recycles or removes retired files, strictly oldest first: the names that are left never have a gap.
func (p *preparer) settle() {
	for {
		p.mu.Lock()
		f := p.retired[p.oldest]
		delete(p.retired, p.oldest)
		p.mu.Unlock()
		if f == nil {
			break
		}
		p.oldest++
		if err := p.bury(f); err != nil {
			// The name stays; the next Open finds a file in front whose frames are all dead, and frees it again.
			p.l.log.Warn("wal could not remove a freed file", "file", f.name, "error", err)
		}
	}
	p.l.m.spares.Set(float64(len(p.spares)))
}

func (p *preparer) bury(f *file) error {
	l := p.l
	size := f.size.Load()
	err := f.close()
	name := path.Join(l.dir, f.name)
	if size == l.opts.FileBytes && len(p.spares) < maxSpares {
		spare := strings.TrimSuffix(f.name, fileSuffix) + spareSuffix
		if err := errors.Join(err, l.fs.Rename(name, path.Join(l.dir, spare)), l.fs.SyncDir(l.dir)); err != nil {
			return err
		}
		p.spares = append(p.spares, spare)
		return nil
	}
	return errors.Join(err, l.fs.Remove(name), l.fs.SyncDir(l.dir))
}

// close is called when nothing runs any more.
func (p *preparer) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var err error
	for _, f := range p.retired {
		err = errors.Join(err, f.close())
	}
	p.retired = nil
	return err
}
