package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Quorum is the group that keeps the metadata.
type Quorum interface {
	// Group returns the group as this broker knows it, which is most on the leader.
	Group(ctx context.Context) (QuorumGroup, error)
	// AddVoter makes a member vote; on the leader. Its address is that of its internal port.
	AddVoter(ctx context.Context, id int32, address string) error
	// RemoveVoter takes a member's vote; on the leader.
	RemoveVoter(ctx context.Context, id int32) error
}

// QuorumGroup is the group that keeps the metadata.
type QuorumGroup struct {
	Leader        int32 // -1: none
	Epoch         int32
	HighWatermark int64
	Voters        []QuorumMember
	Observers     []QuorumMember
}

// QuorumMember is a member of it. What is not known is -1.
type QuorumMember struct {
	ID                      int32
	Address                 string // host:port of its internal port, empty when there is none
	LogEnd                  int64
	LastFetch, LastCaughtUp int64 // Unix milliseconds
}

// votes reports whether a broker is a voter.
func (g *QuorumGroup) votes(id int32) bool {
	return slices.ContainsFunc(g.Voters, func(m QuorumMember) bool { return m.ID == id })
}

// checkCluster refuses a request that is meant for another cluster.
func (a *API) checkCluster(id *string) error {
	if own := a.Metadata.Image().ClusterID(); id != nil && *id != own {
		return fmt.Errorf("%w: asked=%q cluster=%s", kerr.InconsistentClusterID, *id, own)
	}
	return nil
}
