package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Endpoint types of DescribeCluster (KIP-919).
const (
	endpointBrokers     = 1
	endpointControllers = 2
)

// describeCluster answers DescribeCluster (KIP-700).
func describeCluster(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeClusterRequest)
	resp := kmsg.NewPtrDescribeClusterResponse()
	if c.Version >= 1 && req.EndpointType != endpointBrokers {
		resp.ErrorCode = kerr.MismatchedEndpointType.Code
		if req.EndpointType != endpointControllers {
			resp.ErrorCode = kerr.UnsupportedEndpointType.Code
		}
		text := "this listener answers for brokers (endpoint type 1)"
		resp.ErrorMessage = &text
		return resp
	}
	image := c.API.Metadata.Image()
	listener := c.Listener
	resp.EndpointType, resp.ClusterID = endpointBrokers, image.ClusterID()
	resp.ControllerID, resp.ClusterAuthorizedOperations = c.API.Metadata.Controller(), noOperations
	for b := range image.Brokers() {
		host, port, ok := endpoint(b, listener)
		if !ok || b.Fenced && !req.IncludeFencedBrokers {
			continue
		}
		rb := kmsg.NewDescribeClusterResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack, rb.IsFenced = b.ID, host, port, rackOf(b), b.Fenced
		resp.Brokers = append(resp.Brokers, rb)
	}
	return resp
}
