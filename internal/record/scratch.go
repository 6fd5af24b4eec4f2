package record

import (
	"errors"
	"math"
	"runtime"
	"time"
)

// scratch is the room in which records are decompressed that are only looked at.
// There is a fixed number of them, so that a flood of bombs holds no more memory,
// and no more processors, than ordinary work does.
type scratch struct {
	b    []byte
	home *scratchClass
	idle *time.Timer // lets the memory go, where it lingers
}

// scratchClass is the rooms of a size.
type scratchClass struct {
	max  int // bytes that each has room for
	free chan *scratch
	keep keeping
}

// keeping is what becomes of the memory from one batch to the next.
type keeping int

const (
	kept    keeping = iota // it stays
	lingers                // it stays until nobody has asked for it in scratchLinger
	dropped                // it goes
)

const scratchLinger = 10 * time.Second

// Decompression only uses the processor, so as many small ones as there are
// processors lose no throughput. What takes more is rare, unless it is an attack: it
// leaves most processors alone, and what takes most waits for the only one.
var scratches = func() []*scratchClass {
	n := runtime.GOMAXPROCS(0)
	return []*scratchClass{
		newScratches(8<<20, n, kept),
		newScratches(DefaultMaxBytes, max(1, n/4), lingers),
		newScratches(math.MaxInt, 1, dropped),
	}
}()

func newScratches(bytes, n int, keep keeping) *scratchClass {
	class := &scratchClass{max: bytes, free: make(chan *scratch, n), keep: keep}
	for range n {
		s := &scratch{home: class}
		if keep == lingers {
			s.idle = time.AfterFunc(math.MaxInt64, class.forget)
		}
		class.free <- s
	}
	return class
}

// forget lets the memory of one that nobody uses go.
func (class *scratchClass) forget() {
	select {
	case s := <-class.free:
		s.b = nil
		class.free <- s
	default: // all are in use
	}
}

// inflate decompresses at most maxBytes into a scratch buffer, which the caller releases.
// It waits for one. What turns out not to fit is begun again in a greater one.
func inflate(c Codec, src []byte, maxBytes int) (*scratch, error) {
	declared := c.declared(src)
	for _, class := range scratches {
		if declared > class.max && maxBytes > class.max {
			continue
		}
		s, err := class.inflate(c, src, min(maxBytes, class.max))
		if err == nil || maxBytes <= class.max || !errors.Is(err, ErrTooLarge) {
			return s, err
		}
	}
	panic("record: the last class has no limit")
}

func (class *scratchClass) inflate(c Codec, src []byte, maxBytes int) (*scratch, error) {
	s := <-class.free
	if class.keep != kept && cap(s.b) < maxBytes {
		s.b = make([]byte, 0, maxBytes) // at once: growing would leave as much again to be collected
	}
	out, err := c.Decompress(s.b[:0], src, maxBytes)
	if err != nil {
		s.release()
		return nil, err
	}
	s.b = out
	return s, nil
}

func (s *scratch) release() {
	if s.home.keep == dropped || cap(s.b) > s.home.max {
		s.b = nil
	}
	if s.idle != nil {
		s.idle.Reset(scratchLinger)
	}
	s.home.free <- s
}
