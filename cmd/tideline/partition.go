package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partitionCommand is `tideline partition`.
func (p *program) partitionCommand() *cobra.Command {
	return p.group("partition", "Move partitions between brokers", p.partitionMoveCommand(), p.partitionRebalanceCommand())
}

// pollInterval is how often a command that waits looks again.
const pollInterval = time.Second

const partitionMoveHelp = `Give partitions of a topic other replicas, the preferred leader first.

--partition and --replicas may be given several times; the first list is that
of the first partition, and so on. New replicas copy what is not in the object
store yet, and the old ones stay until the new ones are in sync.

--cancel calls off what is going on: of the partitions that are named, or of
all of the topic.`

func (p *program) partitionMoveCommand() *cobra.Command {
	var (
		partitions []int32
		lists      []string
		cancel     bool
		wait       bool
		keepFactor bool
	)
	c := &cobra.Command{
		Use:   "move TOPIC",
		Short: "Give partitions other replicas, or call that off",
		Long:  partitionMoveHelp,
		Example: `  tideline partition move orders --partition 0 --replicas 1,2,3 --wait
  tideline partition move orders --partition 0 --replicas 1,2 --partition 1 --replicas 2,3
  tideline partition move orders --cancel`,
		Args: cobra.ExactArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().Int32SliceVarP(&partitions, "partition", "p", nil, "a partition's `number`; may be given again")
	c.Flags().StringArrayVarP(&lists, "replicas", "r", nil, "`brokers` with commas, the preferred leader first; one list for each partition")
	c.Flags().BoolVar(&cancel, "cancel", false, "call off what is going on")
	c.Flags().BoolVar(&wait, "wait", false, "wait until it is done, and show how far it is")
	c.Flags().BoolVar(&keepFactor, "keep-factor", false, "refuse a list that is longer or shorter than the one before")
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		wishes, err := moveWishes(partitions, lists, cancel)
		if err != nil {
			return err
		}
		client, err := conn.client(ctx)
		if err != nil {
			return err
		}
		defer client.Close()
		m := &mover{program: p, conn: conn, client: client, topic: args[0]}
		if cancel && len(wishes) == 0 {
			if wishes, err = m.underWay(ctx); err != nil {
				return err
			}
		}
		failure := m.move(ctx, wishes, keepFactor)
		if wait && failure == nil {
			return m.wait(ctx, slices.Sorted(maps.Keys(wishes)))
		}
		return failure
	})
	return c
}

// moveWishes pairs partitions and lists of replicas. A list that is nil calls off.
func moveWishes(partitions []int32, lists []string, cancel bool) (map[int32][]int32, error) {
	wishes := map[int32][]int32{}
	switch {
	case cancel && len(lists) > 0:
		return nil, usagef("--cancel goes back to the replicas from before and takes no --replicas")
	case !cancel && (len(lists) == 0 || len(lists) != len(partitions)):
		return nil, usagef("each --partition needs its --replicas: got %s and %s", count(len(partitions), "partition"), count(len(lists), "list"))
	}
	for i, index := range partitions {
		if _, twice := wishes[index]; twice {
			return nil, usagef("--partition %d is there twice", index)
		}
		wishes[index] = nil
		if cancel {
			continue
		}
		for id := range strings.SplitSeq(lists[i], ",") {
			n, err := strconv.ParseInt(strings.TrimSpace(id), 10, 32)
			if err != nil {
				return nil, usagef("--replicas takes ids of brokers with commas, got %q", lists[i])
			}
			wishes[index] = append(wishes[index], int32(n))
		}
	}
	return wishes, nil
}

// mover moves partitions of one topic.
type mover struct {
	*program
	conn   *connection
	client *kgo.Client
	topic  string
}

// reassignment is one partition of a ListPartitionReassignments.
type reassignment struct {
	topic string
	kmsg.ListPartitionReassignmentsResponseTopicPartition
}

// reassignments lists what is under way: of a topic's partitions, or of the whole
// cluster.
func reassignments(ctx context.Context, client *kgo.Client, of *kmsg.ListPartitionReassignmentsRequestTopic) ([]reassignment, error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	if of != nil {
		req.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{*of}
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, answered("list reassignments", err, fromPointer(resp.ErrorMessage))
	}
	var out []reassignment
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out = append(out, reassignment{t.Topic, p})
		}
	}
	slices.SortFunc(out, func(a, b reassignment) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out, nil
}

// underWay returns the partitions of the topic that are under reassignment.
func (m *mover) underWay(ctx context.Context) (map[int32][]int32, error) {
	ctx, cancel := context.WithTimeout(ctx, m.conn.timeout)
	defer cancel()
	all, err := reassignments(ctx, m.client, nil)
	if err != nil {
		return nil, err
	}
	wishes := map[int32][]int32{}
	for i := range all {
		if all[i].topic == m.topic {
			wishes[all[i].Partition] = nil
		}
	}
	if len(wishes) == 0 {
		return nil, fmt.Errorf("%s: nothing to call off", m.topic)
	}
	return wishes, nil
}

// move asks for the replicas and shows what was accepted.
func (m *mover) move(ctx context.Context, wishes map[int32][]int32, keepFactor bool) error {
	ctx, cancel := context.WithTimeout(ctx, m.conn.timeout)
	defer cancel()
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis, req.AllowReplicationFactorChange = m.conn.timeoutMillis(), !keepFactor
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = m.topic
	for _, index := range slices.Sorted(maps.Keys(wishes)) {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = index, wishes[index]
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, m.client)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return answered(m.topic, err, fromPointer(resp.ErrorMessage))
	}
	type moved struct {
		Topic     string  `json:"topic"`
		Partition int32   `json:"partition"`
		Replicas  []int32 `json:"replicas,omitempty"`
		CalledOff bool    `json:"called_off,omitempty"`
	}
	var done []moved
	var failures []error
	shown := newTable("TOPIC", "PARTITION", "REPLICAS")
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				failures = append(failures, answered(fmt.Sprintf("%s-%d", t.Topic, p.Partition), err, fromPointer(p.ErrorMessage)))
				continue
			}
			replicas := wishes[p.Partition]
			done = append(done, moved{t.Topic, p.Partition, replicas, replicas == nil})
			if replicas == nil {
				shown.add(t.Topic, p.Partition, "as before")
			} else {
				shown.add(t.Topic, p.Partition, joined(replicas))
			}
		}
	}
	if len(done) > 0 {
		failures = append(failures, m.show(m.conn.output, done, shown))
	}
	return joinErrors(failures)
}

// wait follows the partitions until none is under reassignment. Progress goes to
// standard error, a line when something changed.
func (m *mover) wait(ctx context.Context, partitions []int32) error {
	of := kmsg.NewListPartitionReassignmentsRequestTopic()
	of.Topic, of.Partitions = m.topic, partitions
	return m.follow(ctx, func(ctx context.Context) (string, bool, error) {
		ctx, cancel := context.WithTimeout(ctx, m.conn.timeout)
		defer cancel()
		all, err := reassignments(ctx, m.client, &of)
		if err != nil {
			return "", false, err
		}
		if len(all) == 0 {
			return "done", true, nil
		}
		var parts []string
		for i := range all {
			parts = append(parts, fmt.Sprintf("%s-%d adding %s removing %s", all[i].topic, all[i].Partition, orNone(all[i].AddingReplicas), orNone(all[i].RemovingReplicas)))
		}
		return count(len(all), "partition") + " to go: " + strings.Join(parts[:min(len(parts), 5)], "; "), false, nil
	})
}

// follow asks again and again until it is done, and says on standard error what it
// found whenever that is new.
func (p *program) follow(ctx context.Context, look func(ctx context.Context) (state string, done bool, err error)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for last := ""; ; {
		state, done, err := look(ctx)
		if err != nil {
			return err
		}
		if state != last {
			fmt.Fprintln(p.stderr, state)
			last = state
		}
		if done {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it goes on, only the waiting was ended: %w", ctx.Err())
		}
	}
}
