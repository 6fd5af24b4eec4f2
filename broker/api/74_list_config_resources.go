package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// configKinds are the kinds of resources in the order in which they are listed.
var configKinds = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeGroupConfig, kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeBrokerLogger,
	kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeTopic,
}

// listConfigResources answers ListConfigResources (KIP-1142): what DescribeConfigs may be asked
// for. Version 0, which had another name, knows client metrics only.
func listConfigResources(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ListConfigResourcesRequest)
	resp := kmsg.NewPtrListConfigResourcesResponse()
	known := configKinds
	if c.Version == 0 {
		known = []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeClientMetrics}
	}
	wanted := make(map[kmsg.ConfigResourceType]bool, len(known))
	for _, kind := range req.ResourceTypes {
		if !slices.Contains(known, kmsg.ConfigResourceType(kind)) {
			resp.ErrorCode = kerr.UnsupportedVersion.Code
			return resp
		}
		wanted[kmsg.ConfigResourceType(kind)] = true
	}
	image := c.API.Metadata.Image()
	for _, kind := range known {
		r := configResources[kind]
		if r == nil || len(wanted) > 0 && !wanted[kind] {
			continue
		}
		for name := range r.names(image) {
			rr := kmsg.NewListConfigResourcesResponseConfigResource()
			rr.Type, rr.Name = int8(kind), name
			resp.ConfigResources = append(resp.ConfigResources, rr)
		}
	}
	return resp
}
