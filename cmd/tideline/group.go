package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// groupCommand is `tideline group`.
func (p *program) groupCommand() *cobra.Command {
	return p.group("group", "List, describe, reset and delete consumer groups",
		p.groupListCommand(), p.groupDescribeCommand(), p.groupResetCommand(), p.groupDeleteCommand())
}

func (p *program) groupListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the consumer groups",
		Args:  cobra.NoArgs,
	}
	conn := p.connectionFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			groups, err := admin.ListGroups(ctx)
			if err != nil {
				return err
			}
			type listed struct {
				Group       string `json:"group"`
				State       string `json:"state"`
				Protocol    string `json:"protocol_type"`
				Coordinator int32  `json:"coordinator"`
			}
			list := []listed{}
			t := newTable("GROUP", "STATE", "TYPE", "COORDINATOR")
			for _, g := range groups.Sorted() {
				list = append(list, listed{g.Group, g.State, g.ProtocolType, g.Coordinator})
				t.add(g.Group, g.State, g.ProtocolType, g.Coordinator)
			}
			return p.show(conn.output, list, t)
		})
	})
	return c
}

// describedGroup is one group in the JSON of `group describe`.
type describedGroup struct {
	Group       string       `json:"group"`
	State       string       `json:"state"`
	Assignor    string       `json:"assignor"`
	Coordinator int32        `json:"coordinator"`
	Members     int          `json:"members"`
	Lag         int64        `json:"lag"`
	Partitions  []groupShare `json:"partitions"`
}

type groupShare struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed_offset"` // -1: none
	End       int64  `json:"end_offset"`
	Lag       int64  `json:"lag"` // -1: not known
	Member    string `json:"member,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	Host      string `json:"host,omitempty"`
	Error     string `json:"error,omitempty"`
}

func (p *program) groupDescribeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "describe GROUP…",
		Short: "Show members, committed offsets and lag of groups",
		Args:  cobra.MinimumNArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, groups []string) error {
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			lags, err := admin.Lag(ctx, groups...)
			if err != nil {
				return err
			}
			list := []describedGroup{}
			heads := newTable("GROUP", "STATE", "ASSIGNOR", "COORDINATOR", "MEMBERS", "LAG")
			shares := newTable("GROUP", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "HOST")
			for _, l := range lags.Sorted() {
				if err := l.Error(); err != nil {
					return fmt.Errorf("%s: %w", l.Group, err)
				}
				if l.State == "Dead" {
					return fmt.Errorf("%s: no such group", l.Group)
				}
				g := describeGroup(l)
				list = append(list, g)
				heads.add(g.Group, g.State, g.Assignor, g.Coordinator, g.Members, g.Lag)
				for _, s := range g.Partitions {
					shares.add(g.Group, s.Topic, s.Partition, dashIf(s.Committed < 0, s.Committed), dashIf(s.End < 0, s.End), dashIf(s.Lag < 0, s.Lag),
						dashIf(s.Member == "", s.Member), dashIf(s.Host == "", s.Host))
				}
			}
			if len(shares.rows) == 0 {
				return p.show(conn.output, list, heads)
			}
			return p.show(conn.output, list, heads, shares)
		})
	})
	return c
}

func dashIf(absent bool, value any) any {
	if absent {
		return "-"
	}
	return value
}

func describeGroup(l kadm.DescribedGroupLag) describedGroup {
	g := describedGroup{
		Group: l.Group, State: l.State, Assignor: l.Protocol, Coordinator: l.Coordinator.NodeID,
		Members: len(l.Members), Lag: l.Lag.Total(), Partitions: []groupShare{},
	}
	for _, m := range l.Lag.Sorted() {
		s := groupShare{Topic: m.Topic, Partition: m.Partition, Committed: m.Commit.At, End: m.End.Offset, Lag: m.Lag}
		if m.Member != nil {
			s.Member, s.ClientID, s.Host = m.Member.MemberID, m.Member.ClientID, m.Member.ClientHost
		}
		if m.Err != nil {
			s.Error = m.Err.Error()
		}
		g.Partitions = append(g.Partitions, s)
	}
	return g
}

// resetFlags says where `group reset-offsets` sets the offsets.
type resetFlags struct {
	topics     []string
	partitions []int32
	to         string
	shift      int64
	execute    bool
}

func (p *program) groupResetCommand() *cobra.Command {
	var f resetFlags
	c := &cobra.Command{
		Use:   "reset-offsets GROUP",
		Short: "Set a group's committed offsets; only shows what would be done unless --execute",
		Long: `Set a group's committed offsets. The group must have no members.

Without --execute nothing is changed: the plan is shown. Without --topic the
topics are those that the group has committed offsets for. Offsets are held
between the start and the end of each partition.`,
		Example: `  tideline group reset-offsets billing --to earliest
  tideline group reset-offsets billing --to @2026-01-31T12:00:00Z --topic orders --execute
  tideline group reset-offsets billing --shift-by -100 --execute`,
		Args: cobra.ExactArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().StringArrayVar(&f.topics, "topic", nil, "reset this `topic`; may be given again")
	c.Flags().Int32SliceVarP(&f.partitions, "partition", "p", nil, "only these `partitions`; with one --topic")
	c.Flags().StringVar(&f.to, "to", "", "`where`: earliest, latest, a number, -N (N before the end) or @TIME (RFC 3339, milliseconds, or -1h for an hour ago)")
	c.Flags().Int64Var(&f.shift, "shift-by", 0, "move each committed offset by this `number`")
	c.Flags().BoolVar(&f.execute, "execute", false, "do it")
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		point, err := f.point(c.Flags().Changed("shift-by"), time.Now())
		if err != nil {
			return err
		}
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			return p.resetOffsets(ctx, admin, conn.output, f, point, args[0])
		})
	})
	return c
}

// point returns where to set the offsets, or nil to shift them.
func (f *resetFlags) point(shift bool, now time.Time) (*startPoint, error) {
	switch {
	case shift == (f.to != ""):
		return nil, usagef("one of --to and --shift-by is needed")
	case len(f.partitions) > 0 && len(f.topics) != 1:
		return nil, usagef("--partition needs exactly one --topic")
	case shift:
		return nil, nil
	}
	point, err := parseStart(f.to, now)
	return &point, err
}

// resetOffset is one line of the plan.
type resetOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Before    int64  `json:"before"` // -1: none
	After     int64  `json:"after"`
}

func (p *program) resetOffsets(ctx context.Context, admin *kadm.Client, how output, f resetFlags, point *startPoint, group string) error {
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		return err
	}
	d := described[group]
	fresh := errors.Is(d.Err, kerr.GroupIDNotFound) // it begins with these offsets
	if d.Err != nil && !fresh {
		return answered(group, d.Err, d.ErrMessage)
	}
	if !fresh && d.State != "Empty" && d.State != "Dead" {
		return fmt.Errorf("%s: the group is in use (state %s, %d members); stop them first", group, d.State, len(d.Members))
	}
	var committed kadm.OffsetResponses
	if !fresh {
		if committed, err = admin.FetchOffsets(ctx, group); err != nil {
			return err
		}
	}
	topics := f.topics
	if len(topics) == 0 {
		for topic := range committed {
			topics = append(topics, topic)
		}
		sort.Strings(topics)
	}
	if len(topics) == 0 {
		return fmt.Errorf("%s has no committed offsets; name the topics with --topic", group)
	}
	plan := []resetOffset{}
	for _, topic := range topics {
		lines, err := planReset(ctx, admin, f, point, topic, committed)
		if err != nil {
			return err
		}
		plan = append(plan, lines...)
	}
	if f.execute {
		offsets := kadm.Offsets{}
		for _, line := range plan {
			offsets.AddOffset(line.Topic, line.Partition, line.After, -1)
		}
		if err := admin.CommitAllOffsets(ctx, group, offsets); err != nil {
			return fmt.Errorf("%s: %w", group, err)
		}
	}
	t := newTable("TOPIC", "PARTITION", "BEFORE", "AFTER")
	for _, line := range plan {
		t.add(line.Topic, line.Partition, dashIf(line.Before < 0, line.Before), line.After)
	}
	if err := p.show(how, plan, t); err != nil {
		return err
	}
	if !f.execute {
		fmt.Fprintln(p.stderr, "nothing was changed; --execute does it")
	}
	return nil
}

// planReset returns the new offsets of one topic.
func planReset(ctx context.Context, admin *kadm.Client, f resetFlags, point *startPoint, topic string, committed kadm.OffsetResponses) ([]resetOffset, error) {
	partitions, err := topicPartitions(ctx, admin, topic, f.partitions)
	if err != nil {
		return nil, err
	}
	resolve := startPoint{kind: startEarliest}
	if point != nil {
		resolve = *point
	}
	starts, ends, err := resolve.resolve(ctx, admin, topic, partitions, false)
	if err != nil {
		return nil, err
	}
	var plan []resetOffset
	for _, partition := range partitions {
		line := resetOffset{Topic: topic, Partition: partition, Before: -1, After: starts[partition]}
		if o, ok := committed.Lookup(topic, partition); ok {
			if o.Err != nil {
				return nil, fmt.Errorf("%s partition %d: %w", topic, partition, o.Err)
			}
			line.Before = o.At
		}
		switch {
		case point == nil && line.Before < 0:
			continue // nothing to shift
		case point == nil:
			line.After = max(starts[partition], min(line.Before+f.shift, ends[partition]))
		case len(f.topics) == 0 && line.Before < 0:
			continue // the group does not consume this partition
		}
		plan = append(plan, line)
	}
	return plan, nil
}

func (p *program) groupDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "delete GROUP…",
		Short: "Delete groups and their committed offsets",
		Args:  cobra.MinimumNArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, groups []string) error {
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			responses, err := admin.DeleteGroups(ctx, groups...)
			if err != nil && len(responses) == 0 {
				return err
			}
			var failures []error
			for _, r := range responses.Sorted() {
				failures = append(failures, answered(r.Group, r.Err, r.ErrMessage))
			}
			if err != nil && joinErrors(failures) == nil {
				return err
			}
			return joinErrors(failures)
		})
	})
	return c
}
