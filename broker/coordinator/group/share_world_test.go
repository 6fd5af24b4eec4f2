package group

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// fakeShares are the coordinators of share partitions, and the tasks that ask them.
type fakeShares struct {
	states map[share.Key]share.State
	fail   error    // of all that is asked
	asked  []string // what was asked
	hold   bool     // tasks wait
	tasks  []func(context.Context)
}

func (f *fakeShares) Initialize(_ context.Context, k share.Key, epoch int32, start int64) error {
	f.asked = append(f.asked, fmt.Sprintf("init id%d/%d epoch=%d start=%d", k.Topic[15], k.Partition, epoch, start))
	if f.fail != nil {
		return f.fail
	}
	if is, ok := f.states[k]; ok && is.StateEpoch > epoch {
		return share.ErrFencedStateEpoch
	}
	f.states[k] = share.State{StateEpoch: epoch, LeaderEpoch: -1, Start: start, DeliveryCompleteCount: -1}
	return nil
}

func (f *fakeShares) Delete(_ context.Context, k share.Key) error {
	f.asked = append(f.asked, fmt.Sprintf("delete id%d/%d", k.Topic[15], k.Partition))
	if f.fail == nil {
		delete(f.states, k)
	}
	return f.fail
}

func (f *fakeShares) Summary(_ context.Context, k share.Key) (share.State, error) {
	if s, ok := f.states[k]; ok || f.fail != nil {
		return s, f.fail
	}
	return share.State{Start: -1, DeliveryCompleteCount: -1}, nil
}

// serveShares gives the world its share coordinators.
func (w *world) serveShares() {
	w.shares = &fakeShares{states: map[share.Key]share.State{}}
	w.co.shares = &shareTasks{
		states: w.shares, width: 1, logger: slog.New(slog.DiscardHandler),
		ends: func(context.Context, string, int32) (int64, error) { return 100, nil },
		start: func(task func(context.Context)) bool {
			w.shares.tasks = append(w.shares.tasks, task)
			return true
		},
	}
}

// runTasks runs the tasks that were started, and those that come of them.
func (w *world) runTasks() {
	for len(w.shares.tasks) > 0 && !w.shares.hold {
		task := w.shares.tasks[0]
		w.shares.tasks = w.shares.tasks[1:]
		task(context.Background())
		w.pump()
	}
}

// checkShareGroup asserts what always holds of a share group.
func (w *world) checkShareGroup(id string, g *shareGroup) {
	w.t.Helper()
	if !slices.IsSortedFunc(g.members, func(a, b *shareMember) int { return cmpString(a.id, b.id) }) {
		w.t.Fatalf("group %q is out of order", id)
	}
	for _, m := range g.members {
		if m.epoch > g.assigned {
			w.t.Fatalf("group %q: member %q is at epoch %d of %d", id, m.id, m.epoch, g.assigned)
		}
		if m.epoch == g.assigned && !m.owned.equal(g.targets[m.id]) {
			w.t.Fatalf("group %q: member %q has not its target at epoch %d", id, m.id, m.epoch)
		}
	}
	for member, target := range g.targets {
		if g.member(member) == nil {
			w.t.Fatalf("group %q: target of %q, who is no member", id, member)
		}
		for topic, ps := range target {
			if name, ok := w.topics.Name(topic); !ok || !g.subscribesTo(name) {
				continue // a later heartbeat will see it
			}
			for _, p := range ps {
				if !g.parts.initialized.has(topic, p) && g.assigned == g.epoch && g.parts.deleting[topic] == "" {
					w.t.Fatalf("group %q: %q is assigned partition %d, which has not begun", id, member, p)
				}
			}
		}
	}
	for topic := range g.parts.initialized {
		for _, p := range g.parts.initializing[topic].partitions {
			if g.parts.initialized.has(topic, p) {
				w.t.Fatalf("group %q: partition %d has begun and is to begin", id, p)
			}
		}
	}
}

func buildShareRequest(t *testing.T, name string, a scripttest.Line) kmsg.Request {
	group := a.Str("group", "g")
	offsets := func(each func(topic string, partition int32, offset int64)) {
		for _, word := range a.Words {
			var partition int32
			var offset int64
			topic, rest, _ := strings.Cut(word, "/")
			if n, err := fmt.Sscanf(rest, "%d:%d", &partition, &offset); n < 1 {
				t.Fatalf("%s: %v", a.Text, err)
			}
			each(topic, partition, offset)
		}
	}
	switch name {
	case "share-beat":
		r := kmsg.NewPtrShareGroupHeartbeatRequest()
		r.Version, r.GroupID, r.MemberID, r.MemberEpoch, r.RackID = 1, group, a.Str("member", ""), int32(a.Num("at", 0)), a.Opt("rack")
		r.SubscribedTopicNames = a.List("topics")
		return r
	case "describe-share":
		r := kmsg.NewPtrShareGroupDescribeRequest()
		r.Version, r.GroupIDs = 1, a.Words
		return r
	case "share-offsets":
		r := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
		r.Version = 1
		g := kmsg.NewDescribeShareGroupOffsetsRequestGroup()
		g.GroupID = group
		offsets(func(topic string, partition int32, _ int64) {
			g.Topics = append(g.Topics, kmsg.DescribeShareGroupOffsetsRequestGroupTopic{Topic: topic, Partitions: []int32{partition}})
		})
		r.Groups = append(r.Groups, g)
		return r
	case "alter-share":
		r := kmsg.NewPtrAlterShareGroupOffsetsRequest()
		r.GroupID = group
		offsets(func(topic string, partition int32, offset int64) {
			r.Topics = append(r.Topics, kmsg.AlterShareGroupOffsetsRequestTopic{Topic: topic, Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{Partition: partition, StartOffset: offset}}})
		})
		return r
	case "delete-share":
		r := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
		r.GroupID = group
		for _, topic := range a.Words {
			r.Topics = append(r.Topics, kmsg.DeleteShareGroupOffsetsRequestTopic{Topic: topic})
		}
		return r
	}
	return nil
}

func describeShareResponse(resp kmsg.Response, add func(string, ...any)) bool {
	switch r := resp.(type) {
	case *kmsg.ShareGroupHeartbeatResponse:
		add("%s", errorName(r.ErrorCode))
		if r.ErrorCode != 0 {
			break
		}
		add("%s at=%d", deref(r.MemberID), r.MemberEpoch)
		if r.Assignment != nil {
			a := assignment{}
			for _, t := range r.Assignment.TopicPartitions {
				a.add(t.TopicID, t.Partitions...)
			}
			add("%s", partitionsText(a))
		}
	case *kmsg.ShareGroupDescribeResponse:
		for _, g := range r.Groups {
			add("%s:%s %s epoch=%d assigned=%d assignor=%s", g.GroupID, errorName(g.ErrorCode), g.GroupState, g.GroupEpoch, g.AssignmentEpoch, g.Assignor)
			for _, m := range g.Members {
				a := assignment{}
				for _, t := range m.Assignment.TopicPartitions {
					a.add(t.TopicID, t.Partitions...)
				}
				add("%s[%s,%s]at=%d,topics=%s,has=%s", m.MemberID, m.ClientID, m.ClientHost, m.MemberEpoch, strings.Join(m.SubscribedTopicNames, "+"), partitionsText(a))
			}
		}
	case *kmsg.DescribeShareGroupOffsetsResponse:
		for _, g := range r.Groups {
			add("%s:%s", g.GroupID, errorName(g.ErrorCode))
			for _, t := range g.Topics {
				for _, p := range t.Partitions {
					add("%s/%d:%s start=%d leader=%d lag=%d", t.Topic, p.Partition, errorName(p.ErrorCode), p.StartOffset, p.LeaderEpoch, p.Lag)
				}
			}
		}
	case *kmsg.AlterShareGroupOffsetsResponse:
		add("%s", errorName(r.ErrorCode))
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				add("%s/%d:%s", t.Topic, p.Partition, errorName(p.ErrorCode))
			}
		}
	case *kmsg.DeleteShareGroupOffsetsResponse:
		add("%s", errorName(r.ErrorCode))
		for _, t := range r.Topics {
			add("%s:%s", t.Topic, errorName(t.ErrorCode))
		}
	default:
		return false
	}
	return true
}

func (t shareTopics) String() string {
	a := assignment{}
	for id, topic := range t {
		a.add(id, topic.partitions...)
	}
	return partitionsText(a)
}

func (p *shareParts) String() string {
	text := fmt.Sprintf("begun=%v beginning=%v", p.initialized, p.initializing)
	if len(p.deleting) > 0 {
		var names []string
		for _, name := range p.deleting {
			names = append(names, name)
		}
		slices.Sort(names)
		text += " deleting=" + strings.Join(names, "+")
	}
	return text
}

func (s *script) shareState(id string, g *shareGroup) {
	s.Printf("group %s %s epoch=%d assigned=%d topics=%s %v", id, g.stateName(), g.epoch, g.assigned, strings.Join(g.subscribed, "+"), &g.parts)
	for _, m := range g.members {
		s.Printf("  %s at=%d %s target=%s", m.id, m.epoch, partitionsText(m.owned), partitionsText(g.targets[m.id]))
	}
}

// shareRecord describes a record of a share group.
func (s *script) shareRecord(k recordKey, value []byte) string {
	what := map[int16]string{
		keyShareGroup: "epoch", keyShareMember: "member", keyShareTarget: "target-epoch", keyShareTargetOf: "target", keyShareCurrent: "current", keyShareParts: "parts",
	}[k.version]
	head := strings.TrimSpace(fmt.Sprintf("share %s %s %s", what, k.group, k.part))
	if value == nil {
		return head + " removed"
	}
	g := newShareGroup()
	if err := g.replay(k, value); err != nil {
		s.t.Fatal(err)
	}
	switch k.version {
	case keyShareGroup:
		return fmt.Sprintf("%s = %d", head, g.epoch)
	case keyShareTarget:
		return fmt.Sprintf("%s = %d", head, g.assigned)
	case keyShareTargetOf:
		return fmt.Sprintf("%s = %s", head, partitionsText(g.targets[k.part]))
	case keyShareMember:
		return fmt.Sprintf("%s topics=%s", head, strings.Join(g.members[0].topics, "+"))
	case keyShareCurrent:
		return fmt.Sprintf("%s at=%d %s", head, g.members[0].epoch, partitionsText(g.members[0].owned))
	}
	return fmt.Sprintf("%s %v", head, &g.parts)
}
