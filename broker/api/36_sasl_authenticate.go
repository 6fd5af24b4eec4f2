package api

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/sasl"
)

// saslAuthenticate takes the next step of a proof. At its end the client is told for how
// long it counts (KIP-368).
func saslAuthenticate(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.SASLAuthenticateRequest)
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	s, ok := c.raw.Conn.State.(*session)
	if !ok || s.state != proving {
		// In every other state the connection is closed before it comes here.
		resp.ErrorCode = kerr.IllegalSaslState.Code
		text := "SaslAuthenticate request received after successful authentication"
		resp.ErrorMessage = &text
		return resp
	}
	if s.before != nil && s.before.Mechanism != s.mechanism {
		c.failAuthenticate(s, &sasl.Refusal{Text: fmt.Sprintf("SASL mechanism '%s' requested by client is not supported for re-authentication of mechanism '%s'",
			s.mechanism, s.before.Mechanism)})
		return nil
	}
	now := c.API.now()
	out, done, err := s.exchange.Step(req.SASLAuthBytes, now)
	switch {
	case err != nil:
		c.failAuthenticate(s, err)
		return nil
	case out == nil:
		out = []byte{}
	}
	resp.SASLAuthBytes = out
	if done == nil {
		return resp
	}
	if s.before != nil && !s.before.Same(done.Principal) {
		c.failAuthenticate(s, &sasl.Refusal{Text: fmt.Sprintf("Cannot change principals during re-authentication from %s.%s: %s.%s",
			s.before.Type, s.before.Name, done.Principal.Type, done.Principal.Name)})
		return nil
	}
	lifetime, ends := sasl.SessionLifetime(now, done.Expires, s.server.MaxReauth(s.mechanism))
	s.state, s.exchange, s.before = proven, nil, nil
	if s.expires = (time.Time{}); ends {
		s.expires = now.Add(lifetime)
	}
	resp.SessionLifetimeMillis = lifetime.Milliseconds()
	c.raw.Conn.SetPrincipal(done.Principal)
	c.raw.Conn.SetAuthenticated()
	c.API.metrics.authentications.WithLabelValues(s.mechanism, "done").Inc()
	c.API.Audit.Authenticated(done.Principal, c.Host, c.Listener, s.mechanism)
	return resp
}
