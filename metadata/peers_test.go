package metadata

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// member is one broker's share of a metadata group: its internal port and its store.
type member struct {
	options  Options
	address  string
	listener net.Listener // for the first start
	host     *peer.Host
	store    *Store
	dialer   func(context.Context, string) (net.Conn, error) // nil: TCP
}

// processes counts the processes of all members, and tells them apart.
var processes atomic.Uint32

// start opens the port and the store.
func (m *member) start(t testing.TB) {
	t.Helper()
	if err := m.tryStart(testContext(t), t); err != nil {
		t.Error(err)
	}
}

func (m *member) tryStart(ctx context.Context, t testing.TB) (err error) {
	t.Helper()
	l := m.listener
	m.listener = nil
	if l == nil {
		l, err = net.Listen("tcp", m.address)
	}
	if err != nil {
		return err
	}
	process := processes.Add(1)
	cluster, err := ClusterOf(m.options.Dir)
	if err != nil {
		return err
	}
	m.host = peer.New(peer.Options{
		Node: m.options.NodeID, Incarnation: [16]byte{byte(process >> 8), byte(process)}, Listener: l, Dialer: m.dialer,
		Cluster: func() string { return cluster },
	})
	m.options.Peers = m.host
	m.host.Start()
	if m.store, err = Open(ctx, m.options); err != nil {
		return errors.Join(err, m.host.Close())
	}
	return nil
}

// cut takes the member off the network, then stops it.
func (m *member) cut(t testing.TB) {
	t.Helper()
	if err := errors.Join(m.host.Close(), m.store.Close()); err != nil {
		t.Error(err)
	}
	m.store = nil
}

func startMembers(t testing.TB, n int) []*member {
	members := make([]*member, n)
	var voters []quorum.Member
	for i := range members {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		members[i] = &member{address: l.Addr().String(), listener: l}
		voters = append(voters, quorum.Member{ID: MemberID(int32(i + 1)), Address: members[i].address})
	}
	var started sync.WaitGroup
	for i, m := range members {
		m.options = Options{Dir: t.TempDir(), NodeID: int32(i + 1), Advertise: m.address, Voters: voters, HeartbeatTimeout: 300 * time.Millisecond}
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
	return members
}

// propose repeats a command until a leader among the members has taken it, and returns that one.
func propose(t testing.TB, members []*member, c record.Command) *member {
	t.Helper()
	ctx := testContext(t)
	for {
		var changes []<-chan struct{}
		for _, m := range members {
			if m.store == nil {
				continue
			}
			changes = append(changes, m.store.LeaderChanges())
			if !m.store.IsLeader() {
				continue
			}
			_, err := m.store.Propose(ctx, c)
			var reason record.Reason
			if err == nil || errors.As(err, &reason) { // a repeat may be refused for what its first try did
				return m
			}
			if !errors.Is(err, quorum.ErrNotLeader) && !errors.Is(err, quorum.ErrUnknown) {
				t.Fatal(err)
			}
		}
		waitAny(ctx, changes)
		if ctx.Err() != nil {
			t.Fatal("no leader took the command")
		}
	}
}

// waitAny returns when one of the channels is closed.
func waitAny(ctx context.Context, channels []<-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, c := range channels {
		go func() {
			select {
			case <-c:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	<-ctx.Done()
}

// Three stores share the internal ports of three brokers. The loss of each leader in turn costs nothing that was acknowledged,
// and who comes back has it all.
func TestGroupOverPeers(t *testing.T) {
	members := startMembers(t, 3)
	for round := range 3 {
		leader := propose(t, members, &record.RegisterBroker{ID: int32(10 + round), Incarnation: ID{byte(10 + round)}})
		leader.cut(t)
		propose(t, members, &record.RegisterBroker{ID: int32(20 + round), Incarnation: ID{byte(20 + round)}})
		leader.start(t)
	}
	last := propose(t, members, &record.RegisterBroker{ID: 99, Incarnation: ID{99}})
	want := last.store.Image()
	for _, m := range members {
		image, err := m.store.Wait(testContext(t), want.Index())
		if err != nil {
			t.Fatal(err)
		}
		if image.BrokerCount() != 7 || image.ClusterID() != want.ClusterID() {
			t.Errorf("node %d has %d brokers in cluster %s", m.options.NodeID, image.BrokerCount(), image.ClusterID())
		}
	}
}

// Every member proposes, whoever leads, while leaders come and go: what was acknowledged happened once, and who proposed it
// sees it in its own image.
func TestProposalsFromAnyMember(t *testing.T) {
	members := startMembers(t, 3)
	leader := propose(t, members, &record.RegisterBroker{ID: 1, Incarnation: ID{1}})
	const each = 40
	var taken sync.Map // first producer id → struct{}
	var allocated, unknown atomic.Int64
	lost := make(chan struct{})
	var proposers sync.WaitGroup
	var half sync.WaitGroup
	for _, m := range members {
		if m == leader {
			continue
		}
		half.Add(1)
		proposers.Go(func() {
			for i := range each {
				if i == each/2 {
					half.Done()
					<-lost // the second half meets another leader
				}
				first, err := m.store.AllocateProducerIDs(testContext(t), 1, 1, 10)
				switch {
				case errors.Is(err, quorum.ErrUnknown):
					unknown.Add(1)
					continue
				case err != nil:
					t.Error(err)
					continue
				}
				if _, twice := taken.LoadOrStore(first, struct{}{}); twice {
					t.Errorf("block %d was given out twice", first)
				}
				if next := m.store.Image().NextProducerID(); next < first+10 {
					t.Errorf("block %d, and the proposer's own image is at %d", first, next)
				}
				allocated.Add(1)
			}
		})
	}
	half.Wait()
	leader.cut(t)
	close(lost)
	proposers.Wait()
	last := propose(t, members, &record.RegisterBroker{ID: 2, Incarnation: ID{2}})
	next := last.store.Image().NextProducerID()
	if least, most := allocated.Load()*10, (allocated.Load()+unknown.Load())*10; next < least || next > most {
		t.Errorf("ids up to %d are given out, between %d and %d were asked for", next, least, most)
	}
}

// BenchmarkLeaderLoss measures how long the group takes no command after its leader is gone, with a heartbeat timeout of 300 ms.
func BenchmarkLeaderLoss(b *testing.B) {
	members := startMembers(b, 3)
	n := int32(100)
	register := func() *member {
		n++
		return propose(b, members, &record.RegisterBroker{ID: n % 1000, Incarnation: ID{byte(n), byte(n >> 8), 1}})
	}
	var gap time.Duration
	for b.Loop() {
		leader := register()
		start := time.Now()
		leader.cut(b)
		register()
		gap += time.Since(start)
		leader.start(b)
	}
	b.ReportMetric(float64(gap.Milliseconds())/float64(b.N), "ms/loss")
}
