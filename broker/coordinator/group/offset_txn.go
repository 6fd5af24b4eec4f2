package group

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

// txnOffsets are the offsets of one shard that were committed in transactions which are not
// decided yet. They take effect with the commit marker of their producer, in this
// partition, and are dropped with the abort marker.
//
//	TxnOffsetCommit ─▶ transactional batch ─▶ pending ─┬─ commit marker ─▶ committed
//	                                                   └─ abort marker ──▶ forgotten
//
// Log order decides between commits of one partition: what was committed after a pending
// offset, plainly or by a marker of another transaction, stays when its marker comes.
// A tombstone takes pending offsets along. The bound is that of the partition on open
// transactions, times the partitions of the cluster.
type txnOffsets struct {
	open  map[int64]map[offsetKeyed]*pendingOffset // by producer id
	keys  map[string]map[topicPartition]int        // by group: in how many transactions an offset is pending
	order uint64                                   // of the newest
}

// offsetKeyed names an offset within a shard.
type offsetKeyed struct {
	group string
	tp    topicPartition
}

// pendingOffset is one offset of an open transaction.
type pendingOffset struct {
	committed
	order  uint64 // among all pending offsets, as in the log
	passed bool   // a later commit has taken effect
}

// put notes an offset of a producer's open transaction.
func (t *txnOffsets) put(producerID int64, group string, tp topicPartition, c committed) {
	if t.open == nil {
		t.open, t.keys = make(map[int64]map[offsetKeyed]*pendingOffset), make(map[string]map[topicPartition]int)
	}
	of := t.open[producerID]
	if of == nil {
		of = make(map[offsetKeyed]*pendingOffset)
		t.open[producerID] = of
	}
	key := offsetKeyed{group, tp}
	if of[key] == nil {
		if t.keys[group] == nil {
			t.keys[group] = make(map[topicPartition]int)
		}
		t.keys[group][tp]++
	}
	t.order++
	of[key] = &pendingOffset{committed: c, order: t.order}
}

// unstable says whether the offset is part of a transaction that is not decided.
func (t *txnOffsets) unstable(group string, tp topicPartition) bool { return t.keys[group][tp] > 0 }

// of are the partitions of a group with pending offsets, in order.
func (t *txnOffsets) of(group string) []topicPartition {
	return slices.SortedFunc(maps.Keys(t.keys[group]), topicPartition.compare)
}

// pass says that an offset was committed which is later in the log than all pending ones.
func (t *txnOffsets) pass(group string, tp topicPartition) { t.passBefore(group, tp, t.order+1) }

func (t *txnOffsets) passBefore(group string, tp topicPartition, order uint64) {
	if !t.unstable(group, tp) {
		return
	}
	for _, of := range t.open {
		if p := of[offsetKeyed{group, tp}]; p != nil && p.order < order {
			p.passed = true
		}
	}
}

// drop forgets the pending offsets of one partition: a tombstone deletes it.
func (t *txnOffsets) drop(group string, tp topicPartition) {
	if !t.unstable(group, tp) {
		return
	}
	for id, of := range t.open {
		if key := (offsetKeyed{group, tp}); of[key] != nil {
			t.forget(id, key)
		}
	}
}

func (t *txnOffsets) forget(producerID int64, key offsetKeyed) {
	of := t.open[producerID]
	delete(of, key)
	if len(of) == 0 {
		delete(t.open, producerID)
	}
	group := t.keys[key.group]
	if group[key.tp]--; group[key.tp] == 0 {
		delete(group, key.tp)
	}
	if len(group) == 0 {
		delete(t.keys, key.group)
	}
}

// endTxn applies or drops what a producer's transaction has committed: its marker is in the log.
func (m *machine) endTxn(producerID int64, commit bool) {
	pending := m.txn.open[producerID]
	byGroup := make(map[string][]offsetKeyed)
	for key, p := range pending {
		if commit && !p.passed {
			byGroup[key.group] = append(byGroup[key.group], key)
		}
	}
	for id, keys := range byGroup {
		m.change(id, func(g *group) {
			for _, key := range keys {
				p := pending[key]
				g.offsets[key.tp] = p.committed
				m.txn.passBefore(id, key.tp, p.order)
			}
		})
		if m.live {
			m.metrics.commits.Add(float64(len(keys)))
		}
	}
	for key := range pending {
		m.txn.forget(producerID, key)
	}
}

// replayTxn applies a record of a transactional or control batch.
func (m *machine) replayTxn(batch record.Batch, offset int64, key, value []byte) error {
	if batch.Control() {
		kind, _, err := record.ParseControl(record.Record{Offset: offset, Key: key, Value: value})
		if err != nil {
			return err
		}
		if kind == record.Commit || kind == record.Abort {
			m.endTxn(batch.ProducerID(), kind == record.Commit)
		}
		return nil
	}
	e, err := decode(key, value)
	if err != nil {
		return err
	}
	if e.offset == nil {
		return errNotAnOffset
	}
	m.txn.put(batch.ProducerID(), e.group, e.tp, *e.offset)
	return nil
}

// txnEnded: the marker of a producer's transaction was written to this partition, and is in the
// log already. It is answered with 0.
type txnEnded struct {
	producerID int64
	commit     bool
	call       *coordinator.Call
}

func (e txnEnded) decide(m *machine, _ time.Time) coordinator.Outcome {
	return coordinator.Outcome{
		Apply:   func() { m.endTxn(e.producerID, e.commit) },
		Replies: []coordinator.Reply{{To: e.call, Body: int16(0)}},
	}
}

var errNotAnOffset = errors.New("transactional record that is no offset")

// TransactionEnded says that the marker of a transaction is durable in a partition of
// __consumer_offsets that this broker leads. It is called in the order of the log, as appends
// are acknowledged. Done is called once, without blocking: with an error if the
// marker is to be written again, as a coordinator that is loading may have missed it.
func (c *Coordinator) TransactionEnded(partition int32, producerID int64, commit bool, done func(err error)) {
	call := coordinator.NewCall(func(body any) { done(kerr.ErrorForCode(body.(int16))) })
	c.Runtime.Submit(partition, coordinator.Event{
		Access: coordinator.Read, Body: txnEnded{producerID, commit, call}, Call: call,
		Refuse: func(err error) any { return errorCode(err) },
	})
}

// expired is group.expired, but for offsets that a transaction is about to replace: they stay,
// and the group with them.
func (m *machine) expired(id string, now time.Time, limit int) (gone []topicPartition, all bool) {
	gone, all = m.groups[id].expired(m.cfg, now, limit)
	if len(m.txn.keys[id]) == 0 {
		return gone, all
	}
	return slices.DeleteFunc(gone, func(tp topicPartition) bool { return m.txn.unstable(id, tp) }), false
}

// with adds the partitions with pending offsets to those of a group, in order.
func (t *txnOffsets) with(group string, tps []topicPartition) []topicPartition {
	if len(t.keys[group]) == 0 {
		return tps
	}
	tps = append(tps, t.of(group)...)
	slices.SortFunc(tps, topicPartition.compare)
	return slices.Compact(tps)
}

// ofTopics are the partitions of deleted topics that have pending offsets of theirs, and no
// others in the group.
func (t *txnOffsets) ofTopics(group string, gone topicsDeleted, known offsets) []topicPartition {
	var out []topicPartition
	for _, tp := range t.of(group) {
		if _, ok := known[tp]; ok {
			continue
		}
		for _, of := range t.open {
			if p := of[offsetKeyed{group, tp}]; p != nil && gone.has(tp, p.committed) {
				out = append(out, tp)
				break
			}
		}
	}
	return out
}
