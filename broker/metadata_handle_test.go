package broker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// TestProposalsWaitForTheReplicas: whoever created a topic must find it served.
func TestProposalsWaitForTheReplicas(t *testing.T) {
	store, err := metadata.Open(t.Context(), metadata.Options{Dir: t.TempDir(), NodeID: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	cmd, err := controller.Register(store.Image(), &controller.Registration{ID: 1, Incarnation: metadata.ID{1}, Alone: true}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	epoch, err := store.RegisterBroker(t.Context(), cmd)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.SetFenced(t.Context(), 1, epoch, false); err != nil {
		t.Fatal(err)
	}
	h := newMetadataHandle(store)
	topic := metadata.ID{7}
	create := &command.CreateTopic{ID: topic, Name: "t", Assignments: [][]int32{{1}}}
	tests := []struct {
		name    string
		propose func(context.Context) error
	}{
		{"create", func(ctx context.Context) error { return h.CreateTopic(ctx, create) }},
		{"grow", func(ctx context.Context) error {
			return h.CreatePartitions(ctx, &command.CreatePartitions{Topic: topic, From: 1, Assignments: [][]int32{{1}}})
		}},
		{"delete", func(ctx context.Context) error { return h.DeleteTopic(ctx, topic, time.Now()) }},
	}
	for _, c := range tests {
		before := store.Image().Index()
		ctx, cancel := context.WithCancel(t.Context())
		watcher := store.Watch()
		done := make(chan error, 1)
		go func() { done <- c.propose(ctx) }()
		for store.Image().Index() == before {
			if _, _, err := watcher.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-done; err == nil {
			t.Errorf("%s: returned although the replicas do not follow yet", c.name)
		}
		watcher.Close()
		h.setApplied(store.Image().Index())
	}
	h.setEnded()
	if _, err := h.Propose(t.Context(), &command.PurgeDone{Topic: topic}); !errors.Is(err, metadata.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}
