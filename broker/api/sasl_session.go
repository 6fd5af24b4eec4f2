package api

import (
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/broker/security/sasl"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/wire"
)

// saslState is what a connection of a listener with SASL is at.
//
//	asking ──SaslHandshake──► proving ──SaslAuthenticate──► proven
//	   ▲                                                      │
//	   └──────────── SaslHandshake, if proofs have an end ────┘   (KIP-368)
//
// Whatever else comes in asking or proving ends in failed, and the connection with it.
type saslState uint8

const (
	asking saslState = iota
	proving
	proven
	failed
)

// session is the proof of one connection. Only its reader goroutine touches it: the
// handlers of both keys are inline.
type session struct {
	state     saslState
	server    *sasl.Server
	mechanism string
	exchange  sasl.Exchange
	// expires is when the proof ends; zero: never.
	expires time.Time
	// Of a proof anew: when the last one began, and who it must come out at.
	began  time.Time
	before *security.Principal
}

// minReauth is the least time between two proofs of one connection: each may cost a
// thousand times what an ordinary request does.
const minReauth = time.Second

// Open prepares a connection for its first request; it fits server.ListenerOptions.
func (a *API) Open(c *server.Conn) {
	if a.SASL != nil && a.SASL(c.Listener()) != nil {
		c.State = &session{}
	}
}

// passes reports whether a request may go on. One that may not is answered, by the end of
// its connection.
func (a *API) passes(s *session, r *server.Request) bool {
	switch {
	case r.Bare:
		a.bareToken(s, r)
		return false
	case s.state == proven && s.expired(a.now()) && (r.Key != keySASLHandshake || !s.mayReprove(a.now())):
		a.metrics.expiredSessions.Inc()
		a.logger.Debug("session has expired, closing the connection", "client", r.Conn.RemoteAddr(), "principal", r.Conn.Principal(), "api", wire.KeyName(r.Key))
		r.Respond(server.Response{None: true, Close: true})
		return false
	case r.Key == keySASLHandshake && s.state != failed, r.Key == keySASLAuthenticate && (s.state == proving || s.state == proven):
		return true // their handlers know what to say in which state
	case s.state == proven, s.state == asking && s.before == nil && r.Key == keyApiVersions:
		return true
	case s.state == failed:
		r.Respond(server.Response{None: true, Close: true})
		return false
	}
	s.state = failed
	a.refuse(r, "not a request of a client that has yet to prove who it is")
	return false
}

// expired reports whether the proof counts no more.
func (s *session) expired(now time.Time) bool { return !s.expires.IsZero() && now.After(s.expires) }

// mayReprove reports whether a proof may begin anew: where proofs have an end, and not
// more often than minReauth.
func (s *session) mayReprove(now time.Time) bool {
	return s.state == proven && !s.expires.IsZero() && (s.began.IsZero() || now.Sub(s.began) >= minReauth)
}

// attempt is what texts call a proof.
func (s *session) attempt() string {
	if s.before != nil {
		return "re-authentication"
	}
	return "authentication"
}

// fail answers a request that ends the connection.
func (c *Call) fail(s *session, resp kmsg.Response, why error) {
	resp.SetVersion(c.Version)
	c.replied.Store(true)
	c.API.failed(s, c.raw, why, server.Response{Buffers: net.Buffers{resp.AppendTo(nil)}, Close: true})
}

// failed ends a proof, and the connection after a while: whoever guesses is to be slow, and
// holds nothing meanwhile but a timer.
func (a *API) failed(s *session, r *server.Request, why error, answer server.Response) {
	name := ""
	if s.exchange != nil {
		name = s.exchange.Claimed()
	}
	s.state, s.exchange = failed, nil
	a.metrics.authentications.WithLabelValues(s.metric(), "failed").Inc()
	a.Audit.AuthenticationFailed(name, hostOf(r.Conn.RemoteAddr()), r.Conn.Listener(), s.mechanism, why)
	delay := a.Config.FailedAuthentication
	if delay <= 0 {
		r.Respond(answer)
		return
	}
	r.Conn.Mute(delay)
	time.AfterFunc(delay, func() { r.Respond(answer) })
}

// metric is the mechanism as the label of a metric: what clients make up is not one.
func (s *session) metric() string {
	if s.mechanism == "" {
		return "none"
	}
	return s.mechanism
}

// failAuthenticate answers SaslAuthenticate with words that tell nothing of users.
func (c *Call) failAuthenticate(s *session, why error) {
	resp := kmsg.NewPtrSASLAuthenticateResponse()
	resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
	text := "Authentication failed during " + s.attempt() + " due to invalid credentials with SASL mechanism " + s.mechanism
	var refusal *sasl.Refusal
	if errors.As(why, &refusal) {
		text = wire.ErrorText(refusal.Text) // it may name users
	}
	resp.ErrorMessage = &text
	c.fail(s, resp, why)
}
