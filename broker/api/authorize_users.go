package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
)

// The guards of requests about bindings, users, tokens and quotas.

func guardDescribeACLs(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Describe) {
		return nil
	}
	resp := kmsg.NewPtrDescribeACLsResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}

func guardCreateACLs(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrCreateACLsResponse()
	resp.Results = mapped(c.Request.(*kmsg.CreateACLsRequest).Creations, func(*kmsg.CreateACLsRequestCreation) kmsg.CreateACLsResponseResult {
		r := kmsg.NewCreateACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
		return r
	})
	return resp
}

func guardDeleteACLs(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrDeleteACLsResponse()
	resp.Results = mapped(c.Request.(*kmsg.DeleteACLsRequest).Filters, func(*kmsg.DeleteACLsRequestFilter) kmsg.DeleteACLsResponseResult {
		r := kmsg.NewDeleteACLsResponseResult()
		r.ErrorCode, r.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
		return r
	})
	return resp
}

// guardCreateDelegationToken lets everybody have tokens of his own, and those of others only
// with a right (KIP-373).
func guardCreateDelegationToken(c *Call) kmsg.Response {
	who, owner := c.Principal(), c.tokenOwner()
	if mayAskForTokens(who) != nil || owner == nil || owner.Same(who) || c.allowed(acl.CreateTokens, acl.User, owner.String()) {
		return nil // who may not ask for any is told so by the handler
	}
	resp := answerToken(owner, who)
	return refuseToken(resp, kerr.DelegationTokenAuthorizationFailed)
}

// guardDescribeDelegationToken shows everybody the tokens that he owns or may renew, and the
// others only with a right, to the token or to its owner.
func guardDescribeDelegationToken(c *Call) kmsg.Response {
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.DescribeDelegationTokenResponse)
		r.TokenDetails = slices.DeleteFunc(r.TokenDetails, func(t kmsg.DescribeDelegationTokenResponseTokenDetail) bool { return !c.seesToken(&t) })
	})
	return nil
}

func (c *Call) seesToken(t *kmsg.DescribeDelegationTokenResponseTokenDetail) bool {
	p := c.Principal()
	own := func(kind, name string) bool { return kind == p.Type && name == p.Name }
	if own(t.PrincipalType, t.PrincipalName) || own(t.TokenRequesterPrincipalType, t.TokenRequesterPrincipalName) {
		return true
	}
	for i := range t.Renewers {
		if own(t.Renewers[i].PrincipalType, t.Renewers[i].PrincipalName) {
			return true
		}
	}
	return c.sees(acl.Describe, acl.DelegationToken, t.TokenID) || c.sees(acl.DescribeTokens, acl.User, t.PrincipalType+":"+t.PrincipalName)
}

func guardDescribeClientQuotas(c *Call) kmsg.Response {
	if c.allowedCluster(acl.DescribeConfigs) {
		return nil
	}
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}

func guardAlterClientQuotas(c *Call) kmsg.Response {
	if c.allowedCluster(acl.AlterConfigs) {
		return nil
	}
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	resp.Entries = mapped(c.Request.(*kmsg.AlterClientQuotasRequest).Entries, func(e *kmsg.AlterClientQuotasRequestEntry) kmsg.AlterClientQuotasResponseEntry {
		re := kmsg.NewAlterClientQuotasResponseEntry()
		re.ErrorCode, re.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
		re.Entity = mapped(e.Entity, func(x *kmsg.AlterClientQuotasRequestEntryEntity) kmsg.AlterClientQuotasResponseEntryEntity {
			rx := kmsg.NewAlterClientQuotasResponseEntryEntity()
			rx.Type, rx.Name = x.Type, x.Name
			return rx
		})
		return re
	})
	return resp
}

func guardDescribeUserScramCredentials(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Describe) {
		return nil
	}
	resp := kmsg.NewPtrDescribeUserSCRAMCredentialsResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}

func guardAlterUserScramCredentials(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	req := c.Request.(*kmsg.AlterUserSCRAMCredentialsRequest)
	var names []string
	for i := range req.Deletions {
		names = append(names, req.Deletions[i].Name)
	}
	for i := range req.Upsertions {
		names = append(names, req.Upsertions[i].Name)
	}
	slices.Sort(names)
	resp := kmsg.NewPtrAlterUserSCRAMCredentialsResponse()
	for _, name := range slices.Compact(names) {
		r := kmsg.NewAlterUserSCRAMCredentialsResponseResult()
		r.User, r.ErrorCode, r.ErrorMessage = name, deniedCluster, message(kerr.ClusterAuthorizationFailed)
		resp.Results = append(resp.Results, r)
	}
	return resp
}
