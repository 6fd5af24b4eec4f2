package controller

import (
	"strconv"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Policy has the settings on which the leaders of partitions depend, as this
// broker is configured; a topic's own settings and those of the cluster
// (record.DefaultBroker) stand before it. All brokers must come to the same
// min.insync.replicas, or a replica might be called eligible that is not: see
// Policy.Publish.
type Policy struct {
	MinISR  int  // min.insync.replicas
	Unclean bool // unclean.leader.election.enable
}

const uncleanKey = "unclean.leader.election.enable"

// setting returns a setting of a topic, or that of the cluster.
func setting(m *metadata.Image, t *metadata.Topic, key string) (string, bool) {
	if t != nil {
		if v, ok := t.Configs.Get(key); ok {
			return v, true
		}
	}
	return m.BrokerConfigs(record.DefaultBroker).Get(key)
}

func (p Policy) minISR(m *metadata.Image, t *metadata.Topic) int {
	if v, ok := setting(m, t, metadata.MinISRKey); ok {
		if n, err := strconv.Atoi(v); err == nil && n > 0 {
			return n
		}
	}
	return max(1, p.MinISR)
}

func (p Policy) unclean(m *metadata.Image, t *metadata.Topic) bool {
	if v, ok := setting(m, t, uncleanKey); ok {
		return v == "true"
	}
	return p.Unclean
}

// EffectiveMinISR returns how many replicas must be in the ISR of a partition for its
// high watermark to move and acks=all to be accepted: min.insync.replicas, but
// never more than it has replicas. Leaders must use it too: what is eligible
// depends on it.
func (p Policy) EffectiveMinISR(m *metadata.Image, t *metadata.Topic, x *metadata.Partition) int {
	return effectiveMinISR(p.minISR(m, t), len(x.Replicas))
}

func effectiveMinISR(minISR, replicas int) int { return min(minISR, replicas) }

// Publish writes this broker's min.insync.replicas into the cluster's settings
// if they have none, so that from then on all brokers use the same; nil when
// they have. The leader of the metadata proposes it before it decides anything.
func (p Policy) Publish(m *metadata.Image) *record.SetBrokerConfig {
	if _, ok := m.BrokerConfigs(record.DefaultBroker).Get(metadata.MinISRKey); ok {
		return nil
	}
	return &record.SetBrokerConfig{Broker: record.DefaultBroker, Changes: []record.ConfigChange{
		{Key: metadata.MinISRKey, Value: strconv.Itoa(max(1, p.MinISR))},
	}}
}
