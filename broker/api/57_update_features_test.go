package api

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	command "github.com/tidelinehq/tideline/metadata/record"
)

func features(levels ...any) *kmsg.UpdateFeaturesRequest {
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.TimeoutMillis = 10_000
	for i := 0; i < len(levels); i += 3 {
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType = levels[i].(string), int16(levels[i+1].(int)), int8(levels[i+2].(int))
		u.AllowDowngrade = u.UpgradeType > upgradeOnly
		req.FeatureUpdates = append(req.FeatureUpdates, u)
	}
	return req
}

// featured has features: both brokers x up to 3, one y up to 1.
func featured(t *testing.T) *cluster {
	c := newCluster(t, 2)
	for id := range int32(2) {
		b, _ := c.Image().Broker(id + 1)
		r := &command.RegisterBroker{ID: b.ID, Incarnation: b.Incarnation, Endpoints: b.Endpoints, Features: []command.FeatureRange{{Name: "x", Min: 1, Max: 3}}}
		if id == 0 {
			r.Features = append(r.Features, command.FeatureRange{Name: "y", Max: 1})
		}
		c.apply(r)
	}
	c.apply(&command.FinalizeFeatures{Updates: []command.Feature{{Name: "x", Level: 2}}})
	return c
}

func TestUpdateFeatures(t *testing.T) {
	for name, x := range map[string]struct {
		version int16
		req     *kmsg.UpdateFeaturesRequest
		want    string // code, results, levels
	}{
		"nothing":             {2, features(), "NONE [] [{x 2}]"},
		"up":                  {2, features("x", 3, 1), "NONE [] [{x 3}]"},
		"up, v1":              {1, features("x", 3, 1), "NONE [{x 0}] [{x 3}]"},
		"up, v0":              {0, features("x", 3, 1), "NONE [{x 0}] [{x 3}]"},
		"as it is":            {1, features("x", 2, 1), "NONE [{x 0}] [{x 2}]"},
		"validate":            {1, func() *kmsg.UpdateFeaturesRequest { r := features("x", 3, 1); r.ValidateOnly = true; return r }(), "NONE [{x 0}] [{x 2}]"},
		"down as up":          {2, features("x", 1, 1), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"down":                {2, features("x", 1, 2), "NONE [] [{x 1}]"},
		"down, unsafe":        {2, features("x", 1, 3), "NONE [] [{x 1}]"},
		"down, v0":            {0, features("x", 1, 2), "NONE [{x 0}] [{x 1}]"},
		"off":                 {2, features("x", 0, 2), "NONE [] []"},
		"up as down":          {2, features("x", 3, 2), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"beyond":              {2, features("x", 4, 1), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"negative":            {2, features("x", -1, 2), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"not on all":          {2, features("y", 1, 1), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"off already":         {1, features("y", 0, 1), "NONE [{y 0}] [{x 2}]"},
		"unknown":             {2, features("z", 1, 1), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"unknown, off":        {2, features("z", 0, 2), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"no name":             {2, features("", 1, 1), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"unknown kind":        {2, features("x", 3, 4), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"all or none":         {1, features("x", 3, 1, "z", 1, 1), "INVALID_UPDATE_VERSION [] [{x 2}]"},
		"the last one counts": {1, features("x", 9, 1, "x", 3, 1), "NONE [{x 0} {x 0}] [{x 3}]"},
	} {
		t.Run(name, func(t *testing.T) {
			c := featured(t)
			resp := ask[*kmsg.UpdateFeaturesResponse](c, x.version, x.req)
			type result struct {
				name string
				code int16
			}
			var results []result
			for _, r := range resp.Results {
				results = append(results, result{r.Feature, r.ErrorCode})
			}
			if got := fmt.Sprintln(code(resp.ErrorCode), results, c.Image().Features()); got != x.want+"\n" {
				t.Errorf("got %swant %s", got, x.want)
			}
			if (resp.ErrorMessage == nil) != (resp.ErrorCode == 0) {
				t.Error("message and code do not go together")
			}
		})
	}
}

// TestFeaturesAreAdvertised: clients learn the levels from ApiVersions.
func TestFeaturesAreAdvertised(t *testing.T) {
	c := featured(t)
	for version, want := range map[int16]string{
		2: "[] [] -1",
		3: "[{x 1 3}] [{x 2 2}] 8",
		4: "[{x 1 3} {y 0 1}] [{x 2 2}] 8",
	} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1"
		resp := ask[*kmsg.ApiVersionsResponse](c, version, req)
		type levels struct {
			name     string
			min, max int16
		}
		var supported, finalized []levels
		for _, f := range resp.SupportedFeatures {
			supported = append(supported, levels{f.Name, f.MinVersion, f.MaxVersion})
		}
		for _, f := range resp.FinalizedFeatures {
			finalized = append(finalized, levels{f.Name, f.MinVersionLevel, f.MaxVersionLevel})
		}
		if got := fmt.Sprintln(supported, finalized, resp.FinalizedFeaturesEpoch); got != want+"\n" {
			t.Errorf("v%d: %s", version, got)
		}
	}
	if epoch := c.Image().Index(); epoch != 8 {
		t.Errorf("index=%d: the epoch should be it", epoch)
	}
}
