package sim

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// observer is a member of the metadata group that only looks: it applies one command after the
// other and checks what must hold of each image.
type observer struct {
	violate func(check, format string, args ...any)

	mu      sync.Mutex // guards what follows
	image   *metadata.Image
	leaders map[metadata.TopicPartition]map[int32]int32 // of each leader epoch
}

func newObserver(violate func(check, format string, args ...any)) *observer {
	return &observer{violate: violate, image: new(metadata.Image), leaders: make(map[metadata.TopicPartition]map[int32]int32)}
}

// Apply implements quorum.StateMachine.
func (o *observer) Apply(entries []quorum.Entry) []any {
	o.mu.Lock()
	defer o.mu.Unlock()
	results := make([]any, len(entries))
	for i, e := range entries {
		c, err := record.Decode(e.Data)
		if err != nil {
			o.violate("metadata", "a command in the log can not be read: %v", err)
			continue
		}
		next, result := metadata.Apply(o.image, e.Index, c)
		o.image, results[i] = next, result
		o.look(c)
	}
	return results
}

// look checks the image after a command. The mutex is held.
func (o *observer) look(c record.Command) {
	switch c.(type) {
	case *record.ChangePartition, *record.CreateTopic, *record.CreatePartitions, *record.RegisterBroker, *record.FenceBroker:
	default:
		return
	}
	if err := metadata.Check(o.image); err != nil {
		o.violate("metadata", "after %s: %v", c.Type(), err)
	}
	for t, p := range o.image.AllPartitions() {
		tp := metadata.TopicPartition{Topic: t.ID, Partition: p.Index}
		if p.Leader == metadata.NoLeader {
			continue
		}
		epochs := o.leaders[tp]
		if epochs == nil {
			epochs = make(map[int32]int32)
			o.leaders[tp] = epochs
		}
		if led, ok := epochs[p.LeaderEpoch]; ok && led != p.Leader {
			o.violate("one owner", "topic=%s partition=%d epoch=%d is led by broker=%d and by broker=%d", t.Name, p.Index, p.LeaderEpoch, led, p.Leader)
		}
		epochs[p.LeaderEpoch] = p.Leader
	}
}

// handedOut reports whether an epoch of a partition had a leader.
func (o *observer) handedOut(tp metadata.TopicPartition, epoch int32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.leaders[tp][epoch]
	return ok
}

// Image returns the newest image.
func (o *observer) Image() *metadata.Image {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.image
}

// size is how large a snapshot of an image would be.
func size(m *metadata.Image) (int64, error) { return m.WriteTo(io.Discard) }

// Snapshot implements quorum.StateMachine.
func (o *observer) Snapshot() (quorum.Snapshot, error) { return o.Image(), nil }

// Restore implements quorum.StateMachine.
func (o *observer) Restore(io.Reader) error {
	return fmt.Errorf("restore an observer: %w", errors.ErrUnsupported)
}
