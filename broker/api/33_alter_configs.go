package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/controller"
)

// alterConfigs answers AlterConfigs, the older way to change settings: what the request
// does not name goes back to its default.
func alterConfigs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AlterConfigsRequest)
	resp := kmsg.NewPtrAlterConfigsResponse()
	seen := make(map[resourceName]int, len(req.Resources))
	for i := range req.Resources {
		seen[resourceName{req.Resources[i].ResourceType, req.Resources[i].ResourceName}]++
	}
	for i := range req.Resources {
		r := &req.Resources[i]
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		ch := &configChange{resourceName: resourceName{r.ResourceType, r.ResourceName}, replace: true, validateOnly: req.ValidateOnly}
		var err error
		if ch.ops, err = replacements(r.Configs); err == nil || seen[ch.resourceName] > 1 {
			err = c.API.alterConfigs(c.Context, ch, seen[ch.resourceName] > 1)
		}
		rr.ErrorCode, rr.ErrorMessage = errorCode(err), message(err)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

// replacements are the settings that a resource is to have.
func replacements(asked []kmsg.AlterConfigsRequestResourceConfig) ([]controller.ConfigOp, error) {
	ops := make([]controller.ConfigOp, 0, len(asked))
	for _, c := range asked {
		if c.Value == nil {
			return nil, fmt.Errorf("%w: null value not supported for %s", kerr.InvalidRequest, c.Name)
		}
		ops = append(ops, controller.ConfigOp{Key: c.Name, Kind: controller.OpSet, Value: *c.Value})
	}
	return ops, nil
}
