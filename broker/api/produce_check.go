package api

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/record"
)

// firstZstdProduce is the first version of Produce whose clients know zstd (KIP-110).
const firstZstdProduce = 7

// positionOfMagic is where every message format has its number.
const positionOfMagic = 16

// checkProduce checks what a producer may send at all, before the partition looks
// into the batch.
func checkProduce(version int16, req *wire.ProduceRequest, topic string, records []byte) error {
	switch {
	case req.Acks != acksAll && req.Acks != acksLeader && req.Acks != acksNone:
		return fmt.Errorf("%w: acks=%d, allowed are -1, 0 and 1", kerr.InvalidRequiredAcks, req.Acks)
	case isInternal(topic):
		return fmt.Errorf("%w: %s is the broker's own", kerr.InvalidTopicException, topic)
	case len(records) == 0:
		return fmt.Errorf("%w: empty record set", partition.ErrInvalidRecord)
	}
	return checkRecordSet(version, records, req.TransactionalID != nil)
}

// checkRecordSet checks that records are one batch that this version of Produce
// may carry. Apache Kafka answers the same codes, with two differences: it passes
// over a batch that is cut short behind a whole one, which is refused here, as its
// records would be lost; and it calls a batch of an old message format an invalid
// record, where the code that says so exists.
func checkRecordSet(version int16, records []byte, transactional bool) error {
	b, rest, err := record.Next(records)
	switch {
	case errors.Is(err, record.ErrShort):
		return fmt.Errorf("%w: no whole batch: %w", partition.ErrInvalidRecord, err)
	case errors.Is(err, record.ErrMagic):
		if magic := records[positionOfMagic]; magic < 2 {
			return fmt.Errorf("%w: message format v%d: %w", kerr.UnsupportedForMessageFormat, magic, err)
		}
		return fmt.Errorf("%w: %w", kerr.CorruptMessage, err)
	case err != nil:
		return err
	case len(rest) > 0:
		return fmt.Errorf("%w: one batch per partition expected, bytes behind it=%d", partition.ErrInvalidRecord, len(rest))
	case version < firstZstdProduce && b.Codec() == record.Zstd:
		return fmt.Errorf("%w: zstd in version %d of Produce", kerr.UnsupportedCompressionType, version)
	case b.Transactional() && !transactional:
		return fmt.Errorf("%w: a transactional batch without a transactional id", kerr.TransactionalIDAuthorizationFailed)
	}
	return nil
}
