package api

import (
	"context"
	"fmt"
	"iter"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/telemetry/clientmetrics"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// clientMetricsSettings are those that a subscription to the metrics of clients has, in the order in which they are told.
var clientMetricsSettings = []config.Setting{
	{TopicKey: clientmetrics.KeyInterval, Type: config.Int, Default: fmt.Sprint(clientmetrics.DefaultInterval.Milliseconds()),
		Doc: "How often the clients push, in milliseconds, from 100 to 3600000."},
	{TopicKey: clientmetrics.KeyMatch, Type: config.List,
		Doc: "Which clients are meant: attribute=expression pairs, all of which must match; none means every client."},
	{TopicKey: clientmetrics.KeyMetrics, Type: config.List,
		Doc: "Prefixes of the names of the metrics that are wanted; * means all."},
}

var errNoSubscriptionName = fmt.Errorf("%w: the name of a client metrics subscription must not be empty", kerr.InvalidRequest)

// clientMetricsEntries returns the settings of a subscription, which need not be there.
func (a *API) clientMetricsEntries(name string) ([]config.Entry, error) {
	if name == "" {
		return nil, errNoSubscriptionName
	}
	configs := a.Metadata.Image().ClientMetricsConfigs(name)
	entries := make([]config.Entry, 0, len(clientMetricsSettings))
	for i := range clientMetricsSettings {
		s := &clientMetricsSettings[i]
		e := config.Entry{Setting: s, Name: s.TopicKey, Value: s.Default, Source: config.SourceDefault}
		if value, ok := configs.Get(s.TopicKey); ok {
			e.Value, e.Source = value, config.SourceClientMetrics
			e.Synonyms = []config.Synonym{{Name: s.TopicKey, Value: value, Source: config.SourceClientMetrics}}
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// alterClientMetrics changes a subscription, which need not be there. One without settings is gone.
func (a *API) alterClientMetrics(ctx context.Context, ch *configChange) error {
	if ch.name == "" {
		return errNoSubscriptionName
	}
	// Kafka has lists here, and does not take operations on them.
	if err := ch.lists(func(string) (*config.Setting, bool) { return nil, false }); err != nil {
		return err
	}
	image := a.Metadata.Image()
	now := image.ClientMetricsConfigs(ch.name)
	cmd, err := controller.ClientMetrics(image, ch.name, ch.on(now))
	if err != nil {
		return err
	}
	after, err := now.Apply(cmd.Changes)
	if err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	if _, err := clientmetrics.Parse(ch.name, after.Map()); err != nil {
		return err
	}
	return a.proposeConfig(ctx, ch, cmd)
}

// clientMetricsNames are the subscriptions that there are, in order.
func clientMetricsNames(m *metadata.Image) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range m.ClientMetrics() {
			if !yield(name) {
				return
			}
		}
	}
}
