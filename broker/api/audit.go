package api

import (
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/broker/security/audit"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/wire"
)

// noteAccess writes down that the client of a call was allowed an operation, or denied.
func (a *API) noteAccess(c *Call, op acl.Operation, kind acl.ResourceType, name string, allowed bool) {
	if a.Audit.Wants(allowed) {
		a.Audit.Judged(c.auditClient(), op.String(), kind.String()+":"+name, wire.KeyName(c.raw.Key), allowed)
	}
}

// noteDenied writes down that the client of a produce or fetch was denied an operation.
func (a *API) noteDenied(r *server.Request, x *access, op acl.Operation, kind acl.ResourceType, name string) {
	if a.Audit.Wants(false) {
		client := audit.Client{Principal: x.principal, Host: hostOf(r.Conn.RemoteAddr()), Listener: r.Conn.Listener()}
		a.Audit.Judged(client, op.String(), kind.String()+":"+name, wire.KeyName(r.Key), false)
	}
}

func (c *Call) auditClient() audit.Client {
	return audit.Client{Principal: c.Principal(), Host: c.Host, Listener: c.Listener}
}

// noteChange writes down that the client of a call changed something, or failed to.
func (c *Call) noteChange(resource string, failure error) {
	if c.API.Audit != nil && c.raw != nil {
		c.API.Audit.Changed(c.auditClient(), resource, wire.KeyName(c.raw.Key), failure)
	}
}
