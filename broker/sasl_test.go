package broker_test

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker"
)

// saslWorld is a broker with a listener of SASL in the clear, whose clock the test moves.
type saslWorld struct {
	*node
	offset atomic.Int64
}

func newSASLWorld(t *testing.T, settings map[string]string) *saslWorld {
	t.Helper()
	id := newIdentity(t)
	id.write(t, "users", []byte("alice:secret\nbob:secret\n"))
	all := map[string]string{
		"listeners": "SASL_PLAINTEXT://127.0.0.1:0,PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER", "sasl.plain.users.file": id.path("users"),
		"sasl.oauthbearer.jwks.endpoint.url": "file://" + id.path("jwks.json"), "connection.failed.authentication.delay.ms": "0",
	}
	for k, v := range settings {
		all[k] = v
	}
	w := &saslWorld{}
	w.node = newNodeWith(t, all, broker.Deps{Now: func() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }})
	return w
}

func (w *saslWorld) pass(d time.Duration) { w.offset.Add(int64(d)) }

func handshake(mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Version, req.Mechanism = 1, mechanism
	return req
}

func authenticate(bytes string) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.Version, req.SASLAuthBytes = 2, []byte(bytes)
	return req
}

func anyRequest() *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	return req
}

// prove logs a connection in.
func (c *conn) prove(user string) *kmsg.SASLAuthenticateResponse {
	c.tb.Helper()
	if resp := do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN")); resp.ErrorCode != 0 {
		c.tb.Fatalf("handshake: %s", name(resp.ErrorCode))
	}
	return do[*kmsg.SASLAuthenticateResponse](c, authenticate("\x00"+user+"\x00secret"))
}

// gone wants a request to end the connection without an answer.
func (c *conn) gone(req kmsg.Request) {
	c.tb.Helper()
	if resp, err := c.try(req); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		c.tb.Errorf("%s: %+v %v", kmsg.NameForKey(req.Key()), resp, err)
	}
}

// Before a client has proved who it is it may ask for versions, and prove it.
func TestStrangersMayNothing(t *testing.T) {
	w := newSASLWorld(t, nil)
	w.dial().gone(anyRequest())
	w.dial().gone(authenticate("\x00alice\x00secret"))
	w.dial().gone(produceRequest("t", 0, values(1, "a")))
	c := w.dial()
	versions := kmsg.NewPtrApiVersionsRequest()
	versions.Version, versions.ClientSoftwareName, versions.ClientSoftwareVersion = 3, "test", "1"
	if resp := do[*kmsg.ApiVersionsResponse](c, versions); len(resp.ApiKeys) == 0 {
		t.Error("no versions before the proof")
	}
	resp := do[*kmsg.SASLHandshakeResponse](c, handshake("GSSAPI"))
	if resp.ErrorCode != kerr.UnsupportedSaslMechanism.Code || !slices.Equal(resp.SupportedMechanisms, []string{"PLAIN", "OAUTHBEARER"}) {
		t.Errorf("a mechanism that there is not: %s %v", name(resp.ErrorCode), resp.SupportedMechanisms)
	}
	c.gone(handshake("PLAIN"))

	c = w.dial()
	do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN"))
	if resp := do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN")); resp.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("a second handshake: %s", name(resp.ErrorCode))
	}
	c.gone(anyRequest())

	c = w.dial()
	do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN"))
	c.gone(anyRequest())

	for _, text := range []string{"\x00alice\x00wrong", "\x00eve\x00secret"} {
		c = w.dial()
		do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN"))
		resp := do[*kmsg.SASLAuthenticateResponse](c, authenticate(text))
		if resp.ErrorCode != kerr.SaslAuthenticationFailed.Code || *resp.ErrorMessage != "Authentication failed: Invalid username or password" {
			t.Errorf("%q: %s %v", text, name(resp.ErrorCode), resp.ErrorMessage)
		}
		c.gone(anyRequest())
	}
	c = w.dial()
	do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN"))
	if resp := do[*kmsg.SASLAuthenticateResponse](c, authenticate("nonsense")); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code ||
		*resp.ErrorMessage != "Invalid SASL/PLAIN response: expected 3 tokens, got 1" {
		t.Errorf("nonsense: %s %v", name(resp.ErrorCode), resp.ErrorMessage)
	}
	if n := w.gauge("tideline_api_authentications_total"); n != 5 {
		t.Errorf("%v attempts are counted", n)
	}
}

// A client that has proved who it is may do the rest, and begins no other proof where proofs have no end.
func TestProven(t *testing.T) {
	w := newSASLWorld(t, nil)
	c := w.dial()
	if resp := c.prove("alice"); resp.ErrorCode != 0 || resp.SessionLifetimeMillis != 0 || resp.SASLAuthBytes == nil {
		t.Fatalf("%+v", resp)
	}
	do[*kmsg.MetadataResponse](c, anyRequest())
	if resp := do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN")); resp.ErrorCode != kerr.IllegalSaslState.Code || len(resp.SupportedMechanisms) != 0 {
		t.Errorf("handshake afterwards: %s %v", name(resp.ErrorCode), resp.SupportedMechanisms)
	}
	if resp := do[*kmsg.SASLAuthenticateResponse](c, authenticate("x")); resp.ErrorCode != kerr.IllegalSaslState.Code ||
		!strings.Contains(*resp.ErrorMessage, "received after successful authentication") {
		t.Errorf("authenticate afterwards: %s %v", name(resp.ErrorCode), resp.ErrorMessage)
	}
	do[*kmsg.MetadataResponse](c, anyRequest())

	clear, err := dial(w.b.Address(1))
	if err != nil {
		t.Fatal(err)
	}
	defer clear.net.Close()
	clear.tb = t
	if resp := do[*kmsg.SASLHandshakeResponse](clear, handshake("PLAIN")); resp.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("handshake where there is no SASL: %s", name(resp.ErrorCode))
	}
	if resp := do[*kmsg.SASLAuthenticateResponse](clear, authenticate("x")); resp.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("authenticate where there is no SASL: %s", name(resp.ErrorCode))
	}
}

// A proof that has an end is made anew before that, by the same mechanism and with the same name (KIP-368).
func TestProvingAnew(t *testing.T) {
	w := newSASLWorld(t, map[string]string{"listener.name.sasl_plaintext.plain.connections.max.reauth.ms": "60000"})
	c := w.dial()
	if resp := c.prove("alice"); resp.SessionLifetimeMillis != 60_000 {
		t.Fatalf("%+v", resp)
	}
	for range 3 {
		w.pass(50 * time.Second)
		if resp := c.prove("alice"); resp.ErrorCode != 0 || resp.SessionLifetimeMillis != 60_000 {
			t.Fatalf("%+v", resp)
		}
		do[*kmsg.MetadataResponse](c, anyRequest())
	}
	if resp := do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN")); resp.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("twice in a second: %s", name(resp.ErrorCode))
	}
	w.pass(61 * time.Second)
	late := w.dial()
	late.prove("alice")
	w.pass(2 * time.Second)
	if resp := c.prove("alice"); resp.ErrorCode != 0 {
		t.Errorf("anew after the end: %s", name(resp.ErrorCode)) // before any other request
	}
	w.pass(61 * time.Second)
	c.gone(anyRequest())
	late.gone(produceRequest("t", 0, values(1, "a")))
	if n := w.gauge("tideline_api_expired_sessions_total"); n != 2 {
		t.Errorf("%v sessions expired", n)
	}

	c = w.dial()
	c.prove("alice")
	w.pass(2 * time.Second)
	if resp := c.prove("bob"); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code || *resp.ErrorMessage != "Cannot change principals during re-authentication from User.alice: User.bob" {
		t.Errorf("as another: %s %v", name(resp.ErrorCode), resp.ErrorMessage)
	}
	c.gone(anyRequest())

	c = w.dial()
	c.prove("alice")
	w.pass(2 * time.Second)
	do[*kmsg.SASLHandshakeResponse](c, handshake("OAUTHBEARER"))
	if resp := do[*kmsg.SASLAuthenticateResponse](c, authenticate("x")); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code ||
		*resp.ErrorMessage != "SASL mechanism 'OAUTHBEARER' requested by client is not supported for re-authentication of mechanism 'PLAIN'" {
		t.Errorf("by another mechanism: %s %v", name(resp.ErrorCode), resp.ErrorMessage)
	}

	c = w.dial()
	c.prove("alice")
	w.pass(2 * time.Second)
	do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN"))
	c.gone(anyRequest())
}

// Clients from before KIP-152 send the steps of a proof without a header.
func TestBareTokens(t *testing.T) {
	w := newSASLWorld(t, nil)
	bare := func(c *conn, text string) (string, error) {
		if _, err := c.net.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)); err != nil {
			return "", err
		}
		var size [4]byte
		if _, err := io.ReadFull(c.net, size[:]); err != nil {
			return "", err
		}
		b := make([]byte, binary.BigEndian.Uint32(size[:]))
		_, err := io.ReadFull(c.net, b)
		return string(b), err
	}
	old := handshake("PLAIN")
	old.Version = 0
	c := w.dial()
	do[*kmsg.SASLHandshakeResponse](c, old)
	if out, err := bare(c, "\x00alice\x00secret"); err != nil || out != "" {
		t.Fatalf("%q %v", out, err)
	}
	do[*kmsg.MetadataResponse](c, anyRequest())
	for _, text := range []string{"\x00alice\x00wrong", "", "x"} {
		c := w.dial()
		do[*kmsg.SASLHandshakeResponse](c, old)
		if out, err := bare(c, text); err == nil {
			t.Errorf("%q: %q", text, out)
		}
	}
	bearer := handshake("OAUTHBEARER")
	bearer.Version = 0
	c = w.dial()
	do[*kmsg.SASLHandshakeResponse](c, bearer)
	if out, err := bare(c, "n,,\x01auth=Bearer abc\x01\x01"); err != nil || out != `{"status":"invalid_token"}` {
		t.Errorf("%q %v", out, err)
	}
	if out, err := bare(c, "\x01"); err == nil {
		t.Errorf("%q", out)
	}
}

// A failure is told after a while, and costs no goroutine until then.
func TestFailuresAreSlow(t *testing.T) {
	w := newSASLWorld(t, map[string]string{"connection.failed.authentication.delay.ms": "300"})
	c := w.dial()
	do[*kmsg.SASLHandshakeResponse](c, handshake("PLAIN"))
	begin := time.Now()
	if resp := do[*kmsg.SASLAuthenticateResponse](c, authenticate("\x00alice\x00wrong")); resp.ErrorCode != kerr.SaslAuthenticationFailed.Code {
		t.Errorf("%+v", resp)
	}
	if d := time.Since(begin); d < 300*time.Millisecond {
		t.Errorf("told after %s", d)
	}
	c.gone(anyRequest())
}
