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

// Forwarded requests. Some requests only the broker that leads the metadata can answer,
// and clients ask any broker. So a broker hands them on, as Apache Kafka does. Integers are
// big endian.
//
//	request  0 version u8 = 1   1 api key i16   3 api version i16   5 body, as the client sent it
//	answer   body, as the client gets it
const forwardVersion = 1

// forwardTimeout bounds how long the leader may take.
const forwardTimeout = 30 * time.Second

// errNotForwarded says that a broker does not take a request from another broker.
var errNotForwarded = errors.New("not a request for the leader of the metadata")

// atLeader has a request answered by the leader of the metadata, and by this broker if
// it is that or knows of none. refuse answers when the leader can not be asked.
func atLeader(h handler, refuse func(c *Call, err error) kmsg.Response) handler {
	return func(c *Call) kmsg.Response {
		leader := c.API.Metadata.Controller()
		if c.API.Forward == nil || leader < 0 || leader == c.API.Config.NodeID {
			return h(c)
		}
		resp, err := c.forward()
		if err != nil {
			return refuse(c, fmt.Errorf("ask the leader of the metadata: %w: broker=%d", err, leader))
		}
		return resp
	}
}

// forward has the leader answer.
func (c *Call) forward() (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(c.Context, forwardTimeout)
	defer cancel()
	answer, err := c.API.Forward(ctx, appendForwarded(nil, c.Request))
	if err != nil {
		return nil, err
	}
	resp := c.Request.ResponseKind()
	resp.SetVersion(c.Version)
	if err := resp.ReadFrom(answer); err != nil {
		return nil, fmt.Errorf("answer does not decode: %w", err)
	}
	return resp, nil
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
	if key != keyDescribeQuorum { // the only one yet
		return nil, fmt.Errorf("%w: key=%d version=%d", errNotForwarded, key, version)
	}
	e := lookup(key)
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

// Forwarded answers a request that another broker hands on. It is not handed on again:
// two brokers that take each other for the leader would never come to an end.
func (a *API) Forwarded(ctx context.Context, b []byte) ([]byte, error) {
	req, err := parseForwarded(b)
	if err != nil {
		return nil, err
	}
	c := &Call{Context: ctx, API: a, Request: req, Version: req.GetVersion()}
	resp := describeQuorum
	if leader := a.Metadata.Controller(); leader != a.Config.NodeID {
		err := fmt.Errorf("%w: leader=%d", quorum.ErrNotLeader, leader)
		resp = func(c *Call) kmsg.Response { return refuseQuorum(c, err) }
	}
	answer := resp(c)
	answer.SetVersion(c.Version)
	return answer.AppendTo(nil), nil
}
