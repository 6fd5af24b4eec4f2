package broker

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// metadataHandle is the metadata store as the rest of the broker uses it: a
// proposal returns only when this broker acts on it, so that a client which
// created a topic finds its partitions served. What the broker proposes before it
// follows the metadata goes to the store itself.
type metadataHandle struct {
	*metadata.Store

	mu      sync.Mutex
	applied uint64        // index of the image that the replicas were last brought in line with
	changed chan struct{} // closed and replaced when applied moves
	ended   bool          // nobody follows any more

	asking sync.Mutex // guards asked and next
	asked  bool       // a question to the leader is under way
	next   *catchUp   // for those who came meanwhile; nil: nobody
}

// catchUp is one question to the leader, for all who wait for its answer.
type catchUp struct {
	done chan struct{}
	err  error // valid when done is closed
}

func newMetadataHandle(s *metadata.Store) *metadataHandle {
	return &metadataHandle{Store: s, changed: make(chan struct{})}
}

// Controller implements api.Metadata.
func (h *metadataHandle) Controller() int32 {
	m, ok := h.Leader()
	if !ok {
		return -1
	}
	id, err := strconv.ParseInt(m.ID, 10, 32)
	if err != nil {
		return -1
	}
	return int32(id)
}

// Propose implements api.Metadata.
func (h *metadataHandle) Propose(ctx context.Context, c command.Command) (command.Result, error) {
	result, err := h.Store.Propose(ctx, c)
	if err != nil {
		return result, err
	}
	return result, h.await(ctx, h.Image().Index())
}

// Applied returns the index of the image on which this broker acts, and a channel that is
// closed when it acts on a newer one.
func (h *metadataHandle) Applied() (index uint64, newer <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.applied, h.changed
}

// CreateTopic implements api.Metadata.
func (h *metadataHandle) CreateTopic(ctx context.Context, c *command.CreateTopic) error {
	return h.awaited(ctx, h.Store.CreateTopic(ctx, c))
}

// CreatePartitions implements api.Metadata.
func (h *metadataHandle) CreatePartitions(ctx context.Context, c *command.CreatePartitions) error {
	return h.awaited(ctx, h.Store.CreatePartitions(ctx, c))
}

// DeleteTopic implements api.Metadata.
func (h *metadataHandle) DeleteTopic(ctx context.Context, topic metadata.ID, now time.Time) error {
	return h.awaited(ctx, h.Store.DeleteTopic(ctx, topic, now))
}

// AlterPartitions implements api.Metadata. It is Store.ChangePartitions, and waits.
func (h *metadataHandle) AlterPartitions(ctx context.Context, changes []command.PartitionChange) ([]command.EntryResult, error) {
	results, err := h.ChangePartitions(ctx, changes)
	return results, h.awaited(ctx, err)
}

// awaited waits for what was proposed, unless that failed.
func (h *metadataHandle) awaited(ctx context.Context, proposed error) error {
	if proposed != nil {
		return proposed
	}
	return h.await(ctx, h.Image().Index())
}

// catchUpTimeout bounds how long somebody waits for what may not be there at all.
const catchUpTimeout = time.Second

// CatchUp implements api.Metadata. Those who ask while a question is under way share the
// next one, so that clients that ask for what does not exist cost the leader little.
func (h *metadataHandle) CatchUp(ctx context.Context) error {
	h.asking.Lock()
	if h.asked {
		if h.next == nil {
			h.next = &catchUp{done: make(chan struct{})}
		}
		wait := h.next
		h.asking.Unlock()
		select {
		case <-wait.done:
			return wait.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	h.asked = true
	h.asking.Unlock()
	err := h.ask(ctx)
	h.asking.Lock()
	defer h.asking.Unlock()
	next := h.next
	if h.asked, h.next = next != nil, nil; next != nil {
		go h.askFor(next)
	}
	return err
}

// askFor asks for those who wait, and for those who come meanwhile.
func (h *metadataHandle) askFor(c *catchUp) {
	for c != nil {
		c.err = h.ask(context.Background())
		close(c.done)
		h.asking.Lock()
		c, h.next = h.next, nil
		h.asked = c != nil
		h.asking.Unlock()
	}
}

func (h *metadataHandle) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	if err := h.Store.CatchUp(ctx); err != nil {
		return err
	}
	return h.await(ctx, h.Image().Index())
}

// setApplied says that the replicas follow the image with this index.
func (h *metadataHandle) setApplied(index uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.applied = index
	h.wake()
}

// setEnded says that the replicas follow no image any more: the broker stops.
func (h *metadataHandle) setEnded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.wake()
}

func (h *metadataHandle) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *metadataHandle) await(ctx context.Context, index uint64) error {
	for {
		h.mu.Lock()
		applied, changed, ended := h.applied, h.changed, h.ended
		h.mu.Unlock()
		switch {
		case applied >= index:
			return nil
		case ended:
			return metadata.ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
