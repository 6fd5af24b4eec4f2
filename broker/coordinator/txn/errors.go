package txn

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/coordinator"
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

// fencedCode is PRODUCER_FENCED, which clients know from version on; before, they take
// INVALID_PRODUCER_EPOCH for it.
func fencedCode(code, version, since int16) int16 {
	if code == kerr.ProducerFenced.Code && version < since {
		return kerr.InvalidProducerEpoch.Code
	}
	return code
}
