// Command sarama puts Sarama behind the protocol of the compat workers.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"

	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

func main() { worker.Main(client{}) }

type client struct{}

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

// config says how the client connects.
func config(o worker.Options) (*sarama.Config, error) {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	s := o.Security
	if s == nil {
		return c, nil
	}
	var err error
	if c.Net.TLS.Config, err = s.TLS(); err != nil {
		return nil, err
	}
	c.Net.TLS.Enable = c.Net.TLS.Config != nil
	if s.Mechanism == "" {
		return c, nil
	}
	n := &c.Net.SASL
	n.Enable, n.Mechanism, n.User, n.Password, n.Version = true, sarama.SASLMechanism(s.Mechanism), s.User, s.Password, sarama.SASLHandshakeV1
	switch s.Mechanism {
	case sarama.SASLTypeSCRAMSHA256:
		n.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: scram.SHA256} }
	case sarama.SASLTypeSCRAMSHA512:
		n.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{hash: scram.SHA512} }
	case sarama.SASLTypeOAuth:
		n.TokenProvider = tokens{s}
	}
	return c, nil
}

// tokens reads tokens from a file.
type tokens struct{ s *worker.Security }

func (t tokens) Token() (*sarama.AccessToken, error) {
	text, err := t.s.Token()
	return &sarama.AccessToken{Token: text}, err
}

// conversation is SCRAM as Sarama wants to be given it.
type conversation struct {
	hash scram.HashGeneratorFcn
	talk *scram.ClientConversation
}

func (c *conversation) Begin(user, password, authorization string) error {
	client, err := c.hash.NewClient(user, password, authorization)
	if err != nil {
		return err
	}
	c.talk = client.NewConversation()
	return nil
}

func (c *conversation) Step(challenge string) (string, error) { return c.talk.Step(challenge) }
func (c *conversation) Done() bool                            { return c.talk.Done() }

func (client) Create(o worker.Options) error {
	c, err := config(o)
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdmin([]string{o.Brokers}, c)
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
	c, err := config(o)
	if err != nil {
		return err
	}
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
	settings, err := config(o)
	if err != nil {
		return err
	}
	c, err := sarama.NewClient([]string{o.Brokers}, settings)
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
	c, err := config(o)
	if err != nil {
		return err
	}
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
