package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// replicated is what a broker tells of a partition.
type replicated struct {
	topic         string
	partition     int32
	leader, epoch int32
	replicas, isr []int32
}

// state is what a broker tells of its cluster.
type state struct {
	brokers    []int32
	partitions []replicated // in order
}

// askTimeout bounds one question to a broker.
const askTimeout = 10 * time.Second

// ask puts a question to one broker, and to that one alone.
func (c *cluster) ask(ctx context.Context, node int, request kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return c.asks[node].SeedBrokers()[0].Request(ctx, request)
}

// state asks one broker for the state of the cluster.
func (c *cluster) state(ctx context.Context, node int) (*state, error) {
	answer, err := c.ask(ctx, node, kmsg.NewPtrMetadataRequest()) // without topics: of all
	if err != nil {
		return nil, err
	}
	m, ok := answer.(*kmsg.MetadataResponse)
	if !ok {
		return nil, fmt.Errorf("answer to a metadata request is a %T", answer)
	}
	s := &state{}
	for i := range m.Brokers {
		s.brokers = append(s.brokers, m.Brokers[i].NodeID)
	}
	slices.Sort(s.brokers)
	for i := range m.Topics {
		t := &m.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if t.Topic == nil || p.ErrorCode != 0 && p.ErrorCode != kerr.LeaderNotAvailable.Code {
				return nil, errors.Join(errors.New("a partition in error"), kerr.ErrorForCode(p.ErrorCode))
			}
			s.partitions = append(s.partitions, replicated{*t.Topic, p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR})
		}
	}
	slices.SortFunc(s.partitions, func(a, b replicated) int {
		if order := strings.Compare(a.topic, b.topic); order != 0 {
			return order
		}
		return int(a.partition - b.partition)
	})
	return s, nil
}

// of are the partitions of one topic.
func (s *state) of(topic string) []replicated {
	return slices.DeleteFunc(slices.Clone(s.partitions), func(p replicated) bool { return p.topic != topic })
}

// await asks the brokers that are alive again and again until what they tell is as wanted, which is when wanted returns nil.
func (c *cluster) await(ctx context.Context, what string, limit, every time.Duration, wanted func(told []*state) error) error {
	var last error
	err := until(ctx, what, limit, every, func() (bool, error) {
		var told []*state
		for i := range c.nodes {
			if !c.alive[i] {
				continue
			}
			s, err := c.state(ctx, i)
			if err != nil {
				last = fmt.Errorf("ask node.id=%d: %w", i+1, err)
				return false, context.Cause(ctx)
			}
			told = append(told, s)
		}
		last = wanted(told)
		return last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// restLimit is how long a cluster may take until all is in sync.
const restLimit = 5 * time.Minute

// rest waits until all brokers that are alive tell of the same brokers and leaders, and all replicas of all partitions are in sync.
func (c *cluster) rest(ctx context.Context, every time.Duration) error {
	return c.await(ctx, "all replicas to be in sync", restLimit, every, func(told []*state) error {
		for _, s := range told {
			if len(s.brokers) != len(told) {
				return fmt.Errorf("brokers in service: %v of=%d", s.brokers, len(told))
			}
			if err := s.inSync(); err != nil {
				return err
			}
			if !slices.EqualFunc(s.partitions, told[0].partitions, func(a, b replicated) bool {
				return a.topic == b.topic && a.partition == b.partition && a.leader == b.leader && a.epoch == b.epoch
			}) {
				return errors.New("brokers tell of different leaders")
			}
		}
		return nil
	})
}

// fenced waits until the brokers that are alive have taken one that is dead out of service, and lead what it led.
func (c *cluster) fenced(ctx context.Context, node int, every time.Duration) error {
	dead := int32(node + 1)
	return c.await(ctx, "the rest to go on without the dead broker", restLimit, every, func(told []*state) error {
		for _, s := range told {
			if slices.Contains(s.brokers, dead) {
				return fmt.Errorf("still in service node.id=%d", dead)
			}
			for i := range s.partitions {
				if p := &s.partitions[i]; p.leader < 0 || p.leader == dead || slices.Contains(p.isr, dead) {
					return fmt.Errorf("still led or in sync topic=%s partition=%d leader=%d isr=%v", p.topic, p.partition, p.leader, p.isr)
				}
			}
		}
		return nil
	})
}

// inSync is nil when every partition has a leader and all its replicas are in sync.
func (s *state) inSync() error {
	for i := range s.partitions {
		if p := &s.partitions[i]; p.leader < 0 || len(p.isr) != len(p.replicas) {
			return fmt.Errorf("not in sync topic=%s partition=%d leader=%d replicas=%v isr=%v", p.topic, p.partition, p.leader, p.replicas, p.isr)
		}
	}
	return nil
}

// preferred is nil when every partition is led by the first of its replicas.
func (s *state) preferred() error {
	for i := range s.partitions {
		if p := &s.partitions[i]; p.leader != p.replicas[0] {
			return fmt.Errorf("not led by the preferred replica topic=%s partition=%d leader=%d replicas=%v", p.topic, p.partition, p.leader, p.replicas)
		}
	}
	return nil
}

// electPreferred gives all leadership back to the preferred replicas, as kafka-leader-election does, and returns when they lead.
func (c *cluster) electPreferred(ctx context.Context) error {
	var last error
	err := until(ctx, "preferred leaders", restLimit, 500*time.Millisecond, func() (bool, error) {
		last = c.electOnce(ctx)
		return last == nil, context.Cause(ctx)
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// electOnce asks for the election, which may come too early for a broker that has just come back, and looks.
func (c *cluster) electOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	node := slices.Index(c.alive, true)
	if node < 0 {
		return errors.New("no broker is alive")
	}
	// For all partitions; those that need none are no failure.
	if _, err := kadm.NewClient(c.asks[node]).ElectLeaders(ctx, kadm.ElectPreferredReplica, nil); err != nil {
		return fmt.Errorf("elect preferred leaders: %w", err)
	}
	for i := range c.nodes {
		if !c.alive[i] {
			continue
		}
		s, err := c.state(ctx, i)
		if err != nil {
			return err
		}
		if err := errors.Join(s.inSync(), s.preferred()); err != nil {
			return err
		}
	}
	return nil
}

// controller is the broker that leads the metadata. A metadata answer of Kafka's names any broker, so the quorum is asked for.
func (c *cluster) controller(ctx context.Context) (node int, err error) {
	request := kmsg.NewPtrDescribeQuorumRequest()
	t, p := kmsg.NewDescribeQuorumRequestTopic(), kmsg.NewDescribeQuorumRequestTopicPartition()
	t.Topic, t.Partitions = "__cluster_metadata", append(t.Partitions, p)
	request.Topics = append(request.Topics, t)
	err = until(ctx, "a leader of the metadata", time.Minute, 100*time.Millisecond, func() (bool, error) {
		for i := range c.nodes {
			if !c.alive[i] {
				continue
			}
			answer, err := c.ask(ctx, i, request)
			if err != nil {
				return false, context.Cause(ctx)
			}
			q, ok := answer.(*kmsg.DescribeQuorumResponse)
			if !ok || q.ErrorCode != 0 || len(q.Topics) != 1 || len(q.Topics[0].Partitions) != 1 {
				return false, nil
			}
			node = int(q.Topics[0].Partitions[0].LeaderID) - 1
			return q.Topics[0].Partitions[0].ErrorCode == 0 && node >= 0 && node < len(c.nodes) && c.alive[node], nil
		}
		return false, errors.New("no broker is alive")
	})
	return node, err
}
