package quorum

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// fsm drives the state machine for raft and counts what a restart would have
// to replay.
type fsm struct {
	machine  StateMachine
	overhead int64         // bytes that an entry counts besides its data
	floor    int64         // Options.SnapshotBytes
	due      chan struct{} // capacity 1: a snapshot is wanted

	applied       atomic.Uint64
	bytes         atomic.Int64 // since the last snapshot
	weight        atomic.Int64 // bytes and overhead since the last snapshot
	entries       atomic.Int64
	taken         atomic.Int64
	snapshotBytes atomic.Int64
	snapshotNanos atomic.Int64
}

var _ raft.BatchingFSM = (*fsm)(nil)

// Apply implements raft.FSM.
func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	commands := make([]Entry, 0, len(logs))
	var bytes int64
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			commands = append(commands, Entry{Index: l.Index, Data: l.Data})
			bytes += int64(len(l.Data))
		}
	}
	if len(commands) > 0 {
		results := f.machine.Apply(commands)
		for i, n := 0, 0; i < len(logs); i++ {
			if logs[i].Type == raft.LogCommand {
				out[i] = results[n]
				n++
			}
		}
	}
	if len(logs) > 0 {
		f.applied.Store(logs[len(logs)-1].Index)
	}
	f.entries.Add(int64(len(commands)))
	f.bytes.Add(bytes)
	if f.weight.Add(bytes+f.overhead*int64(len(commands))) >= max(f.floor, f.snapshotBytes.Load()/2) {
		select {
		case f.due <- struct{}{}:
		default:
		}
	}
	return out
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	s, err := f.machine.Snapshot()
	if err != nil {
		return nil, err
	}
	// What is applied while the snapshot is written counts for the next one.
	return &fsmSnapshot{fsm: f, state: s, bytes: f.bytes.Load(), weight: f.weight.Load(), entries: f.entries.Load()}, nil
}

// Restore implements raft.FSM.
func (f *fsm) Restore(r io.ReadCloser) error {
	counted := &countingReader{r: r}
	if err := f.machine.Restore(counted); err != nil {
		return err
	}
	f.snapshotBytes.Store(counted.n)
	f.bytes.Store(0)
	f.weight.Store(0)
	f.entries.Store(0)
	return nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

type fsmSnapshot struct {
	fsm                    *fsm
	state                  Snapshot
	bytes, weight, entries int64
}

// Persist implements raft.FSMSnapshot.
func (s *fsmSnapshot) Persist(sink raft.SnapshotSink) error {
	start := time.Now()
	n, err := s.state.WriteTo(sink)
	if err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	f := s.fsm
	f.taken.Add(1)
	f.snapshotBytes.Store(n)
	f.snapshotNanos.Store(int64(time.Since(start)))
	f.bytes.Add(-s.bytes)
	f.weight.Add(-s.weight)
	f.entries.Add(-s.entries)
	return nil
}

// Release implements raft.FSMSnapshot.
func (s *fsmSnapshot) Release() {}
