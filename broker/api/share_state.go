package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ShareState answers the requests about the state of share partitions. It is
// implemented by share.Coordinator.
type ShareState interface {
	// Handle answers a request exactly once, without blocking; false: not a request of
	// this kind, and not answered.
	Handle(req kmsg.Request, reply func(kmsg.Response)) bool
}

// shareStateBytes is what an answer about one share partition may take: 2000 records
// under way is Kafka's default, each in a state of its own.
const shareStateBytes = 64 << 10

// toShareState hands a request to the share coordinator, which replies later.
func toShareState(c *Call) kmsg.Response {
	if !c.API.ShareState.Handle(c.Request, c.Reply) {
		panic("api: the share coordinator does not know an api key of the table")
	}
	return nil
}

// ShareCoordinator returns the broker that coordinates a share partition, by its key.
func (a *API) ShareCoordinator(ctx context.Context, key string) (node int32, err error) {
	b, _, err := a.coordinator(ctx, coordinatorKind(shareCoordinator), key)
	if err != nil {
		return -1, err
	}
	return b.ID, nil
}

// shareCoordinator is the type of the coordinators of share partitions.
const shareCoordinator = 2
