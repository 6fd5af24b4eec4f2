package stage

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Topic is a topic to be created.
type Topic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16
	Configs           map[string]*string
}

// Create creates the topic.
func (t *Topic) Create(ctx context.Context, client *kgo.Client) error {
	if _, err := kadm.NewClient(client).CreateTopic(ctx, t.Partitions, t.ReplicationFactor, t.Configs, t.Name); err != nil {
		return fmt.Errorf("create topic=%s: %w", t.Name, err)
	}
	return nil
}

// Producer creates the topic and returns a client that writes to its partitions as its records say.
func (t *Topic) Producer(ctx context.Context, brokers []string) (*kgo.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DialTimeout(time.Second), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.DefaultProduceTopic(t.Name), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		return nil, err
	}
	if err := t.Create(ctx, client); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// Wait waits, unless the context ends first.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
