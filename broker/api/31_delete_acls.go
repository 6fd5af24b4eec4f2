package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// deleteACLs answers DeleteAcls: it tells of each filter which bindings it removed.
func deleteACLs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DeleteACLsRequest)
	resp := kmsg.NewPtrDeleteACLsResponse()
	filters := mapped(req.Filters, filterOf)
	for _, d := range c.API.deleteACLs(c.Context, filters) {
		r := kmsg.NewDeleteACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = errorCode(d.Err), message(d.Err)
		for i := range d.ACLs {
			x := &d.ACLs[i]
			if c.noteChange("removed "+describeACL(x), d.Err); d.Err == nil {
				r.MatchingACLs = append(r.MatchingACLs, matchingACL(x))
			}
		}
		resp.Results = append(resp.Results, r)
	}
	return resp
}

func matchingACL(x *command.ACL) kmsg.DeleteACLsResponseResultMatchingACL {
	m := kmsg.NewDeleteACLsResponseResultMatchingACL()
	m.ResourceType, m.ResourceName, m.ResourcePatternType = kmsg.ACLResourceType(x.ResourceType), x.Resource, kmsg.ACLResourcePatternType(x.Pattern)
	m.Principal, m.Host, m.Operation, m.PermissionType = x.Principal, x.Host, kmsg.ACLOperation(x.Operation), kmsg.ACLPermissionType(x.Permission)
	return m
}

func (a *API) deleteACLs(ctx context.Context, filters []controller.ACLFilter) []controller.DeletedACLs {
	if a.Authorizer == nil {
		out := make([]controller.DeletedACLs, len(filters))
		for i := range out {
			out[i].Err = errNoAuthorizer
		}
		return out
	}
	change, out := controller.DeleteACLs(a.Metadata.Image(), filters)
	if change == nil {
		return out
	}
	if err := a.changeACLs(ctx, change); err != nil {
		for i := range out {
			if out[i].Err == nil && len(out[i].ACLs) > 0 {
				out[i].Err = err
			}
		}
	}
	return out
}
