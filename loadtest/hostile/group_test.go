package hostile

import (
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestGroups asks for memberships that cannot be.
func TestGroups(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	findGroup(t, c, "g")
	join := func(change func(*kmsg.JoinGroupRequest)) int16 {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Version, req.Group, req.ProtocolType = 9, "g", "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 10_000
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = "range", []byte{0, 1}
		req.Protocols = append(req.Protocols, p)
		change(req)
		if req.Group != "" {
			findGroup(t, c, req.Group) // each lies in a partition of its own, which has to be loaded
		}
		return call[*kmsg.JoinGroupResponse](t, c, req).ErrorCode
	}
	for name, v := range map[string]struct {
		change func(*kmsg.JoinGroupRequest)
		want   *kerr.Error
	}{
		"no group":                 {func(r *kmsg.JoinGroupRequest) { r.Group = "" }, kerr.InvalidGroupID},
		"negative session timeout": {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = -1 }, kerr.InvalidSessionTimeout},
		"greatest session timeout": {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = math.MaxInt32 }, kerr.InvalidSessionTimeout},
		"no session timeout":       {func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 0 }, kerr.InvalidSessionTimeout},
		"unknown member":           {func(r *kmsg.JoinGroupRequest) { r.MemberID = "stranger" }, kerr.UnknownMemberID},
		"no protocols":             {func(r *kmsg.JoinGroupRequest) { r.Protocols = nil }, kerr.InconsistentGroupProtocol},
		"no protocol type":         {func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" }, kerr.InconsistentGroupProtocol},
		"group of invalid UTF-8":   {func(r *kmsg.JoinGroupRequest) { r.Group = "\xff\xfe" }, kerr.MemberIDRequired},
		"group of 32000 bytes":     {func(r *kmsg.JoinGroupRequest) { r.Group = strings.Repeat("g", 32_000) }, kerr.MemberIDRequired},
		"group of 32767 bytes":     {func(r *kmsg.JoinGroupRequest) { r.Group = strings.Repeat("g", math.MaxInt16) }, kerr.InvalidGroupID},
	} {
		expectCode(t, "join: "+name, join(v.change), v.want)
	}
	for _, generation := range []int32{-1, math.MinInt32, math.MaxInt32} {
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Version, beat.Group, beat.Generation, beat.MemberID = 4, "g", generation, "stranger"
		expectCode(t, "heartbeat", call[*kmsg.HeartbeatResponse](t, c, beat).ErrorCode, kerr.UnknownMemberID)
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Version, sync.Group, sync.Generation, sync.MemberID = 3, "g", generation, "stranger"
		expectCode(t, "sync", call[*kmsg.SyncGroupResponse](t, c, sync).ErrorCode, kerr.UnknownMemberID)
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 9, "g", -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewOffsetCommitRequestTopicPartition()
	rp.Offset, rp.Metadata = 1, kmsg.StringPtr(strings.Repeat("m", 4097))
	rt.Partitions = append(rt.Partitions, rp)
	commit.Topics = append(commit.Topics, rt)
	expectCode(t, "commit with long metadata", call[*kmsg.OffsetCommitResponse](t, c, commit).Topics[0].Partitions[0].ErrorCode, kerr.OffsetMetadataTooLarge)
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.Version, find.CoordinatorKey, find.CoordinatorType = 3, "g", 77
	expectCode(t, "coordinator of no kind", call[*kmsg.FindCoordinatorResponse](t, c, find).ErrorCode, kerr.InvalidRequest)
	n.wellAfter(t, "groups that cannot be")
}
