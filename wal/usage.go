package wal

// Usage is what the log occupies.
type Usage struct {
	Bytes       int64 // of log files, the open one up to its write position
	MaxBytes    int64
	Files       int
	Oldest      uint64 // sequence of the oldest file
	OldestTime  int64  // when it was begun, Unix milliseconds; 0 without files
	QueueBytes  int64  // of frames that wait for the writer
	QueueLength int64  // operations that wait for the writer
	NoSpace     bool   // the disk has no room for the next file
}

// Usage tells what the log occupies now.
func (l *Log) Usage() Usage {
	u := Usage{
		Bytes:       l.used.Load(),
		MaxBytes:    l.opts.MaxBytes,
		QueueBytes:  l.queue.bytes.Load(),
		QueueLength: l.queue.ops.Load(),
		NoSpace:     l.noSpace.Load(),
	}
	if fs := *l.files.Load(); len(fs) > 0 {
		u.Files, u.Oldest, u.OldestTime = len(fs), fs[0].sequence(), fs[0].head.created
	}
	return u
}

// Holder is a partition whose batches keep the oldest file.
type Holder struct {
	Partition *Partition
	Until     int64 // the start that the partition must have before the file can go
}

// Holding returns up to limit partitions whose batches keep the oldest file from being freed: the ones to move to the
// object store first when the log runs full. Without any the file goes by itself or is not sealed yet.
func (l *Log) Holding(limit int) ([]Holder, error) {
	fs := *l.files.Load()
	if len(fs) == 0 {
		return nil, nil
	}
	f := l.file(fs[0].sequence())
	if f == nil {
		return nil, nil
	}
	defer f.release()
	x := f.index.Load()
	if x == nil {
		return nil, nil
	}
	var held []Holder
	_, err := f.eachDir(x, 0, func(d dir) bool {
		l.mu.Lock()
		p := l.ordinals[d.ordinal]
		l.mu.Unlock()
		if p == nil {
			return true
		}
		if until := p.deadAt(f, d); until > 0 {
			held = append(held, Holder{Partition: p, Until: until})
		}
		return len(held) < limit
	})
	return held, err
}
