package txn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

// The model: clients with instances that come and go and do not know that they are fenced,
// partitions that judge markers as partitions do, coordinators that fail at any
// step, markers whose answers are lost and that come late.
//
// The oracle: a transaction ends with one result in all partitions that it wrote to, the
// one that its client was told; a fenced instance changes nothing any more; a stale marker
// ends nothing; producer ids and epochs never go back; the state is what the log says.

// opened is one transaction as its client knows it.
type opened struct {
	name    string
	told    string // "commit" or "abort": what the coordinator said yes to
	results map[string]bool
	in      map[int32]bool // partitions written to, and not ended
}

// instance is one producer of a transactional id.
type instance struct {
	id     string
	tv     int16
	who    producer
	fenced bool // a newer instance was initialized
	txn    *opened
	asking bool // a request is not answered
	ending bool // EndTxn was sent: the transaction takes no more
	commit bool
}

// part is one partition's view of one producer id.
type part struct {
	epoch, coordinator int32
	open               *opened
}

type model struct {
	*world
	rng       *rand.Rand
	instances []*instance
	parts     map[int32]map[int64]*part
	ghosts    []*job // whose requests are still in the network
	newest    map[string]producer
	seen      map[string]map[int64]bool
	where     map[*job][]topicPartition
	all       []*opened
	stats     map[string]int
}

func (m *model) fail(format string, args ...any) {
	m.t.Helper()
	m.t.Fatalf(format, args...)
}

// logged checks that ids and epochs go one way.
func (m *model) logged(b record.Batch) {
	for r, err := range b.Records(1 << 20) {
		if err != nil {
			m.fail("%v", err)
		}
		e, err := decode(r.Key, r.Value)
		if err != nil {
			m.fail("%v", err)
		}
		if e.t == nil {
			delete(m.newest, e.id)
			continue
		}
		last, ok := m.newest[e.id]
		is := producer{e.t.producerID, e.t.epoch}
		if m.seen[e.id] == nil {
			m.seen[e.id] = map[int64]bool{}
		}
		switch {
		case ok && last.id == is.id && is.epoch < last.epoch:
			m.fail("id %s: epoch went from %d to %d", e.id, last.epoch, is.epoch)
		case (!ok || last.id != is.id) && m.seen[e.id][is.id]:
			m.fail("id %s: producer id %d came back", e.id, is.id)
		}
		m.newest[e.id], m.seen[e.id][is.id] = is, true
	}
}

// partitions of a transaction in the state, which a job carries.
func (m *model) partitionsOf(j *job) []topicPartition {
	if tps, ok := m.where[j]; ok {
		return tps
	}
	t := m.m.txns[j.id]
	if t == nil || !t.state.decided() || t.producerID != j.producerID || t.epoch != j.epoch {
		return nil
	}
	m.where[j] = t.partitions
	return t.partitions
}

// marker has a partition judge one marker: false means that it is refused.
func (m *model) marker(tp topicPartition, j *job) bool {
	of := m.parts[tp.partition]
	p := of[j.producerID]
	if p == nil {
		p = &part{epoch: -1, coordinator: -1}
		of[j.producerID] = p
	}
	epoch := int32(j.epoch)
	switch {
	case j.shard.epoch < p.coordinator, epoch < p.epoch:
		m.stats["stale marker"]++
		return false
	case j.version >= epochBump && epoch == p.epoch && p.open != nil:
		m.stats["late marker"]++
		return false
	}
	p.epoch, p.coordinator = epoch, j.shard.epoch
	if p.open == nil {
		return true
	}
	result := "abort"
	if j.commit {
		result = "commit"
	}
	p.open.results[result] = true
	if len(p.open.results) > 1 {
		m.fail("transaction %s ended both ways", p.open.name)
	}
	if p.open.told != "" && p.open.told != result {
		m.fail("transaction %s was told %s and ended in %s", p.open.name, p.open.told, result)
	}
	delete(p.open.in, tp.partition)
	p.open = nil
	m.stats[result]++
	return true
}

// produce writes to a partition, as a leader lets it: the coordinator says that the partition
// is in the transaction, and the epoch is not an older one.
func (m *model) produce(i *instance, n int32) {
	t := m.m.txns[i.id]
	if t == nil || t.producerID != i.who.id || t.epoch != i.who.epoch || t.state != Ongoing || !t.has(topicPartition{"t", n}) {
		return
	}
	p := m.parts[n][i.who.id]
	if p == nil {
		p = &part{epoch: -1, coordinator: -1}
		m.parts[n][i.who.id] = p
	}
	if int32(i.who.epoch) < p.epoch {
		return
	}
	if p.open != nil && p.open != i.txn {
		m.fail("partition %d: transaction %s begins while %s is open", n, i.txn.name, p.open.name)
	}
	p.epoch, p.open = int32(i.who.epoch), i.txn
	i.txn.in[n] = true
}

func (m *model) request(i *instance, req kmsg.Request, answered func(kmsg.Response)) {
	i.asking = true
	c := &Coordinator{cfg: m.cfg, metrics: m.m.metrics, log: m.m.log, Topic: coordinator.Topic{Runtime: m}, opts: Options{GroupPartition: func(string) (string, int32) { return "t", 0 }}}
	c.TopicCreated(1)
	c.takeID = func(done func(int64, error)) {
		m.nextID++
		done(m.nextID, nil)
	}
	c.Handle(req, func(r kmsg.Response) {
		if !i.asking {
			m.fail("answered twice: %T", req)
		}
		i.asking = false
		answered(r)
	})
}

func (m *model) init(id string) {
	i := &instance{id: id, tv: int16(m.rng.IntN(2) * 2)}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.Version, req.TransactionalID, req.TransactionTimeoutMillis = 5, &id, int32(5000+m.rng.IntN(20_000))
	m.request(i, req, func(r kmsg.Response) {
		resp := r.(*kmsg.InitProducerIDResponse)
		if resp.ErrorCode != 0 {
			return
		}
		i.who = producer{resp.ProducerID, resp.ProducerEpoch}
		for _, o := range m.instances {
			if o.id == id {
				if o.who == i.who {
					m.fail("id %s: %v is given to two instances", id, i.who)
				}
				o.fenced = true
			}
		}
		m.instances = append(m.instances, i)
		if len(m.instances) > 40 {
			m.instances = m.instances[10:]
		}
	})
}

func (m *model) add(i *instance) {
	if i.txn == nil {
		i.txn = &opened{name: fmt.Sprintf("%s %v #%d", i.id, i.who, len(m.all)), results: map[string]bool{}, in: map[int32]bool{}}
		m.all = append(m.all, i.txn)
	}
	n := m.rng.Int32N(4)
	topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
	topic.Topic, topic.Partitions = "t", []int32{n}
	one := kmsg.NewAddPartitionsToTxnRequestTransaction()
	one.TransactionalID, one.ProducerID, one.ProducerEpoch = i.id, i.who.id, i.who.epoch
	one.Topics = append(one.Topics, topic)
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.Version, req.Transactions = 5, append(req.Transactions, one)
	fenced := i.fenced
	m.request(i, req, func(r kmsg.Response) {
		code := r.(*kmsg.AddPartitionsToTxnResponse).Transactions[0].Topics[0].Partitions[0].ErrorCode
		if code == 0 && fenced {
			m.fail("fenced instance %s %v added a partition", i.id, i.who)
		}
		if code == 0 {
			m.produce(i, n)
		}
	})
}

func (m *model) finish(i *instance) {
	req := kmsg.NewPtrEndTxnRequest()
	req.Version = 4
	if i.tv >= epochBump {
		req.Version = 5
	}
	if !i.ending {
		i.commit, i.ending = m.rng.IntN(3) > 0, true
	}
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = i.id, i.who.id, i.who.epoch, i.commit
	txn, fenced, commit := i.txn, i.fenced, i.commit
	m.request(i, req, func(r kmsg.Response) {
		resp := r.(*kmsg.EndTxnResponse)
		if resp.ErrorCode != 0 {
			if txn != nil && len(txn.in) == 0 {
				i.txn, i.ending = nil, false // nothing was written: begin anew
			}
			return
		}
		if fenced {
			m.fail("fenced instance %s %v ended a transaction", i.id, i.who)
		}
		txn.told = "abort"
		if commit {
			txn.told = "commit"
		}
		for got := range txn.results {
			if got != txn.told {
				m.fail("transaction %s ended in %s and is told %s", txn.name, got, txn.told)
			}
		}
		if resp.ProducerID >= 0 {
			i.who = producer{resp.ProducerID, resp.ProducerEpoch}
		}
		i.txn, i.ending = nil, false
		m.stats["ended"]++
	})
}

// deliver brings the markers of a job to some of its partitions, and the answers back, or not.
func (m *model) deliver(k int) {
	j := m.jobs[k]
	done := true
	for _, tp := range m.partitionsOf(j) {
		if m.rng.IntN(4) == 0 {
			done = false
			continue
		}
		m.marker(tp, j)
	}
	if j.version >= epochBump && m.rng.IntN(3) == 0 {
		m.ghosts = append(m.ghosts, j)
		m.partitionsOf(j)
	}
	if done && m.rng.IntN(4) > 0 {
		m.jobs = append(m.jobs[:k], m.jobs[k+1:]...)
		m.submit(m.markersWritten(j))
	}
}

func (m *model) step() {
	var i *instance
	if n := len(m.instances); n > 0 {
		i = m.instances[n-1-min(m.rng.IntN(n), m.rng.IntN(n))]
	}
	ready := i != nil && !i.asking
	switch r := m.rng.IntN(100); {
	case r < 8:
		m.init(string(rune('a' + m.rng.IntN(3))))
	case r < 40 && ready && !i.ending:
		m.add(i)
	case r < 58 && ready && i.txn != nil:
		m.finish(i)
	case r < 75 && len(m.jobs) > 0:
		m.deliver(m.rng.IntN(len(m.jobs)))
	case r < 78 && len(m.ghosts) > 0:
		j := m.ghosts[m.rng.IntN(len(m.ghosts))]
		for _, tp := range m.partitionsOf(j) {
			m.marker(tp, j)
		}
	case r < 84:
		m.tick(time.Duration(m.rng.IntN(3000)) * time.Millisecond)
	case r < 88:
		m.hold = true
	case r < 93:
		m.settle([]error{nil, nil, errors.New("unavailable")}[m.rng.IntN(3)])
	case r < 95:
		if m.rng.IntN(2) == 0 {
			m.ghosts = append(m.ghosts, m.twos()...)
		}
		m.failover(m.rng.IntN(2) == 0)
		m.checkReplay()
		m.stats["failover"]++
	case r < 97:
		m.refill()
	}
	if len(m.ghosts) > 20 {
		m.ghosts = m.ghosts[10:]
	}
}

// twos are the jobs whose requests may come at any time: those with an epoch per transaction.
func (m *model) twos() []*job {
	var out []*job
	for _, j := range m.jobs {
		if j.version >= epochBump {
			m.partitionsOf(j)
			out = append(out, j)
		}
	}
	return out
}

func TestModel(t *testing.T) {
	total := map[string]int{}
	for seed := range uint64(60) {
		m := &model{world: newWorld(t), rng: rand.New(rand.NewPCG(seed, 7)), parts: map[int32]map[int64]*part{},
			newest: map[string]producer{}, seen: map[string]map[int64]bool{}, where: map[*job][]topicPartition{}, stats: total}
		m.level = int16(seed % 3)
		m.onBatch = m.logged
		for n := range int32(4) {
			m.parts[n] = map[int64]*part{}
		}
		for range 2000 {
			m.step()
		}
		// Heal: everything is carried out, and what is open runs out of time.
		m.settle(nil)
		for range 100 {
			for len(m.jobs) > 0 {
				m.deliver(0)
			}
			m.refill()
			m.tick(2 * time.Second)
		}
		for id, tx := range m.m.txns {
			if !tx.state.idle() {
				t.Fatalf("seed %d: id %s is left in %v", seed, id, tx.state)
			}
		}
		for _, o := range m.all {
			if len(o.in) > 0 {
				t.Fatalf("seed %d: transaction %s is open in %v", seed, o.name, o.in)
			}
		}
		m.checkReplay()
	}
	for _, what := range []string{"commit", "abort", "stale marker", "late marker", "ended", "failover"} {
		if total[what] == 0 {
			t.Errorf("no %s in any run", what)
		}
	}
	t.Log(total)
}

var _ coordinator.Shards = (*model)(nil)
