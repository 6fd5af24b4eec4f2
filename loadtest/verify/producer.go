package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// producer writes records to all partitions in turn, at a steady rate, and writes down what became of each.
type producer struct {
	run     *Run
	number  uint16
	client  *kgo.Client
	journal *journal
	next    []int64       // by partition: the sequence of the next record
	room    chan struct{} // holds one for each record that has neither been acknowledged nor given up
	sent    int64
}

const (
	// pace is how often a producer looks whether records are due.
	pace = 2 * time.Millisecond
	// maxBuffered bounds the records, and maxBufferedBytes their bytes, that wait for the cluster in one producer. At the limit it
	// holds back, and what it did not send is not made up for.
	maxBuffered      = 10000
	maxBufferedBytes = 32 << 20
)

func (r *Run) newProducer(number uint16) (*producer, error) {
	o := &r.options
	room := min(maxBuffered, maxBufferedBytes/o.RecordBytes)
	opts := []kgo.Opt{
		kgo.DefaultProduceTopic(o.Topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(codecs[o.Compression]), kgo.MaxBufferedRecords(room + 1),
		kgo.ProducerBatchMaxBytes(MaxRecordBytes + 1<<10), kgo.ProduceRequestTimeout(requestTimeout),
		// A topic that a broker does not know is one that it does not know yet.
		kgo.UnknownTopicRetries(-1), kgo.RecordDeliveryTimeout(o.GiveUp),
	}
	if o.NotIdempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	if o.Acks == AcksLeader {
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	j, err := createJournal(o.Dir, header{role: roleProducer, number: number, run: r.id})
	if err != nil {
		return nil, err
	}
	client, err := newClient(o.Brokers, o.Client, opts...)
	if err != nil {
		return nil, closeAfter(j, err)
	}
	return &producer{run: r, number: number, client: client, journal: j, next: make([]int64, o.Partitions), room: make(chan struct{}, room)}, nil
}

// produce sends until the run stops sending, waits for the acknowledgements, and ends the journal.
func (p *producer) produce(stopping, drained context.Context) error {
	o := &p.run.options
	rate := o.Rate / float64(o.Producers)
	limit := share(o.Records, int64(o.Producers), int64(p.number))
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	began, made := time.Now(), 0.0 // records that were due since then, and were sent
	for o.Records == 0 || p.sent < limit {
		due := time.Since(began).Seconds() * rate
		if due-made > rate { // held back for longer than a second
			began, made, due = time.Now(), 0, 0
		}
		for ; made < due && (o.Records == 0 || p.sent < limit) && stopping.Err() == nil; made++ {
			p.send(stopping)
		}
		select {
		case <-ticker.C:
			continue
		case <-stopping.Done():
		}
		break
	}
	stopped := p.journal.now()
	flushed := p.client.Flush(drained)
	p.client.Close() // fails what is left
	p.journal.put(done{stopped, p.journal.now(), p.sent})
	if err := p.journal.close(); err != nil {
		return fmt.Errorf("journal of producer %d: %w", p.number, err)
	}
	if flushed != nil {
		p.run.say("producer %d: not all records were acknowledged in time", p.number)
	}
	return nil
}

// share is the part of a number that falls to one of several.
func share(all, of, number int64) int64 { return all*(number+1)/of - all*number/of }

// send hands one record to the client, unless the run stops sending before there is room for it.
func (p *producer) send(stopping context.Context) {
	select {
	case p.room <- struct{}{}:
	case <-stopping.Done():
		return
	}
	partition := int32((p.sent + int64(p.number)) % int64(len(p.next)))
	id := identity{p.number, p.next[partition]}
	p.next[partition]++
	p.sent++
	given := time.Now()
	record := makeRecord(p.run.id, partition, id, given.UnixMicro(), p.run.options.RecordBytes)
	// Stopping must not cancel what was accepted: Flush waits for it.
	p.client.Produce(context.Background(), record, func(r *kgo.Record, err error) {
		<-p.room
		if err != nil {
			p.journal.put(failed{partition, id.sequence, p.journal.now(), textOf(err)})
			return
		}
		p.journal.ack(ack{partition, id.sequence, r.Offset, p.journal.now(), time.Since(given).Microseconds()})
		p.run.acknowledged(partition, r.Offset)
	})
}
