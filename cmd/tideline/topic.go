package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicCommand is `tideline topic`.
func (p *program) topicCommand() *cobra.Command {
	return p.group("topic", "Create, list, describe, alter and delete topics",
		p.topicCreateCommand(), p.topicListCommand(), p.topicDescribeCommand(), p.topicAlterCommand(), p.topicDeleteCommand())
}

// parseConfigs reads key=value pairs. The broker checks keys and values.
func parseConfigs(pairs []string) (map[string]*string, error) {
	configs := map[string]*string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usagef("--config takes key=value, got %q", pair)
		}
		configs[key] = &value
	}
	return configs, nil
}

func (p *program) topicCreateCommand() *cobra.Command {
	var (
		partitions  int32
		replicas    int16
		pairs       []string
		ifNotExists bool
		dryRun      bool
	)
	c := &cobra.Command{
		Use:     "create TOPIC…",
		Short:   "Create topics",
		Example: "  tideline topic create orders --partitions 6 --config retention.ms=86400000",
		Args:    cobra.MinimumNArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().Int32VarP(&partitions, "partitions", "p", -1, "`number` of partitions; -1 leaves it to the broker")
	c.Flags().Int16VarP(&replicas, "replication-factor", "r", -1, "`number` of replicas; -1 leaves it to the broker")
	c.Flags().StringArrayVarP(&pairs, "config", "c", nil, "a topic setting, `key=value`; may be given again")
	c.Flags().BoolVar(&ifNotExists, "if-not-exists", false, "a topic that is there already is no failure")
	c.Flags().BoolVar(&dryRun, "validate-only", false, "only check that it could be created")
	c.RunE = p.does(func(ctx context.Context, topics []string) error {
		configs, err := parseConfigs(pairs)
		if err != nil {
			return err
		}
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			create := admin.CreateTopics
			if dryRun {
				create = admin.ValidateCreateTopics
			}
			responses, err := create(ctx, partitions, replicas, configs, topics...)
			if err != nil {
				return err
			}
			type created struct {
				Topic      string `json:"topic"`
				Partitions int32  `json:"partitions"`
				Replicas   int16  `json:"replication_factor"`
				Existed    bool   `json:"existed,omitempty"`
			}
			var done []created
			var failures []error
			t := newTable("TOPIC", "PARTITIONS", "REPLICAS")
			for _, topic := range topics {
				r, err := responses.On(topic, nil)
				if err != nil {
					return err
				}
				existed := ifNotExists && errors.Is(r.Err, kerr.TopicAlreadyExists)
				if r.Err != nil && !existed {
					failures = append(failures, answered(r.Topic, r.Err, r.ErrMessage))
					continue
				}
				done = append(done, created{r.Topic, r.NumPartitions, r.ReplicationFactor, existed})
				if existed {
					t.add(r.Topic, "exists", "")
				} else {
					t.add(r.Topic, r.NumPartitions, r.ReplicationFactor)
				}
			}
			if len(done) > 0 {
				failures = append(failures, p.show(conn.output, done, t))
			}
			return joinErrors(failures)
		})
	})
	return c
}

// joinErrors puts errors on one line.
func joinErrors(errs []error) error {
	var found []error
	for _, err := range errs {
		if err != nil {
			found = append(found, err)
		}
	}
	switch len(found) {
	case 0:
		return nil
	case 1:
		return found[0]
	}
	texts := make([]string, len(found))
	for i, err := range found {
		texts[i] = err.Error()
	}
	return errors.New(strings.Join(texts, "; "))
}

func (p *program) topicListCommand() *cobra.Command {
	var internal bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the topics",
		Args:  cobra.NoArgs,
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().BoolVar(&internal, "internal", false, "also the internal ones")
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			topics, err := admin.ListTopicsWithInternal(ctx)
			if err != nil {
				return err
			}
			type listed struct {
				Topic      string `json:"topic"`
				Partitions int    `json:"partitions"`
				Replicas   int    `json:"replication_factor"`
				Internal   bool   `json:"internal"`
			}
			list := []listed{}
			t := newTable("TOPIC", "PARTITIONS", "REPLICAS")
			for _, d := range topics.Sorted() {
				if d.IsInternal && !internal {
					continue
				}
				list = append(list, listed{d.Topic, len(d.Partitions), d.Partitions.NumReplicas(), d.IsInternal})
				t.add(d.Topic, len(d.Partitions), d.Partitions.NumReplicas())
			}
			return p.show(conn.output, list, t)
		})
	})
	return c
}

// describedTopic is one topic in the JSON of `topic describe`.
type describedTopic struct {
	Topic      string               `json:"topic"`
	ID         string               `json:"id"`
	Internal   bool                 `json:"internal"`
	Partitions []describedPartition `json:"partitions"`
	Configs    []describedConfig    `json:"configs"`
}

type describedPartition struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Epoch     int32   `json:"leader_epoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	ELR       []int32 `json:"elr,omitempty"`            // may be elected, though not in sync
	LastELR   []int32 `json:"last_known_elr,omitempty"` // were in it, and lost their logs
	Offline   []int32 `json:"offline_replicas,omitempty"`
	Start     int64   `json:"start_offset"`
	End       int64   `json:"end_offset"`
	Error     string  `json:"error,omitempty"`
}

type describedConfig struct {
	Key    string  `json:"key"`
	Value  *string `json:"value"`
	Source string  `json:"source"`
}

func (p *program) topicDescribeCommand() *cobra.Command {
	var all bool
	c := &cobra.Command{
		Use:   "describe [TOPIC…]",
		Short: "Show partitions, replicas, offsets and settings of topics; of all when none is named",
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().BoolVar(&all, "all-configs", false, "also the settings that have their default value")
	c.RunE = p.does(func(ctx context.Context, names []string) error {
		return conn.connected(ctx, func(ctx context.Context, client *kgo.Client) error {
			admin := conn.adminOf(client)
			details, err := admin.ListTopicsWithInternal(ctx, names...)
			if err != nil {
				return err
			}
			if len(names) == 0 {
				details.FilterInternal()
			}
			if err := details.Error(); err != nil {
				for _, d := range details.Sorted() {
					if d.Err != nil {
						return fmt.Errorf("%s: %w", d.Topic, d.Err)
					}
				}
			}
			list, err := describeTopics(ctx, admin, details, all)
			if err != nil {
				return err
			}
			eligible(ctx, client, list)
			return p.show(conn.output, list, topicTables(list)...)
		})
	})
	return c
}

func describeTopics(ctx context.Context, admin *kadm.Client, details kadm.TopicDetails, all bool) ([]describedTopic, error) {
	list := []describedTopic{}
	if len(details) == 0 {
		return list, nil
	}
	names := details.Names()
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	configs, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, err
	}
	for _, d := range details.Sorted() {
		topic := describedTopic{Topic: d.Topic, ID: base64.RawURLEncoding.EncodeToString(d.ID[:]), Internal: d.IsInternal, Configs: []describedConfig{}}
		for _, part := range d.Partitions.Sorted() {
			one := describedPartition{
				Partition: part.Partition, Leader: part.Leader, Epoch: part.LeaderEpoch, Replicas: part.Replicas, ISR: part.ISR,
				Offline: part.OfflineReplicas, Start: -1, End: -1,
			}
			problems := []error{part.Err}
			if o, ok := starts.Lookup(d.Topic, part.Partition); ok {
				one.Start, problems = o.Offset, append(problems, o.Err)
			}
			if o, ok := ends.Lookup(d.Topic, part.Partition); ok {
				one.End, problems = o.Offset, append(problems, o.Err)
			}
			if err := joinErrors(problems); err != nil {
				one.Error = err.Error()
			}
			topic.Partitions = append(topic.Partitions, one)
		}
		resource, err := configs.On(d.Topic, nil)
		if err == nil {
			err = answered(d.Topic, resource.Err, resource.ErrMessage)
		}
		if err != nil {
			return nil, err
		}
		sort.Slice(resource.Configs, func(i, j int) bool { return resource.Configs[i].Key < resource.Configs[j].Key })
		for _, c := range resource.Configs {
			if all || c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				topic.Configs = append(topic.Configs, describedConfig{c.Key, c.Value, c.Source.String()})
			}
		}
		list = append(list, topic)
	}
	return list, nil
}

// eligible adds the eligible leader replicas. A broker that does not know the
// request does not have them either, so that its failure is none of the command.
func eligible(ctx context.Context, client *kgo.Client, list []describedTopic) {
	at := map[string]int{}
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	for i := range list {
		at[list[i].Topic] = i
		t := kmsg.NewDescribeTopicPartitionsRequestTopic()
		t.Topic = list[i].Topic
		req.Topics = append(req.Topics, t)
	}
	for len(list) > 0 {
		resp, err := req.RequestWith(ctx, client)
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			i, ok := at[fromPointer(t.Topic)]
			if !ok {
				continue
			}
			for _, p := range t.Partitions {
				parts := list[i].Partitions
				if n, ok := slices.BinarySearchFunc(parts, p.Partition, func(d describedPartition, index int32) int { return cmp.Compare(d.Partition, index) }); ok {
					parts[n].ELR, parts[n].LastELR = p.EligibleLeaderReplicas, p.LastKnownELR
				}
			}
		}
		next := resp.NextCursor
		if next == nil || req.Cursor != nil && next.Topic == req.Cursor.Topic && next.Partition == req.Cursor.Partition {
			return
		}
		cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
		cursor.Topic, cursor.Partition = next.Topic, next.Partition
		req.Cursor = &cursor
	}
}

func topicTables(list []describedTopic) []*table {
	partitions := newTable("TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "ELR", "START", "END", "ERROR")
	configs := newTable("TOPIC", "CONFIG", "VALUE", "SOURCE")
	for _, t := range list {
		for _, part := range t.Partitions {
			partitions.add(t.Topic, part.Partition, part.Leader, part.Epoch, joined(part.Replicas), joined(part.ISR), dashIf(len(part.ELR) == 0, joined(part.ELR)), part.Start, part.End, part.Error)
		}
		for _, c := range t.Configs {
			value := "null"
			if c.Value != nil {
				value = *c.Value
			}
			configs.add(t.Topic, c.Key, value, c.Source)
		}
	}
	if len(configs.rows) == 0 {
		return []*table{partitions}
	}
	return []*table{partitions, configs}
}

func (p *program) topicAlterCommand() *cobra.Command {
	var (
		partitions int
		set        []string
		unset      []string
	)
	c := &cobra.Command{
		Use:     "alter TOPIC…",
		Short:   "Change settings of topics, or add partitions",
		Example: "  tideline topic alter orders --config retention.ms=3600000 --delete-config retention.bytes --partitions 12",
		Args:    cobra.MinimumNArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().IntVarP(&partitions, "partitions", "p", 0, "raise the `number` of partitions to this")
	c.Flags().StringArrayVarP(&set, "config", "c", nil, "set a topic setting, `key=value`; may be given again")
	c.Flags().StringArrayVar(&unset, "delete-config", nil, "take a topic setting back, `key`; may be given again")
	c.RunE = p.does(func(ctx context.Context, topics []string) error {
		configs, err := parseConfigs(set)
		if err != nil {
			return err
		}
		var changes []kadm.AlterConfig
		for key, value := range configs {
			changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: value})
		}
		for _, key := range unset {
			if configs[key] != nil {
				return usagef("%s is both set and taken back", key)
			}
			changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key})
		}
		if len(changes) == 0 && partitions == 0 {
			return usagef("nothing to change: --config, --delete-config or --partitions")
		}
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			var failures []error
			if len(changes) > 0 {
				responses, err := admin.AlterTopicConfigs(ctx, changes, topics...)
				if err != nil {
					return err
				}
				for _, r := range responses {
					failures = append(failures, answered(r.Name, r.Err, r.ErrMessage))
				}
			}
			if partitions != 0 && joinErrors(failures) == nil {
				responses, err := admin.UpdatePartitions(ctx, partitions, topics...)
				if err != nil {
					return err
				}
				for _, r := range responses.Sorted() {
					failures = append(failures, answered(r.Topic, r.Err, r.ErrMessage))
				}
			}
			return joinErrors(failures)
		})
	})
	return c
}

func (p *program) topicDeleteCommand() *cobra.Command {
	var ifExists bool
	c := &cobra.Command{
		Use:   "delete TOPIC…",
		Short: "Delete topics and all their records",
		Args:  cobra.MinimumNArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().BoolVar(&ifExists, "if-exists", false, "a topic that is not there is no failure")
	c.RunE = p.does(func(ctx context.Context, topics []string) error {
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			responses, err := admin.DeleteTopics(ctx, topics...)
			if err != nil {
				return err
			}
			var failures []error
			for _, r := range responses.Sorted() {
				if ifExists && errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
					continue
				}
				failures = append(failures, answered(r.Topic, r.Err, r.ErrMessage))
			}
			return joinErrors(failures)
		})
	})
	return c
}
