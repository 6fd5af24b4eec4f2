package quorum

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// lonely is a stream layer from which nobody is reached.
type lonely struct{ net.Listener }

func (l lonely) Dial(Member, time.Duration) (net.Conn, error) {
	return nil, errors.New("nobody is there")
}

// A follower is sent one request after the other: hashicorp/raft's pipeline blocks for good where the reader of its answers has
// given up.
func TestNoPipeline(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	l := openRaft(t, Options{
		Dir: t.TempDir(), ID: "1", Stream: lonely{listener}, Advertise: address, Voters: []Member{{ID: "1", Address: address}},
		HeartbeatTimeout: time.Second,
	}, new(adder))
	if _, err := l.transport.AppendEntriesPipeline("2", "nowhere"); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("a pipeline: %v", err)
	}
}
