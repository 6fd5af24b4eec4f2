package broker

import "github.com/tidelinehq/tideline/internal/peer"

// StallReplication makes the broker take the streams of leaders and read nothing from them.
func (b *Broker) StallReplication() {
	b.peers.Handle(peer.Replication, func(*peer.Conn) { <-b.run.Done() })
}
