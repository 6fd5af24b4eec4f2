package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator/group"
	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
	"github.com/tidelinehq/tideline/broker/security/acl"
)

// Groups answers the requests of consumer groups. It is implemented by
// group.Coordinator.
type Groups interface {
	// Handle answers a request exactly once, without blocking; false: not a
	// group's request, and not answered.
	Handle(caller group.Caller, req kmsg.Request, reply func(kmsg.Response)) bool
	// CommitTransactional answers TxnOffsetCommit likewise. Guard is the partition's, for the
	// batch of offsets.
	CommitTransactional(req *kmsg.TxnOffsetCommitRequest, guard uint64, reply func(kmsg.Response))
	// StreamsHeartbeat answers a member of a streams group likewise, and says which internal
	// topics are missing.
	StreamsHeartbeat(caller group.Caller, req *kmsg.StreamsGroupHeartbeatRequest, reply func(*kmsg.StreamsGroupHeartbeatResponse, []streams.InternalTopic))
}

// toGroups hands a request to the group coordinator, which replies later.
func toGroups(c *Call) kmsg.Response {
	// Kafka writes the address of a client with a slash before it.
	caller := group.Caller{ClientID: c.ClientID, ClientHost: "/" + c.Host}
	if c.authorized() {
		caller.Sees = func(topic string) bool { return c.sees(acl.Describe, acl.Topic, topic) }
	}
	if !c.API.Groups.Handle(caller, c.Request, c.Reply) {
		panic("api: the group coordinator does not know an api key of the table")
	}
	return nil
}
