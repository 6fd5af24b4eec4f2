package controller

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Limits bound what a request can ask for.
type Limits struct {
	// MaxTopicPartitions is the largest number of partitions of a topic.
	MaxTopicPartitions int
	// MaxReplicas is the largest number of partition replicas of the cluster:
	// each has a place in every broker's image.
	MaxReplicas int64
	// MaxReassignments is how many partitions may be under reassignment at a
	// time: each has up to twice its replicas, and a stream of catching up.
	MaxReassignments int
}

// DefaultLimits are those of which the image is tested.
var DefaultLimits = Limits{MaxTopicPartitions: 100_000, MaxReplicas: 2_000_000, MaxReassignments: 10_000}

// Defaults of the cluster, for requests that leave a number open.
type Defaults struct {
	Partitions        int // num.partitions
	ReplicationFactor int // default.replication.factor
}

// ValidTopicName reports, as ErrInvalidTopic, why a name is not legal:
// 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-', but not "." nor "..".
func ValidTopicName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty", ErrInvalidTopic)
	case name == "." || name == "..":
		return fmt.Errorf("%w: name=%q", ErrInvalidTopic, name)
	case len(name) > record.MaxTopicName:
		return fmt.Errorf("%w: bytes=%d max=%d", ErrInvalidTopic, len(name), record.MaxTopicName)
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("%w: name=%q allowed=[a-zA-Z0-9._-]", ErrInvalidTopic, name)
		}
	}
	return nil
}

// CreateTopic asks for a topic. Partitions and ReplicationFactor may be -1 for
// the cluster's default. With Assignments both are -1, or agree with them.
type CreateTopic struct {
	ID                metadata.ID // random
	Name              string
	Partitions        int
	ReplicationFactor int
	Assignments       [][]int32         // by partition index; nil: placed here
	Configs           map[string]string // validated by the broker's table of settings
	Spread            uint32            // random
}

// Create decides about a topic. The command may be too large for one entry of
// the log; Store.CreateTopic takes care of that.
func Create(m *metadata.Image, r *CreateTopic, d Defaults, l Limits, now time.Time) (*record.CreateTopic, error) {
	if err := ValidTopicName(r.Name); err != nil {
		return nil, err
	}
	if r.ID == (metadata.ID{}) {
		return nil, fmt.Errorf("%w: topic without id: name=%s", ErrInvalidRequest, r.Name)
	}
	if _, ok := m.Topic(r.Name); ok {
		return nil, fmt.Errorf("%w: name=%s", ErrTopicExists, r.Name)
	}
	configs := record.ConfigsOf(r.Configs)
	if !configs.Valid() {
		return nil, fmt.Errorf("%w: too many or too large: topic=%s settings=%d", ErrInvalidConfig, r.Name, len(configs))
	}
	assignments, err := assignments(m, r, d, l)
	if err != nil {
		return nil, err
	}
	if err := l.check(m, 0, assignments); err != nil {
		return nil, err
	}
	return &record.CreateTopic{ID: r.ID, Name: r.Name, Configs: configs, Assignments: assignments, At: now.UnixMilli()}, nil
}

func assignments(m *metadata.Image, r *CreateTopic, d Defaults, l Limits) ([][]int32, error) {
	partitions, factor := r.Partitions, r.ReplicationFactor
	if len(r.Assignments) > 0 {
		if partitions != -1 && partitions != len(r.Assignments) {
			return nil, fmt.Errorf("%w: partitions=%d assigned=%d", ErrInvalidRequest, partitions, len(r.Assignments))
		}
		if factor != -1 && factor != len(r.Assignments[0]) {
			return nil, fmt.Errorf("%w: factor=%d assigned=%d", ErrInvalidRequest, factor, len(r.Assignments[0]))
		}
		return r.Assignments, validAssignments(m, r.Assignments, len(r.Assignments[0]))
	}
	if partitions == -1 {
		partitions = d.Partitions
	}
	if factor == -1 {
		factor = d.ReplicationFactor
	}
	if partitions < 1 || partitions > l.MaxTopicPartitions {
		return nil, fmt.Errorf("%w: partitions=%d min=1 max=%d", ErrInvalidPartitions, partitions, l.MaxTopicPartitions)
	}
	return PlaceLightly(Candidates(m), partitions, factor, 0, r.Spread)
}

// check verifies the bounds of topic and cluster for additional partitions.
func (l Limits) check(m *metadata.Image, have int, assignments [][]int32) error {
	if n := have + len(assignments); n > l.MaxTopicPartitions {
		return fmt.Errorf("%w: partitions=%d max=%d", ErrInvalidPartitions, n, l.MaxTopicPartitions)
	}
	replicas := m.ReplicaCount()
	for _, a := range assignments {
		replicas += int64(len(a))
	}
	if replicas > l.MaxReplicas {
		return fmt.Errorf("%w: replicas of the cluster=%d max=%d", ErrInvalidPartitions, replicas, l.MaxReplicas)
	}
	return nil
}

// validAssignments checks assignments that a client made: each of the same
// length, of known brokers, none of them twice, and one of them in service, so
// that the partition can be led.
func validAssignments(m *metadata.Image, assignments [][]int32, factor int) error {
	for i, list := range assignments {
		if len(list) == 0 || len(list) > record.MaxReplicas {
			return fmt.Errorf("%w: partition=%d replicas=%d", ErrInvalidAssignment, i, len(list))
		}
		if len(list) != factor {
			return fmt.Errorf("%w: partition=%d replicas=%d others=%d", ErrInvalidAssignment, i, len(list), factor)
		}
		for j, b := range list {
			if slices.Contains(list[:j], b) {
				return fmt.Errorf("%w: partition=%d broker=%d twice", ErrInvalidAssignment, i, b)
			}
			if _, ok := m.Broker(b); !ok {
				return fmt.Errorf("%w: partition=%d unknown broker=%d", ErrInvalidAssignment, i, b)
			}
		}
		if !slices.ContainsFunc(list, func(id int32) bool { b, _ := m.Broker(id); return b.Active() }) {
			return fmt.Errorf("%w: partition=%d brokers=%v are fenced or shutting down", ErrInvalidAssignment, i, list)
		}
	}
	return nil
}

// Grow decides about more partitions: total of them, of which the new ones may
// have assignments.
func Grow(m *metadata.Image, topic metadata.ID, total int, manual [][]int32, spread uint32, l Limits) (*record.CreatePartitions, error) {
	t, ok := m.TopicByID(topic)
	if !ok {
		return nil, fmt.Errorf("%w: id=%x", ErrUnknownTopic, topic)
	}
	have := int(t.Partitions)
	if total <= have {
		return nil, fmt.Errorf("%w: topic=%s has=%d wanted=%d", ErrInvalidPartitions, t.Name, have, total)
	}
	if total > l.MaxTopicPartitions {
		return nil, fmt.Errorf("%w: topic=%s wanted=%d max=%d", ErrInvalidPartitions, t.Name, total, l.MaxTopicPartitions)
	}
	head, ok := m.PartitionOf(t, 0)
	if !ok {
		return nil, fmt.Errorf("%w: topic=%s has no partition 0", ErrUnknownTopic, t.Name)
	}
	factor := len(target(head))
	if manual != nil {
		if len(manual) != total-have {
			return nil, fmt.Errorf("%w: topic=%s new=%d assigned=%d", ErrInvalidAssignment, t.Name, total-have, len(manual))
		}
		if err := validAssignments(m, manual, factor); err != nil {
			return nil, err
		}
	} else {
		var err error
		if manual, err = PlaceLightly(Candidates(m), total-have, factor, uint32(have), spread); err != nil {
			return nil, err
		}
	}
	if err := l.check(m, have, manual); err != nil {
		return nil, err
	}
	return &record.CreatePartitions{Topic: topic, From: t.Partitions, Assignments: manual}, nil
}

// Delete decides about the deletion of a topic.
func Delete(m *metadata.Image, topic metadata.ID, now time.Time) (*record.DeleteTopic, error) {
	if _, ok := m.TopicByID(topic); !ok {
		return nil, fmt.Errorf("%w: id=%x", ErrUnknownTopic, topic)
	}
	return &record.DeleteTopic{ID: topic, At: now.UnixMilli()}, nil
}

// ConfigOp is an incremental change of a setting.
type ConfigOp struct {
	Key, Value string
	Kind       OpKind
}

// OpKind is what a ConfigOp does.
type OpKind int8

// Kinds of operations, with the numbers of the protocol.
const (
	OpSet      OpKind = 0
	OpDelete   OpKind = 1
	OpAppend   OpKind = 2 // to a comma-separated list
	OpSubtract OpKind = 3 // from a comma-separated list
)
