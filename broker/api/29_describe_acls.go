package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// errNoAuthorizer refuses requests about bindings while nobody judges by them.
var errNoAuthorizer = fmt.Errorf("%w: no authorizer is configured", kerr.SecurityDisabled)

// describeACLs answers DescribeAcls: the bindings that a filter selects, by pattern.
func describeACLs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeACLsRequest)
	resp := kmsg.NewPtrDescribeACLsResponse()
	if c.API.Authorizer == nil {
		resp.ErrorCode, resp.ErrorMessage = errorCode(errNoAuthorizer), message(errNoAuthorizer)
		return resp
	}
	f := filterOf(&kmsg.DeleteACLsRequestFilter{
		ResourceType: req.ResourceType, ResourceName: req.ResourceName, ResourcePatternType: req.ResourcePatternType,
		Principal: req.Principal, Host: req.Host, Operation: req.Operation, PermissionType: req.PermissionType,
	})
	found, err := controller.DescribeACLs(c.API.Metadata.Image(), &f)
	resp.ErrorCode, resp.ErrorMessage = errorCode(err), message(err)
	for i := range found {
		addACL(resp, &found[i])
	}
	return resp
}

// filterOf reads a filter.
func filterOf(f *kmsg.DeleteACLsRequestFilter) controller.ACLFilter {
	return controller.ACLFilter{
		ResourceType: uint8(f.ResourceType), Resource: f.ResourceName, Pattern: uint8(f.ResourcePatternType),
		Principal: f.Principal, Host: f.Host, Operation: uint8(f.Operation), Permission: uint8(f.PermissionType),
	}
}

// addACL adds a binding, which comes in the order of patterns.
func addACL(resp *kmsg.DescribeACLsResponse, x *command.ACL) {
	n := len(resp.Resources)
	if n == 0 || resp.Resources[n-1].ResourceName != x.Resource || uint8(resp.Resources[n-1].ResourceType) != x.ResourceType || uint8(resp.Resources[n-1].ResourcePatternType) != x.Pattern {
		r := kmsg.NewDescribeACLsResponseResource()
		r.ResourceType, r.ResourceName, r.ResourcePatternType = kmsg.ACLResourceType(x.ResourceType), x.Resource, kmsg.ACLResourcePatternType(x.Pattern)
		resp.Resources = append(resp.Resources, r)
		n++
	}
	one := kmsg.NewDescribeACLsResponseResourceACL()
	one.Principal, one.Host, one.Operation, one.PermissionType = x.Principal, x.Host, kmsg.ACLOperation(x.Operation), kmsg.ACLPermissionType(x.Permission)
	resp.Resources[n-1].ACLs = append(resp.Resources[n-1].ACLs, one)
}

// allACLs is what an answer takes that has every binding.
func allACLs(m *metadata.Image) int64 { return int64(m.ACLCount()) * 512 }
