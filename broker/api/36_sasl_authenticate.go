package api

import (
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/sasl"
	"github.com/tidelinehq/tideline/broker/server"
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
	out, lifetime, done, err := s.step(c.raw, c.API, req.SASLAuthBytes)
	if err != nil {
		c.failAuthenticate(s, err)
		return nil
	}
	none := "" // not null, as Kafka's
	resp.ErrorMessage = &none
	if resp.SASLAuthBytes = out; done {
		resp.SessionLifetimeMillis = lifetime.Milliseconds()
	}
	return resp
}

// step takes the next step of a proof and, at its end, notes who the client is.
func (s *session) step(r *server.Request, a *API, in []byte) (out []byte, lifetime time.Duration, proved bool, err error) {
	if s.before != nil && s.before.Mechanism != s.mechanism {
		return nil, 0, false, &sasl.Refusal{Text: fmt.Sprintf("SASL mechanism '%s' requested by client is not supported for re-authentication of mechanism '%s'",
			s.mechanism, s.before.Mechanism)}
	}
	now := a.now()
	out, done, err := s.exchange.Step(in, now)
	switch {
	case err != nil:
		return nil, 0, false, err
	case out == nil:
		out = []byte{}
	}
	if done == nil {
		return out, 0, false, nil
	}
	if s.before != nil && !s.before.Same(done.Principal) {
		return nil, 0, false, &sasl.Refusal{Text: fmt.Sprintf("Cannot change principals during re-authentication from %s.%s: %s.%s",
			s.before.Type, s.before.Name, done.Principal.Type, done.Principal.Name)}
	}
	lifetime, ends := sasl.SessionLifetime(now, done.Expires, s.server.MaxReauth(s.mechanism))
	s.state, s.exchange, s.before = proven, nil, nil
	if s.expires = (time.Time{}); ends {
		s.expires = now.Add(lifetime)
	}
	r.Conn.SetPrincipal(done.Principal)
	r.Conn.SetAuthenticated()
	a.metrics.authentications.WithLabelValues(s.mechanism, "done").Inc()
	a.Audit.Authenticated(done.Principal, hostOf(r.Conn.RemoteAddr()), r.Conn.Listener(), s.mechanism)
	return out, lifetime, true, nil
}

// bareToken takes the next step of a proof that came without a header (SaslHandshake v0). A
// failure has no words there but the end of the connection.
func (a *API) bareToken(s *session, r *server.Request) {
	if s.state != proving {
		r.Respond(server.Response{None: true, Close: true})
		return
	}
	out, _, done, err := s.step(r, a, r.Body)
	if err != nil {
		a.failed(s, r, err, server.Response{None: true, Close: true})
		return
	}
	if done {
		r.Conn.SetBare(false)
	}
	r.Respond(server.Response{Buffers: net.Buffers{out}})
}
