package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security"
)

// expireDelegationToken answers ExpireDelegationToken (KIP-48).
func expireDelegationToken(c *Call) kmsg.Response { return c.expireToken(c.Principal()) }

func (c *Call) expireToken(who *security.Principal) kmsg.Response {
	req := c.Request.(*kmsg.ExpireDelegationTokenRequest)
	resp := kmsg.NewPtrExpireDelegationTokenResponse()
	if err := mayAskForTokens(who); err != nil {
		resp.ErrorCode, resp.ExpiryTimestamp = errorCode(err), noTime
		return resp
	}
	expires, err := c.API.expire(c, who, req)
	resp.ErrorCode, resp.ExpiryTimestamp = errorCode(err), expires
	return resp
}

func (a *API) expire(c *Call, who *security.Principal, req *kmsg.ExpireDelegationTokenRequest) (int64, error) {
	image := a.Metadata.Image()
	id, err := a.heldToken(image, req.HMAC)
	if err != nil {
		return 0, err
	}
	cmd, expires, err := a.tokenPolicy().Expire(image, id, who.String(), req.ExpiryPeriodMillis, a.now())
	if err != nil {
		return 0, err
	}
	if _, err := a.Metadata.Propose(c.Context, cmd); err != nil {
		return 0, err
	}
	return expires, nil
}
