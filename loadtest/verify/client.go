package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/loadtest/stage"
)

// How quickly clients find a new leader. A gap in the acknowledgements is meant to be the cluster's, not that of a client
// which looks again every five seconds.
const (
	metadataAge     = 50 * time.Millisecond
	firstBackoff    = 20 * time.Millisecond
	lastBackoff     = 250 * time.Millisecond
	dialTimeout     = time.Second
	requestTimeout  = 3 * time.Second // what a broker may take for a request
	requestOverhead = time.Second     // and the network
	adminTimeout    = 30 * time.Second
)

// newClient makes a client of the cluster with the settings that all share.
func newClient(brokers []string, further []kgo.Opt, opts ...kgo.Opt) (*kgo.Client, error) {
	shared := []kgo.Opt{
		kgo.SeedBrokers(brokers...), kgo.ClientID("tideline-verify"), kgo.MetadataMinAge(metadataAge), kgo.DialTimeout(dialTimeout),
		kgo.RequestTimeoutOverhead(requestOverhead), kgo.RetryBackoffFn(backoff), kgo.DisableClientMetrics(),
	}
	client, err := kgo.NewClient(slices.Concat(shared, opts, further)...)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return client, nil
}

// backoff is the wait after a number of failures, with jitter.
func backoff(failures int) time.Duration {
	wait := lastBackoff
	if failures < 5 {
		wait = min(wait, firstBackoff<<max(failures-1, 0))
	}
	return wait/2 + time.Duration(rand.Int64N(int64(wait/2)))
}

// createTopic creates the topic of a run and returns when all its partitions have leaders that answer.
func createTopic(ctx context.Context, o *Options) error {
	client, err := newClient(o.Brokers, o.Client)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	admin := kadm.NewClient(client)
	// Nothing is to go before it was compared.
	configs := map[string]*string{"retention.ms": kadm.StringPtr("-1"), "retention.bytes": kadm.StringPtr("-1"), "cleanup.policy": kadm.StringPtr("delete")}
	if o.MinInSync > 0 {
		configs["min.insync.replicas"] = kadm.StringPtr(strconv.Itoa(o.MinInSync))
	}
	for key, value := range o.TopicConfigs {
		configs[key] = &value
	}
	if _, err := admin.CreateTopic(ctx, o.Partitions, o.ReplicationFactor, configs, o.Topic); err != nil {
		return fmt.Errorf("create topic=%s: %w", o.Topic, err)
	}
	for n := 1; ; n++ {
		ends, err := admin.ListEndOffsets(ctx, o.Topic)
		led := int32(0)
		ends.Each(func(e kadm.ListedOffset) {
			if e.Err == nil {
				led++
			}
		})
		if err == nil && led == o.Partitions {
			return nil
		}
		if waited := stage.Wait(ctx, backoff(n)); waited != nil {
			return fmt.Errorf("wait for leaders topic=%s led=%d of=%d: %w", o.Topic, led, o.Partitions, errors.Join(waited, err))
		}
	}
}

// codeOf is the code of a broker's error, or codeClient where the client failed by itself.
func codeOf(err error) int16 {
	var broker *kerr.Error
	if errors.As(err, &broker) {
		return broker.Code
	}
	return codeClient
}

// textOf is a short name of an error, the same for all of its kind.
func textOf(err error) string {
	var broker *kerr.Error
	if errors.As(err, &broker) {
		return broker.Message
	}
	return err.Error()
}
