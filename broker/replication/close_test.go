package replication

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/internal/memnet"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/wal"
)

// TestCloseWhileMetadataAreAwaited: a broker that stops before its metadata have come so far as a leader says does not wait for them.
func TestCloseWhileMetadataAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memnet.New(1, memnet.Link{})
		host := func(id int32, ip string) *peer.Host {
			at, err := n.Attach(ip)
			if err != nil {
				t.Fatal(err)
			}
			l, err := at.Listen(t.Context(), ip+":1")
			if err != nil {
				t.Fatal(err)
			}
			h := peer.New(peer.Options{Node: id, Incarnation: [16]byte{byte(id)}, Listener: l, Dialer: at.Dial})
			h.Start()
			return h
		}
		leader, follower := host(1, "10.0.0.1"), host(2, "10.0.0.2")
		waits := make(chan struct{})
		s := New(Options{Peers: follower, Receiver: ReceiverOptions{
			MemoryBytes: 1 << 20, MaxAppendBytes: 1 << 20,
			Replica: func(ctx context.Context, _ wal.ID, _ uint64) (*partition.Partition, error) {
				close(waits)
				<-ctx.Done()
				return nil, ctx.Err()
			},
		}})
		c, err := leader.Dial(t.Context(), "10.0.0.2:1", 2, peer.Replication)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(appendOpen(nil, 1, wal.ID{}, 1, 100)); err != nil {
			t.Fatal(err)
		}
		<-waits
		s.Close()
		for _, h := range []*peer.Host{follower, leader} {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
		_ = c.Close() // the other side has ended it
	})
}
