package ownership

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Protocol is how a group agrees who owns what.
type Protocol string

// The protocols.
const (
	Eager       Protocol = "eager"       // classic, everybody gives back everything
	Cooperative Protocol = "cooperative" // classic, incremental
	Consumer    Protocol = "consumer"    // KIP-848
)

func (p Protocol) options() []kgo.Opt {
	switch p {
	case Eager:
		return []kgo.Opt{kgo.Balancers(kgo.RangeBalancer())}
	case Cooperative:
		return []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}
	default:
		return []kgo.Opt{kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer()}
	}
}

// member is one of a group. It reads what it is given, and commits.
type member struct {
	id      int
	client  *kgo.Client
	network *network
	stop    context.CancelFunc
	done    chan struct{}
}

const (
	heartbeat   = time.Second
	commitEvery = 500 * time.Millisecond
)

func startMember(o *Options, j *journal, id int) (*member, error) {
	n := &network{conns: make(map[net.Conn]struct{})}
	note := func(k kind) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			if list := parts[o.Topic]; len(list) > 0 && !n.cut() {
				j.note(k, id, list...)
			}
		}
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(o.Brokers...), kgo.ConsumerGroup(o.Group), kgo.ConsumeTopics(o.Topic), kgo.Dialer(n.dial),
		kgo.SessionTimeout(o.Session), kgo.HeartbeatInterval(heartbeat), kgo.AutoCommitInterval(commitEvery),
		kgo.MetadataMinAge(50 * time.Millisecond), kgo.DisableClientMetrics(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(note(take)), kgo.OnPartitionsRevoked(note(give)), kgo.OnPartitionsLost(note(lose)),
		kgo.FetchMaxWait(time.Second), kgo.FetchMaxBytes(1 << 20), kgo.BrokerMaxReadBytes(4 << 20),
	}, o.Protocol.options()...)...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{id: id, client: client, network: n, stop: cancel, done: make(chan struct{})}
	go m.run(ctx)
	return m, nil
}

func (m *member) run(ctx context.Context) {
	defer close(m.done)
	for ctx.Err() == nil {
		m.client.PollFetches(ctx)
	}
}

// kill takes the network away; nobody is told.
func (m *member) kill(j *journal) {
	m.network.sever(func() { j.note(die, m.id) })
	m.leave()
}

// leave ends the member, which says good-bye if it has a network.
func (m *member) leave() {
	m.stop()
	<-m.done
	m.client.Close()
}

// network is a member's way to the brokers.
type network struct {
	mu      sync.Mutex
	severed bool
	conns   map[net.Conn]struct{}
}

var errSevered = errors.New("the member was killed")

func (n *network) cut() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.severed
}

// sever closes everything, having said so.
func (n *network) sever(said func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.severed = true
	said()
	for c := range n.conns {
		_ = c.Close() // what was on its way is lost, as it would be
	}
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	if n.cut() {
		return nil, errSevered
	}
	dialer := net.Dialer{Timeout: time.Second}
	c, err := dialer.DialContext(ctx, kind, address)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.severed {
		return nil, errors.Join(errSevered, c.Close())
	}
	n.conns[c] = struct{}{}
	return &conn{c, n}, nil
}

type conn struct {
	net.Conn
	network *network
}

func (c *conn) Close() error {
	c.network.mu.Lock()
	delete(c.network.conns, c.Conn)
	c.network.mu.Unlock()
	return c.Conn.Close()
}
