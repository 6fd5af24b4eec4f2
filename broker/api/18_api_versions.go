package api

import (
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/server"
)

// apiVersions answers ApiVersions: the keys and versions of the table (KIP-35,
// KIP-511).
func apiVersions(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ApiVersionsRequest)
	resp := kmsg.NewPtrApiVersionsResponse()
	if c.Version >= 3 && !validSoftware(req.ClientSoftwareName, req.ClientSoftwareVersion) {
		resp.ErrorCode = kerr.InvalidRequest.Code
		return resp
	}
	fillApiVersions(resp)
	return resp
}

func fillApiVersions(resp *kmsg.ApiVersionsResponse) {
	for i := range table {
		e := &table[i]
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = e.key, e.min, e.max
		if e.advertisedMin != nil {
			k.MinVersion = *e.advertisedMin
		}
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
}

// validSoftware checks a client's name and version as KIP-511 restricts them:
// letters, digits, '-' and '.', beginning and ending with a letter or digit.
func validSoftware(names ...string) bool {
	alnum := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	for _, s := range names {
		if s == "" || !alnum(s[0]) || !alnum(s[len(s)-1]) {
			return false
		}
		for i := range len(s) {
			if !alnum(s[i]) && s[i] != '-' && s[i] != '.' {
				return false
			}
		}
	}
	return true
}

// respondUnsupportedApiVersions answers a client that is newer than this broker,
// in version 0, which every client can read, so that it can try again.
func (a *API) respondUnsupportedApiVersions(r *server.Request) {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.SetVersion(0)
	resp.ErrorCode = kerr.UnsupportedVersion.Code
	fillApiVersions(resp)
	r.Respond(server.Response{Buffers: net.Buffers{resp.AppendTo(nil)}})
}
