package api

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// resourceName names what has settings.
type resourceName struct {
	kind kmsg.ConfigResourceType
	name string
}

// configResource is a kind of things that have settings.
type configResource struct {
	// describe returns the settings of one of them.
	describe func(a *API, name string) ([]config.Entry, error)
	// alter changes settings of one of them, as a whole or not at all.
	alter func(a *API, ctx context.Context, ch *configChange) error
	// names are those that DescribeConfigs may be asked for, as ListConfigResources tells.
	names func(m *metadata.Image) iter.Seq[string]
	// incremental: the older AlterConfigs does not know the kind.
	incremental bool
}

// configResources is filled by init, like the table of keys.
var configResources map[kmsg.ConfigResourceType]*configResource

func init() {
	configResources = map[kmsg.ConfigResourceType]*configResource{
		kmsg.ConfigResourceTypeTopic:         {describe: (*API).topicEntries, alter: (*API).alterTopic, names: topicsWithSettings},
		kmsg.ConfigResourceTypeBroker:        {describe: (*API).brokerEntries, alter: (*API).alterBroker, names: brokersWithSettings},
		kmsg.ConfigResourceTypeBrokerLogger:  {describe: (*API).loggerEntries, alter: (*API).alterLoggers, names: brokersWithSettings, incremental: true},
		kmsg.ConfigResourceTypeClientMetrics: {describe: (*API).clientMetricsEntries, alter: (*API).alterClientMetrics, names: clientMetricsNames},
		kmsg.ConfigResourceTypeGroupConfig:   {describe: (*API).groupEntries, alter: (*API).alterGroup, names: (*metadata.Image).ConfiguredGroups},
	}
}

// settings are this broker's, with the dynamic ones on top.
func (a *API) settings() *config.Config {
	if a.Settings != nil {
		return a.Settings()
	}
	image := a.Metadata.Image()
	effective, err := a.Config.WithDynamic(image.BrokerConfigs(command.DefaultBroker).Map(), image.BrokerConfigs(a.Config.NodeID).Map())
	if err != nil {
		return a.Config // they do not go together: nobody acts on them
	}
	return effective
}

// configChange is what a request wants of the settings of one resource.
type configChange struct {
	resourceName
	ops []controller.ConfigOp
	// replace: settings that no operation names go.
	replace      bool
	validateOnly bool
}

// on returns the operations on the settings that there are.
func (ch *configChange) on(now metadata.Configs) []controller.ConfigOp {
	if !ch.replace {
		return ch.ops
	}
	named := make(map[string]bool, len(ch.ops))
	for i := range ch.ops {
		named[ch.ops[i].Key] = true
	}
	ops := ch.ops
	for _, c := range now {
		if !named[c.Key] {
			ops = append(ops, controller.ConfigOp{Key: c.Key, Kind: controller.OpDelete})
		}
	}
	return ops
}

// lists refuses operations on lists for settings that are none.
func (ch *configChange) lists(lookup func(key string) (*config.Setting, bool)) error {
	for i := range ch.ops {
		op := &ch.ops[i]
		if op.Kind != controller.OpAppend && op.Kind != controller.OpSubtract {
			continue
		}
		if s, ok := lookup(op.Key); !ok || s.Type != config.List {
			return fmt.Errorf("%w: append and subtract are for lists, and %s is not one", kerr.InvalidConfig, op.Key)
		}
	}
	return nil
}

// alterConfigs carries out a change; twice says that the request names the resource more than once.
func (a *API) alterConfigs(ctx context.Context, ch *configChange, twice bool) error {
	if twice {
		return fmt.Errorf("%w: each resource must appear at most once", kerr.InvalidRequest)
	}
	seen := make(map[string]bool, len(ch.ops))
	for i := range ch.ops {
		if seen[ch.ops[i].Key] {
			return fmt.Errorf("%w: key=%q is there more than once", kerr.InvalidRequest, ch.ops[i].Key)
		}
		seen[ch.ops[i].Key] = true
	}
	kind := configResources[ch.kind]
	if kind == nil || ch.replace && kind.incremental {
		return fmt.Errorf("%w: resource type=%d", kerr.InvalidRequest, ch.kind)
	}
	return kind.alter(a, ctx, ch)
}

// proposeConfig changes the metadata, unless the change was only to be looked at.
func (a *API) proposeConfig(ctx context.Context, ch *configChange, cmd command.Command) error {
	if ch.validateOnly {
		return nil
	}
	_, err := a.Metadata.Propose(ctx, cmd)
	return err
}

// topicNamed returns a topic whose settings somebody asks for.
func (a *API) topicNamed(name string) (*metadata.Topic, error) {
	t, ok := a.Metadata.Image().Topic(name)
	switch {
	case ok:
		return t, nil
	case !validTopicName(name):
		return nil, fmt.Errorf("%w: topic=%q", kerr.InvalidTopicException, name)
	}
	return nil, fmt.Errorf("%w: topic=%s", kerr.UnknownTopicOrPartition, name)
}

func (a *API) topicEntries(name string) ([]config.Entry, error) {
	t, err := a.topicNamed(name)
	if err != nil {
		return nil, err
	}
	return a.settings().TopicEntries(t.Configs.Map()), nil
}

func (a *API) alterTopic(ctx context.Context, ch *configChange) error {
	if ch.name == "" {
		return fmt.Errorf("%w: settings of all topics together are those of the broker", kerr.InvalidRequest)
	}
	t, err := a.topicNamed(ch.name)
	if err != nil {
		return err
	}
	if err := ch.lists(config.LookupTopic); err != nil {
		return err
	}
	settings := a.settings()
	defaults := settings.TopicEntries(nil)
	cmd, err := controller.TopicConfig(a.Metadata.Image(), t.ID, ch.on(t.Configs), func(key string) string { return valueOf(defaults, key) })
	if err != nil {
		return err
	}
	after, err := t.Configs.Apply(cmd.Changes)
	if err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	if err := settings.ValidateTopic(after.Map()); err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	return a.proposeConfig(ctx, ch, cmd)
}

func topicsWithSettings(m *metadata.Image) iter.Seq[string] {
	return func(yield func(string) bool) {
		for t := range m.Topics() {
			if !yield(t.Name) {
				return
			}
		}
	}
}

// brokerEntries returns the settings of this broker, or with an empty name the dynamic ones
// of all brokers.
func (a *API) brokerEntries(name string) ([]config.Entry, error) {
	id, err := a.brokerOf(name)
	switch {
	case err != nil:
		return nil, err
	case id != command.DefaultBroker:
		return a.settings().Entries(), nil
	}
	effective, err := a.Config.WithDynamic(a.Metadata.Image().BrokerConfigs(command.DefaultBroker).Map(), nil)
	if err != nil {
		return nil, err
	}
	return effective.DynamicDefaults(), nil
}

// brokerOf parses the name of a broker resource: empty for all brokers, else this
// broker's id, because only the broker itself knows its settings.
func (a *API) brokerOf(name string) (int32, error) {
	if name == "" {
		return command.DefaultBroker, nil
	}
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: broker id %q is not a number", kerr.InvalidRequest, name)
	}
	if int32(id) != a.Config.NodeID {
		return 0, fmt.Errorf("%w: unexpected broker id, expected %d, but received %d", kerr.InvalidRequest, a.Config.NodeID, id)
	}
	return int32(id), nil
}

// minInsyncReplicas rules which replicas may lead (KIP-966), so every broker must have the same, whatever
// was said at its start.
const minInsyncReplicas = "min.insync.replicas"

func (a *API) alterBroker(ctx context.Context, ch *configChange) error {
	id, err := a.brokerOf(ch.name)
	if err != nil {
		return err
	}
	if err := ch.lists(config.LookupBroker); err != nil {
		return err
	}
	image, defaults := a.Metadata.Image(), a.Config.Entries()
	now := image.BrokerConfigs(id)
	cmd, err := controller.BrokerConfig(image, id, ch.on(now), func(key string) string { return valueOf(defaults, key) })
	if err != nil {
		return err
	}
	for _, c := range cmd.Changes {
		if c.Key == minInsyncReplicas && (c.Delete || id != command.DefaultBroker) {
			return fmt.Errorf("%w: %s is set for all brokers together, and never unset", kerr.InvalidConfig, c.Key)
		}
		if c.Delete {
			continue
		}
		if err := config.ValidateDynamic(c.Key, c.Value, id != command.DefaultBroker); err != nil {
			return fmt.Errorf("%w: %w", kerr.InvalidRequest, err)
		}
	}
	after, err := now.Apply(cmd.Changes)
	if err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	// Settings that do not go together would be kept and never acted on.
	all, own := image.BrokerConfigs(command.DefaultBroker), after
	if id == command.DefaultBroker {
		all, own = after, image.BrokerConfigs(a.Config.NodeID)
	}
	if _, err := a.Config.WithDynamic(all.Map(), own.Map()); err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidRequest, err)
	}
	return a.proposeConfig(ctx, ch, cmd)
}

// brokersWithSettings are those in service, as in Kafka.
func brokersWithSettings(m *metadata.Image) iter.Seq[string] {
	return func(yield func(string) bool) {
		for b := range m.Brokers() {
			if !b.Fenced && !yield(strconv.Itoa(int(b.ID))) {
				return
			}
		}
	}
}

var errNoGroupName = fmt.Errorf("%w: group name must not be empty", kerr.InvalidRequest)

func (a *API) groupEntries(name string) ([]config.Entry, error) {
	if name == "" {
		return nil, errNoGroupName
	}
	return a.settings().GroupEntries(a.Metadata.Image().GroupConfigs(name).Map()), nil
}

// alterGroup changes settings of a consumer group, which need not be there.
func (a *API) alterGroup(ctx context.Context, ch *configChange) error {
	if ch.name == "" {
		return errNoGroupName
	}
	if err := ch.lists(config.LookupGroup); err != nil {
		return err
	}
	image, settings := a.Metadata.Image(), a.settings()
	now, defaults := image.GroupConfigs(ch.name), settings.GroupEntries(nil)
	cmd, err := controller.GroupConfig(image, ch.name, ch.on(now), func(key string) string { return valueOf(defaults, key) })
	if err != nil {
		return err
	}
	after, err := now.Apply(cmd.Changes)
	if err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	if err := settings.ValidateGroup(after.Map()); err != nil {
		return fmt.Errorf("%w: %w", kerr.InvalidConfig, err)
	}
	return a.proposeConfig(ctx, ch, cmd)
}

func valueOf(entries []config.Entry, key string) string {
	for i := range entries {
		if entries[i].Name == key {
			return entries[i].Value
		}
	}
	return ""
}
