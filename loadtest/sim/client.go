package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/memnet"
)

// Times of a client.
const (
	dialTimeout    = 2 * time.Second
	requestTimeout = 5 * time.Second
)

// client is a client that does exactly what it is told, on connections of its own. It is of one goroutine.
type client struct {
	name    string
	host    *memnet.Host
	address func(node int32) string
	brokers int32
	random  *rand.Rand
	format  *kmsg.RequestFormatter
	conns   map[int32]net.Conn
	last    int32
	leaders map[spot]leader
}

type leader struct {
	node, epoch int32
	replicas    []int32
}

func (c *cluster) client(name string) *client {
	c.mu.Lock()
	c.clients++
	n := c.clients
	c.mu.Unlock()
	host, err := c.net.Attach(fmt.Sprintf("10.1.%d.%d", n/250, 1+n%250))
	if err != nil {
		panic(err) // addresses are handed out once
	}
	return &client{
		name: name, host: host, address: c.kafka, brokers: int32(c.plan.Brokers),
		random: rand.New(rand.NewPCG(c.plan.Seed, uint64(n))),
		format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(name)),
		conns:  make(map[int32]net.Conn), leaders: make(map[spot]leader),
	}
}

func (c *client) close() {
	for node := range c.conns {
		c.drop(node)
	}
}

func (c *client) drop(node int32) {
	if conn := c.conns[node]; conn != nil {
		_ = conn.Close() // it may be broken
		delete(c.conns, node)
	}
}

// any is some broker.
func (c *client) any() int32 { return 1 + c.random.Int32N(c.brokers) }

// call sends a request to a broker and reads the answer. After an error the outcome is unknown.
func (c *client) call(ctx context.Context, node int32, req kmsg.Request, timeout time.Duration) (kmsg.Response, error) {
	conn := c.conns[node]
	if conn == nil {
		dial, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		var err error
		if conn, err = c.host.Dial(dial, c.address(node)); err != nil {
			return nil, err
		}
		c.conns[node] = conn
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	resp, err := c.exchange(conn, req, timeout)
	if err != nil || ctx.Err() != nil {
		c.drop(node)
		return nil, errors.Join(err, ctx.Err())
	}
	return resp, nil
}

// maxResponse bounds a response.
const maxResponse = 64 << 20

func (c *client) exchange(conn net.Conn, req kmsg.Request, timeout time.Duration) (kmsg.Response, error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	c.last++
	if _, err := conn.Write(c.format.AppendRequest(nil, req, c.last)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 5 || n > maxResponse {
		return nil, fmt.Errorf("response of bytes=%d", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, err
	}
	if id := int32(binary.BigEndian.Uint32(b)); id != c.last {
		return nil, fmt.Errorf("response to request=%d, want %d", id, c.last)
	}
	b = b[4:]
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		b = b[1:]
	}
	return resp, resp.ReadFrom(b)
}

// refresh asks some broker who leads what.
func (c *client) refresh(ctx context.Context) error {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 9
	resp, err := c.call(ctx, c.any(), req, requestTimeout)
	if err != nil {
		return err
	}
	for i := range resp.(*kmsg.MetadataResponse).Topics {
		t := &resp.(*kmsg.MetadataResponse).Topics[i]
		if t.Topic == nil {
			continue
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			s := spot{*t.Topic, p.Partition}
			if old, ok := c.leaders[s]; ok && old.epoch > p.LeaderEpoch {
				continue // of a broker that is behind
			}
			c.leaders[s] = leader{p.Leader, p.LeaderEpoch, p.Replicas}
		}
	}
	return nil
}

// find returns the leader of a partition, asking for as long as it takes.
func (c *client) find(ctx context.Context, s spot, again bool) (leader, bool) {
	for ctx.Err() == nil {
		if l, ok := c.leaders[s]; ok && l.node > 0 && !again {
			return l, true
		}
		again = false
		if err := c.refresh(ctx); err == nil {
			if l := c.leaders[s]; l.node > 0 {
				return l, true
			}
		}
		pause(ctx, 20*time.Millisecond+time.Duration(c.random.Int64N(int64(100*time.Millisecond))))
	}
	return leader{}, false
}
