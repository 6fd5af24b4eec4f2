package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Quorum is the group that keeps the metadata.
type Quorum interface {
	// Group returns the group as this broker knows it, which is most on the leader.
	Group(ctx context.Context) (QuorumGroup, error)
	// AddVoter gives a member its vote, and RemoveVoter takes it, whoever leads. Errors
	// are those of metadata.Store.
	AddVoter(ctx context.Context, id int32) error
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

// quorum returns the metadata group, or one that has only a reason for not being there.
func (a *API) quorum() Quorum {
	if a.Quorum == nil {
		return noQuorum{}
	}
	return a.Quorum
}

var errNoQuorum = fmt.Errorf("%w: this broker can not say anything about the metadata group", kerr.UnsupportedVersion)

type noQuorum struct{}

func (noQuorum) Group(context.Context) (QuorumGroup, error) { return nobody, errNoQuorum }
func (noQuorum) AddVoter(context.Context, int32) error      { return errNoQuorum }
func (noQuorum) RemoveVoter(context.Context, int32) error   { return errNoQuorum }

// nobody is a group of which nothing is known.
var nobody = QuorumGroup{Leader: -1, Epoch: -1, HighWatermark: -1}

// checkCluster refuses a request that is meant for another cluster.
func (a *API) checkCluster(id *string) error {
	if own := a.Metadata.Image().ClusterID(); id != nil && *id != own {
		return fmt.Errorf("%w: asked=%q cluster=%s", kerr.InconsistentClusterID, *id, own)
	}
	return nil
}
