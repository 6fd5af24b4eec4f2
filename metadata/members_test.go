package metadata

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

func others(all []*member, these ...*member) []*member {
	return slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return slices.Contains(these, m) })
}

// sorted returns members in the order of their ids.
func sorted(members []*member) []*member {
	slices.SortFunc(members, func(a, b *member) int { return int(a.options.NodeID - b.options.NodeID) })
	return members
}

// An operator gives votes and takes them, on whatever broker.
func TestVotersByHand(t *testing.T) {
	all := seeded(t, 4)
	fourth := all[3]
	ctx := testContext(t)
	leader := leaderOf(t, all)
	if err := fourth.store.AddVoter(ctx, 4); err != nil {
		t.Fatal(err)
	}
	wantMembers(t, all, asMembers(all...), nil)
	if err := fourth.store.AddVoter(ctx, 4); !errors.Is(err, ErrNoChange) {
		t.Error(err)
	}
	if err := fourth.store.AddVoter(ctx, 99); !errors.Is(err, ErrNotMember) {
		t.Error(err)
	}
	// The leader may be taken its vote too: another one leads then, and does it.
	if err := fourth.store.RemoveVoter(ctx, leader.options.NodeID); err != nil {
		t.Fatal(err)
	}
	rest := others(all, leader)
	wantMembers(t, all, asMembers(rest...), asMembers(leader))
	if err := rest[0].store.RemoveVoter(ctx, leader.options.NodeID); !errors.Is(err, ErrNoChange) {
		t.Error(err)
	}
	if _, err := leader.store.RegisterBroker(ctx, &record.RegisterBroker{ID: 1, Incarnation: ID{1}}); err != nil {
		t.Error("an observer proposes:", err)
	}
	g, ok := rest[0].store.Group()
	if !ok || len(g.Voters) != 3 || len(g.Observers) != 1 || g.Observers[0] != (GroupMember{leader.options.NodeID, leader.address}) ||
		g.LastIndex == 0 || g.Term == 0 || g.Leader < 0 {
		t.Errorf("%+v", g)
	}
}

// One step on the leader: what can not be committed, or would harm, is refused.
func TestChangeMember(t *testing.T) {
	all := seeded(t, 4)
	observer := all[3]
	ctx := testContext(t)
	step := func(kind MemberChangeKind, m *member) error {
		for {
			err := leaderOf(t, all).store.ChangeMember(ctx, MemberChange{kind, m.options.NodeID})
			if !errors.Is(err, quorum.ErrNotLeader) { // or it was not any more
				return err
			}
		}
	}
	follower := others(all[:3], leaderOf(t, all))[0]
	if err := follower.store.ChangeMember(ctx, MemberChange{Promote, 4}); err != nil && !errors.Is(err, quorum.ErrNotLeader) {
		t.Error(err)
	} else if err == nil { // it leads by now
		if err := step(Demote, observer); err != nil {
			t.Fatal(err)
		}
	}
	if err := step(Remove, observer); !errors.Is(err, ErrNotNow) || !strings.Contains(err.Error(), "stop it first") {
		t.Error(err)
	}
	observer.cut(t)
	if err := step(Promote, observer); !errors.Is(err, ErrNotNow) {
		t.Error("a vote for one that is away:", err)
	}
	if err := step(Remove, observer); err != nil {
		t.Fatal(err)
	}
	wantMembers(t, all, asMembers(all[:3]...), nil)
	observer.start(t) // with its log, and is a member again
	wantMembers(t, all, asMembers(all[:3]...), asMembers(observer))

	leader := leaderOf(t, all)
	away := others(all[:3], leader)
	away[0].cut(t)
	if err := step(Demote, away[1]); !errors.Is(err, ErrNotNow) || !strings.Contains(err.Error(), "no majority") {
		t.Error(err)
	}
	if err := step(Demote, away[0]); err != nil {
		t.Fatal(err)
	}
	if err := step(Promote, observer); err != nil {
		t.Fatal(err)
	}
	wantMembers(t, all, asMembers(sorted(others(all, away[0]))...), asMembers(away[0]))
	away[0].start(t)
	wantMembers(t, all, asMembers(sorted(others(all, away[0]))...), asMembers(away[0]))
}

// The last vote stays. A group of one needs no port for that, and a log in memory has no members.
func TestOnlyVoter(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir(), NodeID: 1})
	if err := s.RemoveVoter(testContext(t), 1); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	if err := s.AddVoter(testContext(t), 2); !errors.Is(err, ErrNotMember) {
		t.Error(err)
	}
	if g, ok := s.Group(); !ok || g.Leader != 1 || len(g.Voters) != 1 {
		t.Errorf("%+v", g)
	}
	twin := twinStore(t, quorum.NewGroup(), "1", true)
	if err := twin.AddVoter(testContext(t), 2); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	if _, ok := twin.Group(); ok {
		t.Error("the members of a twin are known")
	}
}

// An operator who waits in vain is told what for.
func TestAddVoterWaits(t *testing.T) {
	all := seeded(t, 2)
	if voters, _ := leaderOf(t, all).store.log.(quorum.Membership).Members(); len(voters) != 1 {
		t.Fatal(voters)
	}
	all[1].cut(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := all[0].store.AddVoter(ctx, 2); !errors.Is(err, ErrNotNow) || !strings.Contains(err.Error(), "does not answer") && !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// The bytes of version 1.
func TestMembersGolden(t *testing.T) {
	c := MemberChange{Demote, 7}
	const want = "01" + "02" + "00000007"
	if got := hex.EncodeToString(c.append(nil)); got != want {
		t.Error(got)
	}
	if back, err := parseMemberChange(c.append(nil)); err != nil || back != c {
		t.Errorf("%+v %v", back, err)
	}
	for name, b := range map[string][]byte{"version": {2, 1, 0, 0, 0, 1}, "torn": {1, 1, 0}, "more": {1, 1, 0, 0, 0, 1, 0}, "kind": {1, 9, 0, 0, 0, 1}} {
		if _, err := parseMemberChange(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s := twinStore(t, quorum.NewGroup(), "1", true)
	if _, err := s.serveMembers(testContext(t), peer.Identity{}, []byte{2}); !errors.Is(err, record.ErrUnknownVersion) {
		t.Error(err)
	}
}

// FuzzMembers: no panic, and what parses says the same when it is written and parsed again.
func FuzzMembers(f *testing.F) {
	c := MemberChange{Promote, 7}
	f.Add(c.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseMemberChange(b)
		if err != nil {
			return
		}
		if again, err := parseMemberChange(c.append(nil)); err != nil || again != c {
			t.Errorf("%x: %v", b, err)
		}
	})
}
