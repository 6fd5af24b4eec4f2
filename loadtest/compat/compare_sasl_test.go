package compat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/internal/freeport"
)

// A stranger is a client that says what it should and what it should not, and writes down what comes of it.
type stranger struct {
	t *testing.T
	*wireConn
	said []string
}

// saslCase is a sequence of requests on one connection. Where the brokers differ, reference is what Apache Kafka says, why is the reason.
type saslCase struct {
	name      string
	talk      func(s *stranger)
	reference []string
	why       string
}

func handshakeOf(mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = mechanism
	return req
}

func authenticateOf(text string) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = []byte(text)
	return req
}

// ask sends a request and writes down the answer, or that the connection ended.
func (s *stranger) ask(req kmsg.Request, version int16) kmsg.Response {
	s.t.Helper()
	resp, err := s.call(req, version)
	var text string
	switch r := resp.(type) {
	case *kmsg.SASLHandshakeResponse:
		slices.Sort(r.SupportedMechanisms)
		text = fmt.Sprintf("%s %v", codeName(r.ErrorCode), r.SupportedMechanisms)
	case *kmsg.SASLAuthenticateResponse:
		message := "null"
		if r.ErrorMessage != nil {
			message = *r.ErrorMessage
		}
		text = fmt.Sprintf("%s %q bytes=%q lifetime=%d", codeName(r.ErrorCode), message, r.SASLAuthBytes, r.SessionLifetimeMillis)
	case *kmsg.MetadataResponse, *kmsg.ApiVersionsResponse:
		text = "answered"
	}
	if err != nil {
		text = ended(err)
	}
	s.said = append(s.said, fmt.Sprintf("%s v%d: %s", kmsg.NameForKey(req.Key()), version, text))
	return resp
}

// token sends a step without a header.
func (s *stranger) token(text string) {
	s.t.Helper()
	out := ""
	_, err := s.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	var size [4]byte
	if err == nil {
		_, err = io.ReadFull(s, size[:])
	}
	if err == nil {
		b := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<20))
		_, err = io.ReadFull(s, b)
		out = fmt.Sprintf("%q", b)
	}
	if err != nil {
		out = ended(err)
	}
	s.said = append(s.said, "token: "+out)
}

func (s *stranger) metadata() { s.ask(kmsg.NewPtrMetadataRequest(), 9) }

// prove is a whole proof.
func (s *stranger) prove(user string) {
	s.ask(handshakeOf("PLAIN"), 1)
	s.ask(authenticateOf("\x00"+user+"\x00secret"), 2)
}

// wait lets time pass on a broker whose clock is not ours.
func (s *stranger) wait(d time.Duration) { <-time.After(d) }

func ended(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return "the connection ends"
	}
	return err.Error()
}

func saslCases() []saslCase {
	cases := []saslCase{
		{name: "metadata first", talk: func(s *stranger) { s.metadata() }},
		{name: "authenticate first", talk: func(s *stranger) { s.ask(authenticateOf("\x00alice\x00secret"), 2) }},
		{name: "versions first", talk: func(s *stranger) {
			s.ask(kmsg.NewPtrApiVersionsRequest(), 0)
			s.prove("alice")
			s.metadata()
		}},
		{name: "unknown mechanism", talk: func(s *stranger) {
			s.ask(handshakeOf("SCRAM-SHA-256"), 1)
			s.ask(handshakeOf("PLAIN"), 1)
		}},
		{name: "no mechanism", talk: func(s *stranger) { s.ask(handshakeOf(""), 1) }},
		{name: "two handshakes", talk: func(s *stranger) {
			s.ask(handshakeOf("PLAIN"), 1)
			s.ask(handshakeOf("PLAIN"), 1)
			s.metadata()
		}},
		{name: "versions behind the handshake", talk: func(s *stranger) {
			s.ask(handshakeOf("PLAIN"), 1)
			s.ask(kmsg.NewPtrApiVersionsRequest(), 0)
		},
			reference: []string{"SASLHandshake v1: NONE [PLAIN]", "ApiVersions v0: answered"},
			why:       "Kafka answers ILLEGAL_SASL_STATE before it closes, here it closes"},
		{name: "again when proven", talk: func(s *stranger) {
			s.prove("alice")
			s.metadata()
			s.ask(handshakeOf("PLAIN"), 1)
			s.ask(authenticateOf("\x00alice\x00secret"), 2)
			s.metadata()
		}},
		{name: "bare", talk: func(s *stranger) {
			s.ask(handshakeOf("PLAIN"), 0)
			s.token("\x00alice\x00secret")
			s.metadata()
		}},
		{name: "bare and wrong", talk: func(s *stranger) {
			s.ask(handshakeOf("PLAIN"), 0)
			s.token("\x00alice\x00wrong")
		}},
	}
	for version := range int16(3) {
		for name, text := range map[string]string{
			"good": "\x00alice\x00secret", "good, with its own name": "alice\x00alice\x00secret", "as another": "bob\x00alice\x00secret", "wrong password": "\x00alice\x00wrong",
			"unknown user": "\x00eve\x00secret", "two parts": "alice\x00secret", "four parts": "\x00alice\x00secret\x00", "no user": "\x00\x00secret", "no password": "\x00alice\x00",
			"nothing": "",
		} {
			cases = append(cases, saslCase{name: fmt.Sprintf("%s v%d", name, version), talk: func(s *stranger) {
				s.ask(handshakeOf("PLAIN"), 1)
				s.ask(authenticateOf(text), version)
				s.metadata()
			}})
		}
	}
	return cases
}

// reauthCases are on a listener whose proofs end after a while.
func reauthCases() []saslCase {
	return []saslCase{
		{name: "anew", talk: func(s *stranger) {
			s.prove("alice")
			s.wait(1100 * time.Millisecond)
			s.prove("alice")
			s.metadata()
		}},
		{name: "anew within a second", talk: func(s *stranger) {
			s.prove("alice")
			s.wait(1100 * time.Millisecond)
			s.prove("alice")
			s.ask(handshakeOf("PLAIN"), 1)
			s.metadata()
		}},
		{name: "as another", talk: func(s *stranger) {
			s.prove("alice")
			s.wait(1100 * time.Millisecond)
			s.prove("bob")
			s.metadata()
		}},
		{name: "another request behind the handshake", talk: func(s *stranger) {
			s.prove("alice")
			s.wait(1100 * time.Millisecond)
			s.ask(handshakeOf("PLAIN"), 1)
			s.ask(handshakeOf("PLAIN"), 1)
		}},
		{name: "too late", talk: func(s *stranger) {
			s.prove("alice")
			s.wait(5500 * time.Millisecond)
			s.metadata()
		}},
		{name: "handshake when it is late", talk: func(s *stranger) {
			s.prove("alice")
			s.wait(5500 * time.Millisecond)
			s.prove("alice")
			s.metadata()
		}},
	}
}

// TestCompareSASL makes the same mistakes at Apache Kafka and at Tideline.
func TestCompareSASL(t *testing.T) {
	const users = `org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="secret" user_bob="secret";`
	ports := freeport.ForTest(t, 4)
	settings := map[string]string{
		"sasl.enabled.mechanisms":                      "PLAIN",
		"listener.security.protocol.map":               "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,FOREVER:SASL_PLAINTEXT,SHORT:SASL_PLAINTEXT",
		"listener.name.forever.plain.sasl.jaas.config": users, "listener.name.short.plain.sasl.jaas.config": users,
		"listener.name.short.plain.connections.max.reauth.ms": "5000",
	}
	k := formatKafka(t)
	properties := read(t, k.config())
	listeners := ""
	for line := range strings.Lines(properties) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "listeners="); ok {
			listeners = rest
		}
	}
	properties += "listeners=" + listeners + ",FOREVER://" + ports[0] + ",SHORT://" + ports[1] + "\n"
	for key, value := range settings {
		properties += key + "=" + value + "\n"
	}
	if err := os.WriteFile(k.config(), []byte(properties), 0o600); err != nil {
		t.Fatal(err)
	}
	if !k.start() {
		t.Fatal("Apache Kafka does not start")
	}
	settings["listeners"] = "PLAINTEXT://{listen},FOREVER://" + ports[2] + ",SHORT://" + ports[3]
	settings["advertised.listeners"] = settings["listeners"]
	brokertest.Start(t, brokertest.Options{Settings: settings})
	for _, group := range []struct {
		cases           []saslCase
		kafka, tideline string
	}{{saslCases(), ports[0], ports[2]}, {reauthCases(), ports[1], ports[3]}} {
		for _, c := range group.cases {
			t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
				want, got := c.on(t, group.kafka), c.on(t, group.tideline)
				switch {
				case c.reference != nil && !slices.Equal(want, c.reference):
					t.Errorf("Apache Kafka says\n%s\nnot\n%s", strings.Join(want, "\n"), strings.Join(c.reference, "\n"))
				case c.reference == nil && !slices.Equal(want, got):
					t.Errorf("Apache Kafka says\n%s\nTideline says\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
				case c.reference != nil && slices.Equal(want, got):
					t.Errorf("no difference, which there is to be: %s", c.why)
				}
			})
		}
	}
}

// on has the case talk to a broker.
func (c saslCase) on(t *testing.T, addr string) []string {
	t.Helper()
	conn, err := dialWire(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := &stranger{t: t, wireConn: conn}
	c.talk(s)
	return s.said
}
