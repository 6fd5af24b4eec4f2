package api

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/metadata/quorum"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// Forwarded requests. Some requests only the broker that leads the metadata can answer, and
// clients ask any broker; coordinators ask the leaders of partitions, and each other. So
// brokers hand requests on, as Apache Kafka's do. Integers are big endian.
//
//	request  0 version u8 = 1   1 api key i16   3 api version i16   5 body, as clients send it
//	answer   body, as clients get it
const forwardVersion = 1

// forwardTimeout bounds how long the leader may take.
const forwardTimeout = 30 * time.Second

// errNotForwarded says that a broker does not take a request from another broker.
var errNotForwarded = errors.New("not a request that brokers ask each other")

// atLeader has a request answered by the leader of the metadata, and by this broker if
// it is that or knows of none. refuse answers when the leader can not be asked. A request
// that another broker handed on is not handed on again: two brokers that take each other
// for the leader would never come to an end.
func atLeader(h handler, refuse func(c *Call, err error) kmsg.Response) handler {
	return func(c *Call) kmsg.Response {
		leader := c.API.Metadata.Controller()
		switch {
		case leader == c.API.Config.NodeID, c.handedOn == nil && (c.API.Forward == nil || leader < 0):
			return h(c)
		case c.handedOn != nil:
			return refuse(c, fmt.Errorf("%w: leader=%d", quorum.ErrNotLeader, leader))
		}
		ctx, cancel := context.WithTimeout(c.Context, forwardTimeout)
		defer cancel()
		resp, err := c.API.Ask(ctx, leader, c.Request)
		if err != nil {
			return refuse(c, fmt.Errorf("ask the leader of the metadata: %w: broker=%d", err, leader))
		}
		return resp
	}
}

// Ask has the broker node answer a request, whose version is set, over the internal port;
// this broker answers by itself. Node serves it as if it had come from a client, except
// that the API key must be one that brokers may ask each other for (entry.peers). An error
// that wraps quorum.ErrNotLeader means that node has not seen the request, any other that
// it may have carried it out.
func (a *API) Ask(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error) {
	if node == a.Config.NodeID {
		return a.answer(ctx, req)
	}
	if a.Forward == nil {
		return nil, fmt.Errorf("%w: this cluster has one broker: asked=%d", quorum.ErrNotLeader, node)
	}
	answer, err := a.Forward(ctx, node, appendForwarded(nil, req))
	if err != nil {
		return nil, err
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(answer); err != nil {
		return nil, fmt.Errorf("answer does not decode: %w", err)
	}
	return resp, nil
}

// answer serves a request of a broker, which waits for what its handler replies.
func (a *API) answer(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	e := lookup(req.Key())
	if e == nil || !e.peers {
		return nil, fmt.Errorf("%w: key=%d version=%d", errNotForwarded, req.Key(), req.GetVersion())
	}
	c := &Call{Context: ctx, API: a, Request: req, Version: req.GetVersion(), handedOn: make(chan kmsg.Response, 1)}
	if resp := e.handle(c); resp != nil {
		c.Reply(resp)
	}
	select {
	case resp := <-c.handedOn:
		return resp, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func appendForwarded(dst []byte, req kmsg.Request) []byte {
	dst = append(dst, forwardVersion)
	dst = binary.BigEndian.AppendUint16(dst, uint16(req.Key()))
	dst = binary.BigEndian.AppendUint16(dst, uint16(req.GetVersion()))
	return req.AppendTo(dst)
}

// parseForwarded decodes a request that another broker hands on.
func parseForwarded(b []byte) (kmsg.Request, error) {
	in := codec.NewReader(b)
	if v := in.Uint8(); in.Err() == nil && v != forwardVersion {
		return nil, fmt.Errorf("forwarded request: %w: version=%d", command.ErrUnknownVersion, v)
	}
	key, version := in.Int16(), in.Int16()
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("forwarded request: %w", err)
	}
	e := lookup(key)
	if e == nil || !e.peers {
		return nil, fmt.Errorf("%w: key=%d version=%d", errNotForwarded, key, version)
	}
	if version < e.min || version > e.max {
		return nil, fmt.Errorf("forwarded %s: %w: version=%d", wire.KeyName(e.key), command.ErrUnknownVersion, version)
	}
	body := in.Rest()
	shape, err := wire.CheckRequest(e.key, version, body)
	if err != nil {
		return nil, fmt.Errorf("forwarded %s: %w", wire.KeyName(e.key), err)
	}
	req := kmsg.RequestForKey(e.key)
	req.SetVersion(version)
	if err := req.ReadFrom(body[:shape.Size]); err != nil {
		return nil, fmt.Errorf("forwarded %s: %w", wire.KeyName(e.key), err)
	}
	return req, nil
}

// Forwarded answers a request that another broker hands on.
func (a *API) Forwarded(ctx context.Context, b []byte) ([]byte, error) {
	req, err := parseForwarded(b)
	if err != nil {
		return nil, err
	}
	resp, err := a.answer(ctx, req)
	if err != nil {
		return nil, err
	}
	return resp.AppendTo(nil), nil
}
