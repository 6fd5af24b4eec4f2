package api

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/wal"
)

// maxMemberID is the greatest length of a share group's member id: that of a UUID.
const maxMemberID = 36

// shareRequest checks who asks.
func (c *Call) shareRequest(group, member *string) (shareMember, error) {
	switch {
	case c.API.Shares == nil:
		return shareMember{}, fmt.Errorf("%w: this broker has no share groups", kerr.UnsupportedVersion)
	case group == nil || *group == "":
		return shareMember{}, fmt.Errorf("%w: group id is missing", kerr.InvalidRequest)
	case member == nil || *member == "" || len(*member) > maxMemberID:
		return shareMember{}, fmt.Errorf("%w: member id is not valid", kerr.InvalidRequest)
	}
	return shareMember{*group, *member}, nil
}

// led returns a partition that this broker leads, or why it has none.
func (a *API) led(id wal.ID) (*partition.Partition, error) {
	if p := a.Partitions.GetByID(id); p != nil && p.Leads() {
		return p, nil
	}
	t, ok := a.Metadata.Image().TopicByID(id.Topic)
	switch {
	case !ok:
		return nil, kerr.UnknownTopicID
	case id.Partition < 0 || id.Partition >= t.Partitions:
		return nil, kerr.UnknownTopicOrPartition
	}
	return nil, kerr.NotLeaderForPartition
}

// acknowledgeShare takes what a member says of records of one partition; done is called
// once, by any goroutine.
func (c *Call) acknowledgeShare(m shareMember, id wal.ID, batches []share.AckBatch, renew bool, done func(error)) {
	a := c.API
	if err := c.mayShare(id); err != nil {
		done(err)
		return
	}
	if _, err := a.led(id); err != nil {
		done(err)
		return
	}
	p := a.Shares.Get(m.group, id)
	if p == nil {
		done(kerr.UnknownTopicOrPartition)
		return
	}
	if err := share.CheckAcks(batches, renew && !a.Shares.Settings(m.group).NoRenew); err != nil {
		done(err)
		return
	}
	p.Acknowledge(m.member, batches, done)
}

// currentLeader says who leads a partition, for clients that asked the wrong broker.
func (a *API) currentLeader(id wal.ID) (leader, epoch int32) {
	if p, ok := a.Metadata.Image().Partition(id.Topic, id.Partition); ok {
		return p.Leader, p.LeaderEpoch
	}
	return -1, -1
}

// leaderEndpoints are where leaders can be reached through the listener of a client.
func (c *Call) leaderEndpoints(ids []int32) (out []kmsg.ShareFetchResponseNodeEndpoint) {
	slices.Sort(ids)
	image := c.API.Metadata.Image()
	for _, id := range slices.Compact(ids) {
		b, ok := image.Broker(id)
		if !ok {
			continue
		}
		n := kmsg.NewShareFetchResponseNodeEndpoint()
		n.NodeID, n.Rack = id, rackOf(b)
		if n.Host, n.Port, ok = endpoint(b, c.Listener); ok {
			out = append(out, n)
		}
	}
	return out
}

func ackTypes(types []int8) []share.AckType {
	out := make([]share.AckType, len(types))
	for i, t := range types {
		out[i] = share.AckType(t)
	}
	return out
}
