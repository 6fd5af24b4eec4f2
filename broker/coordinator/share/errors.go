package share

import (
	"errors"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
)

// answer is the part of a response that all five have: an error, or none.
type answer struct {
	code    int16
	message *string
}

func refuse(e *kerr.Error, message string) answer {
	if message == "" {
		message = e.Description
	}
	return answer{code: e.Code, message: &message}
}

// Messages of Kafka's.
const (
	negativePartition = "The partition id cannot be a negative number."
	writeBeforeInit   = "Write operation on uninitialized share partition not allowed."
	readBeforeInit    = "Read operation on uninitialized share partition not allowed."
)

// refusal is what a broker is told when the runtime refuses its request.
func refusal(err error) answer {
	switch {
	case errors.Is(err, coordinator.ErrNotCoordinator), errors.Is(err, coordinator.ErrNotLeader):
		return refuse(kerr.NotCoordinator, "")
	case errors.Is(err, coordinator.ErrLoading):
		return refuse(kerr.CoordinatorLoadInProgress, "")
	case errors.Is(err, coordinator.ErrTooLarge):
		return refuse(kerr.UnknownServerError, err.Error())
	default:
		return refuse(kerr.CoordinatorNotAvailable, err.Error())
	}
}
