package share

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// known is what the test was told of a share partition, or saw being committed.
type known struct {
	exists     bool
	stateEpoch int32
	fence      int32 // greatest leader epoch of a read that was answered
	start      int64
	said       map[int64]int32 // rank of an offset by the writes that were answered
}

// begins says that nothing below start is remembered any more.
func (k *known) begins(start int64) {
	k.start = start
	for o := range k.said {
		if o < start {
			delete(k.said, o)
		}
	}
}

// TestModel sends random requests while appends are lost and leaders change, each
// of which begins with what the log has kept, and checks all that was promised.
func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { model(t, seed) })
	}
}

func model(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	cfg := Defaults()
	cfg.UpdatesPerSnapshot = rng.IntN(4)
	w := newWorld(t, cfg)
	w.topics[topicID("t")] = 3
	world := make(map[Key]*known)
	of := func(k Key) *known {
		if world[k] == nil {
			world[k] = &known{fence: -1, said: map[int64]int32{}}
		}
		return world[k]
	}
	w.onBatch = func(b record.Batch) {
		for r, err := range b.Records(1 << 24) {
			if err != nil {
				t.Fatal(err)
			}
			e, err := decode(r.Key, r.Value)
			if err != nil {
				t.Fatal(err)
			}
			switch k := of(e.key); {
			case e.snapshot != nil:
				if !k.exists || e.snapshot.stateEpoch != k.stateEpoch { // begun, or begun anew
					k.said = map[int64]int32{}
				}
				if e.snapshot.stateEpoch < k.stateEpoch && k.exists {
					t.Fatalf("%v: state epoch goes back from %d to %d", e.key, k.stateEpoch, e.snapshot.stateEpoch)
				}
				k.exists, k.stateEpoch = true, e.snapshot.stateEpoch
				k.begins(e.snapshot.start)
			case e.update != nil:
				if e.update.start != unchanged {
					k.begins(e.update.start)
				}
			default:
				*k = known{fence: -1, said: map[int64]int32{}}
			}
		}
	}
	answers, asked := 0, 0
	for step := range 400 {
		key := Key{Group: []string{"g", "h"}[rng.IntN(2)], Topic: topicID("t"), Partition: rng.Int32N(3)}
		k := of(key)
		submit := func(req kmsg.Request, reply func(kmsg.Response)) {
			asked++
			w.co.Handle(req, func(resp kmsg.Response) { answers++; reply(resp) })
		}
		leader := max(k.fence, 0) + rng.Int32N(4) - 1
		switch n := rng.IntN(100); {
		case n < 8:
			req := kmsg.NewPtrInitializeShareGroupStateRequest()
			req.GroupID = key.Group
			// Each beginning has a state epoch of its own.
			req.Topics = []kmsg.InitializeShareGroupStateRequestTopic{{TopicID: key.Topic, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{{
				Partition: key.Partition, StateEpoch: int32(step), StartOffset: rng.Int64N(10) - 1,
			}}}}
			submit(req, func(kmsg.Response) {})
		case n < 50:
			first := rng.Int64N(40)
			b := StateBatch{first, first + rng.Int64N(8), [3]int8{0, 2, 4}[rng.IntN(3)], int16(rng.IntN(3))}
			start := int64(-1)
			if rng.IntN(3) == 0 {
				start = rng.Int64N(20)
			}
			epoch := k.stateEpoch - rng.Int32N(2)
			req := kmsg.NewPtrWriteShareGroupStateRequest()
			req.Version, req.GroupID = 1, key.Group
			req.Topics = []kmsg.WriteShareGroupStateRequestTopic{{TopicID: key.Topic, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{{
				Partition: key.Partition, StateEpoch: epoch, LeaderEpoch: leader, StartOffset: start,
				StateBatches: []kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{{FirstOffset: b.First, LastOffset: b.Last, DeliveryState: b.State, DeliveryCount: b.DeliveryCount}},
			}}}}
			submit(req, func(resp kmsg.Response) {
				if resp.(*kmsg.WriteShareGroupStateResponse).Topics[0].Partitions[0].ErrorCode != 0 {
					return
				}
				switch {
				case !k.exists:
					t.Fatalf("%v: a write to what is not there", key)
				case leader != -1 && leader < k.fence:
					t.Fatalf("%v: leader %d wrote after %d had read", key, leader, k.fence)
				case epoch != -1 && epoch < k.stateEpoch:
					t.Fatalf("%v: state epoch %d wrote in %d", key, epoch, k.stateEpoch)
				}
				for o := max(b.First, k.start); o <= b.Last; o++ {
					k.said[o] = max(k.said[o], b.rank())
				}
			})
		case n < 75:
			req := kmsg.NewPtrReadShareGroupStateRequest()
			req.GroupID = key.Group
			req.Topics = []kmsg.ReadShareGroupStateRequestTopic{{TopicID: key.Topic, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{Partition: key.Partition, LeaderEpoch: leader}}}}
			submit(req, func(resp kmsg.Response) {
				p := resp.(*kmsg.ReadShareGroupStateResponse).Topics[0].Partitions[0]
				if p.ErrorCode != 0 {
					return
				}
				if leader != -1 && leader < k.fence {
					t.Fatalf("%v: leader %d reads after %d had", key, leader, k.fence)
				}
				k.fence = max(k.fence, leader)
				is := map[int64]int32{}
				for _, b := range p.StateBatches {
					for o := b.FirstOffset; o <= b.LastOffset; o++ {
						is[o] = StateBatch{State: b.DeliveryState, DeliveryCount: b.DeliveryCount}.rank()
					}
				}
				for o, rank := range k.said {
					if got, ok := is[o]; o >= p.StartOffset && (!ok || got < rank) {
						t.Fatalf("%v: offset %d was said to be %x and is %x (%v)", key, o, rank, got, ok)
					}
				}
			})
		case n < 78:
			req := kmsg.NewPtrDeleteShareGroupStateRequest()
			req.GroupID = key.Group
			req.Topics = []kmsg.DeleteShareGroupStateRequestTopic{{TopicID: key.Topic, Partitions: []kmsg.DeleteShareGroupStateRequestTopicPartition{{Partition: key.Partition}}}}
			submit(req, func(kmsg.Response) {})
		case n < 82:
			w.hold = true
		case n < 86:
			w.hold = false
			w.ack()
			w.pump()
		case n < 88:
			w.hold = false
			w.fail([]error{errors.New("unavailable"), coordinator.ErrTooLarge}[rng.IntN(2)])
		case n < 93:
			w.hold = false
			w.failover(rng.IntN(2) == 0)
		default:
			w.pass(time.Duration(rng.IntN(4)) * time.Minute)
		}
		if len(w.held) == 0 {
			w.check()
		}
	}
	w.hold = false
	w.failover(true)
	w.check()
	if answers != asked {
		t.Fatalf("%d requests, %d answers", asked, answers)
	}
}
