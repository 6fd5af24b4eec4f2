package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestTransactionalOffsetsModel lets producers commit in transactions and groups commit plainly,
// markers come in any order, offsets be deleted, and coordinators fail. The oracle reads the log
// by Kafka's rule: an offset takes effect where it stands, one of a transaction with its marker,
// and of two the later in the log stays.
func TestTransactionalOffsetsModel(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 3))
		cfg := Defaults()
		cfg.OffsetsRetention = 30 * time.Minute
		w := newWorld(t, cfg)
		w.topics["t"] = fakeTopic{id: [16]byte{1}, partitions: 3}
		for range 400 {
			group, tp, producer := string(rune('g'+rng.IntN(2))), rng.Int32N(3), rng.Int64N(4)
			offset := rng.Int64N(1000)
			switch rng.IntN(12) {
			case 0, 1, 2:
				w.commitPlainly(group, tp, offset)
			case 3, 4, 5, 6:
				w.commitInTransaction(group, tp, offset, producer)
			case 7, 8:
				w.hold = false
				w.pump()
				kind := []record.ControlType{record.Abort, record.Commit}[rng.IntN(2)]
				w.append(markerBatch(t, producer, kind))
				w.co.TransactionEnded(0, producer, kind == record.Commit, func(err error) {
					if err != nil {
						t.Fatalf("seed %d: %v", seed, err)
					}
				})
			case 9:
				req := kmsg.NewPtrDeleteGroupsRequest()
				req.Groups = []string{group}
				w.co.Handle(Caller{}, req, func(kmsg.Response) {})
			case 10:
				w.hold = false
				w.failover(rng.IntN(2) == 0)
			default:
				w.pass(time.Duration(rng.IntN(300)) * time.Second)
			}
			if rng.IntN(8) == 0 {
				w.hold = !w.hold
			}
			if !w.hold {
				w.pump()
			}
			if len(w.held) == 0 {
				w.checkReplay()
				w.checkOffsets(fmt.Sprint("seed ", seed))
			}
		}
	}
}

func (w *world) commitPlainly(group string, partition int32, offset int64) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, group, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	rt.Topic, rt.Partitions = "t", append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	w.co.Handle(Caller{}, req, func(kmsg.Response) {})
}

func (w *world) commitInTransaction(group string, partition int32, offset, producer int64) {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.Version, req.Group, req.ProducerID, req.Generation = 5, group, producer, -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	rt.Topic, rt.Partitions = "t", append(rt.Partitions, p)
	req.Topics = append(req.Topics, rt)
	w.co.CommitTransactional(req, 0, func(kmsg.Response) {})
}

// checkOffsets compares the state with what the log says by the oracle's rule.
func (w *world) checkOffsets(when string) {
	w.t.Helper()
	type at struct{ record, offset int64 }
	is := map[offsetKeyed]at{}
	pending := map[int64]map[offsetKeyed]at{}
	for _, b := range w.log {
		for r, err := range b.Records(1 << 20) {
			if err != nil {
				w.t.Fatal(err)
			}
			if b.Control() {
				if kind, _, _ := record.ParseControl(r); kind == record.Commit {
					for key, p := range pending[b.ProducerID()] {
						if p.record > is[key].record {
							is[key] = p
						}
					}
				}
				delete(pending, b.ProducerID())
				continue
			}
			e, err := decode(r.Key, r.Value)
			if err != nil {
				w.t.Fatal(err)
			}
			key := offsetKeyed{e.group, e.tp}
			switch {
			case e.isGroup:
			case r.Value == nil:
				delete(is, key)
				for _, of := range pending {
					delete(of, key)
				}
			case b.Transactional():
				if pending[b.ProducerID()] == nil {
					pending[b.ProducerID()] = map[offsetKeyed]at{}
				}
				pending[b.ProducerID()][key] = at{r.Offset + 1, e.offset.offset}
			default:
				is[key] = at{r.Offset + 1, e.offset.offset}
			}
		}
	}
	got, want := map[offsetKeyed]int64{}, map[offsetKeyed]int64{}
	for key, a := range is {
		want[key] = a.offset
	}
	for id, g := range w.machine.groups {
		for tp, c := range g.offsets {
			got[offsetKeyed{id, tp}] = c.offset
		}
	}
	if !maps.Equal(got, want) {
		w.t.Fatalf("%s: offsets are %v, the log says %v", when, got, want)
	}
	unstable := 0
	for _, of := range pending {
		for key := range of {
			unstable++
			if !w.machine.txn.unstable(key.group, key.tp) {
				w.t.Fatalf("%s: %v is pending and taken for decided", when, key)
			}
		}
	}
	n := 0
	for _, of := range w.machine.txn.open {
		n += len(of)
	}
	if n != unstable {
		w.t.Fatalf("%s: %d offsets are pending, the log says %d", when, n, unstable)
	}
}
