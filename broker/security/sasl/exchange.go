package sasl

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidelinehq/tideline/broker/security"
)

// The mechanisms, by the names that clients ask for.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
)

// Exchange is one attempt of a client to prove who it is.
type Exchange interface {
	// Step takes what the client sent and returns what to send back. A Result ends the
	// exchange with success, an error without; neither means that the client is to speak.
	Step(in []byte, now time.Time) (out []byte, done *Result, err error)
	// Claimed is who the client says that it is, as far as it did; for the log of failures.
	Claimed() string
}

// Result is who a client proved to be.
type Result struct {
	Principal *security.Principal
	// Expires is when the proof ends by itself; zero: never.
	Expires time.Time
}

// Refusal is a failure with words for the client.
type Refusal struct{ Text string }

// Error is what the client reads.
func (r *Refusal) Error() string { return r.Text }

// errEnded says that an exchange was gone on with after its end.
var errEnded = errors.New("exchange has ended")

// maxNameBytes bounds a user's name, as Kafka's records bound strings.
const maxNameBytes = 32 << 10

// Server conducts the exchanges of one listener. It is immutable.
type Server struct {
	mechanisms []string
	maxBytes   int
	start      map[string]func() Exchange
	maxReauth  map[string]time.Duration
}

// Options say what a listener offers.
type Options struct {
	// MaxBytes bounds each message of a client.
	MaxBytes int
	// Plain judges a password; nil: no PLAIN.
	Plain func(user, password string) bool
	// Scram has the users of SCRAM, and the tokens where Tokens is set; the mechanisms are
	// offered that ScramMechanisms names.
	Scram           *Scram
	ScramMechanisms []string
	// Bearer judges tokens; nil: no OAUTHBEARER.
	Bearer *Bearer
	// MaxReauth says for each mechanism how long a proof counts; 0: no limit.
	MaxReauth map[string]time.Duration
}

// NewServer makes a server.
func NewServer(o Options) (*Server, error) {
	s := &Server{maxBytes: o.MaxBytes, start: map[string]func() Exchange{}, maxReauth: o.MaxReauth}
	add := func(name string, start func() Exchange) {
		s.mechanisms = append(s.mechanisms, name)
		s.start[name] = start
	}
	if o.Plain != nil {
		add(Plain, func() Exchange { return &plainExchange{judge: o.Plain} })
	}
	for _, name := range o.ScramMechanisms {
		kind, ok := scramKinds[name]
		if !ok {
			return nil, fmt.Errorf("mechanism is not of SCRAM: mechanism=%q", name)
		}
		add(name, func() Exchange { return o.Scram.exchange(name, kind) })
	}
	if o.Bearer != nil {
		add(OAuthBearer, func() Exchange { return &bearerExchange{bearer: o.Bearer} })
	}
	if len(s.mechanisms) == 0 {
		return nil, errors.New("no mechanism is enabled")
	}
	return s, nil
}

// Mechanisms are the names that are offered. The caller must not change them.
func (s *Server) Mechanisms() []string { return s.mechanisms }

// MaxReauth is how long a proof by a mechanism counts; 0: no limit.
func (s *Server) MaxReauth(mechanism string) time.Duration { return s.maxReauth[mechanism] }

// Start begins an exchange, or reports that there is no such mechanism.
func (s *Server) Start(mechanism string) (Exchange, bool) {
	start, ok := s.start[mechanism]
	if !ok {
		return nil, false
	}
	return &bounded{Exchange: start(), max: s.maxBytes}, true
}

// bounded refuses messages that are too long before anybody looks at them, and whatever
// comes behind an end.
type bounded struct {
	Exchange
	max   int
	ended bool
}

func (b *bounded) Step(in []byte, now time.Time) (out []byte, done *Result, err error) {
	switch {
	case b.ended:
		return nil, nil, errEnded
	case len(in) > b.max:
		err = fmt.Errorf("message is too long: bytes=%d limit=%d", len(in), b.max)
	default:
		out, done, err = b.Exchange.Step(in, now)
	}
	b.ended = done != nil || err != nil
	return out, done, err
}

// SessionLifetime is how long a proof counts from now on, as KIP-368 has it: the lesser of
// what the broker allows and what the proof itself says. false: without end.
func SessionLifetime(now, expires time.Time, maxReauth time.Duration) (time.Duration, bool) {
	switch {
	case expires.IsZero():
		return max(maxReauth, 0), maxReauth > 0
	case maxReauth <= 0:
		return max(expires.Sub(now), 0), true
	}
	return max(min(expires.Sub(now), maxReauth), 0), true
}
