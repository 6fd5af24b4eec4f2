package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// createACLs answers CreateAcls. Each binding is judged for itself. One that is there already
// is no error.
func createACLs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.CreateACLsRequest)
	resp := kmsg.NewPtrCreateACLsResponse()
	asked := make([]command.ACL, len(req.Creations))
	for i := range req.Creations {
		x := &req.Creations[i]
		asked[i] = command.ACL{
			ResourceType: uint8(x.ResourceType), Pattern: uint8(x.ResourcePatternType), Resource: x.ResourceName,
			Principal: x.Principal, Host: x.Host, Operation: uint8(x.Operation), Permission: uint8(x.PermissionType),
		}
	}
	errs := c.API.createACLs(c.Context, asked)
	for i, err := range errs {
		r := kmsg.NewCreateACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = errorCode(err), message(err)
		resp.Results = append(resp.Results, r)
		c.noteChange(describeACL(&asked[i]), err)
	}
	return resp
}

func (a *API) createACLs(ctx context.Context, asked []command.ACL) []error {
	errs := make([]error, len(asked))
	var err error
	if a.Authorizer == nil {
		err = errNoAuthorizer
	} else {
		var change *command.ChangeACLs
		if change, errs = controller.CreateACLs(a.Metadata.Image(), asked); change != nil {
			err = a.changeACLs(ctx, change)
		}
	}
	for i := range errs {
		if err != nil && errs[i] == nil {
			errs[i] = err
		}
	}
	return errs
}

// changeACLs changes bindings, in as many commands as their size takes.
func (a *API) changeACLs(ctx context.Context, change *command.ChangeACLs) error {
	for _, part := range command.ChunkACLs(change) {
		if _, err := a.Metadata.Propose(ctx, part); err != nil {
			return err
		}
	}
	return nil
}

// describeACL is a binding as the audit log has it.
func describeACL(x *command.ACL) string {
	verb, pattern := "allow", ""
	if x.Permission == command.PermissionDeny {
		verb = "deny"
	}
	if x.Pattern == command.PatternPrefixed {
		pattern = "*"
	}
	return "acl:" + verb + " " + x.Principal + " " + acl.Operation(x.Operation).String() + " " +
		acl.ResourceType(x.ResourceType).String() + ":" + x.Resource + pattern + " from " + x.Host
}
