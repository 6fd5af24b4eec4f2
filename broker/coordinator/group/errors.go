package group

import (
	"errors"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// errorCode is what a client is told when the runtime refuses its request.
func errorCode(err error) int16 {
	switch {
	case errors.Is(err, coordinator.ErrNotCoordinator), errors.Is(err, coordinator.ErrNotLeader):
		return kerr.NotCoordinator.Code
	case errors.Is(err, coordinator.ErrLoading):
		return kerr.CoordinatorLoadInProgress.Code
	case errors.Is(err, coordinator.ErrTooLarge):
		return kerr.UnknownServerError.Code
	default:
		return kerr.CoordinatorNotAvailable.Code
	}
}

// checkMember finds the member that a request names, or the error code why not:
// a static member whose instance id another has taken over is fenced.
func (ms *membership) checkMember(id string, instance *string) (*member, int16) {
	if instance != nil {
		switch s := ms.static(*instance); {
		case s == nil:
			return nil, kerr.UnknownMemberID.Code
		case s.id != id:
			return nil, kerr.FencedInstanceID.Code
		}
	}
	mb := ms.member(id)
	if mb == nil {
		return nil, kerr.UnknownMemberID.Code
	}
	return mb, 0
}

// differs says whether a request contradicts the group about its protocol;
// old requests say nothing.
func differs(said *string, is string) bool { return said != nil && *said != is }
