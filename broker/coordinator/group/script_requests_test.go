package group

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/scripttest"
)

// subscription is a consumer's metadata for the topics.
func subscription(topics ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(topics)))
	for _, t := range topics {
		b = binary.BigEndian.AppendUint16(b, uint16(len(t)))
		b = append(b, t...)
	}
	return binary.BigEndian.AppendUint32(b, 0xffffffff)
}

// parseProtocols reads name:topic+topic,name:topic; after another : what the member has, topic/0+1.
func parseProtocols(text string) []kmsg.JoinGroupRequestProtocol {
	var out []kmsg.JoinGroupRequestProtocol
	if text == "" {
		return nil
	}
	for _, p := range strings.Split(text, ",") {
		name, topics, _ := strings.Cut(p, ":")
		topics, owned, has := strings.Cut(topics, ":")
		r := kmsg.NewJoinGroupRequestProtocol()
		r.Name, r.Metadata = name, subscription(strings.Split(topics, "+")...)
		if has {
			r.Metadata = owningSubscription(strings.Split(topics, "+"), owned)
		}
		out = append(out, r)
	}
	return out
}

// parseOffsets reads topic/partition:offset:metadata,…
func parseOffsets(t *testing.T, fields []string) (out []struct {
	topic     string
	partition int32
	offset    int64
	metadata  string
}) {
	for _, f := range fields {
		topic, rest, _ := strings.Cut(f, "/")
		parts := strings.SplitN(rest+"::", ":", 3)
		p, err := strconv.Atoi(parts[0])
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		o, err := strconv.ParseInt(parts[1]+strings.Repeat("0", max(0, 1-len(parts[1]))), 10, 64)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		out = append(out, struct {
			topic     string
			partition int32
			offset    int64
			metadata  string
		}{topic, int32(p), o, strings.Trim(parts[2], ":")})
	}
	return out
}

func buildRequest(t *testing.T, name string, a scripttest.Line, topics fakeTopics) kmsg.Request {
	v := int16(a.Num("v", -1))
	version := func(r kmsg.Request, def int16) {
		if v < 0 {
			v = def
		}
		r.SetVersion(v)
	}
	group := a.Str("group", "g")
	switch name {
	case "join":
		r := kmsg.NewPtrJoinGroupRequest()
		version(r, 9)
		r.Group, r.MemberID, r.InstanceID, r.Reason = group, a.Str("member", ""), a.Opt("instance"), a.Opt("reason")
		r.SessionTimeoutMillis = int32(a.Dur("session", 10e9).Milliseconds())
		r.RebalanceTimeoutMillis = int32(a.Dur("rebalance", 60e9).Milliseconds())
		r.ProtocolType = a.Str("type", "consumer")
		r.Protocols = parseProtocols(a.Str("protocols", "range:t"))
		return r
	case "sync":
		r := kmsg.NewPtrSyncGroupRequest()
		version(r, 5)
		r.Group, r.MemberID, r.InstanceID, r.Generation = group, a.Str("member", ""), a.Opt("instance"), int32(a.Num("generation", 1))
		r.ProtocolType, r.Protocol = a.Opt("type"), a.Opt("protocol")
		for _, as := range a.List("assign") {
			m, text, _ := strings.Cut(as, ":")
			ga := kmsg.NewSyncGroupRequestGroupAssignment()
			ga.MemberID, ga.MemberAssignment = m, []byte(text)
			if strings.Contains(text, "/") {
				ga.MemberAssignment = classicAssignment(text)
			}
			r.GroupAssignment = append(r.GroupAssignment, ga)
		}
		return r
	case "heartbeat":
		r := kmsg.NewPtrHeartbeatRequest()
		version(r, 4)
		r.Group, r.MemberID, r.InstanceID, r.Generation = group, a.Str("member", ""), a.Opt("instance"), int32(a.Num("generation", 1))
		return r
	case "leave":
		r := kmsg.NewPtrLeaveGroupRequest()
		version(r, 5)
		r.Group, r.MemberID = group, a.Str("member", "")
		if v >= leaveBatch {
			for _, who := range a.Words { // member or member(instance) or (instance)
				id, instance, static := strings.Cut(strings.TrimSuffix(who, ")"), "(")
				m := kmsg.NewLeaveGroupRequestMember()
				m.MemberID = id
				if static {
					m.InstanceID = &instance
				}
				m.Reason = a.Opt("reason")
				r.Members = append(r.Members, m)
			}
		}
		return r
	case "commit":
		r := kmsg.NewPtrOffsetCommitRequest()
		version(r, 9)
		r.Group, r.MemberID, r.InstanceID, r.Generation = group, a.Str("member", ""), a.Opt("instance"), int32(a.Num("generation", a.Num("at", -1)))
		if d := a.Dur("retention", 0); d > 0 {
			r.RetentionTimeMillis = d.Milliseconds()
		}
		for _, o := range parseOffsets(t, a.Words) {
			if n := len(r.Topics); n == 0 || r.Topics[n-1].Topic != o.topic {
				rt := kmsg.NewOffsetCommitRequestTopic()
				rt.Topic, rt.TopicID = o.topic, topics[o.topic].id
				r.Topics = append(r.Topics, rt)
			}
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.Metadata, p.LeaderEpoch = o.partition, o.offset, nonEmpty(o.metadata), int32(a.Num("epoch", -1))
			rt := &r.Topics[len(r.Topics)-1]
			rt.Partitions = append(rt.Partitions, p)
		}
		return r
	case "fetch":
		r := kmsg.NewPtrOffsetFetchRequest()
		version(r, 9)
		r.RequireStable = a.Num("stable", 0) != 0
		for _, id := range strings.Split(group, ",") {
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group, g.MemberID, g.MemberEpoch = id, a.Opt("member"), int32(a.Num("at", -1))
			for _, o := range parseOffsets(t, a.Words) {
				gt := kmsg.NewOffsetFetchRequestGroupTopic()
				gt.Topic, gt.TopicID, gt.Partitions = o.topic, topics[o.topic].id, []int32{o.partition}
				if _, ok := topics[o.topic]; !ok {
					gt.TopicID = [16]byte{0: 0xff}
				}
				g.Topics = append(g.Topics, gt)
				rt := kmsg.NewOffsetFetchRequestTopic()
				rt.Topic, rt.Partitions = o.topic, gt.Partitions
				r.Topics = append(r.Topics, rt)
			}
			r.Group = id
			r.Groups = append(r.Groups, g)
		}
		return r
	case "offset-delete":
		r := kmsg.NewPtrOffsetDeleteRequest()
		r.Group = group
		for _, o := range parseOffsets(t, a.Words) {
			rt := kmsg.NewOffsetDeleteRequestTopic()
			rp := kmsg.NewOffsetDeleteRequestTopicPartition()
			rp.Partition = o.partition
			rt.Topic, rt.Partitions = o.topic, append(rt.Partitions, rp)
			r.Topics = append(r.Topics, rt)
		}
		return r
	case "list":
		r := kmsg.NewPtrListGroupsRequest()
		version(r, 5)
		r.StatesFilter, r.TypesFilter = a.List("states"), a.List("types")
		return r
	case "describe":
		r := kmsg.NewPtrDescribeGroupsRequest()
		version(r, 6)
		r.Groups = a.Words
		return r
	case "delete":
		r := kmsg.NewPtrDeleteGroupsRequest()
		version(r, 2)
		r.Groups = a.Words
		return r
	}
	if req := buildShareRequest(t, name, a); req != nil {
		return req
	}
	if req := buildStreamsRequest(t, name, a); req != nil {
		return req
	}
	if req := buildConsumerRequest(t, name, a, topics); req != nil {
		version(req, 1)
		return req
	}
	t.Fatalf("unknown command %q", name)
	return nil
}

func describeResponse(resp kmsg.Response) string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, " "+format, args...) }
	switch r := resp.(type) {
	case *kmsg.JoinGroupResponse:
		add("%s", errorName(r.ErrorCode))
		if r.MemberID != "" {
			add("member=%s", r.MemberID)
		}
		if r.ErrorCode == 0 {
			add("generation=%d leader=%s protocol=%s/%s", r.Generation, r.LeaderID, deref(r.ProtocolType), deref(r.Protocol))
			for _, m := range r.Members {
				topics, _ := subscribedTopics(m.ProtocolMetadata)
				add("%s:%s", m.MemberID, strings.Join(topics, "+"))
			}
			if r.SkipAssignment {
				add("skip-assignment")
			}
		}
	case *kmsg.SyncGroupResponse:
		add("%s", errorName(r.ErrorCode))
		if r.ErrorCode == 0 {
			add("%s protocol=%s/%s", classicText(r.MemberAssignment), deref(r.ProtocolType), deref(r.Protocol))
		}
	case *kmsg.HeartbeatResponse:
		add("%s", errorName(r.ErrorCode))
	case *kmsg.LeaveGroupResponse:
		add("%s", errorName(r.ErrorCode))
		for _, m := range r.Members {
			if r.Version >= leaveBatch {
				add("%s(%s):%s", m.MemberID, deref(m.InstanceID), errorName(m.ErrorCode))
			}
		}
	case *kmsg.OffsetCommitResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				add("%s/%d:%s", t.Topic, p.Partition, errorName(p.ErrorCode))
			}
		}
	case *kmsg.OffsetFetchResponse:
		one := func(topic string, id [16]byte, p int32, offset int64, epoch int32, meta *string, code int16) {
			if r.Version >= fetchTopicIDs {
				topic = fmt.Sprintf("id%d", id[15])
			}
			if code != 0 {
				add("%s/%d:%s", topic, p, errorName(code))
			} else {
				add("%s/%d=%d,%d,%q", topic, p, offset, epoch, deref(meta))
			}
		}
		if r.Version < fetchBatched {
			add("%s", errorName(r.ErrorCode))
			for _, t := range r.Topics {
				for _, p := range t.Partitions {
					one(t.Topic, [16]byte{}, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode)
				}
			}
			break
		}
		for _, g := range r.Groups {
			add("%s:%s", g.Group, errorName(g.ErrorCode))
			for _, t := range g.Topics {
				for _, p := range t.Partitions {
					one(t.Topic, t.TopicID, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode)
				}
			}
		}
	case *kmsg.OffsetDeleteResponse:
		add("%s", errorName(r.ErrorCode))
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				add("%s/%d:%s", t.Topic, p.Partition, errorName(p.ErrorCode))
			}
		}
	case *kmsg.ListGroupsResponse:
		add("%s", errorName(r.ErrorCode))
		for _, g := range r.Groups {
			add("%s:%s:%s:%s", g.Group, g.ProtocolType, g.GroupState, g.GroupType)
		}
	case *kmsg.DescribeGroupsResponse:
		for _, g := range r.Groups {
			add("%s:%s %s type=%s protocol=%s", g.Group, errorName(g.ErrorCode), g.State, g.ProtocolType, g.Protocol)
			for _, m := range g.Members {
				add("%s[%s,%s]=%q", m.MemberID, m.ClientID, m.ClientHost, m.MemberAssignment)
			}
		}
	case *kmsg.DeleteGroupsResponse:
		for _, g := range r.Groups {
			add("%s:%s", g.Group, errorName(g.ErrorCode))
		}
	case *kmsg.StreamsGroupHeartbeatResponse, *kmsg.StreamsGroupDescribeResponse:
		describeStreamsResponse(resp, add)
	default:
		if !describeShareResponse(resp, add) {
			describeConsumerResponse(resp, add)
		}
	}
	return strings.TrimSpace(b.String())
}
