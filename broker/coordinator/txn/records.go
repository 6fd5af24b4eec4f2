package txn

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/codec"
)

// Versions of the records: of the key, by which the kinds of records are told apart,
// and of the value, the later one flexible.
const (
	keyVersion         = 0
	valueVersionRigid  = 0
	valueVersionNewest = 1
)

func recordKey(id string) []byte {
	k := kmsg.TxnMetadataKey{Version: keyVersion, TransactionalID: id}
	return k.AppendTo(make([]byte, 0, 4+len(id)))
}

// transactionRecord writes t; level is that of the feature transaction.version.
func transactionRecord(id string, t *transaction, level int16) coordinator.Record {
	v := kmsg.NewTxnMetadataValue()
	v.Version = valueVersionRigid
	v.ProducerID, v.ProducerEpoch = t.producerID, t.epoch
	v.TimeoutMillis, v.State = t.timeoutMS, kmsg.TransactionState(t.state)
	v.LastUpdateTimestamp, v.StartTimestamp = t.updated, t.started
	if level >= firstFlexible {
		v.Version = valueVersionNewest
		v.PreviousProducerID, v.NextProducerID, v.ClientTransactionVersion = t.previousID, t.nextID, t.version
	}
	if t.state != Empty { // of which Kafka says null
		v.Topics = []kmsg.TxnMetadataValueTopic{}
	}
	for _, tp := range t.partitions {
		if n := len(v.Topics); n == 0 || v.Topics[n-1].Topic != tp.topic {
			v.Topics = append(v.Topics, kmsg.TxnMetadataValueTopic{Topic: tp.topic})
		}
		last := &v.Topics[len(v.Topics)-1]
		last.Partitions = append(last.Partitions, tp.partition)
	}
	return coordinator.Record{Key: recordKey(id), Value: v.AppendTo(nil)}
}

func tombstone(id string) coordinator.Record { return coordinator.Record{Key: recordKey(id)} }

// entry is a decoded record; t is nil in a tombstone.
type entry struct {
	id string
	t  *transaction
}

// decode reads a record of __transaction_state. It copies what it keeps.
func decode(key, value []byte) (entry, error) {
	in := codec.NewReader(key)
	if v := in.Int16(); in.Err() == nil && v != keyVersion {
		return entry{}, fmt.Errorf("unknown record kind, key version=%d", v)
	}
	e := entry{id: in.ShortString()}
	if err := in.Finish(); err != nil {
		return entry{}, fmt.Errorf("transactional id: %w", err)
	}
	if value == nil {
		return e, nil
	}
	t, err := decodeTransaction(value)
	if err != nil {
		return entry{}, fmt.Errorf("transaction value transactional_id=%q: %w", e.id, err)
	}
	e.t = t
	return e, nil
}

var errUnknownState = errors.New("state that no transaction stays in")

func decodeTransaction(b []byte) (*transaction, error) {
	in := codec.NewReader(b)
	version := in.Int16()
	if in.Err() == nil && (version < 0 || version > valueVersionNewest) {
		return nil, fmt.Errorf("unknown value version=%d", version)
	}
	flexible := version == valueVersionNewest
	t := &transaction{previousID: noProducerID, nextID: noProducerID, lastEpoch: noEpoch}
	t.producerID, t.epoch, t.timeoutMS, t.state = in.Int64(), in.Int16(), in.Int32(), State(in.Int8())
	t.partitions = decodePartitions(&in, flexible)
	t.updated, t.started = in.Int64(), in.Int64()
	if flexible {
		in.Tags(func(tag uint64, field *codec.Reader) {
			switch tag {
			case 0:
				t.previousID = field.Int64()
			case 1:
				t.nextID = field.Int64()
			case 2:
				t.version = field.Int16()
			}
		})
	}
	if err := in.Finish(); err != nil {
		return nil, err
	}
	if t.state < Empty || t.state > CompleteAbort {
		return nil, fmt.Errorf("%w: state=%d", errUnknownState, t.state)
	}
	if t.state == Empty {
		t.partitions = nil
	}
	return t, nil
}

func decodePartitions(in *codec.Reader, flexible bool) []topicPartition {
	var tps []topicPartition
	for range arrayLen(in, flexible, 2) {
		topic := ""
		if flexible {
			topic = flexibleString(in)
		} else {
			topic = in.ShortString()
		}
		for range arrayLen(in, flexible, 4) {
			tps = append(tps, topicPartition{topic, in.Int32()})
		}
		if flexible {
			in.Tags(nil)
		}
		if in.Err() != nil {
			return nil
		}
	}
	slices.SortFunc(tps, topicPartition.compare)
	return slices.Compact(tps)
}

// arrayLen reads the count of an array whose elements have size bytes at least; null is empty.
func arrayLen(in *codec.Reader, flexible bool, size int) int {
	if flexible {
		return max(in.CompactLen(size), 0)
	}
	n := max(int(in.Int32()), 0)
	if n > in.Remaining()/size {
		in.Fail(errCount)
		return 0
	}
	return n
}

var errCount = errors.New("count is larger than the bytes that are left")

// flexibleString reads a string that must not be null.
func flexibleString(in *codec.Reader) string {
	s := in.CompactNullable()
	if s == nil {
		in.Fail(codec.ErrInvalid)
		return ""
	}
	return *s
}
