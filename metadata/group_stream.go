package metadata

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// groupStream carries the group's connections over the internal port. A member that is not at its address is looked for among the seeds: when
// all of a group come back elsewhere, nobody leads whom they could tell.
type groupStream struct {
	*peer.Stream
	ctx   context.Context // ends with the store
	seeds *Seeds          // nil: there are none

	mu        sync.Mutex // guards what follows
	elsewhere map[int32]string
	asked     time.Time
}

// lookAgain is the pause between two looks at the seeds: a member that is away is dialed several times a second.
const lookAgain = 2 * time.Second

func newGroupStream(ctx context.Context, peers *peer.Host, seeds *Seeds) *groupStream {
	return &groupStream{Stream: peers.Stream(peer.Raft), ctx: ctx, seeds: seeds, elsewhere: make(map[int32]string)}
}

// Dial implements quorum.StreamLayer. Who answers at the address as another node is refused.
func (s *groupStream) Dial(m quorum.Member, timeout time.Duration) (net.Conn, error) {
	node, ok := nodeOf(m.ID)
	if !ok {
		return nil, fmt.Errorf("dial a member of the metadata group: it is no node: id=%q", m.ID)
	}
	if address := s.known(node); address != "" {
		if c, err := s.Stream.Dial(address, node, timeout); err == nil {
			return c, nil
		}
		s.found(map[int32]string{node: ""})
	}
	c, err := s.Stream.Dial(m.Address, node, timeout)
	if err == nil || !s.look() {
		return c, err
	}
	if address := s.known(node); address != "" && address != m.Address {
		return s.Stream.Dial(address, node, timeout)
	}
	return nil, err
}

// known is where a node was found when it was not at its address.
func (s *groupStream) known(node int32) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.elsewhere[node]
}

// found notes where nodes are, at most MaxSeeds of them.
func (s *groupStream) found(at map[int32]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for node, address := range at {
		if address == "" {
			delete(s.elsewhere, node)
		} else if s.elsewhere[node] != "" || len(s.elsewhere) < MaxSeeds {
			s.elsewhere[node] = address
		}
	}
}

// look asks the seeds who they are, unless it has just been done.
func (s *groupStream) look() bool {
	now := time.Now()
	s.mu.Lock()
	if s.seeds == nil || now.Sub(s.asked) < lookAgain {
		s.mu.Unlock()
		return false
	}
	s.asked = now
	s.mu.Unlock()
	answers, _ := s.seeds.ask(s.ctx) // who refuses is no member
	at := map[int32]string{}
	for i, a := range answers {
		if a != nil {
			at[a.node] = s.seeds.Addresses[i]
		}
	}
	s.found(at)
	return true
}
