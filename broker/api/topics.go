package api

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

func validTopicName(name string) bool { return controller.ValidTopicName(name) == nil }

// randomID returns a topic id.
func randomID() (id metadata.ID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// newTopic is a topic to create.
type newTopic struct {
	name        string
	partitions  int32 // -1: the default
	replication int16 // -1: the default
	assignments [][]int32
	configs     map[string]string
	share       *quota.Mutations // of whoever asked; nil: without limit
}

// decideTopic validates a topic and places its replicas.
func (a *API) decideTopic(t *newTopic) (*command.CreateTopic, error) {
	settings := a.settings()
	if err := settings.ValidateTopic(t.configs); err != nil {
		return nil, fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	id := randomID()
	return controller.Create(a.Metadata.Image(), &controller.CreateTopic{
		ID: id, Name: t.name, Partitions: int(t.partitions), ReplicationFactor: int(t.replication),
		Assignments: t.assignments, Configs: t.configs, Spread: binary.BigEndian.Uint32(id[:]),
	}, controller.Defaults{
		Partitions: int(settings.NumPartitions), ReplicationFactor: int(settings.DefaultReplicationFactor),
	}, controller.DefaultLimits, a.now())
}

// createTopic creates a topic. One that collides with another in the names of
// metrics, where '.' and '_' are the same, is refused as in Kafka.
func (a *API) createTopic(ctx context.Context, t *newTopic, validateOnly bool) (*command.CreateTopic, error) {
	c, err := a.decideTopic(t)
	if err == nil && !t.share.Take(len(c.Assignments), a.now()) {
		err = errMutations
	}
	if err != nil || validateOnly {
		return c, err
	}
	return c, a.Metadata.CreateTopic(ctx, c)
}

// autoCreate creates a topic that a client asked about, with the defaults. It is
// no error when another request was first.
func (a *API) autoCreate(ctx context.Context, name string, share *quota.Mutations) error {
	if it := internalNamed(name); it != nil {
		_, err := a.internal(ctx, it)
		return err
	}
	_, err := a.createTopic(ctx, &newTopic{name: name, partitions: -1, replication: -1, share: share}, false)
	if errors.Is(err, controller.ErrTopicExists) || errors.Is(err, command.TopicExists) {
		return nil
	}
	return err
}
