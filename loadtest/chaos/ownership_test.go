package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/loadtest/ownership"
)

const (
	groupSession = 6 * time.Second
	// ownerLimit is how long a partition may be without owner after the session of the one who died.
	ownerLimit = 5 * time.Second
	// settleWithin is when it is given up to wait for owners.
	settleWithin = 60 * time.Second
	killsARound  = 5
)

// TestGroups kills members and coordinators of groups of each protocol.
func TestGroups(t *testing.T) {
	t.Logf("go test ./loadtest/chaos -run TestGroups -v -members %d -owned %d -kills %d -slack %d -seed %d", *members, *owned, *kills, *slack, *seed)
	s := newScene(t, "auto.leader.rebalance.enable=false") // the only coordinators that move are those that are killed
	for _, protocol := range []ownership.Protocol{ownership.Eager, ownership.Cooperative, ownership.Consumer, ownership.Streams} {
		t.Run(string(protocol), func(t *testing.T) {
			name := fmt.Sprintf("owned-%s-%d", protocol, *seed)
			run, err := ownership.Start(t.Context(), ownership.Options{
				Brokers: s.cluster.Addresses(), Topic: name, Group: name, Partitions: int32(*owned), ReplicationFactor: brokers,
				Protocol: protocol, Members: *members, Session: groupSession, Limit: stretched(ownerLimit),
			}, *seed)
			if err != nil {
				t.Fatal(err)
			}
			defer run.Stop()
			if err := s.churn(t, run, name); err != nil {
				t.Errorf("%v%s", err, s.cluster.Logs())
			}
			result := run.Finish()
			text, err := json.MarshalIndent(result, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s", text)
			if !result.OK() {
				t.Errorf("violations: doubles=%d orphans=%d backwards=%d", result.Doubles, result.Orphans, result.Backwards)
			}
		})
	}
}

// churn kills members, lets others take their place, and kills the coordinator, in turn.
func (s *scene) churn(t *testing.T, run *ownership.Run, group string) error {
	settle := func(after string) error {
		ctx, cancel := context.WithTimeout(t.Context(), stretched(settleWithin))
		defer cancel()
		began := time.Now()
		if err := run.Settle(ctx); err != nil {
			return fmt.Errorf("after %s: %w", after, err)
		}
		t.Logf("after %s every partition has one owner, %.1fs", after, time.Since(began).Seconds())
		return nil
	}
	err := settle("the start")
	for killed := 0; killed < *kills && err == nil; killed += killsARound {
		run.Kill(killsARound)
		s.hold(t.Context(), s.between(0, groupSession/2))
		switch s.random.IntN(3) {
		case 0: // the coordinator goes while it finds out
			err = s.killCoordinator(t.Context(), run, group)
		case 1:
			err = errors.Join(settle("deaths"), s.killCoordinator(t.Context(), run, group))
		default: // others come while it finds out
			err = errors.Join(run.Grow(), s.killCoordinator(t.Context(), run, group))
		}
		err = errors.Join(err, run.Grow(), settle("a round"))
	}
	return err
}

// killCoordinator kills the group's coordinator, and returns when another one answers and the broker is back.
func (s *scene) killCoordinator(ctx context.Context, run *ownership.Run, group string) error {
	b, err := s.coordinator(ctx, func(a *kadm.Client) kadm.FindCoordinatorResponses { return a.FindGroupCoordinators(ctx, group) })
	if err != nil {
		return err
	}
	s.cluster.Kill(b)
	answered := s.awaitCoordinator(ctx, group)
	run.Moved()
	rest, cancel := context.WithTimeout(ctx, stretched(restWithin))
	defer cancel()
	return errors.Join(answered, s.restart(b), s.cluster.Rest(rest))
}

// awaitCoordinator returns when a coordinator answers for the group.
func (s *scene) awaitCoordinator(ctx context.Context, group string) error {
	ctx, cancel := context.WithTimeout(ctx, stretched(goOnWithin))
	defer cancel()
	for {
		err := s.askCoordinator(ctx, group)
		if err == nil {
			return nil
		}
		if wait(ctx, nil, 20*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("no coordinator answers for group=%s: %w", group, errors.Join(ctx.Err(), err))
		}
	}
}

// askCoordinator asks once, with a client that knows no coordinator from before.
func (s *scene) askCoordinator(ctx context.Context, group string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.Addresses()...), kgo.DialTimeout(time.Second), kgo.RetryTimeout(time.Second))
	if err != nil {
		return err
	}
	defer client.Close()
	committed, err := kadm.NewClient(client).FetchOffsets(ctx, group)
	if err != nil {
		return err
	}
	return committed.Error()
}
