package partition

import (
	"errors"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

// TestCutWhereNothingIsKnown: a follower that has forgotten which transactions were open where its leader's log
// ends refuses the cut, and tells a history that makes the leader have it begin anew.
func TestCutWhereNothingIsKnown(t *testing.T) {
	defer func(was int) { maxDecisions = was }(maxDecisions)
	maxDecisions = 8
	leader, second := newWorld(t), replicaOf(t)
	leader.leads(5, 1, 1)
	leader.mustAppend(plain(10, 1000))
	follow(t, leader, second, 5, 2)
	second.Lead(alone(6), nil, nil) // uncleanly: it was in no ISR
	for i := range int32(20) {
		a, done := &Append{Guard: Trusted}, make(owner, 1)
		b := batch(record.Options{ProducerID: 1, ProducerEpoch: int16(i), Transactional: true}, 1, 1000)
		if err := second.Append(a, b, FromClient, done); err != nil {
			t.Fatal(err)
		}
		<-done
		if err := second.AppendMarker(a, Marker{ProducerID: 1, ProducerEpoch: int16(i) + 1, TransactionVersion: 2}, done); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	leader.leads(7, 2, 1)
	second.Follow(7)
	if err := second.Cut(7, 10, 10, func(int64, error) {}); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Fatalf("cut: %v", err)
	}
	if second.End() != 50 || second.LastStable() != 50 {
		t.Errorf("the cut was refused, and the log ends at %d, stable at %d", second.End(), second.LastStable())
	}
	if h, err := second.Describe(7); err != nil || len(h.Epochs) != 0 {
		t.Errorf("history = %+v %v", h, err)
	}
	if plan := follow(t, leader, second, 7, 2); !plan.Restart || second.End() != 10 || len(second.Producers()) != 0 {
		t.Errorf("plan = %+v end=%d producers=%v", plan, second.End(), second.Producers())
	}
}
