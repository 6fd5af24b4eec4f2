package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/controller"
)

// unregisterBroker answers UnregisterBroker (KIP-631). A broker in service, or one
// that still has replicas, is not forgotten: what it alone has would be lost.
func unregisterBroker(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.UnregisterBrokerRequest)
	resp := kmsg.NewPtrUnregisterBrokerResponse()
	due := c.API.now().Add(c.API.Config.TierGarbageGrace)
	remove, err := controller.Remove(c.API.Metadata.Image(), req.BrokerID, due.UnixMilli())
	if err == nil {
		_, err = c.API.Metadata.Propose(c.Context, remove)
	}
	resp.ErrorCode, resp.ErrorMessage = errorCode(err), message(err)
	return resp
}
