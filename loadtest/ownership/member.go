package ownership

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/loadtest/lifeline"
)

// Protocol is how a group agrees who owns what.
type Protocol string

// The protocols.
const (
	Eager       Protocol = "eager"       // classic, everybody gives back everything
	Cooperative Protocol = "cooperative" // classic, incremental
	Consumer    Protocol = "consumer"    // KIP-848
	Streams     Protocol = "streams"     // KIP-1071
)

func (p Protocol) options() []kgo.Opt {
	switch p {
	case Eager:
		return []kgo.Opt{kgo.Balancers(kgo.RangeBalancer())}
	case Cooperative:
		return []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}
	default:
		return []kgo.Opt{kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer()}
	}
}

// groupMember is one of a group.
type groupMember interface {
	// kill takes the network away; nobody is told.
	kill()
	// end ends it without a word.
	end()
}

// life is what members of all protocols have in common. It implements groupMember.
type life struct {
	id      int
	client  *kgo.Client
	line    *lifeline.Line
	journal *journal
	stop    context.CancelFunc
	work    sync.WaitGroup
}

// begin starts what a member does, until it ends.
func (l *life) begin(does ...func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	l.stop = cancel
	for _, do := range does {
		l.work.Go(func() { do(ctx) })
	}
}

func (l *life) kill() {
	l.line.Cut(func() { l.journal.note(die, l.id) })
	l.end()
}

func (l *life) end() {
	l.line.Cut(nil)
	l.stop()
	l.work.Wait()
	l.client.Close()
}

// member reads what it is given, and commits.
type member struct{ life }

const (
	heartbeat   = time.Second
	commitEvery = 500 * time.Millisecond
)

func startMember(o *Options, j *journal, id int) (*member, error) {
	line := lifeline.New()
	note := func(k kind) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if list := parts[o.Topic]; len(list) > 0 && !line.IsCut() {
				j.note(k, id, list...)
			}
		}
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ConsumerGroup(o.Group), kgo.ConsumeTopics(o.Topic), kgo.Dialer(line.Dial),
		kgo.SessionTimeout(o.Session), kgo.HeartbeatInterval(heartbeat), kgo.AutoCommitInterval(commitEvery),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.DisableClientMetrics(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(note(take)), kgo.OnPartitionsRevoked(note(give)), kgo.OnPartitionsLost(note(lose)),
		kgo.AdjustFetchOffsetsFn(func(_ context.Context, at map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
			for p, o := range at[o.Topic] {
				j.offset(id, p, o.EpochOffset().Offset, "begins at")
			}
			return at, nil
		}),
		kgo.AutoCommitCallback(func(_ *kgo.Client, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			committed(j, id, req, resp, err)
		}),
		kgo.FetchMaxWait(time.Second), kgo.FetchMaxBytes(1 << 20), kgo.BrokerMaxReadBytes(4 << 20),
	}, o.Protocol.options()...)...)
	if err != nil {
		return nil, err
	}
	m := &member{life{id: id, client: client, line: line, journal: j}}
	m.begin(m.run)
	return m, nil
}

// committed remembers the offsets of a commit.
func committed(j *journal, member int, req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
	outcome := make(map[int32]int16)
	if err == nil {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				outcome[p.Partition] = p.ErrorCode
			}
		}
	}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			j.offset(member, p.Partition, p.Offset, fmt.Sprintf("commits as of epoch=%d with error=%v code=%d", req.Generation, err, outcome[p.Partition]))
		}
	}
}

func (m *member) run(ctx context.Context) {
	for ctx.Err() == nil {
		m.client.PollFetches(ctx)
	}
}
