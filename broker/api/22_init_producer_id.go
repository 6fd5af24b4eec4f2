package api

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"

	"github.com/tidelinehq/tideline/metadata/controller"
)

// producerIDs hands out producer ids that no other broker has handed out, ever.
type producerIDs struct {
	// turn is held while a block is fetched, for the others would want one, too. They wait
	// no longer than their requests may.
	turn      *semaphore.Weighted
	next, end int64
}

func newProducerIDs() producerIDs { return producerIDs{turn: semaphore.NewWeighted(1)} }

// producerIDTimeout bounds how long a request waits for a block: its client asks again.
const producerIDTimeout = 10 * time.Second

// take returns a fresh id.
func (ids *producerIDs) take(ctx context.Context, a *API) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, producerIDTimeout)
	defer cancel()
	if err := ids.turn.Acquire(ctx, 1); err != nil {
		return 0, fmt.Errorf("wait for a block of producer ids: %w", err)
	}
	defer ids.turn.Release(1)
	if ids.next == ids.end {
		cmd, err := controller.AllocateProducerIDs(a.Metadata.Image(), a.Config.NodeID)
		if err != nil {
			return 0, fmt.Errorf("allocate producer ids: %w", err)
		}
		result, err := a.Metadata.Propose(ctx, cmd)
		if err != nil {
			return 0, fmt.Errorf("allocate producer ids: %w", err)
		}
		ids.next, ids.end = result.FirstProducerID, result.FirstProducerID+int64(cmd.Count)
	}
	id := ids.next
	ids.next++
	return id, nil
}

// NewProducerID returns a producer id that nobody has.
func (a *API) NewProducerID(ctx context.Context) (int64, error) { return a.producerIDs.take(ctx, a) }

// initProducerID answers InitProducerId: for idempotent producers (KIP-98) with a fresh
// producer id, for transactional ones as their coordinator says.
func initProducerID(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.InitProducerIDRequest)
	if req.TransactionalID != nil {
		return toTransactions(c)
	}
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	id, err := c.API.NewProducerID(c.Context)
	if err != nil {
		resp.ErrorCode = kerr.CoordinatorNotAvailable.Code
		c.API.logger.Warn("no producer id", "error", err)
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return resp
}
