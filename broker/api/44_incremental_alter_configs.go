package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/controller"
)

// incrementalAlterConfigs answers IncrementalAlterConfigs (KIP-339). Each resource is
// changed as a whole or not at all.
func incrementalAlterConfigs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.IncrementalAlterConfigsRequest)
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	seen := make(map[resourceName]int, len(req.Resources))
	for i := range req.Resources {
		seen[resourceName{req.Resources[i].ResourceType, req.Resources[i].ResourceName}]++
	}
	for i := range req.Resources {
		r := &req.Resources[i]
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		ch := &configChange{resourceName: resourceName{r.ResourceType, r.ResourceName}, validateOnly: req.ValidateOnly}
		var err error
		if ch.ops, err = configOps(r.Configs); err == nil || seen[ch.resourceName] > 1 {
			err = c.API.alterConfigs(c.Context, ch, seen[ch.resourceName] > 1)
		}
		rr.ErrorCode, rr.ErrorMessage = errorCode(err), message(err)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

// configOps checks the operations on a resource.
func configOps(asked []kmsg.IncrementalAlterConfigsRequestResourceConfig) ([]controller.ConfigOp, error) {
	ops := make([]controller.ConfigOp, 0, len(asked))
	for _, op := range asked {
		c := controller.ConfigOp{Key: op.Name, Kind: controller.OpKind(op.Op)}
		switch {
		case c.Kind != controller.OpDelete && op.Value == nil:
			return nil, fmt.Errorf("%w: null value not supported for %s", kerr.InvalidRequest, op.Name)
		case c.Kind != controller.OpDelete:
			c.Value = *op.Value
		}
		ops = append(ops, c)
	}
	return ops, nil
}
