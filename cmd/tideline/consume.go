package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeFlags is what `tideline consume` takes beside the connection.
type consumeFlags struct {
	fromBeginning bool
	offset        string
	partitions    []int32
	group         string
	maxMessages   int64
	untilEnd      bool
	idleTimeout   time.Duration
	isolation     string
	rack          string
	format        recordFormat
}

// consumeCommand is `tideline consume`: records to standard output.
func (p *program) consumeCommand() *cobra.Command {
	var f consumeFlags
	c := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Print the records of a topic",
		Long: `Print the records of a topic, one line each, until a signal comes.

Without --group it starts at the end of every partition, or where --offset or
--from-beginning say. With --group it goes on where the group stopped, and
commits what it has printed; --offset and --from-beginning then count for
partitions without a committed offset.`,
		Example: `  tideline consume orders --from-beginning --until-end
  tideline consume orders --offset @2026-01-31T12:00:00Z --format json
  tideline consume orders --offset -10 --partition 0 --print-key --print-offset`,
		Args: cobra.ExactArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().BoolVar(&f.fromBeginning, "from-beginning", false, "the same as --offset earliest")
	c.Flags().StringVar(&f.offset, "offset", "", "where to start: earliest, latest, a `number`, -N (N before the end), or @TIME (RFC 3339 or milliseconds)")
	c.Flags().Int32SliceVarP(&f.partitions, "partition", "p", nil, "only these `partitions`")
	c.Flags().StringVarP(&f.group, "group", "g", "", "consume as a member of this `group`")
	c.Flags().Int64VarP(&f.maxMessages, "max-messages", "n", 0, "stop after `number` records")
	c.Flags().BoolVarP(&f.untilEnd, "until-end", "e", false, "stop at what was the end of each partition at the start")
	c.Flags().DurationVar(&f.idleTimeout, "idle-timeout", 0, "stop when nothing came for so long")
	c.Flags().StringVar(&f.isolation, "isolation", "read_committed", "read_committed or read_uncommitted (also open and aborted transactions)")
	c.Flags().StringVar(&f.rack, "rack", "", "the `rack` of this client, to read from a replica in it")
	f.format.flags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		return p.consume(ctx, conn, f, args[0])
	})
	return c
}

// start returns where to begin, as the flags say.
func (f *consumeFlags) start(now time.Time) (startPoint, error) {
	switch {
	case f.fromBeginning && f.offset != "":
		return startPoint{}, usagef("--from-beginning and --offset exclude each other")
	case f.fromBeginning:
		return startPoint{kind: startEarliest}, nil
	case f.offset == "":
		return startPoint{kind: startLatest}, nil
	}
	return parseStart(f.offset, now)
}

func (f *consumeFlags) check() error {
	switch {
	case f.group != "" && f.untilEnd:
		return usagef("--until-end and --group exclude each other: members share the partitions; see --idle-timeout")
	case f.group != "" && len(f.partitions) > 0:
		return usagef("--partition and --group exclude each other")
	case f.maxMessages < 0:
		return usagef("--max-messages must not be negative")
	case f.isolation != "read_committed" && f.isolation != "read_uncommitted":
		return usagef("unknown --isolation %s: allowed are read_committed and read_uncommitted", f.isolation)
	}
	return nil
}

func (p *program) consume(ctx context.Context, conn *connection, f consumeFlags, topic string) error {
	if err := f.check(); err != nil {
		return err
	}
	if conn.output == outputJSON {
		f.format.kind = "json"
	}
	if err := f.format.check(); err != nil {
		return err
	}
	start, err := f.start(time.Now())
	if err != nil {
		return err
	}
	var ends map[int32]int64
	options := []kgo.Opt{
		kgo.FetchMaxBytes(64 << 20),
		kgo.FetchMaxPartitionBytes(8 << 20),
		kgo.MaxConcurrentFetches(4),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.Rack(f.rack),
		kgo.KeepControlRecords(), // a marker may be the last offset before the end
	}
	if f.isolation == "read_committed" {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	err = conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
		if f.group != "" {
			options = append(options, kgo.ConsumeTopics(topic), kgo.ConsumerGroup(f.group), kgo.ConsumeResetOffset(start.relative()), kgo.DisableAutoCommit())
			_, err := topicPartitions(ctx, admin, topic, nil)
			return err
		}
		partitions, err := topicPartitions(ctx, admin, topic, f.partitions)
		if err != nil {
			return err
		}
		starts, endsNow, err := start.resolve(ctx, admin, topic, partitions, f.isolation == "read_committed")
		if err != nil {
			return err
		}
		from := map[int32]kgo.Offset{}
		for partition, offset := range starts {
			from[partition] = kgo.NewOffset().At(offset)
		}
		options = append(options, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
		if f.untilEnd {
			ends = map[int32]int64{}
			for partition, end := range endsNow {
				if starts[partition] < end {
					ends[partition] = end
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if ends != nil && len(ends) == 0 {
		return nil
	}
	client, err := conn.client(ctx, options...)
	if err != nil {
		return err
	}
	defer client.Close()
	return p.poll(ctx, client, f, ends)
}

// topicPartitions returns the partitions that were asked for, or all, and fails
// when the topic does not have them.
func topicPartitions(ctx context.Context, admin *kadm.Client, topic string, asked []int32) ([]int32, error) {
	details, err := admin.ListTopicsWithInternal(ctx, topic)
	if err != nil {
		return nil, err
	}
	d := details[topic]
	if d.Err != nil {
		return nil, fmt.Errorf("%s: %w", topic, d.Err)
	}
	for _, partition := range asked {
		if _, ok := d.Partitions[partition]; !ok {
			return nil, fmt.Errorf("%s has no partition %d: it has %d partitions", topic, partition, len(d.Partitions))
		}
	}
	if len(asked) > 0 {
		return asked, nil
	}
	return d.Partitions.Numbers(), nil
}

// quietEnd is how long --until-end waits for records that the ends promise. A
// partition whose last records were compacted away sends none.
const quietEnd = 10 * time.Second

// poll prints until a signal, a limit or the ends are reached.
func (p *program) poll(ctx context.Context, client *kgo.Client, f consumeFlags, ends map[int32]int64) error {
	out := bufio.NewWriterSize(p.stdout, 256<<10)
	idle := f.idleTimeout
	if idle == 0 && ends != nil {
		idle = quietEnd
	}
	var printed int64
	for {
		most := 10_000
		if f.maxMessages > 0 {
			most = int(min(f.maxMessages-printed, int64(most)))
		}
		fetches, err := pollRecords(ctx, client, most, idle)
		if err != nil {
			return err
		}
		var done []*kgo.Record
		var failed error
		fetches.EachRecord(func(r *kgo.Record) {
			end, bounded := ends[r.Partition]
			if bounded && r.Offset+1 >= end {
				delete(ends, r.Partition)
			}
			if failed != nil || ends != nil && (!bounded || r.Offset >= end) {
				return // past the end that was asked for
			}
			done = append(done, r)
			if r.Attrs.IsControl() {
				return
			}
			printed++
			failed = f.format.write(out, r)
		})
		if failed == nil {
			failed = out.Flush()
		}
		if failed != nil {
			return failed
		}
		if f.group != "" && len(done) > 0 {
			// Not with ctx: what was printed is committed even when a signal came.
			commit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			err := client.CommitRecords(commit, done...)
			cancel()
			if err != nil {
				return fmt.Errorf("commit: %w", err)
			}
		}
		switch {
		case ctx.Err() != nil, f.maxMessages > 0 && printed >= f.maxMessages, ends != nil && len(ends) == 0:
			return nil
		case fetches.Empty() && f.idleTimeout > 0:
			return nil
		case fetches.Empty() && ends != nil:
			return fmt.Errorf("nothing came for %s before the end of %d partitions", quietEnd, len(ends))
		}
	}
}

// pollRecords waits for records, for a signal, or for the idle timeout when there
// is one; the latter two give no records and no error.
func pollRecords(ctx context.Context, client *kgo.Client, most int, idle time.Duration) (kgo.Fetches, error) {
	wait := ctx
	if idle > 0 {
		var cancel context.CancelFunc
		wait, cancel = context.WithTimeout(ctx, idle)
		defer cancel()
	}
	fetches := client.PollRecords(wait, most)
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.Canceled), errors.Is(e.Err, context.DeadlineExceeded):
			continue
		case e.Topic == "":
			return nil, e.Err
		}
		return nil, fmt.Errorf("%s partition %d: %w", e.Topic, e.Partition, e.Err)
	}
	return fetches, nil
}

// formatKinds are the values of --format.
var formatKinds = []string{"text", "json"}

func (r *recordFormat) check() error {
	for _, kind := range formatKinds {
		if r.kind == kind {
			return nil
		}
	}
	return usagef("unknown --format %s: allowed are %s", r.kind, strings.Join(formatKinds, " and "))
}
