package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// streamsGroupDescribe answers StreamsGroupDescribe.
func streamsGroupDescribe(c *Call) kmsg.Response {
	if c.API.streamsGroups() {
		return toGroups(c)
	}
	resp := kmsg.NewPtrStreamsGroupDescribeResponse()
	for _, id := range c.Request.(*kmsg.StreamsGroupDescribeRequest).Groups {
		g := kmsg.NewStreamsGroupDescribeResponseGroup()
		g.Group, g.ErrorCode = id, kerr.UnsupportedVersion.Code
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}
