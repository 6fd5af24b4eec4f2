package quorum

import (
	"context"
	"errors"
	"testing"
)

func TestTwin(t *testing.T) {
	g := NewGroup()
	ma, mb, mc := new(adder), new(adder), new(adder)
	a, b := g.Join("a", ma, false), g.Join("b", mb, true)
	lagging := g.Join("c", mc, false)
	if got := propose(t, a, 5); got != 5 {
		t.Fatal(got)
	}
	if sum, _ := mb.state(); sum != 5 {
		t.Fatal("the follower did not apply", sum)
	}
	if sum, _ := mc.state(); sum != 0 {
		t.Fatal("a member applied without being told", sum)
	}
	var not *NotLeaderError
	if _, _, err := b.Propose(context.Background(), number(1)); !errors.As(err, &not) || not.Leader.ID != "a" {
		t.Fatal(err)
	}
	g.Inject(LoseEntry)
	if _, _, err := a.Propose(context.Background(), number(1)); !errors.Is(err, ErrUnknown) || g.Len() != 1 {
		t.Fatal(err, g.Len())
	}
	g.Inject(LoseReply)
	if _, _, err := a.Propose(context.Background(), number(1)); !errors.Is(err, ErrUnknown) || g.Len() != 2 {
		t.Fatal(err, g.Len())
	}
	if err := lagging.Install(b); err != nil {
		t.Fatal(err)
	}
	if sum, _ := mc.state(); sum != 6 || mc.restores != 1 {
		t.Fatal(sum)
	}
	changed := b.LeaderChanges()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	<-changed
	if _, ok := b.Leader(); ok {
		t.Fatal("a closed member leads")
	}
	if _, _, err := a.Propose(context.Background(), number(1)); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	g.Elect("c")
	if !lagging.IsLeader() || lagging.Barrier(context.Background()) != nil {
		t.Fatal("c does not lead")
	}
	propose(t, lagging, 4)
	again := g.Join("a", new(adder), false)
	if again.CatchUp() != 3 || again.Stats().AppliedIndex != 3 {
		t.Fatal("a did not catch up")
	}
}
