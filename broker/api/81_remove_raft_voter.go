package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
)

// removeTimeout bounds the wait until the other voters can decide without one: the
// request has no bound of its own.
const removeTimeout = 30 * time.Second

// removeRaftVoter answers RemoveRaftVoter (KIP-853). Who loses its vote goes on to
// follow.
func removeRaftVoter(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.RemoveRaftVoterRequest)
	ctx, cancel := context.WithTimeout(c.Context, removeTimeout)
	defer cancel()
	resp := kmsg.NewPtrRemoveRaftVoterResponse()
	err := c.API.removeVoter(ctx, req)
	resp.ErrorCode, resp.ErrorMessage = errorCode(err), message(err)
	return resp
}

func (a *API) removeVoter(ctx context.Context, req *kmsg.RemoveRaftVoterRequest) error {
	if err := a.checkCluster(req.ClusterID); err != nil {
		return err
	}
	err := a.quorum().RemoveVoter(ctx, req.VoterID)
	if errors.Is(err, metadata.ErrNoChange) || errors.Is(err, metadata.ErrNotMember) {
		return fmt.Errorf("%w: %w", kerr.VoterNotFound, err)
	}
	return err
}
