package metadata

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// A leader whose process is gone is followed by another at once: the heartbeat timeout is so long here that waiting for it would be the end
// of the test.
func TestLeaderGone(t *testing.T) {
	members := make([]*member, 3)
	var voters []quorum.Member
	var opened sync.WaitGroup
	opened.Add(len(members))
	for i := range members {
		l := listen(t)
		members[i] = &member{listener: l, address: l.Addr().String()}
		voters = append(voters, quorum.Member{ID: MemberID(int32(i + 1)), Address: members[i].address})
	}
	var started sync.WaitGroup
	for i, m := range members {
		dir := t.TempDir()
		m.options = Options{Dir: dir, NodeID: int32(i + 1), Advertise: m.address, HeartbeatTimeout: 30 * time.Second}
		m.options.Log = func(machine quorum.StateMachine) (quorum.Log, error) {
			log, err := quorum.Open(quorum.Options{
				Dir: filepath.Join(dir, "raft"), ID: MemberID(m.options.NodeID), Stream: newGroupStream(t.Context(), m.host, nil), Advertise: m.address,
				Voters: voters, HeartbeatTimeout: 30 * time.Second,
			}, machine)
			opened.Done()
			opened.Wait()
			if err == nil && m == members[0] { // nobody leads before the timeout unless one stands by itself
				err = log.Campaign("")
			}
			return log, err
		}
		started.Go(func() { m.start(t) })
	}
	started.Wait()
	t.Cleanup(func() {
		for _, m := range members {
			if m.store != nil {
				m.cut(t)
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	leader := propose(t, members, &record.RegisterBroker{ID: 1, Incarnation: ID{1}})
	rest := others(members, leader)
	end := func(m *member) uint64 { return m.store.log.(quorum.Membership).Progress().LastIndex }
	for ctx := testContext(t); end(rest[0]) < end(leader) || end(rest[1]) < end(leader); { // or who stands first could not win
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("the followers do not catch up")
		}
	}
	// Its port and its connections alone: a store that is closed hands over, and whom it names may stand at the same moment as the
	// one whose turn it is.
	if err := leader.host.Close(); err != nil {
		t.Fatal(err)
	}
	// On a busy machine the second in turn may be the first to stand.
	propose(t, rest, &record.RegisterBroker{ID: 2, Incarnation: ID{2}})
}
