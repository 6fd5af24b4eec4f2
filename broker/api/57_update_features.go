package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/controller"
)

// Kinds of updates of UpdateFeatures (KIP-778).
const (
	upgradeOnly     = 1
	safeDowngrade   = 2
	unsafeDowngrade = 3
)

// updateFeatures answers UpdateFeatures (KIP-584, KIP-778): all levels change, or
// none. Up to version 1 a success has a line for each feature.
func updateFeatures(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.UpdateFeaturesRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	err := c.API.finalizeFeatures(ctx, req)
	if err != nil {
		err = fmt.Errorf("no feature was changed: %w", err)
	}
	resp.ErrorCode, resp.ErrorMessage = errorCode(err), message(err)
	if err == nil && c.Version <= 1 {
		for i := range req.FeatureUpdates {
			r := kmsg.NewUpdateFeaturesResponseResult()
			r.Feature = req.FeatureUpdates[i].Feature
			resp.Results = append(resp.Results, r)
		}
	}
	return resp
}

func (a *API) finalizeFeatures(ctx context.Context, req *kmsg.UpdateFeaturesRequest) error {
	updates := make([]controller.FeatureUpdate, 0, len(req.FeatureUpdates))
	for i := range req.FeatureUpdates {
		u := &req.FeatureUpdates[i]
		kind := u.UpgradeType
		if req.Version == 0 {
			kind = upgradeOnly
			if u.AllowDowngrade {
				kind = safeDowngrade
			}
		}
		if kind < upgradeOnly || kind > unsafeDowngrade {
			return fmt.Errorf("%w: feature=%s kind of update=%d", kerr.InvalidUpdateVersion, u.Feature, kind)
		}
		updates = append(updates, controller.FeatureUpdate{Name: u.Feature, Level: int32(u.MaxVersionLevel), Down: kind != upgradeOnly})
	}
	c, err := controller.UpdateFeatures(a.Metadata.Image(), updates)
	if err != nil || c == nil || req.ValidateOnly {
		return err
	}
	_, err = a.Metadata.Propose(ctx, c)
	return err
}
