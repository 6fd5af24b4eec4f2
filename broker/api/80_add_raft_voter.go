package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
)

// addRaftVoter answers AddRaftVoter (KIP-853). A voter is a broker here: it is named
// by its id, its directory has none, and where it is reached the group knows since it
// joined. It gets its vote when it has caught up.
func addRaftVoter(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AddRaftVoterRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrAddRaftVoterResponse()
	err := c.API.addVoter(ctx, req)
	resp.ErrorCode, resp.ErrorMessage = errorCode(err), message(err)
	return resp
}

func (a *API) addVoter(ctx context.Context, req *kmsg.AddRaftVoterRequest) error {
	if err := a.checkCluster(req.ClusterID); err != nil {
		return err
	}
	if req.VoterID < 0 {
		return fmt.Errorf("%w: voter=%d", kerr.InvalidRequest, req.VoterID)
	}
	err := a.quorum().AddVoter(ctx, req.VoterID)
	if errors.Is(err, metadata.ErrNoChange) {
		return fmt.Errorf("%w: %w", kerr.DuplicateVoter, err)
	}
	return err
}
