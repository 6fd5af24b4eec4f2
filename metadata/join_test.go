package metadata

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// listen takes a free port.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// newcomer is a broker that knows the seeds only.
func newcomer(t testing.TB, node int32, seeds ...string) *member {
	t.Helper()
	l := listen(t)
	m := &member{listener: l, address: l.Addr().String()}
	m.options = Options{Dir: t.TempDir(), NodeID: node, Advertise: m.address, Seeds: &Seeds{Addresses: seeds}, HeartbeatTimeout: 300 * time.Millisecond}
	t.Cleanup(func() {
		if m.store != nil {
			m.cut(t)
		}
	})
	return m
}

// seeded starts brokers that know nothing but the same seeds: the first three of them, or all if they are fewer.
func seeded(t testing.TB, n int) []*member {
	members := make([]*member, n)
	var seeds []string
	for i := range members {
		members[i] = newcomer(t, int32(i+1))
		if i < 3 {
			seeds = append(seeds, members[i].address)
		}
	}
	var started sync.WaitGroup
	for _, m := range members {
		m.options.Seeds.Addresses = seeds
		started.Go(func() { m.start(t) })
	}
	started.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return members
}

// leaderOf waits until one of the members leads, and returns it.
func leaderOf(t testing.TB, members []*member) *member {
	t.Helper()
	ctx := testContext(t)
	for ctx.Err() == nil {
		var changes []<-chan struct{}
		for _, m := range members {
			if m.store == nil {
				continue
			}
			changes = append(changes, m.store.LeaderChanges())
			if m.store.IsLeader() && m.store.log.Barrier(ctx) == nil {
				return m
			}
		}
		waitAny(ctx, changes)
	}
	t.Fatal("no leader")
	return nil
}

// wantMembers waits until the leader's group is this: id=address, voters before the others.
func wantMembers(t testing.TB, members []*member, voters, others []quorum.Member) {
	t.Helper()
	deadline := testContext(t)
	for {
		v, o := leaderOf(t, members).store.log.(quorum.Membership).Members()
		byID := func(a, b quorum.Member) int { return strings.Compare(a.ID, b.ID) }
		slices.SortFunc(v, byID)
		slices.SortFunc(o, byID)
		if slices.Equal(v, voters) && slices.Equal(o, others) {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline.Done():
			t.Fatalf("voters %v others %v, want %v and %v", v, o, voters, others)
		}
	}
}

func (m *member) asMember() quorum.Member {
	return quorum.Member{ID: MemberID(m.options.NodeID), Address: m.address}
}

func asMembers(members ...*member) (out []quorum.Member) {
	for _, m := range members {
		out = append(out, m.asMember())
	}
	return out
}

// Four brokers find themselves by three seeds. The fourth follows, proposes like the others, and is what it was after a restart.
func TestOpenBySeeds(t *testing.T) {
	all := seeded(t, 4)
	wantMembers(t, all, asMembers(all[:3]...), asMembers(all[3]))
	cluster := all[0].store.Image().ClusterID()
	for _, m := range all {
		if got := m.store.Image().ClusterID(); got != cluster || cluster == "" {
			t.Errorf("node %d is in cluster %q, not %q", m.options.NodeID, got, cluster)
		}
	}
	if _, err := all[3].store.RegisterBroker(testContext(t), &record.RegisterBroker{ID: 4, Incarnation: ID{4}}); err != nil {
		t.Fatal(err)
	}
	all[3].cut(t)
	all[3].start(t)
	if all[3].store.Image().ClusterID() != cluster {
		t.Error("another cluster after a restart")
	}
	wantMembers(t, all, asMembers(all[:3]...), asMembers(all[3]))
	// A majority is enough for a restart, whoever is away.
	for _, m := range all[:3] {
		m.cut(t)
	}
	var started sync.WaitGroup
	for _, m := range all[1:3] {
		started.Go(func() { m.start(t) })
	}
	started.Wait()
	propose(t, all, &record.RegisterBroker{ID: 5, Incarnation: ID{5}})
}

// The leader answers a broker that repeats itself as it did before, and refuses who it can not be.
func TestAdmit(t *testing.T) {
	leader := seeded(t, 1)[0]
	group := leader.store.log.(quorum.Membership)
	host := func(node int32, incarnation byte) *peer.Host {
		h := peer.New(peer.Options{Node: node, Incarnation: [16]byte{incarnation}, Listener: listen(t)})
		t.Cleanup(func() {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
		h.Start()
		return h
	}
	first := host(2, 1)
	second := host(2, 2)
	at := func(h *peer.Host) string { return h.Addr().String() }
	known := joiner{node: 2, incarnation: [16]byte{1}, fresh: true, address: at(first)}
	change := func(f func(*joiner)) joiner {
		j := known
		f(&j)
		return j
	}
	for _, x := range []struct {
		name    string
		j       joiner
		want    groupOutcome
		text    string
		entries uint64 // of the log that it took
	}{
		{"new", known, groupDone, "", 1},
		{"again", known, groupDone, "", 0},
		{"with its log", change(func(j *joiner) { j.fresh = false }), groupDone, "", 0},
		{"another cluster", change(func(j *joiner) { j.cluster = "x" }), groupRefused, "cluster.seeds", 0},
		{"an id in use", change(func(j *joiner) { j.incarnation, j.address = [16]byte{2}, at(second) }), groupRefused, "node.id", 0},
		{"an id in use, by one with a log", change(func(j *joiner) { j.incarnation, j.address, j.fresh = [16]byte{2}, at(second), false }), groupRefused, "node.id", 0},
		{"not there", change(func(j *joiner) { j.node, j.address = 3, "127.0.0.1:1" }), groupNotNow, "rpc.advertised", 0},
		{"somebody else there", change(func(j *joiner) { j.node = 3 }), groupNotNow, "rpc.advertised", 0},
		{"another process there", change(func(j *joiner) { j.incarnation = [16]byte{7} }), groupNotNow, "another process", 0},
		{"moved", change(func(j *joiner) { j.address, j.fresh = strings.Replace(at(first), "127.0.0.1", "localhost", 1), false }), groupDone, "", 1},
		{"its directory was lost", known, groupDone, "", 2},
	} {
		before := group.Progress().LastIndex
		if a := leader.store.admit(testContext(t), &x.j); a.outcome != x.want || !strings.Contains(a.reason, x.text) {
			t.Errorf("%s: %+v", x.name, a)
		}
		if took := group.Progress().LastIndex - before - 1; took != x.entries { // one is the barrier
			t.Errorf("%s: %d entries", x.name, took)
		}
	}
	if voters, others := group.Members(); len(voters) != 1 || !slices.Equal(others, []quorum.Member{{ID: "2", Address: at(first)}}) {
		t.Error(voters, others)
	}
	for range record.MaxBrokers + 1 {
		leader.store.changes.admit(int32(len(leader.store.changes.admitted)), [16]byte{})
	}
	if n := len(leader.store.changes.admitted); n > record.MaxBrokers {
		t.Errorf("%d processes are remembered", n)
	}
}

// Who can not belong to the cluster is told so and does not wait.
func TestOpenRefused(t *testing.T) {
	here, there := seeded(t, 1)[0], seeded(t, 1)[0]
	stays := newcomer(t, 2, here.address)
	stays.start(t)
	twin := newcomer(t, 2, here.address)
	if err := twin.tryStart(testContext(t), t); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "node.id") {
		t.Errorf("a second process of node 2: %v", err)
	}
	same := newcomer(t, 1, here.address)
	if err := same.tryStart(testContext(t), t); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "node.id") {
		t.Errorf("a second process of node 1: %v", err)
	}
	stays.cut(t)
	stays.options.Seeds = &Seeds{Addresses: []string{there.address}}
	fatal := make(chan error, 1)
	stays.options.OnFatal = func(err error) { fatal <- err }
	err := stays.tryStart(testContext(t), t)
	if err == nil { // its group is there, and was faster than the seeds
		err = <-fatal
		stays.cut(t)
	}
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "cluster.seeds") {
		t.Errorf("with the seeds of another cluster: %v", err)
	}
	here.cut(t)
	if err := stays.tryStart(testContext(t), t); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "cluster.seeds") {
		t.Errorf("with the seeds of another cluster alone: %v", err)
	}
	here.start(t)
	stays.options.NodeID = 3
	if err := stays.tryStart(testContext(t), t); !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "data.dir") {
		t.Errorf("with the directory of node 2: %v", err)
	}
	expects := newcomer(t, 5, here.address)
	expects.options.ClusterID = "another"
	if err := expects.tryStart(testContext(t), t); !errors.Is(err, ErrIdentity) {
		t.Errorf("with the id of another cluster: %v", err)
	}
	alone := newcomer(t, 9, "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := alone.tryStart(ctx, t); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("with nobody there: %v", err)
	}
	for name, change := range map[string]func(*Options){
		"no port": func(o *Options) { o.Peers = nil }, "voters too": func(o *Options) { o.Voters = []quorum.Member{{ID: "9"}} },
		"to join too": func(o *Options) { o.Join = true }, "no seeds": func(o *Options) { o.Seeds = &Seeds{} },
	} {
		o := Options{Dir: t.TempDir(), NodeID: 9, Peers: peer.New(peer.Options{}), Seeds: &Seeds{Addresses: []string{"127.0.0.1:1"}}}
		change(&o)
		if _, err := Open(testContext(t), o); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The bytes of version 1.
func TestJoinGolden(t *testing.T) {
	j := joiner{fresh: true, cluster: "x", address: "a:1"}
	const request = "01" + "01" + "0178" + "03613a31"
	if got := hex.EncodeToString(j.append(nil)); got != request {
		t.Error(got)
	}
	if back, err := parseJoiner(j.append(nil)); err != nil || back != j {
		t.Errorf("%+v %v", back, err)
	}
	a := groupAnswer{outcome: groupNotNow, index: 9, cluster: "x", leader: quorum.Member{ID: "2", Address: "b:1"}, reason: "no"}
	const answer = "01" + "02" + "0000000000000009" + "0178" + "0132" + "03623a31" + "026e6f"
	if got := hex.EncodeToString(a.append(nil)); got != answer {
		t.Error(got)
	}
	if back, err := parseGroupAnswer(a.append(nil)); err != nil || back != a {
		t.Errorf("%+v %v", back, err)
	}
	for name, b := range map[string][]byte{
		"version": {2, 0}, "torn": j.append(nil)[:5], "more": append(j.append(nil), 0),
		"no address": (&joiner{cluster: "x"}).append(nil), "long": (&joiner{address: strings.Repeat("a", maxGroupText+1)}).append(nil),
	} {
		if _, err := parseJoiner(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := parseJoiner([]byte{2}); !errors.Is(err, record.ErrUnknownVersion) {
		t.Error(err)
	}
	if _, err := parseGroupAnswer([]byte{2}); !errors.Is(err, record.ErrUnknownVersion) {
		t.Error(err)
	}
}

// FuzzJoin: no panic, bounded, and what parses says the same when it is written and parsed again.
func FuzzJoin(f *testing.F) {
	j := joiner{fresh: true, cluster: "x", address: "a:1"}
	a := groupAnswer{outcome: groupNotNow, index: 9, cluster: "x", leader: quorum.Member{ID: "2", Address: "b:1"}, reason: "no"}
	f.Add(j.append(nil))
	f.Add(a.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if j, err := parseJoiner(b); err == nil {
			if again, err := parseJoiner(j.append(nil)); err != nil || again != j || len(j.address) > maxGroupText {
				t.Errorf("joiner %x: %v", b, err)
			}
		}
		if a, err := parseGroupAnswer(b); err == nil {
			if again, err := parseGroupAnswer(a.append(nil)); err != nil || again != a || len(a.reason) > maxGroupText {
				t.Errorf("answer %x: %v", b, err)
			}
		}
	})
}

// The group dials members, not addresses: who has the address of another would acknowledge for both.
func TestGroupDialsTheMember(t *testing.T) {
	m := seeded(t, 1)[0]
	other := peer.New(peer.Options{Node: 7, Incarnation: [16]byte{7}})
	defer func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}()
	stream := newGroupStream(t.Context(), other, nil)
	if c, err := stream.Dial(quorum.Member{ID: "1", Address: m.address}, 5*time.Second); err != nil {
		t.Error(err)
	} else if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := stream.Dial(quorum.Member{ID: "2", Address: m.address}, 5*time.Second); !errors.Is(err, peer.ErrRefused) {
		t.Error(err)
	}
	if _, err := stream.Dial(quorum.Member{ID: "x", Address: m.address}, 5*time.Second); err == nil {
		t.Error("a member that is no node")
	}
}

// Until the leader has admitted it, a broker without a log answers nobody of the group: a candidate could count a vote that it has given before.
func TestFreshBrokerHasNoVote(t *testing.T) {
	seed := peer.New(peer.Options{Node: 1, Incarnation: [16]byte{1}, Listener: listen(t)})
	defer func() {
		if err := seed.Close(); err != nil {
			t.Error(err)
		}
	}()
	fresh := newcomer(t, 2, seed.Addr().String())
	(&Seeds{Peers: seed, NodeID: 1, Addresses: []string{seed.Addr().String()}}).Introduce(func() string { return "x" })
	asked := make(chan joiner, 1)
	ctx, cancel := context.WithCancel(testContext(t))
	seed.Register(JoinRequest, func(_ context.Context, from peer.Identity, request []byte) ([]byte, error) {
		j, err := parseJoiner(request)
		if err != nil {
			return nil, err
		}
		j.node = from.Node
		if _, err := seed.Dial(ctx, fresh.address, 2, peer.Raft); !errors.Is(err, peer.ErrRefused) {
			t.Errorf("before it is a member: %v", err)
		}
		asked <- j
		a := groupAnswer{outcome: groupNotNow, reason: "a test"}
		return a.append(nil), nil
	})
	seed.Start()
	opened := make(chan error, 1)
	go func() { opened <- fresh.tryStart(ctx, t) }()
	if j := <-asked; j != (joiner{node: 2, fresh: true, address: fresh.address}) {
		t.Errorf("%+v", j)
	}
	<-asked // it repeats itself
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "a test") {
		t.Error(err)
	}
}
