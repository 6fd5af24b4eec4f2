package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// describeDelegationToken answers DescribeDelegationToken (KIP-48). Whoever is told of a
// token is told of its proof, too; guardDescribeDelegationToken leaves only those that the
// client may know of.
func describeDelegationToken(c *Call) kmsg.Response { return c.describeTokens(c.Principal()) }

func (c *Call) describeTokens(who *security.Principal) kmsg.Response {
	req := c.Request.(*kmsg.DescribeDelegationTokenRequest)
	resp := kmsg.NewPtrDescribeDelegationTokenResponse()
	err := mayAskForTokens(who)
	if err == nil {
		err = c.API.tokensEnabled()
	}
	if err != nil {
		resp.ErrorCode = errorCode(err)
		return resp
	}
	var owners []string
	if req.Owners != nil {
		owners = make([]string, 0, len(req.Owners))
		for _, o := range req.Owners {
			owners = append(owners, o.PrincipalType+":"+o.PrincipalName)
		}
	}
	for _, t := range controller.DescribeTokens(c.API.Metadata.Image(), who.String(), owners, func(*command.Token) bool { return true }) {
		resp.TokenDetails = append(resp.TokenDetails, c.API.tokenDetail(&t))
	}
	return resp
}

func (a *API) tokenDetail(t *command.Token) kmsg.DescribeDelegationTokenResponseTokenDetail {
	d := kmsg.NewDescribeDelegationTokenResponseTokenDetail()
	d.PrincipalType, d.PrincipalName = splitPrincipal(t.Owner)
	d.TokenRequesterPrincipalType, d.TokenRequesterPrincipalName = splitPrincipal(t.Requester)
	d.IssueTimestamp, d.ExpiryTimestamp, d.MaxTimestamp = t.IssuedAt, t.ExpiresAt, t.MaxAt
	d.TokenID, d.HMAC = t.ID, security.TokenProof(a.Config.DelegationTokenSecret, t.ID)
	for _, r := range t.Renewers {
		x := kmsg.NewDescribeDelegationTokenResponseTokenDetailRenewer()
		x.PrincipalType, x.PrincipalName = splitPrincipal(r)
		d.Renewers = append(d.Renewers, x)
	}
	return d
}
