package replication

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// node is one broker's replication over a log in memory and a real internal port.
type node struct {
	t      *testing.T
	id     int32
	log    *wal.Log
	peers  *peer.Host
	sender *Sender
	addr   string
	trail  *trail.Trail // nil: it does not trace

	mu    sync.Mutex
	parts map[wal.ID]*partition.Partition
}

// flakyConn ends after some bytes were written, if any are left to count.
type flakyConn struct {
	net.Conn
	left *atomic.Int64
}

func (c *flakyConn) Write(b []byte) (int, error) {
	if c.left.Load() > 0 && c.left.Add(-int64(len(b))) <= 0 {
		_ = c.Conn.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

// network is a few nodes that reach one another.
type network struct {
	nodes map[int32]*node
	// left is how many bytes until a connection that writes them ends; 0: never.
	left atomic.Int64
	// spans are those of the nodes that trace.
	spans map[int32]*spanLog
}

func (n *network) add(t *testing.T, id int32, window int64) *node {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	x := &node{t: t, id: id, addr: listener.Addr().String(), parts: map[wal.ID]*partition.Partition{}}
	if x.log, err = wal.Open(wal.Options{Tracer: n.spans[id].tracer(), FS: memfs.New(0), Dir: "wal", FileBytes: 1 << 20, MaxBytes: 64 << 20, TailBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	x.peers = peer.New(peer.Options{
		Node: id, Incarnation: [16]byte{byte(id)}, Listener: listener,
		Dialer: func(ctx context.Context, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, err
			}
			return &flakyConn{c, &n.left}, nil
		},
	})
	var tracer trace.Tracer
	if spans := n.spans[id]; spans != nil {
		tracer, x.trail = spans.tracer(), trail.New(100)
	}
	x.sender = New(Options{
		Tracer: tracer, Trail: x.trail,
		Peers: x.peers, WindowBytes: window, Index: func() uint64 { return 1 },
		Address: func(broker int32) (string, bool) {
			to, ok := n.nodes[broker]
			if !ok {
				return "", false
			}
			return to.addr, true
		},
		Receiver: ReceiverOptions{
			Replica:        func(_ context.Context, id wal.ID, _ uint64) (*partition.Partition, error) { return x.get(id), nil },
			WaitRoom:       func(ctx context.Context, bytes int) error { return x.log.WaitRoom(ctx, bytes) },
			MaxAppendBytes: 1 << 20, MemoryBytes: 1 << 20,
		},
	})
	n.nodes[id] = x
	x.peers.Start()
	t.Cleanup(func() {
		x.sender.Close()
		if err := x.peers.Close(); err != nil {
			t.Error(err)
		}
		if err := x.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

func (x *node) get(id wal.ID) *partition.Partition {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.parts[id]
}

func (x *node) open(index int32) *partition.Partition {
	x.t.Helper()
	id := wal.ID{Topic: [16]byte{9}, Partition: index}
	p, err := partition.Open(partition.Options{
		Topic: "t", ID: id, Log: x.log, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Trail: x.trail,
		Settings: partition.Settings{MaxMessageBytes: 1 << 20, TimestampAfterMax: time.Hour, TimestampBeforeMax: 1 << 62},
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.mu.Lock()
	x.parts[id] = p
	x.mu.Unlock()
	return p
}

// lead makes a node lead a partition with the other nodes in the ISR.
func (x *node) lead(p *partition.Partition, epoch int32, others ...int32) {
	x.sender.Lead(p, partition.Leadership{
		Epoch: epoch, PartitionEpoch: epoch, Followers: others, ISR: append([]int32{x.id}, others...), MinISR: 1,
	}, nil)
}

type told chan error

func (o told) Appended(_ *partition.Append, err error) { o <- err }

func (x *node) append(p *partition.Partition, records int) told {
	x.t.Helper()
	return x.appendTraced(p, records, nil)
}

func (x *node) appendTraced(p *partition.Partition, records int, traced *partition.Trace) told {
	x.t.Helper()
	b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	for i := range records {
		if err := b.Add(record.Record{Value: fmt.Appendf(nil, "%0200d", i), Timestamp: 1000}); err != nil {
			x.t.Fatal(err)
		}
	}
	done := make(told, 1)
	if err := p.Append(&partition.Append{Trace: traced}, b.Build(), partition.FromClient, done); err != nil {
		x.t.Fatal(err)
	}
	return done
}

func all(t *testing.T, waits []told) {
	t.Helper()
	for i, w := range waits {
		if err := <-w; err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
	}
}

// same verifies that two logs have the same bytes.
func same(t *testing.T, a, b *partition.Partition) {
	t.Helper()
	read := func(p *partition.Partition) (out []byte) {
		for at := int64(0); p.ReplicaLacks(at); {
			c, err := p.ReadReplica(at, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range c.Buffers {
				out = append(out, x...)
			}
			at = c.NextOffset
			c.Release()
		}
		return out
	}
	if x, y := read(a), read(b); string(x) != string(y) {
		t.Errorf("logs differ: %d and %d bytes", len(x), len(y))
	}
}

func TestStream(t *testing.T) {
	n := &network{nodes: map[int32]*node{}}
	a, b, c := n.add(t, 1, 64<<10), n.add(t, 2, 64<<10), n.add(t, 3, 64<<10)
	const parts = 5
	var waits []told
	for i := range int32(parts) {
		p := a.open(i)
		for _, x := range []*node{b, c} {
			x.open(i).Follow(1)
		}
		waits = append(waits, a.append(lead(a, p, 1, 2, 3), 10)) // more than the window, in all
		for range 20 {
			waits = append(waits, a.append(p, 10))
		}
	}
	all(t, waits)
	for i := range int32(parts) {
		id := wal.ID{Topic: [16]byte{9}, Partition: i}
		if hw := a.get(id).HighWatermark(); hw != 210 {
			t.Errorf("partition %d: high watermark=%d", i, hw)
		}
		same(t, a.get(id), b.get(id))
		same(t, a.get(id), c.get(id))
	}
}

func lead(x *node, p *partition.Partition, epoch int32, others ...int32) *partition.Partition {
	x.lead(p, epoch, others...)
	return p
}

// TestStreamSurvivesLostConnections: connections that end anywhere in a frame lose and repeat nothing.
func TestStreamSurvivesLostConnections(t *testing.T) {
	n := &network{nodes: map[int32]*node{}}
	a, b := n.add(t, 1, 16<<10), n.add(t, 2, 16<<10)
	p := a.open(0)
	b.open(0).Follow(1)
	a.lead(p, 1, 2)
	for round := range 20 {
		n.left.Store(int64(1000 + 777*round))
		var waits []told
		for range 10 {
			waits = append(waits, a.append(p, 5))
		}
		all(t, waits)
	}
	n.left.Store(0)
	same(t, p, b.get(p.ID()))
}

// TestLeadershipMoves: whoever leads next brings the other into line, and what the old leader could not
// replicate is gone.
func TestLeadershipMoves(t *testing.T) {
	n := &network{nodes: map[int32]*node{}}
	a, b := n.add(t, 1, 1<<20), n.add(t, 2, 1<<20)
	p, q := a.open(0), b.open(0)
	q.Follow(1)
	a.lead(p, 1, 2)
	leader, follower, other := a, b, b
	for epoch := int32(1); epoch < 8; epoch++ {
		var waits []told
		lp := leader.get(p.ID())
		for range 5 {
			waits = append(waits, leader.append(lp, 3))
		}
		all(t, waits)
		lost := leader.append(lp, 3) // may or may not get through
		next := epoch + 1
		other.get(p.ID()).Follow(epoch) // repeated: nothing changes
		leader.sender.Resign(p.ID())
		lp.Follow(next)
		<-lost
		leader, follower = follower, leader
		leader.lead(leader.get(p.ID()), next, follower.id)
		other = follower
	}
	all(t, []told{leader.append(leader.get(p.ID()), 1)})
	same(t, p, q)
	if p.HighWatermark() > q.End() || q.HighWatermark() > p.End() {
		t.Errorf("high watermarks %d and %d, ends %d and %d", p.HighWatermark(), q.HighWatermark(), p.End(), q.End())
	}
}

// TestRefused: a broker that is no replica, or knows a newer epoch, says so, and is left alone until the
// metadata say otherwise.
func TestRefused(t *testing.T) {
	n := &network{nodes: map[int32]*node{}}
	a, b := n.add(t, 1, 1<<20), n.add(t, 2, 1<<20)
	p := a.open(0)
	a.lead(p, 1, 2) // 2 does not have it
	first := a.append(p, 1)
	q := b.open(0)
	q.Follow(2) // another leader was elected, which 1 does not know yet
	a.lead(p, 1, 2)
	a.sender.Resign(p.ID())
	a.lead(p, 3, 2)
	q.Follow(3)
	// Now they agree; the refusal before must not keep them apart.
	a.sender.Resign(p.ID())
	a.lead(p, 3, 2)
	all(t, []told{first, a.append(p, 1)})
	same(t, p, q)
}
