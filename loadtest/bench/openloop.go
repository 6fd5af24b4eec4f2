package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/loadtest/latency"
)

const (
	recordBytes = 1 << 10
	// backlog bounds the requests of one connection that wait for their answer: seconds of a stalled broker.
	backlog        = 4096
	produceVersion = 11 // the newest that names topics by name; both brokers speak it
)

// openLoop sends produce requests of one record each, on a schedule, over many connections, each with a partition of its own.
type openLoop struct {
	conns  []*requester
	rng    *rand.Rand
	perSec float64
	late   latency.Histogram // how far behind its own schedule the generator was
	from   int64             // latencies of requests intended from here on count, monotonic ns
	closed sync.Once
}

// requester is one connection. The pacing goroutine writes; a goroutine of its own reads the answers, which come in order.
type requester struct {
	conn    net.Conn
	request []byte     // a whole request, but for its correlation id
	sent    chan int64 // intended times of the requests that wait for an answer
	seen    latency.Histogram
}

// dialOpenLoop opens n connections; connection i writes to partition i of the topic.
func dialOpenLoop(ctx context.Context, b *broker, topic string, n int, perSec float64, seed uint64) (*openLoop, error) {
	l := &openLoop{rng: rand.New(rand.NewPCG(seed, 0x6f70656e)), perSec: perSec}
	for i := range n {
		request, err := produceRequest(topic, int32(i), l.rng)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", b.addr)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.conns = append(l.conns, &requester{conn: conn, request: request, sent: make(chan int64, backlog)})
	}
	return l, nil
}

// close ends the connections; once is enough.
func (l *openLoop) close() error {
	var errs []error
	l.closed.Do(func() {
		for _, c := range l.conns {
			errs = append(errs, c.conn.Close())
		}
	})
	return errors.Join(errs...)
}

// produceRequest is a request with one record of one KiB that does not compress.
func produceRequest(topic string, partition int32, rng *rand.Rand) ([]byte, error) {
	value := make([]byte, recordBytes)
	for i := range value {
		value[i] = byte(rng.Uint32())
	}
	builder := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	if err := builder.Add(record.Record{Timestamp: time.Now().UnixMilli(), Value: value}); err != nil {
		return nil, err
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = produceVersion, -1, 30000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, builder.Build()
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, req, 0), nil
}

// run sends for the time of warm and measure, and returns when all answers are there. Around the measured part it calls edge.
func (l *openLoop) run(ctx context.Context, warm, measure time.Duration, edge func() error) (*latency.Histogram, int64, error) {
	begin := monotonic() + int64(10*time.Millisecond)
	l.from = begin + int64(warm)
	end := l.from + int64(measure)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() { _ = l.close() }) // wakes all readers and writers with an error
	defer stop()

	var readers, others sync.WaitGroup
	for _, c := range l.conns {
		readers.Go(func() {
			if err := c.read(l.from); err != nil {
				cancel(err)
			}
		})
	}
	others.Go(func() {
		for _, at := range []int64{l.from, end} {
			if err := pause(ctx, time.Duration(at-monotonic())); err != nil {
				return
			}
			if err := edge(); err != nil {
				cancel(err)
			}
		}
	})
	if err := l.pace(ctx, begin, end); err != nil {
		cancel(err)
	}
	for _, c := range l.conns {
		close(c.sent)
	}
	late := time.AfterFunc(30*time.Second, func() { cancel(errors.New("answers are missing half a minute after the last request")) })
	readers.Wait()
	late.Stop()
	others.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, 0, err
	}
	var all latency.Histogram
	for _, c := range l.conns {
		all.Merge(&c.seen)
	}
	return &all, all.Count(), nil
}

// pace writes each request at its time: gaps are exponential, connections are drawn evenly.
func (l *openLoop) pace(ctx context.Context, begin, end int64) error {
	runtime.LockOSThread() // its sleeps are its own
	defer runtime.UnlockOSThread()
	mean := 1e9 / l.perSec
	id := uint32(0)
	for at := float64(begin); ; at += l.rng.ExpFloat64() * mean {
		due := int64(at)
		if due >= end {
			return nil
		}
		if monotonic() < due {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := sleepUntil(due); err != nil {
				return err
			}
		}
		c := l.conns[l.rng.IntN(len(l.conns))]
		select {
		case c.sent <- due:
		default:
			return fmt.Errorf("a connection has %d requests without an answer", backlog)
		}
		id++
		binary.BigEndian.PutUint32(c.request[8:], id)
		if _, err := c.conn.Write(c.request); err != nil {
			return err
		}
		if due >= l.from {
			l.late.Record(monotonic() - due)
		}
	}
}

// read takes the answers of one connection until all requests have theirs.
func (c *requester) read(from int64) error {
	in := bufio.NewReader(c.conn)
	resp := kmsg.NewPtrProduceResponse()
	var frame [512]byte // an answer has about 60 bytes
	for intended := range c.sent {
		if _, err := io.ReadFull(in, frame[:4]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(frame[:4]))
		if size < 5 || size > len(frame) {
			return fmt.Errorf("a produce answer of %d bytes", size)
		}
		if _, err := io.ReadFull(in, frame[:size]); err != nil {
			return err
		}
		now := monotonic()
		resp.Version = produceVersion
		if err := resp.ReadFrom(frame[5:size]); err != nil { // correlation id and an empty tag section come first
			return err
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return errors.New("a produce answer without its partition")
		}
		if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
			return err
		}
		if intended >= from {
			c.seen.Record(now - intended)
		}
	}
	return nil
}
