package broker

import (
	"context"

	"github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/coordinator/group"
	"github.com/tidelinehq/tideline/broker/coordinator/txn"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// txnMetadata answers the transaction coordinator from the image.
type txnMetadata struct{ meta *metadataHandle }

var _ txn.Topics = txnMetadata{}

// Leader implements txn.Topics.
func (t txnMetadata) Leader(topic string, partition int32) (int32, bool) {
	image := t.meta.Image()
	tp, ok := image.Topic(topic)
	if !ok {
		return -1, false
	}
	p, ok := image.PartitionOf(tp, partition)
	if !ok {
		return -1, partition >= 0 && partition < tp.Partitions // about to be made
	}
	return p.Leader, true
}

// Level implements txn.Topics.
func (t txnMetadata) Level() int16 {
	return int16(t.meta.Image().FeatureLevel(controller.TransactionVersion))
}

func txnConfig(c *config.Config) txn.Config {
	t := txn.Defaults()
	t.Partitions = c.TransactionTopicPartitions
	t.MaxTimeout, t.AbortInterval = c.TransactionMaxTimeout, c.TransactionAbortInterval
	t.Expiration, t.ExpirationInterval = c.TransactionalIDExpiration, c.TransactionalIDExpirationInterval
	return t
}

// newTransactions makes the transaction coordinator. It is used once the API is there.
func (b *Broker) newTransactions(past *history) (*txn.Coordinator, error) {
	return txn.New(txn.Options{
		Config: txnConfig(b.cfg), Log: &internalLog{topic: api.TransactionsTopic, table: b.table, history: past},
		Topics: txnMetadata{b.meta}, Brokers: func() txn.Brokers { return b.api },
		NewProducerID:  func(ctx context.Context) (int64, error) { return b.api.NewProducerID(ctx) },
		GroupPartition: func(id string) (string, int32) { return api.OffsetsTopic, b.groups.Partition(id) },
		Now:            b.now, Logger: b.logger.With("part", "transactions"), Registerer: b.registry,
	})
}

// markerWritten tells the coordinator of groups of the markers in its partitions.
func markerWritten(groups *group.Coordinator) func(topic string, index int32, producerID int64, epoch int16, commit bool, done func(error)) {
	return func(topic string, index int32, producerID int64, _ int16, commit bool, done func(error)) {
		if topic != api.OffsetsTopic {
			done(nil)
			return
		}
		groups.TransactionEnded(index, producerID, commit, done)
	}
}
