package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// askEvery is the pause between two looks at what brokers tell. It bounds what a wait costs them, not what it waits for.
const askEvery = 50 * time.Millisecond

// askTimeout bounds one look, for a broker may be suspended.
const askTimeout = 2 * time.Second

// Partition is what a broker tells of a partition.
type Partition struct {
	Topic         string
	Partition     int32
	Leader, Epoch int32 // the leader's node.id, -1: none
	Replicas, ISR []int32
	Error         error
}

// State is what a broker tells of its cluster.
type State struct {
	Controller int32 // node.id, -1: none
	Brokers    []int32
	Partitions []Partition // in order
}

// State asks one broker for the state of the cluster.
func (c *Cluster) State(ctx context.Context, i int) (*State, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers[i].kafka))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return stateOf(ctx, client)
}

func stateOf(ctx context.Context, client *kgo.Client) (*State, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request := kmsg.NewPtrMetadataRequest() // without topics: of all
	answer, err := client.SeedBrokers()[0].Request(ctx, request)
	if err != nil {
		return nil, err
	}
	m, ok := answer.(*kmsg.MetadataResponse)
	if !ok {
		return nil, fmt.Errorf("answer to a metadata request is a %T", answer)
	}
	s := &State{Controller: m.ControllerID}
	for i := range m.Brokers {
		s.Brokers = append(s.Brokers, m.Brokers[i].NodeID)
	}
	slices.Sort(s.Brokers)
	for i := range m.Topics {
		t := &m.Topics[i]
		if t.Topic == nil {
			continue
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			s.Partitions = append(s.Partitions, Partition{
				*t.Topic, p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, kerr.ErrorForCode(p.ErrorCode),
			})
		}
	}
	slices.SortFunc(s.Partitions, func(a, b Partition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition - b.Partition)
	})
	return s, nil
}

// Await waits until the brokers that are given, all that run when there are none, tell of a state that is as wanted, which is when wanted
// returns nil. It returns wanted's last error when the context ends.
func (c *Cluster) Await(ctx context.Context, wanted func(states []*State) error, brokers ...int) error {
	if len(brokers) == 0 {
		for i, p := range c.brokers {
			if !p.Ended() {
				brokers = append(brokers, i)
			}
		}
	}
	var clients []*kgo.Client
	for _, i := range brokers {
		client, err := kgo.NewClient(kgo.SeedBrokers(c.brokers[i].kafka))
		if err != nil {
			return err
		}
		defer client.Close()
		clients = append(clients, client)
	}
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	last := errors.New("nothing was asked")
	for {
		if err := look(ctx, clients, wanted); err == nil {
			return nil
		} else if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), last)
		}
	}
}

func look(ctx context.Context, clients []*kgo.Client, wanted func([]*State) error) error {
	var states []*State
	for _, client := range clients {
		s, err := stateOf(ctx, client)
		if err != nil {
			return err
		}
		states = append(states, s)
	}
	return wanted(states)
}

// Rest waits until every broker that runs tells of the same leaders, and all replicas of all partitions are in sync.
func (c *Cluster) Rest(ctx context.Context) error {
	running := 0
	for _, p := range c.brokers {
		if !p.Ended() {
			running++
		}
	}
	err := c.Await(ctx, func(states []*State) error {
		for i, s := range states {
			if len(s.Brokers) != running {
				return fmt.Errorf("brokers in service: %v, wanted=%d", s.Brokers, running)
			}
			if len(s.Partitions) != len(states[0].Partitions) {
				return fmt.Errorf("partitions=%d, another broker knows partitions=%d", len(s.Partitions), len(states[0].Partitions))
			}
			for j := range s.Partitions {
				p, first := &s.Partitions[j], &states[0].Partitions[j]
				switch {
				case p.Error != nil:
					return fmt.Errorf("%w topic=%s partition=%d", p.Error, p.Topic, p.Partition)
				case p.Leader < 0 || len(p.ISR) != len(p.Replicas):
					return fmt.Errorf("not all are in sync topic=%s partition=%d leader=%d replicas=%v isr=%v", p.Topic, p.Partition, p.Leader, p.Replicas, p.ISR)
				case i > 0 && (p.Topic != first.Topic || p.Leader != first.Leader || p.Epoch != first.Epoch):
					return fmt.Errorf("brokers differ topic=%s partition=%d leader=%d,%d", p.Topic, p.Partition, p.Leader, first.Leader)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("the cluster does not come to rest: %w", err)
	}
	return nil
}

// Leader asks the cluster who leads a partition, until somebody does.
func (c *Cluster) Leader(ctx context.Context, topic string, partition int32) (broker int, err error) {
	err = c.awaitAny(ctx, func(s *State) error {
		for i := range s.Partitions {
			if p := &s.Partitions[i]; p.Topic == topic && p.Partition == partition && p.Leader > 0 {
				broker = int(p.Leader) - 1
				return nil
			}
		}
		return fmt.Errorf("nobody leads topic=%s partition=%d", topic, partition)
	})
	return broker, err
}

// Controller asks the cluster who leads its metadata, until somebody does.
func (c *Cluster) Controller(ctx context.Context) (broker int, err error) {
	err = c.awaitAny(ctx, func(s *State) error {
		broker = int(s.Controller) - 1
		if broker < 0 {
			return errors.New("nobody leads the metadata")
		}
		return nil
	})
	return broker, err
}

// awaitAny waits until any broker tells of a state that is as wanted. Some may be suspended, or out of reach.
func (c *Cluster) awaitAny(ctx context.Context, wanted func(*State) error) error {
	last := errors.New("no broker runs")
	for asked := true; asked && ctx.Err() == nil; {
		asked = false
		for i, p := range c.brokers {
			if p.Ended() {
				continue
			}
			asked = true
			one, cancel := context.WithTimeout(ctx, askTimeout)
			err := c.Await(one, func(states []*State) error { return wanted(states[0]) }, i)
			cancel()
			if err == nil {
				return nil
			}
			last = err
		}
	}
	return last
}
