package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security"
)

// renewDelegationToken answers RenewDelegationToken (KIP-48).
func renewDelegationToken(c *Call) kmsg.Response { return c.renewToken(c.Principal()) }

func (c *Call) renewToken(who *security.Principal) kmsg.Response {
	req := c.Request.(*kmsg.RenewDelegationTokenRequest)
	resp := kmsg.NewPtrRenewDelegationTokenResponse()
	if err := mayAskForTokens(who); err != nil {
		resp.ErrorCode, resp.ExpiryTimestamp = errorCode(err), noTime
		return resp
	}
	expires, err := c.API.renew(c, who, req)
	resp.ErrorCode, resp.ExpiryTimestamp = errorCode(err), expires
	return resp
}

func (a *API) renew(c *Call, who *security.Principal, req *kmsg.RenewDelegationTokenRequest) (int64, error) {
	image := a.Metadata.Image()
	id, err := a.heldToken(image, req.HMAC)
	if err != nil {
		return 0, err
	}
	cmd, err := a.tokenPolicy().Renew(image, id, who.String(), req.RenewTimeMillis, a.now())
	if err != nil {
		return 0, err
	}
	if _, err := a.Metadata.Propose(c.Context, cmd); err != nil {
		return 0, err
	}
	return cmd.Token.ExpiresAt, nil
}
