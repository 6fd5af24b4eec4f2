package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var errUnexpected = errors.New("request is not the next one of the exchange")

// saslHandshake begins a proof by the mechanism that the client names, or tells it which
// there are.
func saslHandshake(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.SASLHandshakeRequest)
	resp := kmsg.NewPtrSASLHandshakeResponse()
	s, ok := c.raw.Conn.State.(*session)
	if !ok {
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return resp
	}
	now := c.API.now()
	switch {
	case s.state == asking:
	case s.mayReprove(now):
		s.began, s.before, s.state = now, c.raw.Conn.Principal(), asking
	case s.state == proven:
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return resp
	default:
		resp.ErrorCode = kerr.IllegalSaslState.Code
		c.fail(s, resp, errUnexpected)
		return nil
	}
	s.mechanism = ""
	if s.server = c.API.SASL(c.Listener); s.server == nil {
		resp.ErrorCode = kerr.IllegalSaslState.Code // the listener has lost it
		c.fail(s, resp, errUnexpected)
		return nil
	}
	resp.SupportedMechanisms = s.server.Mechanisms()
	exchange, ok := s.server.Start(req.Mechanism)
	if !ok {
		resp.ErrorCode = kerr.UnsupportedSaslMechanism.Code
		c.fail(s, resp, errors.New("mechanism is not enabled"))
		return nil
	}
	s.state, s.exchange, s.mechanism = proving, exchange, req.Mechanism
	c.raw.Conn.SetBare(c.Version == 0) // then the steps come without a header, as before KIP-152
	return resp
}
