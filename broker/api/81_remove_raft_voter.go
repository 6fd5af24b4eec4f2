package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// removeRaftVoter answers RemoveRaftVoter (KIP-853).
func removeRaftVoter(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.RemoveRaftVoterRequest)
	resp := kmsg.NewPtrRemoveRaftVoterResponse()
	err := c.removeVoter(c.Context, req)
	resp.ErrorCode, resp.ErrorMessage = errorCode(err), message(err)
	return resp
}

func (c *Call) removeVoter(ctx context.Context, req *kmsg.RemoveRaftVoterRequest) error {
	if err := c.API.checkCluster(req.ClusterID); err != nil {
		return err
	}
	group, err := c.quorum().Group(ctx)
	switch {
	case err != nil:
		return err
	case !group.votes(req.VoterID):
		return fmt.Errorf("%w: voter=%d", kerr.VoterNotFound, req.VoterID)
	case len(group.Voters) == 1:
		return fmt.Errorf("%w: voter=%d is the only one", kerr.InvalidRequest, req.VoterID)
	}
	return c.quorum().RemoveVoter(ctx, req.VoterID)
}
