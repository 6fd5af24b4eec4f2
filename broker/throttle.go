package broker

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/replication"
	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/wal"
)

// Throttled replicas. Topics name the replicas that may be throttled, brokers say how much those that
// are not in sync may take of the network: of a leader's broker for all its followers together, of a
// follower's for all its leaders together. A leader reads the rates of its followers in the metadata,
// and takes an equal part of each.

// followerRateKey is the key of the rate of a follower, as dynamic settings have it.
const followerRateKey = "follower.replication.throttled.rate"

// throttled are the replicas of a topic that may be throttled.
type throttledReplicas struct {
	all bool
	set map[throttledReplica]struct{}
}

type throttledReplica struct{ partition, broker int32 }

func (t *throttledReplicas) has(partition, broker int32) bool {
	if t.all {
		return true
	}
	_, ok := t.set[throttledReplica{partition, broker}]
	return ok
}

// parseThrottled reads a list of partition:broker, which the table of settings has checked, or *.
func parseThrottled(list []string) (t throttledReplicas) {
	for _, item := range list {
		if item == "*" {
			return throttledReplicas{all: true}
		}
		var r throttledReplica
		if _, err := fmt.Sscanf(item, "%d:%d", &r.partition, &r.broker); err != nil {
			continue
		}
		if t.set == nil {
			t.set = make(map[throttledReplica]struct{}, len(list))
		}
		t.set[r] = struct{}{}
	}
	return t
}

// throttledTopic is what a topic throttles.
type throttledTopic struct{ leaders, followers throttledReplicas }

// throttledTopics returns the topics that throttle anything.
func throttledTopics(m *metadata.Image, c *config.Config) map[metadata.ID]throttledTopic {
	topics := map[metadata.ID]throttledTopic{}
	for t := range m.Topics() {
		_, leaders := t.Configs.Get("leader.replication.throttled.replicas")
		_, followers := t.Configs.Get("follower.replication.throttled.replicas")
		if leaders || followers {
			settings, _ := c.Topic(t.Configs.Map())
			topics[t.ID] = throttledTopic{parseThrottled(settings.LeaderThrottled), parseThrottled(settings.FollowerThrottled)}
		}
	}
	return topics
}

// throttlesOf says what the replication of a broker may take; nil: all that there is. own are the settings
// of that broker.
func throttlesOf(m *metadata.Image, node int32, own *config.Config) *replication.Throttles {
	followers := map[int32]int64{}
	for b := range m.Brokers() {
		if rate := followerRate(m, b.ID); b.ID != node && rate > 0 {
			followers[b.ID] = rate
		}
	}
	leader := noLimit(own.LeaderThrottledRate)
	if leader == 0 && len(followers) == 0 {
		return nil
	}
	topics := throttledTopics(m, own)
	if len(topics) == 0 {
		return nil
	}
	for f, leaders := range leadersOf(m, topics, followers) {
		if leaders[node] && len(leaders) > 1 {
			followers[f] = max(followers[f]/int64(len(leaders)), 1)
		}
	}
	return &replication.Throttles{
		Leader: leader, Followers: followers,
		Limited: func(id wal.ID, follower int32) (bool, bool) {
			t, ok := topics[id.Topic]
			if !ok {
				return false, false
			}
			return t.leaders.has(id.Partition, node), t.followers.has(id.Partition, follower)
		},
	}
}

// throttle has replication keep to the rates of an image.
func (b *Broker) throttle(image *metadata.Image, d *metadata.Delta) {
	if b.sender == nil || !d.All && len(d.Brokers) == 0 && len(d.Topics) == 0 && len(d.Partitions) == 0 {
		return
	}
	b.sender.Throttle(throttlesOf(image, b.cfg.NodeID, b.replicas.config()))
}

// leadersOf returns, for each follower with a rate, the brokers that lead throttled partitions in which it
// is not in sync.
func leadersOf(m *metadata.Image, topics map[metadata.ID]throttledTopic, rates map[int32]int64) map[int32]map[int32]bool {
	leaders := map[int32]map[int32]bool{}
	for id, throttled := range topics {
		t, ok := m.TopicByID(id)
		if !ok {
			continue
		}
		for p := range m.Partitions(t) {
			for _, f := range p.Replicas {
				if rates[f] == 0 || f == p.Leader || p.Leader < 0 || slices.Contains(p.ISR, f) || !throttled.followers.has(p.Index, f) {
					continue
				}
				if leaders[f] == nil {
					leaders[f] = map[int32]bool{}
				}
				leaders[f][p.Leader] = true
			}
		}
	}
	return leaders
}

// followerRate is what a broker takes of all its leaders together, as the metadata have it; 0: no bound.
func followerRate(m *metadata.Image, broker int32) int64 {
	text, ok := m.BrokerConfigs(broker).Get(followerRateKey)
	if !ok {
		text, ok = m.BrokerConfigs(command.DefaultBroker).Get(followerRateKey)
	}
	rate, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || rate < 1 {
		return 0
	}
	return noLimit(rate)
}
