package group

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/scripttest"
)

// parsePartitions reads topic/0+1,topic/2; "-" is none.
func parsePartitions(t *testing.T, text string, topics fakeTopics) assignment {
	a := assignment{}
	if text == "-" || text == "" {
		return a
	}
	for _, part := range strings.Split(text, ",") {
		topic, list, _ := strings.Cut(part, "/")
		for _, n := range strings.Split(list, "+") {
			p, err := strconv.Atoi(n)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			a.add(topics[topic].id, int32(p))
		}
	}
	return a
}

// partitionsText writes what parsePartitions reads, topics by the last byte of their id.
func partitionsText(a assignment) string {
	if a.size() == 0 {
		return "-"
	}
	var parts []string
	for _, id := range a.topics() {
		var ns []string
		for _, p := range a[id] {
			ns = append(ns, fmt.Sprint(p))
		}
		parts = append(parts, fmt.Sprintf("id%d/%s", id[15], strings.Join(ns, "+")))
	}
	return strings.Join(parts, ",")
}

func buildConsumerRequest(t *testing.T, name string, a scripttest.Line, topics fakeTopics) kmsg.Request {
	switch name {
	case "beat":
		r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		r.Group, r.MemberID, r.MemberEpoch = a.Str("group", "g"), a.Str("member", ""), int32(a.Num("at", 0))
		r.InstanceID, r.RackID, r.ServerAssignor, r.SubscribedTopicRegex = a.Opt("instance"), a.Opt("rack"), a.Opt("assignor"), a.Opt("regex")
		r.SubscribedTopicNames = a.List("topics")
		if _, ok := a.Named["has"]; ok || r.MemberEpoch == joinEpoch {
			r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
			has := parsePartitions(t, a.Named["has"], topics)
			for _, id := range has.topics() {
				rt := kmsg.NewConsumerGroupHeartbeatRequestTopic()
				rt.TopicID, rt.Partitions = id, has[id]
				r.Topics = append(r.Topics, rt)
			}
		}
		if r.MemberEpoch == joinEpoch {
			r.RebalanceTimeoutMillis = int32(a.Dur("rebalance", 60e9).Milliseconds())
			if a.Named["regex"] == "" && a.Named["topics"] == "" {
				r.SubscribedTopicNames = []string{"t"}
			}
		}
		return r
	case "describe-consumer":
		r := kmsg.NewPtrConsumerGroupDescribeRequest()
		r.Groups = a.Words
		return r
	}
	return nil
}

func describeConsumerResponse(resp kmsg.Response, add func(string, ...any)) {
	switch r := resp.(type) {
	case *kmsg.ConsumerGroupHeartbeatResponse:
		add("%s", errorName(r.ErrorCode))
		if r.ErrorCode != 0 {
			break
		}
		add("%s at=%d", deref(r.MemberID), r.MemberEpoch)
		if r.Assignment != nil {
			a := assignment{}
			for _, t := range r.Assignment.Topics {
				a.add(t.TopicID, t.Partitions...)
			}
			add("%s", partitionsText(a))
		}
	case *kmsg.ConsumerGroupDescribeResponse:
		for _, g := range r.Groups {
			add("%s:%s %s epoch=%d assigned=%d assignor=%s", g.Group, errorName(g.ErrorCode), g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName)
			for _, m := range g.Members {
				add("%s(%s)[%s,%s]type=%d,at=%d,topics=%s,regex=%s,has=%s,target=%s", m.MemberID, deref(m.InstanceID), m.ClientID, m.ClientHost, m.MemberType,
					m.MemberEpoch, strings.Join(m.SubscribedTopics, "+"), deref(m.SubscribedTopicRegex), describedText(m.Assignment), describedText(m.TargetAssignment))
			}
		}
	default:
		add("%T", resp)
	}
}

func describedText(a kmsg.Assignment) string {
	var parts []string
	for _, t := range a.TopicPartitions {
		parts = append(parts, fmt.Sprintf("%s%v", t.Topic, t.Partitions))
	}
	return strings.Join(parts, "+")
}

func (m *consumerMember) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", m.id)
	if m.instance != nil {
		fmt.Fprintf(&b, "(%s)", *m.instance)
	}
	fmt.Fprintf(&b, " at=%d %s", m.epoch, partitionsText(m.owned))
	switch m.state {
	case memberUnrevoked:
		fmt.Fprintf(&b, " revokes %s", partitionsText(m.revoking))
	case memberUnreleased:
		b.WriteString(" waits")
	}
	if m.classic != nil {
		b.WriteString(" classic")
	}
	return b.String()
}

func (s *script) consumerState(id string, g *consumerGroup) {
	s.Printf("group %s %s epoch=%d assigned=%d topics=%s", id, g.stateName(), g.epoch, g.assigned, strings.Join(g.subscribed, "+"))
	for _, re := range slices.Sorted(maps.Keys(g.regexes)) {
		s.Printf("  regex %s = %s", re, strings.Join(g.regexes[re].topics, "+"))
	}
	for _, m := range g.members {
		s.Printf("  %s target=%s", m, partitionsText(g.targets[m.id]))
	}
}

// modernRecord describes a record of a group of another kind than classic.
func (s *script) modernRecord(k recordKey, value []byte) string {
	what := map[int16]string{
		keyConsumerGroup: "epoch", keyConsumerMember: "member", keyConsumerTarget: "target-epoch", keyConsumerTargetOf: "target",
		keyConsumerCurrent: "current", keyConsumerRegex: "regex",
	}[k.version]
	head := strings.TrimSpace(fmt.Sprintf("%s %s %s", what, k.group, k.part))
	if value == nil {
		return head + " removed"
	}
	g := newConsumerGroup()
	if err := g.replay(k, value); err != nil {
		s.t.Fatal(err)
	}
	switch k.version {
	case keyConsumerGroup:
		return fmt.Sprintf("%s = %d", head, g.epoch)
	case keyConsumerTarget:
		return fmt.Sprintf("%s = %d", head, g.assigned)
	case keyConsumerTargetOf:
		return fmt.Sprintf("%s = %s", head, partitionsText(g.targets[k.part]))
	case keyConsumerRegex:
		return fmt.Sprintf("%s = %s", head, strings.Join(g.regexes[k.part].topics, "+"))
	case keyConsumerMember:
		m := g.members[0]
		text := fmt.Sprintf("%s topics=%s", head, strings.Join(m.topics, "+"))
		if m.regex != nil {
			text += " regex=" + *m.regex
		}
		if m.instance != nil {
			text += " instance=" + *m.instance
		}
		if m.classic != nil {
			text += " classic"
		}
		return text
	}
	return fmt.Sprintf("current %s %s", k.group, g.members[0])
}

// owningSubscription is a cooperative consumer's metadata, with what it has: topic/0+1;topic/2.
func owningSubscription(topics []string, owned string) []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics, m.Generation = 1, topics, -1
	for _, o := range classicOwned(owned) {
		p := kmsg.NewConsumerMemberMetadataOwnedPartition()
		p.Topic, p.Partitions = o.Topic, o.Partitions
		m.OwnedPartitions = append(m.OwnedPartitions, p)
	}
	return m.AppendTo(nil)
}

// classicAssignment is what a leader gives to a member: topic/0+1;topic/2.
func classicAssignment(text string) []byte {
	m := kmsg.NewConsumerMemberAssignment()
	m.Topics = classicOwned(text)
	return m.AppendTo(nil)
}

func classicOwned(text string) (out []kmsg.ConsumerMemberAssignmentTopic) {
	for _, part := range strings.Split(text, ";") {
		topic, list, ok := strings.Cut(part, "/")
		if !ok {
			continue
		}
		t := kmsg.NewConsumerMemberAssignmentTopic()
		t.Topic = topic
		for _, n := range strings.Split(list, "+") {
			p, _ := strconv.Atoi(n)
			t.Partitions = append(t.Partitions, int32(p))
		}
		out = append(out, t)
	}
	return out
}

// classicText is an assignment of the classic protocol, if it is one.
func classicText(b []byte) string {
	var m kmsg.ConsumerMemberAssignment
	if len(b) < 10 || m.ReadFrom(b) != nil {
		return fmt.Sprintf("%q", b)
	}
	var parts []string
	for _, t := range m.Topics {
		parts = append(parts, fmt.Sprintf("%s%v", t.Topic, t.Partitions))
	}
	return fmt.Sprintf("v%d:%s", m.Version, strings.Join(parts, "+"))
}

// beat sends a heartbeat of a member that nothing happens to.
func (s *script) beat(id string, a scripttest.Line) {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version, req.Group, req.MemberID, req.MemberEpoch = 1, a.Str("group", "g"), id, int32(a.Num("at", 0))
	s.co.Handle(Caller{ClientID: "c", ClientHost: "/127.0.0.1"}, req, func(resp kmsg.Response) {
		if r := resp.(*kmsg.ConsumerGroupHeartbeatResponse); r.ErrorCode != 0 || r.MemberEpoch != req.MemberEpoch || r.Assignment != nil {
			s.Printf("%s <- %s", id, describeResponse(resp))
		}
	})
}
