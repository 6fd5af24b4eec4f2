package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// AuditTopic returns a topic for the audit log, which is made with the defaults of the cluster
// if it is not there.
func (a *API) AuditTopic(ctx context.Context, name string) (*metadata.Topic, error) {
	if t, ok := a.Metadata.Image().Topic(name); ok {
		return t, nil
	}
	_, err := a.createTopic(ctx, &newTopic{name: name, partitions: -1, replication: -1}, false)
	if err != nil && !errors.Is(err, controller.ErrTopicExists) && !errors.Is(err, command.TopicExists) {
		return nil, fmt.Errorf("create topic=%s: %w", name, err)
	}
	t, ok := a.Metadata.Image().Topic(name)
	if !ok {
		return nil, fmt.Errorf("%w: topic=%s", kerr.UnknownTopicOrPartition, name)
	}
	return t, nil
}
