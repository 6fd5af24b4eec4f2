package api

import (
	"math"
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
	c.API.fillApiVersions(resp)
	if c.Version >= 3 {
		c.knowSoftware(req)
		c.API.fillFeatures(resp, c.Version)
	}
	return resp
}

// fillFeatures adds the levels of features that this broker supports, and those
// that are finalized (KIP-584). Clients older than version 4 can not read a range
// that begins at 0, so it is left out for them (KAFKA-17492).
func (a *API) fillFeatures(resp *kmsg.ApiVersionsResponse, version int16) {
	image := a.Metadata.Image()
	if b, ok := image.Broker(a.Config.NodeID); ok {
		for _, f := range b.Features {
			if f.Min == 0 && version < 4 {
				continue
			}
			s := kmsg.NewApiVersionsResponseSupportedFeature()
			s.Name, s.MinVersion, s.MaxVersion = f.Name, levelOf(f.Min), levelOf(f.Max)
			resp.SupportedFeatures = append(resp.SupportedFeatures, s)
		}
	}
	for _, f := range image.Features() {
		s := kmsg.NewApiVersionsResponseFinalizedFeature()
		s.Name, s.MinVersionLevel, s.MaxVersionLevel = f.Name, levelOf(f.Level), levelOf(f.Level)
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, s)
	}
	resp.FinalizedFeaturesEpoch = int64(min(image.Index(), math.MaxInt64))
}

// levelOf is a feature level as the protocol has it.
func levelOf(level int32) int16 { return int16(min(max(level, 0), math.MaxInt16)) }

func (a *API) fillApiVersions(resp *kmsg.ApiVersionsResponse) {
	for i := range table {
		e := &table[i]
		if isTelemetry(e.key) && !a.ClientMetrics.Exports() {
			continue // served, but clients need not push for nobody; as Kafka
		}
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
	a.fillApiVersions(resp)
	r.Respond(server.Response{Buffers: net.Buffers{resp.AppendTo(nil)}})
}
