package partition

import (
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/internal/record"
)

// ErrCoordinatorFenced means that a marker comes from a coordinator that was replaced.
var ErrCoordinatorFenced = errors.New("transaction coordinator is older than the one that wrote the last marker")

// Marker ends a transaction of a producer on this partition.
type Marker struct {
	ProducerID         int64
	ProducerEpoch      int16
	CoordinatorEpoch   int32
	Commit             bool
	TransactionVersion int8 // from 2 on the coordinator has raised the producer epoch for the marker
}

// marker is what a control batch says.
type marker struct {
	kind             record.ControlType
	coordinatorEpoch int32
}

// noMarker stands for what is in a data batch.
var noMarker = marker{kind: none, coordinatorEpoch: none}

// ends reports whether the marker ends a transaction. There are control records for other
// purposes, which say nothing to a producer.
func (m marker) ends() bool { return m.kind == record.Commit || m.kind == record.Abort }

// maxControlBytes bounds a control batch, which is one small record.
const maxControlBytes = 64 << 10

// parseMarker returns the marker in a batch; noMarker where there is none.
func parseMarker(b record.Batch) (marker, error) {
	if !b.Control() {
		return noMarker, nil
	}
	for r, err := range b.Records(maxControlBytes) {
		if err != nil {
			return noMarker, fmt.Errorf("control batch base_offset=%d: %w", b.BaseOffset(), err)
		}
		kind, epoch, err := record.ParseControl(r)
		if err != nil {
			return noMarker, err
		}
		return marker{kind, epoch}, nil
	}
	return noMarker, nil
}

// batch makes the control batch.
func (m Marker) batch(now int64) (record.Batch, error) {
	kind := record.Abort
	if m.Commit {
		kind = record.Commit
	}
	b := record.NewBuilder(record.Options{
		ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch, Sequence: record.NoSequence, Transactional: true, Control: true,
	})
	if err := b.Add(record.ControlRecord(kind, m.CoordinatorEpoch, now)); err != nil {
		return nil, err
	}
	return b.Build(), nil
}

// check decides about a marker. One that a coordinator of transaction version 2 writes has an epoch
// above that of the transaction, so one with the same epoch is late, and would end the next
// transaction; where none is open it is a repetition, which does no harm. Older coordinators
// write the epoch of the transaction, which can not be told from that of a late one.
func (m Marker) check(e *producerEntry) error {
	if e == nil {
		return nil
	}
	repeated := m.ProducerEpoch == e.epoch && e.first == none
	if m.ProducerEpoch < e.epoch || m.TransactionVersion >= 2 && m.ProducerEpoch == e.epoch && !repeated {
		return fmt.Errorf("%w: marker producer_id=%d epoch=%d current=%d transaction_version=%d",
			ErrInvalidProducerEpoch, m.ProducerID, m.ProducerEpoch, e.epoch, m.TransactionVersion)
	}
	if m.CoordinatorEpoch < e.coordinatorEpoch {
		return fmt.Errorf("%w: producer_id=%d coordinator_epoch=%d current=%d",
			ErrCoordinatorFenced, m.ProducerID, m.CoordinatorEpoch, e.coordinatorEpoch)
	}
	return nil
}

// AppendMarker writes the control batch that ends a transaction, to all replicas in sync. The owner is told
// as for Append. ErrInvalidProducerEpoch refuses a marker that is too late, ErrCoordinatorFenced one from a
// coordinator that was replaced. A marker that ends nothing is written: it raises the epoch of the producer.
func (p *Partition) AppendMarker(a *Append, m Marker, owner Owner) error {
	now := p.now().UnixMilli()
	b, err := m.batch(now)
	if err != nil {
		return err
	}
	a.reset(p, owner)
	a.Alone, a.AppendTime, a.Duplicate, a.bytes = false, -1, false, len(b)
	if p.settings.Load().LogAppendTime {
		a.AppendTime = now
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.Leads() {
		return ErrStopped
	}
	if p.lost {
		p.recallSoon()
		return ErrNotRecalled
	}
	if err := m.check(p.producers.entries[m.ProducerID]); err != nil {
		return err
	}
	return p.lay(a, b, now)
}

// ProducerState describes an active producer.
type ProducerState struct {
	ID               int64
	Epoch            int16
	LastSequence     int32 // -1: no batch of this epoch is known
	LastTimestamp    int64 // ms, of its last batch or marker
	CoordinatorEpoch int32 // -1: no transaction of it has ended here
	TxnStart         int64 // first offset of its open transaction; -1: none
}

// Producers returns the active producers, for DescribeProducers and the tools against hanging
// transactions; in no order.
func (p *Partition) Producers() []ProducerState {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]ProducerState, 0, len(p.producers.entries))
	for id, e := range p.producers.entries {
		out = append(out, ProducerState{
			ID: id, Epoch: e.epoch, LastSequence: e.lastSequence(), LastTimestamp: e.timestamp,
			CoordinatorEpoch: e.coordinatorEpoch, TxnStart: e.first,
		})
	}
	return out
}
