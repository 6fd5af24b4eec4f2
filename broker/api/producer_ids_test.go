package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// leaderlessMetadata is a cluster without a controller: proposals wait for one.
type leaderlessMetadata struct {
	Metadata
	image *metadata.Image
}

func (l leaderlessMetadata) Image() *metadata.Image { return l.image }

func (leaderlessMetadata) Propose(ctx context.Context, _ command.Command) (command.Result, error) {
	<-ctx.Done()
	return command.Result{}, ctx.Err()
}

// TestProducerIDsWait: whoever wants a producer id while nobody can give one waits with a bound, and holds no lock meanwhile: in the
// bubble, time passes only where nobody waits for a lock.
func TestProducerIDsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		image, _ := metadata.Apply(new(metadata.Image), 1, &command.InitCluster{ClusterID: "c"})
		image, _ = metadata.Apply(image, 2, &command.RegisterBroker{ID: 1, Incarnation: metadata.ID{1}})
		a := &API{Deps: Deps{Metadata: leaderlessMetadata{image: image}, Config: &config.Config{NodeID: 1}}, producerIDs: newProducerIDs()}
		refused := make(chan error)
		for range 3 {
			go func() {
				_, err := a.producerIDs.take(t.Context(), a)
				refused <- err
			}()
		}
		for range 3 {
			if err := <-refused; !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
	})
}
