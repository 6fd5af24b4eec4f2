package chaos

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/brokertest"
)

// mixedFor is how long brokers of two programs work together before the next one is replaced.
const mixedFor = 3 * time.Second

// TestUpgrade replaces the program of one broker after the other while producers and readers work: the older one by this, this
// by the older, as long as nothing of the new one was finalized, and again. Everything is checked as in a campaign.
//
//	go test ./loadtest/chaos -run TestUpgrade -v -from REVISION
//
// is `make upgrade UPGRADE='-from REVISION'`. Without a revision both are this program, and it is replaced once.
func TestUpgrade(t *testing.T) {
	current, err := brokertest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	older := os.Getenv(olderVariable)
	s := newSceneOf(t, older)
	s.begin(t.Context(), 0)
	ways := []struct{ name, program string }{{"upgrade", current}, {"roll back", older}, {"upgrade again", current}}
	if older == current {
		ways = ways[:1]
	}
	for _, way := range ways {
		began := time.Now()
		s.roll(t.Context(), way.name, way.program)
		t.Logf("%s took=%.1fs acked=%d", way.name, time.Since(began).Seconds(), s.run.Acked())
	}
	s.end(t.Context(), len(ways))
}

// roll replaces the program of all brokers, the controller's last.
func (s *scene) roll(ctx context.Context, name, program string) {
	s.t.Helper()
	if err := s.run.Mark(name); err != nil {
		s.t.Fatal(err)
	}
	last, err := s.controller(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for n := range brokers {
		b := (last + 1 + n) % brokers
		if err := s.goOn(ctx, "before broker "+s.cluster.Broker(b).Addr()); err != nil {
			s.t.Fatalf("%s: %v%s", name, err, s.cluster.Logs())
		}
		s.cluster.Stop(b)
		s.cluster.Broker(b).Use(program)
		s.cluster.Restart(b)
		rest, cancel := context.WithTimeout(ctx, stretched(restWithin))
		err := s.cluster.Rest(rest)
		cancel()
		if err != nil {
			s.t.Fatalf("%s of broker %d: %v%s", name, b+1, err, s.cluster.Logs())
		}
		s.hold(ctx, mixedFor)
	}
	if err := s.goOn(ctx, "after the "+name); err != nil {
		s.t.Fatalf("%s: %v%s", name, err, s.cluster.Logs())
	}
}
