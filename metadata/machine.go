package metadata

import (
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// machine is the state machine that the log drives: it applies commands to the
// image and publishes the result, one image per batch of commands.
type machine struct {
	*publisher
	log     *slog.Logger
	metrics *metrics
	onHalt  func(error)
	halted  atomic.Pointer[haltError]
}

// haltError is why the image stopped.
type haltError struct{ err error }

var _ quorum.StateMachine = (*machine)(nil)

// Apply implements quorum.StateMachine. The results are of type Result.
func (m *machine) Apply(entries []quorum.Entry) []any {
	start := time.Now()
	results := make([]any, len(entries))
	c := new(changes)
	base := m.image.Load()
	e := base.edit(c)
	applied := 0
	for i, entry := range entries {
		if m.halted.Load() != nil {
			results[i] = Result{Reason: record.Halted}
			continue
		}
		if entry.Index <= e.index { // covered by the snapshot that was restored
			results[i] = Result{Reason: record.Already}
			continue
		}
		command, err := record.Decode(entry.Data)
		if err != nil {
			m.halt(fmt.Errorf("metadata log: %w: index=%d", err, entry.Index))
			results[i] = Result{Reason: record.Halted}
			continue
		}
		results[i] = e.apply(entry.Index, command)
		applied++
	}
	if applied > 0 {
		m.publish(e.done(), c)
	}
	m.metrics.applied(len(entries), time.Since(start))
	return results
}

// halt stops the image where it is: to skip a command that others applied
// would be to disagree with them silently.
func (m *machine) halt(err error) {
	m.halted.Store(&haltError{err})
	m.log.Error("metadata halted: the log has a command that this release can not apply", "error", err)
	if m.onHalt != nil {
		go m.onHalt(err)
	}
}

// Snapshot implements quorum.StateMachine. A halted machine has none: the log
// must keep what was not applied.
func (m *machine) Snapshot() (quorum.Snapshot, error) {
	if h := m.halted.Load(); h != nil {
		return nil, h.err
	}
	return m.image.Load(), nil
}

// Restore implements quorum.StateMachine.
func (m *machine) Restore(r io.Reader) error {
	image, err := ReadImage(r)
	if err != nil {
		return err
	}
	m.halted.Store(nil) // the snapshot has what could not be applied
	m.publish(image, &changes{all: true})
	return nil
}
