package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

// floodVariable makes this program a flood: its value is "NAME ADDRESS". It lasts until the standard input ends.
const floodVariable = "TIDELINE_BENCH_FLOOD"

// attack is a flood. Its rates are a stated load, not the most that there could be: floods come over a network, and on one machine whoever
// sends without a pause takes the processors that both sides need.
type attack struct {
	name, title string
	run         func(f *flooder)
}

var floods = []attack{
	{"connections", "2,000 connections a second, opened and left", func(f *flooder) { f.every(2000, f.openAndLeave) }},
	{"slow", "5,000 connections that never finish a request and send a byte a second", (*flooder).slow},
	{"silent", "5,000 connections that say nothing", (*flooder).silent},
	{"rubbish", "1,000 connections a second with bytes that are no request", func(f *flooder) { f.every(1000, f.rubbish) }},
	{"counts", "50 requests a second of 1 MiB with false counts", func(f *flooder) { f.every(50, f.falseCount) }},
	{"tags", "20 requests a second of 100,000 tagged fields", func(f *flooder) { f.every(20, f.tags) }},
	{"parked", "2,000 connections with a fetch that waits for an hour", (*flooder).parked},
	{"unread", "200 connections that ask for 32 MiB, and read nothing", (*flooder).unread},
	{"bombs", "4 batches a second that inflate to 48 MiB", (*flooder).bombs},
}

// flooder is a flood under way.
type flooder struct {
	addr string
	ctx  context.Context
	done atomic.Int64
	junk []byte
}

// floodMain is the program when it is a flood.
func floodMain(spec string) error {
	name, addr, _ := strings.Cut(spec, " ")
	for _, a := range floods {
		if a.name != name {
			continue
		}
		beNice()
		ctx, cancel := context.WithCancel(context.Background())
		f := &flooder{addr: addr, ctx: ctx, junk: bytes.Repeat([]byte{0xff, 0x7f, 0x00, 0xde}, 64)}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			a.run(f)
		}()
		_, err := io.Copy(io.Discard, os.Stdin)
		cancel()
		<-ended
		fmt.Printf("done=%d\n", f.done.Load())
		return err
	}
	return fmt.Errorf("no such flood name=%q", name)
}

func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(r).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = errors.New("the flood said nothing")
	}
	return strings.TrimSpace(line), err
}

// floodWorkers is how many goroutines share the work of a flood.
const floodWorkers = 8

// every does one thing so many times a second.
func (f *flooder) every(perSecond int, one func() error) {
	ticks := make(chan struct{}, perSecond)
	var work sync.WaitGroup
	for range floodWorkers {
		work.Go(func() {
			for range ticks {
				if one() == nil { // whoever is turned away has done what a flood does
					f.done.Add(1)
				}
			}
		})
	}
	const step = 5 * time.Millisecond
	t := time.NewTicker(step)
	defer t.Stop()
	begin, sent := time.Now(), 0
	for f.ctx.Err() == nil {
		select {
		case <-t.C:
		case <-f.ctx.Done():
		}
		for due := int(time.Since(begin).Seconds() * float64(perSecond)); sent < due; sent++ {
			select {
			case ticks <- struct{}{}:
			default: // it cannot be kept up
			}
		}
	}
	close(ticks)
	work.Wait()
}

func (f *flooder) dial() (net.Conn, error) {
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(f.ctx, "tcp", f.addr)
}

// once sends bytes on a connection of its own and waits for the answer or the end.
func (f *flooder) once(b []byte) error {
	c, err := f.dial()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }() // the broker may have been first
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(b); err != nil {
		return nil //nolint:nilerr // turned away while it was speaking
	}
	_, _ = c.Read(make([]byte, 1)) // an answer, or the end
	return nil
}

func (f *flooder) openAndLeave() error {
	c, err := f.dial()
	if err != nil {
		return err
	}
	if tcp, ok := c.(*net.TCPConn); ok && f.done.Load()%2 == 0 {
		_ = tcp.SetLinger(0) // a reset: half of them do not even say good-bye
	}
	return c.Close()
}

func (f *flooder) rubbish() error { return f.once(f.junk) }

// framed is a request with its size and header.
func framed(key, version int16, flexible bool, body []byte) []byte {
	b := make([]byte, 4, len(body)+16)
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint16(b, 0xffff) // no client id
	if flexible {
		b = append(b, 0)
	}
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// falseCount is Metadata for 2^20 topics, of which there is nothing but room.
func (f *flooder) falseCount() error {
	return f.once(framed(3, 1, false, append([]byte{0, 0x10, 0, 0}, make([]byte, 1<<20)...)))
}

// tags is Metadata for no topic, and what nobody has defined.
func (f *flooder) tags() error {
	const fields = 100_000
	b := []byte{1, 0, 0} // no topics, nothing created, nothing of rights
	b = binary.AppendUvarint(b, fields)
	for i := range fields {
		b = append(binary.AppendUvarint(b, uint64(i)), 0)
	}
	return f.once(framed(3, 12, true, b))
}

// hold opens so many connections, begins each with some bytes, and lets each go on once a second, one after the other:
// they are many clients, which have no clock in common.
func (f *flooder) hold(count int, begin, goOn []byte) {
	var held []net.Conn
	defer func() {
		for _, c := range held {
			_ = c.Close()
		}
	}()
	const step = 10 * time.Millisecond
	t := time.NewTicker(step)
	defer t.Stop()
	perStep := int(int64(count) * int64(step) / int64(time.Second))
	for next := 0; f.ctx.Err() == nil; {
		for len(held) < count && f.ctx.Err() == nil {
			c, err := f.dial()
			if err != nil {
				break
			}
			held = append(held, c)
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetReadBuffer(64 << 10) // what is not read is kept in another machine, but here it is in this one's budget
			}
			if _, err := c.Write(begin); err == nil {
				f.done.Add(1)
			}
		}
		select {
		case <-t.C:
		case <-f.ctx.Done():
		}
		if len(goOn) == 0 || len(held) == 0 {
			continue
		}
		for range perStep {
			_, _ = held[next%len(held)].Write(goOn) // those that were closed stay so
			next++
		}
	}
}

func (f *flooder) slow() { f.hold(5000, framed(3, 1, false, make([]byte, 1000))[:20], []byte{0}) }

func (f *flooder) silent() { f.hold(5000, nil, nil) }

// fetching is a fetch of a topic of the honest producer's, or of one in which nothing happens.
func fetching(topic string, wait, least int32) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch, req.ReplicaID = 11, wait, least, 1<<20, -1, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes, p.FetchOffset = 1<<20, 0
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return framed(1, 11, false, req.AppendTo(nil))
}

func (f *flooder) parked() { f.hold(2000, fetching(quietTopic, 3_600_000, 1<<20), nil) }

func (f *flooder) unread() {
	f.hold(200, bytes.Repeat(fetching(floodTopic, 0, 1), 32), nil)
}

func (f *flooder) bombs() {
	b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID, Codec: record.Zstd})
	for range 48 {
		if err := b.Add(record.Record{Timestamp: time.Now().UnixMilli(), Value: make([]byte, 1<<20-64)}); err != nil {
			panic(err) // a batch of 48 MiB can be made
		}
	}
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 8, -1, 30_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = floodTopic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = b.Build()
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	frame := framed(0, 8, false, req.AppendTo(nil))
	f.every(4, func() error { return f.once(frame) })
}
