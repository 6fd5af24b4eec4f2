package record

import (
	"errors"
	"runtime"
)

// scratch is the room in which records are decompressed that are only looked at.
// Decompression only uses the processor, so as many as there are processors lose no
// throughput, and a flood of bombs holds no more than that times the bound.
type scratch struct {
	b    []byte
	home chan *scratch
}

const (
	// scratchKeep is the size above which a buffer is not kept for the next batch.
	scratchKeep = 8 << 20
	// scratchMax bounds each of them. What takes more waits for the one that is great:
	// it is rare, unless it is an attack.
	scratchMax = DefaultMaxBytes
)

var (
	scratches    = newScratches(runtime.GOMAXPROCS(0))
	greatScratch = newScratches(1)
)

func newScratches(n int) chan *scratch {
	c := make(chan *scratch, n)
	for range n {
		c <- &scratch{home: c}
	}
	return c
}

// inflate decompresses at most maxBytes into a scratch buffer, which the caller releases.
// It waits for one.
func inflate(c Codec, src []byte, maxBytes int) (*scratch, error) {
	s, err := inflateIn(scratches, c, src, min(maxBytes, scratchMax))
	if err == nil || maxBytes <= scratchMax || !errors.Is(err, ErrTooLarge) {
		return s, err
	}
	return inflateIn(greatScratch, c, src, maxBytes)
}

func inflateIn(home chan *scratch, c Codec, src []byte, maxBytes int) (*scratch, error) {
	s := <-home
	if maxBytes > scratchMax {
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
	if cap(s.b) > scratchKeep {
		s.b = nil
	}
	s.home <- s
}
