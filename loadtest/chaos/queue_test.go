package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/tidelinehq/tideline/loadtest/queue"
)

// deliveryLimit is the default of group.share.delivery.count.limit.
const deliveryLimit = 5

// TestQueue kills members of a share group, and brokers.
func TestQueue(t *testing.T) {
	t.Logf("go test ./loadtest/chaos -run TestQueue -v -kills %d -seed %d", *kills, *seed)
	s := newScene(t)
	name := fmt.Sprintf("queue-%d", *seed)
	run, err := queue.Start(t.Context(), queue.Options{
		Brokers: s.cluster.Addresses(), Topic: name, Group: name, Partitions: partitions, ReplicationFactor: brokers,
		Members: 8, Limit: deliveryLimit, Rate: 300,
	}, *seed)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Stop()
	s.topic = name
	for killed := range *kills {
		if err := s.disturbQueue(t.Context(), run, killed); err != nil {
			t.Fatalf("%v%s", err, s.cluster.Logs())
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), checkWithin)
	defer cancel()
	result := run.Finish(ctx)
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
	if !result.OK() {
		t.Errorf("violations: missing=%d again=%d undone=%d count=%d", result.Missing, result.Again, result.Undone, result.Count)
	}
}

// disturbQueue kills a member, or a broker in one of three cases.
func (s *scene) disturbQueue(ctx context.Context, run *queue.Run, n int) error {
	s.hold(ctx, s.between(0, groupSession/3))
	if s.random.IntN(3) > 0 {
		run.Kill()
		return run.Grow()
	}
	b, err := s.leader(ctx)
	if err != nil {
		return err
	}
	s.t.Logf("kill=%d broker=%d", n, b+1)
	run.Disturbed()
	s.cluster.Kill(b)
	s.hold(ctx, s.between(0, groupSession/3))
	rest, cancel := context.WithTimeout(ctx, stretched(restWithin))
	defer cancel()
	return errors.Join(s.restart(b), s.cluster.Rest(rest))
}
