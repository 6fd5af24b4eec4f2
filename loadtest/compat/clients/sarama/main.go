// Command sarama puts Sarama behind the protocol of the compat workers.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

func main() { worker.Main(client{}) }

type client struct{}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	return c
}

func (client) Create(o worker.Options) error {
	admin, err := sarama.NewClusterAdmin([]string{o.Brokers}, config())
	if err != nil {
		return err
	}
	configs := map[string]*string{}
	for key, value := range o.Configs {
		configs[key] = &value
	}
	err = admin.CreateTopic(o.Topic, &sarama.TopicDetail{NumPartitions: int32(o.Partitions), ReplicationFactor: 1, ConfigEntries: configs}, false)
	return errors.Join(err, admin.Close())
}

func (client) Produce(o worker.Options, next func() (worker.Record, bool, error), emit func(any)) error {
	c := config()
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // Sarama's condition for idempotence
	c.Producer.Compression = codecs[o.Codec]
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Flush.Frequency = 20 * time.Millisecond
	c.Producer.Return.Successes = true
	producer, err := sarama.NewAsyncProducer([]string{o.Brokers}, c)
	if err != nil {
		return err
	}
	var reports sync.WaitGroup
	reports.Go(func() {
		for m := range producer.Successes() {
			emit(worker.Ack{Index: m.Metadata.(int), Partition: m.Partition, Offset: m.Offset})
		}
	})
	reports.Go(func() {
		for e := range producer.Errors() {
			emit(worker.Ack{Index: e.Msg.Metadata.(int), Error: e.Err.Error()})
		}
	})
	for i := 0; ; i++ {
		rec, more, err := next()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		m := &sarama.ProducerMessage{Topic: o.Topic, Partition: rec.Partition, Timestamp: time.UnixMilli(rec.Timestamp), Metadata: i}
		if rec.Key != nil {
			m.Key = sarama.ByteEncoder(rec.Key)
		}
		if rec.Value != nil {
			m.Value = sarama.ByteEncoder(rec.Value)
		}
		for _, h := range rec.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
		}
		producer.Input() <- m
	}
	producer.AsyncClose()
	reports.Wait()
	return nil
}

func (client) Consume(o worker.Options, emit func(any)) error {
	c, err := sarama.NewClient([]string{o.Brokers}, config())
	if err != nil {
		return err
	}
	consumer, err := sarama.NewConsumerFromClient(c)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	partitions, err := c.Partitions(o.Topic)
	if err != nil {
		return errors.Join(err, c.Close())
	}
	messages := make(chan *sarama.ConsumerMessage)
	done := make(chan struct{})
	for _, p := range partitions {
		at := sarama.OffsetOldest
		switch o.From {
		case "offset":
			at = o.Offsets[p]
		case "time":
			if at, err = c.GetOffset(o.Topic, p, o.Time); err != nil {
				return fmt.Errorf("offset of a time: %w partition=%d", err, p)
			}
		}
		part, err := consumer.ConsumePartition(o.Topic, p, at)
		if err != nil {
			return fmt.Errorf("consume: %w partition=%d", err, p)
		}
		go func() {
			for m := range part.Messages() {
				select {
				case messages <- m:
				case <-done:
					return
				}
			}
		}()
	}
	for left := o.Count; left > 0; left-- {
		emit(record(<-messages))
	}
	close(done)
	return nil // the process ends, and with it the connections
}

func (client) Group(o worker.Options, emit func(any), stop <-chan struct{}) error {
	c := config()
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = time.Duration(o.SessionMS) * time.Millisecond
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	group, err := sarama.NewConsumerGroup([]string{o.Brokers}, o.Group, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-stop
		cancel()
	}()
	for ctx.Err() == nil {
		if err := group.Consume(ctx, []string{o.Topic}, member{o.Topic, emit}); err != nil && ctx.Err() == nil {
			return errors.Join(err, group.Close())
		}
	}
	return group.Close()
}

// member handles one session of a group.
type member struct {
	topic string
	emit  func(any)
}

func (m member) Setup(s sarama.ConsumerGroupSession) error {
	all := append([]int32{}, s.Claims()[m.topic]...)
	m.emit(worker.Assigned{Partitions: all})
	return nil
}

func (m member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m member) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			m.emit(record(message))
			s.MarkMessage(message, "")
			if len(claim.Messages()) == 0 {
				s.Commit()
			}
		case <-s.Context().Done():
			s.Commit()
			return nil
		}
	}
}

func record(m *sarama.ConsumerMessage) worker.Record {
	r := worker.Record{Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Timestamp: m.Timestamp.UnixMilli()}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, worker.Header{Name: string(h.Key), Value: h.Value})
	}
	return r
}
