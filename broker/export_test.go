package broker

import "github.com/tidelinehq/tideline/internal/peer"

// StallReplication makes the broker take the streams of leaders and read nothing from them.
func (b *Broker) StallReplication() {
	b.peers.Handle(peer.Replication, func(*peer.Conn) { <-b.run.Done() })
}

// Voters returns how many brokers vote in the metadata group, as far as this one knows.
func (b *Broker) Voters() int {
	g, _ := b.meta.Group()
	return len(g.Voters)
}
