package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// createDelegationToken answers CreateDelegationToken (KIP-48, KIP-373).
func createDelegationToken(c *Call) kmsg.Response { return c.createToken(c.Principal()) }

func (c *Call) createToken(who *security.Principal) kmsg.Response {
	req := c.Request.(*kmsg.CreateDelegationTokenRequest)
	owner := c.tokenOwner()
	if owner == nil {
		owner = who
	}
	resp := answerToken(owner, who)
	err := mayAskForTokens(who)
	renewers := make([]string, 0, len(req.Renewers))
	for _, r := range req.Renewers {
		if r.PrincipalType != security.UserType && err == nil {
			err = fmt.Errorf("%w: renewer of type=%q", kerr.InvalidPrincipalType, r.PrincipalType)
		}
		renewers = append(renewers, r.PrincipalType+":"+r.PrincipalName)
	}
	if err != nil {
		return refuseToken(resp, err)
	}
	r := controller.CreateToken{Owner: owner.String(), Requester: who.String(), Renewers: renewers, MaxLifetimeMS: req.MaxLifetimeMillis}
	if err = c.API.issueToken(c, &r, resp); err != nil {
		resp.ErrorCode = errorCode(err)
	}
	return resp
}

// tokenOwner is whom a token is asked for; nil: for who asks.
func (c *Call) tokenOwner() *security.Principal {
	req := c.Request.(*kmsg.CreateDelegationTokenRequest)
	if req.OwnerPrincipalName == nil || *req.OwnerPrincipalName == "" {
		return nil
	}
	owner := &security.Principal{Name: *req.OwnerPrincipalName}
	if req.OwnerPrincipalType != nil {
		owner.Type = *req.OwnerPrincipalType
	}
	return owner
}

// answerToken is the beginning of an answer: it says whose token was asked for by whom.
func answerToken(owner, who *security.Principal) *kmsg.CreateDelegationTokenResponse {
	resp := kmsg.NewPtrCreateDelegationTokenResponse()
	resp.PrincipalType, resp.PrincipalName = owner.Type, owner.Name
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = who.Type, who.Name
	return resp
}

func refuseToken(resp *kmsg.CreateDelegationTokenResponse, err error) kmsg.Response {
	resp.ErrorCode = errorCode(err)
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = noTime, noTime, noTime
	return resp
}

func (a *API) issueToken(c *Call, r *controller.CreateToken, resp *kmsg.CreateDelegationTokenResponse) (err error) {
	if err := a.tokensEnabled(); err != nil {
		return err
	}
	if r.ID, err = newTokenID(); err != nil {
		return err
	}
	cmd, err := a.tokenPolicy().Create(a.Metadata.Image(), r, a.now())
	if err != nil {
		return err
	}
	if _, err := a.Metadata.Propose(c.Context, cmd); err != nil {
		return err
	}
	t := &cmd.Token
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = t.IssuedAt, t.ExpiresAt, t.MaxAt
	resp.TokenID, resp.HMAC = t.ID, security.TokenProof(a.Config.DelegationTokenSecret, t.ID)
	return nil
}
