package controller

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// TopicConfig resolves incremental operations on a topic's settings. fallback
// gives the value that applies where the topic has none, for operations on
// lists.
func TopicConfig(m *metadata.Image, topic metadata.ID, ops []ConfigOp, fallback func(key string) string) (*record.SetTopicConfig, error) {
	t, ok := m.TopicByID(topic)
	if !ok {
		return nil, fmt.Errorf("%w: id=%x", ErrUnknownTopic, topic)
	}
	changes, err := resolve(t.Configs, ops, fallback)
	if err != nil {
		return nil, err
	}
	return &record.SetTopicConfig{Topic: topic, Changes: changes}, nil
}

// BrokerConfig resolves incremental operations on the dynamic settings of a
// broker, or of all for record.DefaultBroker.
func BrokerConfig(m *metadata.Image, broker int32, ops []ConfigOp, fallback func(key string) string) (*record.SetBrokerConfig, error) {
	if _, ok := m.Broker(broker); !ok && broker != record.DefaultBroker {
		return nil, fmt.Errorf("%w: id=%d", ErrUnknownBroker, broker)
	}
	changes, err := resolve(m.BrokerConfigs(broker), ops, fallback)
	if err != nil {
		return nil, err
	}
	return &record.SetBrokerConfig{Broker: broker, Changes: changes}, nil
}

// GroupConfig resolves incremental operations on the settings of a consumer group.
func GroupConfig(m *metadata.Image, group string, ops []ConfigOp, fallback func(key string) string) (*record.SetGroupConfig, error) {
	if group == "" || len(group) > record.MaxGroupID {
		return nil, fmt.Errorf("%w: group=%q", ErrInvalidRequest, group)
	}
	changes, err := resolve(m.GroupConfigs(group), ops, fallback)
	if err != nil {
		return nil, err
	}
	return &record.SetGroupConfig{Group: group, Changes: changes}, nil
}

func resolve(now metadata.Configs, ops []ConfigOp, fallback func(string) string) ([]record.ConfigChange, error) {
	seen := make(map[string]bool, len(ops))
	changes := make([]record.ConfigChange, 0, len(ops))
	for _, op := range ops {
		if op.Key == "" || seen[op.Key] {
			return nil, fmt.Errorf("%w: empty or repeated key=%q", ErrInvalidRequest, op.Key)
		}
		seen[op.Key] = true
		c := record.ConfigChange{Key: op.Key, Value: op.Value}
		switch op.Kind {
		case OpSet:
		case OpDelete:
			c.Value, c.Delete = "", true
		case OpAppend, OpSubtract:
			value, ok := now.Get(op.Key)
			if !ok && fallback != nil {
				value = fallback(op.Key)
			}
			c.Value = strings.Join(editList(splitList(value), splitList(op.Value), op.Kind), ",")
		default:
			return nil, fmt.Errorf("%w: operation=%d key=%s", ErrInvalidRequest, op.Kind, op.Key)
		}
		changes = append(changes, c)
	}
	return changes, checkResult(now, changes)
}

func editList(list, items []string, kind OpKind) []string {
	for _, v := range items {
		switch at := slices.Index(list, v); {
		case kind == OpAppend && at < 0:
			list = append(list, v)
		case kind == OpSubtract && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	return list
}

func splitList(s string) []string {
	var out []string
	for v := range strings.SplitSeq(s, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

func checkResult(now metadata.Configs, changes []record.ConfigChange) error {
	if _, err := now.Apply(changes); err != nil {
		return fmt.Errorf("%w: too many or too large", ErrInvalidConfig)
	}
	return nil
}
