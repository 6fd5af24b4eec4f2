package metadata

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

// world is a model of the cluster around an image: it makes random commands,
// most of them sensible, and knows which objects the ledgers and their pages
// must refer to.
type world struct {
	t      testing.TB
	r      *rand.Rand
	image  *Image
	index  uint64
	log    [][]byte // encoded commands; log[i] has index i+1
	nextID uint64
	parts  map[TopicPartition]*modelPartition // live and purging ones
	topics []ID
	begun  map[ID]bool // objects ever begun, not collected yet
	names  int
}

// modelPartition is what the tiering engine would know.
type modelPartition struct {
	paged []Segment // live segments in pages
	pages []PageRef // live pages; the last one is the root
	gone  bool      // topic deleted
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), image: new(Image), parts: map[TopicPartition]*modelPartition{}, begun: map[ID]bool{}}
	w.apply(&record.InitCluster{ClusterID: "world", At: 1})
	for b := range int32(4) {
		w.apply(&record.RegisterBroker{ID: b, Incarnation: w.id(), Rack: fmt.Sprint("rack", b%2), Endpoints: []record.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 9092}}})
		x, _ := w.image.Broker(b)
		w.apply(&record.UnfenceBroker{ID: b, Epoch: x.Epoch})
	}
	return w
}

func (w *world) id() ID {
	w.nextID++
	var id ID
	binary.BigEndian.PutUint64(id[:], w.r.Uint64())
	binary.BigEndian.PutUint64(id[8:], w.nextID)
	return id
}

// apply runs a command through its bytes.
func (w *world) apply(c record.Command) Result {
	w.t.Helper()
	b, err := record.Append(nil, c)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err = record.Decode(b)
	if err != nil {
		w.t.Fatal(err)
	}
	w.index++
	w.log = append(w.log, b)
	next, r := Apply(w.image, w.index, c)
	w.image = next
	return r
}

func (w *world) pick() (TopicPartition, *Partition, *modelPartition, bool) {
	if len(w.topics) == 0 {
		return TopicPartition{}, nil, nil, false
	}
	topic := w.topics[w.r.IntN(len(w.topics))]
	t, _ := w.image.TopicByID(topic)
	tp := TopicPartition{Topic: topic, Partition: w.r.Int32N(t.Partitions)}
	p, _ := w.image.Partition(tp.Topic, tp.Partition)
	return tp, p, w.parts[tp], true
}

func (w *world) step() {
	switch n := w.r.IntN(100); {
	case n < 4:
		w.createTopic()
	case n < 6:
		w.deleteTopic()
	case n < 8:
		w.grow()
	case n < 18:
		w.change()
	case n < 22:
		w.broker()
	case n < 24:
		w.config()
	case n < 28:
		w.security()
	case n < 64:
		w.commit()
	case n < 72:
		w.spill()
	case n < 82:
		w.retain()
	case n < 86:
		w.compact()
	case n < 89:
		w.deleteRecords()
	case n < 94:
		w.collect()
	default:
		w.purge()
	}
}

func (w *world) createTopic() {
	if len(w.topics) > 12 {
		return
	}
	w.names++
	id, n := w.id(), 1+w.r.IntN(6)
	var a [][]int32
	for range n {
		perm := w.r.Perm(4)
		a = append(a, []int32{int32(perm[0]), int32(perm[1])})
	}
	c := &record.CreateTopic{ID: id, Name: fmt.Sprintf("t%d", w.names), Configs: record.ConfigsOf(map[string]string{"retention.ms": "1"}), Assignments: a, At: int64(w.index)}
	switch r := w.apply(c); r.Reason {
	case record.OK:
	case record.NoBroker: // it was removed
		return
	default:
		w.t.Fatal(r.Reason)
	}
	if r := w.apply(c); r.Reason != record.Already {
		w.t.Fatal("repeated create:", r.Reason)
	}
	w.topics = append(w.topics, id)
	for i := range n {
		w.parts[TopicPartition{Topic: id, Partition: int32(i)}] = new(modelPartition)
	}
}

func (w *world) deleteTopic() {
	tp, _, _, ok := w.pick()
	if !ok || len(w.topics) < 4 {
		return
	}
	t, _ := w.image.TopicByID(tp.Topic)
	for i := range t.Partitions {
		key := TopicPartition{Topic: tp.Topic, Partition: i}
		p, _ := w.image.PartitionOf(t, i)
		if w.parts[key].gone = true; p.Ledger.Segments == 0 {
			delete(w.parts, key)
		}
	}
	w.apply(&record.DeleteTopic{ID: tp.Topic, At: int64(w.index)})
	w.topics = slices.DeleteFunc(w.topics, func(id ID) bool { return id == tp.Topic })
}

func (w *world) grow() {
	tp, _, _, ok := w.pick()
	if !ok {
		return
	}
	t, _ := w.image.TopicByID(tp.Topic)
	from := t.Partitions - w.r.Int32N(2) // wrong half of the time
	if r := w.apply(&record.CreatePartitions{Topic: tp.Topic, From: from, Assignments: [][]int32{{0, 1}}}); r.Reason == record.OK {
		w.parts[TopicPartition{Topic: tp.Topic, Partition: from}] = new(modelPartition)
	}
}

func (w *world) change() {
	var c record.ChangePartition
	for range 1 + w.r.IntN(5) {
		tp, p, _, ok := w.pick()
		if !ok {
			return
		}
		x := record.PartitionChange{Topic: tp.Topic, Partition: tp.Partition, PartitionEpoch: p.PartitionEpoch - w.r.Int32N(2), Leader: p.Leader}
		switch w.r.IntN(7) {
		case 0:
			x.Leader = w.r.Int32N(5) - 1
		case 1:
			x.ISR, x.ELR, x.LastKnownELR = p.Replicas, []int32{}, []int32{}
			x.Elect = true
		case 2:
			perm := w.r.Perm(4)
			x.Replicas = []int32{int32(perm[0]), int32(perm[1]), int32(perm[2])}
			x.ISR, x.ELR, x.LastKnownELR, x.Leader = x.Replicas[:1], []int32{}, []int32{}, x.Replicas[0]
			x.Unclean = w.r.IntN(2) == 0
		case 3: // a member becomes eligible only
			if len(p.ISR) > 0 {
				at := w.r.IntN(len(p.ISR))
				x.ISR, x.ELR = without(p.ISR, p.ISR[at]), append(slices.Clone(p.ELR), p.ISR[at])
				if x.ISR == nil {
					x.ISR = []int32{}
				}
				if x.Leader == p.ISR[at] {
					x.Leader = NoLeader
				}
			}
		case 4: // and is elected
			if len(p.ELR) > 0 {
				x.Leader = p.ELR[0]
				x.ISR, x.ELR = p.ELR[:1], append(slices.Clone(p.ISR), p.ELR[1:]...)
			}
		case 5:
			x.ISR = append(slices.Clone(p.ISR), w.r.Int32N(5))
			for _, b := range x.ISR {
				epoch := int64(0)
				if b, ok := w.image.Broker(b); ok {
					epoch = b.Epoch - int64(w.r.IntN(9)/8)
				}
				x.ISREpochs = append(x.ISREpochs, epoch)
			}
		default:
			x.ISR = []int32{w.r.Int32N(5)}
		}
		c.Entries = append(c.Entries, x)
	}
	w.apply(&c)
}

func (w *world) broker() {
	id := w.r.Int32N(5)
	b, ok := w.image.Broker(id)
	switch {
	case !ok || w.r.IntN(3) == 0:
		lost := w.r.IntN(2) == 0
		w.apply(&record.RegisterBroker{ID: id, Incarnation: w.id(), Due: int64(w.index), LostLog: lost})
		if lost {
			for t, p := range w.image.HostedPartitions(id) {
				if contains(p.ISR, id) || contains(p.ELR, id) || p.Leader == id {
					w.t.Fatalf("%s-%d: broker %d lost its log and may be elected: %+v", t.Name, p.Index, id, p)
				}
			}
		}
	case w.r.IntN(6) == 0:
		w.apply(&record.ShutdownBroker{ID: id, Epoch: b.Epoch})
		w.apply(&record.DrainBroker{ID: id, Draining: !b.Draining})
	case w.r.IntN(5) == 0:
		w.apply(&record.RemoveBroker{ID: id, Due: int64(w.index)})
	case b.Fenced || w.r.IntN(4) > 0:
		w.apply(&record.UnfenceBroker{ID: id, Epoch: b.Epoch - int64(w.r.IntN(4)/3)})
	default:
		w.apply(&record.FenceBroker{ID: id, Epoch: b.Epoch})
	}
}

func (w *world) config() {
	if tp, _, _, ok := w.pick(); ok {
		w.apply(&record.SetTopicConfig{Topic: tp.Topic, Changes: []record.ConfigChange{{Key: fmt.Sprint("k", w.r.IntN(4)), Value: "v", Delete: w.r.IntN(2) == 0}}})
		w.apply(&record.SetBrokerConfig{Broker: w.r.Int32N(6) - 1, Changes: []record.ConfigChange{{Key: "x", Value: fmt.Sprint(w.index)}}})
		w.apply(&record.SetGroupConfig{Group: fmt.Sprint("g", w.index%4), Changes: []record.ConfigChange{{Key: "y", Value: fmt.Sprint(w.index), Delete: w.index%3 == 0}}})
		x, _ := w.image.Broker(0)
		if x != nil {
			w.apply(&record.AllocateProducerIDs{Broker: 0, BrokerEpoch: x.Epoch, Count: w.r.Int32N(3)})
		}
	}
}

// check verifies the image, and that exactly what the model refers to is alive.
func (w *world) check() {
	w.t.Helper()
	if err := Check(w.image); err != nil {
		w.t.Fatal(err)
	}
	refs := map[ID]int64{}
	for tp, m := range w.parts {
		var l *Ledger
		if m.gone {
			x, ok := w.image.purges.Get(key(tp.Topic))
			if !ok {
				w.t.Fatal("purge entry lost")
			}
			p, ok := w.image.purging.Get(slot(x.Ordinal, tp.Partition))
			if !ok {
				w.t.Fatal("purging partition lost")
			}
			l = &p.Ledger
		} else {
			p, ok := w.image.Partition(tp.Topic, tp.Partition)
			if !ok {
				w.t.Fatal("partition lost")
			}
			l = &p.Ledger
		}
		for _, s := range append(slices.Clone(m.paged), l.Hot...) {
			refs[s.Object]++
		}
		for _, p := range m.pages {
			refs[p.Object]++
		}
		if int64(len(m.paged)+len(l.Hot)) != l.Segments {
			w.t.Fatalf("segments=%d paged=%d hot=%d", l.Segments, len(m.paged), len(l.Hot))
		}
	}
	for object := range w.begun {
		e := &edit{Image: *w.image}
		_, open := w.image.Intent(object)
		garbage := w.image.IsGarbage(object)
		switch n := refs[object]; {
		case open && e.refs(object) != n, !open && n > 0 && e.refs(object) != n:
			w.t.Fatalf("object %x: refs=%d model=%d", object, e.refs(object), n)
		case !open && garbage != (n == 0):
			w.t.Fatalf("object %x: garbage=%v model refs=%d", object, garbage, n)
		}
		delete(refs, object)
	}
	if len(refs) > 0 {
		w.t.Fatalf("%d objects are referred to and were deleted", len(refs))
	}
}
