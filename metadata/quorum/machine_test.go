package quorum

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// adder is a state machine that adds numbers and remembers how many.
type adder struct {
	mu       sync.Mutex
	sum      uint64
	count    uint64
	last     uint64
	restores int
	fail     error // of Restore, once
}

func number(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

func (a *adder) Apply(entries []Entry) []any {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]any, len(entries))
	for i, e := range entries {
		if e.Index <= a.last {
			panic(fmt.Sprintf("index %d after %d", e.Index, a.last))
		}
		a.last = e.Index
		a.sum += binary.LittleEndian.Uint64(e.Data)
		a.count++
		out[i] = a.sum
	}
	return out
}

func (a *adder) state() (sum, count uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sum, a.count
}

type adderSnapshot []byte

func (s adderSnapshot) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(s)
	return int64(n), err
}

func (a *adder) Snapshot() (Snapshot, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := number(a.sum)
	b = append(b, number(a.count)...)
	return adderSnapshot(append(b, number(a.last)...)), nil
}

func (a *adder) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil || len(b) != 24 {
		return errors.Join(errors.New("bad snapshot"), err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.fail; err != nil {
		a.fail = nil
		return err
	}
	a.sum, a.count, a.last = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:])
	a.restores++
	return nil
}
