package broker

import (
	"context"
	"slices"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/wal"
)

// StallReplication makes the broker take the streams of leaders and read nothing from them.
func (b *Broker) StallReplication() {
	b.peers.Handle(peer.Replication, func(*peer.Conn) { <-b.run.Done() })
}

// Voters returns how many brokers vote in the metadata group, as far as this one knows.
func (b *Broker) Voters() int {
	g, _ := b.meta.Group()
	return len(g.Voters)
}

// Propose proposes a command as this broker.
func (b *Broker) Propose(ctx context.Context, c command.Command) error {
	_, err := b.meta.Propose(ctx, c)
	return err
}

// SetTransactions replaces the way to the coordinators of transactions.
func (b *Broker) SetTransactions(t api.Transactions) { b.api.Transactions = t }

// MarkersWritten has f hear of each marker that is in all replicas.
func (b *Broker) MarkersWritten(f func(topic string, index int32, producerID int64, epoch int16, commit bool)) {
	b.api.MarkerWritten = func(topic string, index int32, producerID int64, epoch int16, commit bool, done func(error)) {
		f(topic, index, producerID, epoch, commit)
		done(nil)
	}
}

// Address returns where a listener is reached.
func (b *Broker) Address(listener int) string { return b.kafka[listener].Addr().String() }

// PollDoors looks at the files of keys and users.
func (b *Broker) PollDoors() {
	b.doors.mu.Lock()
	defer b.doors.mu.Unlock()
	b.doors.poll()
}

// Behind counts the partitions of a broker with which it is not in sync.
func Behind(m *metadata.Image, node int32) (n int, topic string, partition int32) {
	return behind(m, node)
}

// NodeID is the broker's own.
func (b *Broker) NodeID() int32 { return b.cfg.NodeID }

// HasLocal reports whether the write-ahead log has a partition.
func (b *Broker) HasLocal(topic [16]byte, index int32) bool {
	return slices.ContainsFunc(b.log.Partitions(), func(p *wal.Partition) bool { return p.ID() == wal.ID{Topic: topic, Partition: index} })
}
