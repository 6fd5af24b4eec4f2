package api

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	command "github.com/tidelinehq/tideline/metadata/record"
)

// addRaftVoter answers AddRaftVoter (KIP-853). A voter is a broker here: it is
// named by its id, and its directory has none.
func addRaftVoter(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AddRaftVoterRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrAddRaftVoterResponse()
	err := c.addVoter(ctx, req)
	resp.ErrorCode, resp.ErrorMessage = errorCode(err), message(err)
	return resp
}

func (c *Call) addVoter(ctx context.Context, req *kmsg.AddRaftVoterRequest) error {
	if err := c.API.checkCluster(req.ClusterID); err != nil {
		return err
	}
	if req.VoterID < 0 {
		return fmt.Errorf("%w: voter=%d", kerr.InvalidRequest, req.VoterID)
	}
	address, err := c.API.voterAddress(req)
	if err != nil {
		return err
	}
	group, err := c.quorum().Group(ctx)
	if err != nil {
		return err
	}
	if group.votes(req.VoterID) {
		return fmt.Errorf("%w: voter=%d", kerr.DuplicateVoter, req.VoterID)
	}
	return c.quorum().AddVoter(ctx, req.VoterID, address)
}

// voterAddress returns the address of the new voter's internal port: that with
// which the broker is registered, or for one that is not, the request's.
func (a *API) voterAddress(req *kmsg.AddRaftVoterRequest) (string, error) {
	if b, ok := a.Metadata.Image().Broker(req.VoterID); ok {
		if host, port, ok := endpoint(b, command.InternalListener); ok {
			return net.JoinHostPort(host, strconv.Itoa(int(port))), nil
		}
	}
	i := slices.IndexFunc(req.Listeners, func(l kmsg.AddRaftVoterRequestListener) bool { return l.Name == controllerListener })
	if i < 0 {
		return "", fmt.Errorf("%w: broker %d is not registered with an internal port, and the request has no listener %s", kerr.InvalidRequest, req.VoterID, controllerListener)
	}
	l := &req.Listeners[i]
	if l.Host == "" || l.Port == 0 {
		return "", fmt.Errorf("%w: listener=%s host=%q port=%d", kerr.InvalidRequest, l.Name, l.Host, l.Port)
	}
	return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))), nil
}
