package membership

import (
	"testing"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// TestRegisterAgain: a process whose registration has an unknown outcome is registered all the same, once.
func TestRegisterAgain(t *testing.T) {
	for _, fault := range []quorum.Fault{quorum.LoseReply, quorum.LoseEntry} {
		group := quorum.NewGroup()
		store, err := metadata.Open(t.Context(), metadata.Options{
			NodeID: 1, Log: func(m quorum.StateMachine) (quorum.Log, error) { return group.Join("1", m, false), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		m := New(Options{
			Store: store, Registration: controller.Registration{ID: 1, Incarnation: metadata.ID{7}},
			Policy: func() controller.Policy { return controller.Policy{MinISR: 1} }, Now: time.Now,
		})
		group.Inject(fault)
		if err := m.Register(t.Context()); err != nil {
			t.Fatal(fault, err)
		}
		b, ok := store.Image().Broker(1)
		if !ok || b.Epoch != m.Epoch() || b.Epoch != 1 || b.Incarnation != (metadata.ID{7}) {
			t.Errorf("fault=%v: registered as %+v, epoch here=%d", fault, b, m.Epoch())
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}
