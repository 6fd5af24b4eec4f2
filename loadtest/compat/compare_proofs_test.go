package compat

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/xdg-go/scram"
)

var proofsAllowed = []allowance{
	allow(`a request between: a request after the handshake`, "what comes instead of a proof is not answered"),
	allow(`scram of \[nobody secret\]: proof SASLAuthenticate v\d`, "who is there is told to nobody, so a user that is not there fails when one that is there would"),
	allow(`denied (ListPartitionReassignments|DescribeUserSCRAMCredentials): request .*\.(Topics|Results)`, "nothing is told of what may not be seen"),
}

// compareProofs proves who a client is, in every way to fail and to succeed, and makes delegation tokens as somebody.
func compareProofs(s *side) {
	// Where nobody is asked for a name, nobody may tell one.
	s.each(17, func(v int16) { s.call("handshake where nobody asks", handshake("PLAIN"), v) })
	s.each(36, func(v int16) { s.call("proof where nobody asks", proof([]byte("\x00alice\x00secret")), v) })

	n := 0
	for hv := s.clamp(17, 0); hv <= s.latest(17); hv++ {
		s.at(fmt.Sprintf("unknown mechanism %d", hv), func(conn string) {
			s.on(conn, "an unknown mechanism", handshake("ROT13"), hv)
			s.on(conn, "a second handshake", handshake("PLAIN"), hv)
		})
	}
	s.each(36, func(v int16) {
		for _, one := range []struct{ what, bytes string }{
			{"the right password", "\x00alice\x00secret"}, {"the right password for oneself", "alice\x00alice\x00secret"},
			{"a wrong password", "\x00alice\x00guess"}, {"nobody", "\x00nobody\x00secret"}, {"another's name", "bob\x00alice\x00secret"},
			{"no password", "\x00alice\x00"}, {"no name", "\x00\x00secret"}, {"nothing", ""}, {"three parts too many", "a\x00b\x00c\x00d"}, {"one part", "alice"},
		} {
			n++
			s.at(fmt.Sprintf("plain %d", n), func(conn string) {
				s.on(conn, "handshake", handshake("PLAIN"), s.latest(17))
				s.on(conn, "proof by "+one.what, proof([]byte(one.bytes)), v)
				s.on(conn, "request after "+one.what, kmsg.NewPtrDescribeClusterRequest(), s.latest(60))
			})
		}
	})
	for _, one := range []struct {
		what string
		req  kmsg.Request
		v    int16
	}{
		{"a request before the handshake", kmsg.NewPtrMetadataRequest(), 4}, {"a proof before the handshake", proof([]byte("\x00alice\x00secret")), 1},
		{"versions before the handshake", kmsg.NewPtrApiVersionsRequest(), 2},
	} {
		s.at(one.what, func(conn string) { s.on(conn, one.what, one.req, one.v) })
	}
	s.at("a request between", func(conn string) {
		s.on(conn, "handshake", handshake("PLAIN"), s.latest(17))
		s.on(conn, "a request after the handshake", kmsg.NewPtrMetadataRequest(), 4)
	})
	compareScramProofs(s)
	s.each(38, func(v int16) { compareOwnTokens(s, v) })
	compareDenied(s)
}

func handshake(mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = mechanism
	return req
}

func proof(b []byte) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = b
	return req
}

// at opens a connection where clients prove who they are.
func (s *side) at(conn string, f func(conn string)) {
	s.t.Helper()
	c, err := dialWire(s.guarded)
	if err != nil {
		s.t.Fatal(err)
	}
	s.conns[conn] = c
	f(conn)
}

// on is call on a connection that is open; one that has ended stays so.
func (s *side) on(conn, step string, req kmsg.Request, v int16) kmsg.Response {
	s.t.Helper()
	if s.conns[conn] == nil {
		s.transcript = append(s.transcript, said{conn + ": " + step, "answer", "the end of the connection"})
		return req.ResponseKind()
	}
	resp, err := s.try(conn, req, v)
	if err != nil {
		s.transcript = append(s.transcript, said{conn + ": " + step, "answer", silence(err)})
		return req.ResponseKind()
	}
	if proof, ok := resp.(*kmsg.SASLAuthenticateResponse); ok && len(proof.SASLAuthBytes) > 0 {
		proof.SASLAuthBytes = []byte("<bytes>")
	}
	s.note(conn+": "+step, resp)
	return resp
}

// compareScramProofs goes through the exchange of SCRAM by hand.
func compareScramProofs(s *side) {
	set := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
	u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = "scram", 1, 4096, []byte("a salt"), saltedPassword(s)
	set.Upsertions = append(set.Upsertions, u)
	s.call("credential", set, 0)
	for _, one := range [][2]string{{"scram", "secret"}, {"scram", "guess"}, {"nobody", "secret"}} {
		s.at(fmt.Sprintf("scram of %v", one), func(conn string) {
			// The credential is known a little later than it is made.
			client, err := scram.SHA256.NewClient(one[0], one[1], "")
			if err != nil {
				s.t.Fatal(err)
			}
			conversation := client.NewConversation()
			s.on(conn, "handshake", handshake("SCRAM-SHA-256"), s.latest(17))
			challenge := ""
			for range 2 {
				message, err := conversation.Step(challenge)
				if err != nil {
					s.transcript = append(s.transcript, said{conn, "conversation", err.Error()})
					return
				}
				resp, err := s.try(conn, proof([]byte(message)), s.latest(36))
				if err != nil {
					s.transcript = append(s.transcript, said{conn, "answer", silence(err)})
					return
				}
				a := resp.(*kmsg.SASLAuthenticateResponse)
				challenge = string(a.SASLAuthBytes)
				a.SASLAuthBytes = nil
				s.note(conn+": proof", a)
				if a.ErrorCode != 0 {
					return
				}
			}
			_, err = conversation.Step(challenge)
			s.transcript = append(s.transcript, said{conn, "valid", fmt.Sprint(err == nil && conversation.Valid())})
		})
	}
}

// alice opens a connection of somebody who has a name and no rights.
func (s *side) alice(conn string) error {
	c, err := dialWire(s.guarded)
	if err != nil {
		return err
	}
	s.conns[conn] = c
	if _, err := s.try(conn, handshake("PLAIN"), s.latest(17)); err != nil {
		return err
	}
	resp, err := s.try(conn, proof([]byte("\x00alice\x00secret")), s.latest(36))
	if err == nil && resp.(*kmsg.SASLAuthenticateResponse).ErrorCode != 0 {
		err = errors.New("alice was refused")
	}
	return err
}

func compareOwnTokens(s *side, v int16) {
	conn := fmt.Sprintf("tokens %d", v)
	if err := s.alice(conn); err != nil {
		s.t.Fatal(err)
	}
	create := func(step string, change func(r *kmsg.CreateDelegationTokenRequest)) *kmsg.CreateDelegationTokenResponse {
		req := kmsg.NewPtrCreateDelegationTokenRequest()
		req.MaxLifetimeMillis = 600_000
		change(req)
		resp := s.on(conn, step, req, v).(*kmsg.CreateDelegationTokenResponse)
		if resp.ErrorCode == 0 {
			s.numbers["tokens of alice"]++
		}
		s.awaitTokens(conn)
		return resp
	}
	renewer := func(kind, name string) func(r *kmsg.CreateDelegationTokenRequest) {
		return func(r *kmsg.CreateDelegationTokenRequest) {
			one := kmsg.NewCreateDelegationTokenRequestRenewer()
			one.PrincipalType, one.PrincipalName = kind, name
			r.Renewers = append(r.Renewers, one)
		}
	}
	token := create("token", func(*kmsg.CreateDelegationTokenRequest) {})
	create("token for a renewer", renewer("User", "bob"))
	create("token for a strange renewer", renewer("Group", "bob"))
	create("token of no life", func(r *kmsg.CreateDelegationTokenRequest) { r.MaxLifetimeMillis = 0 })
	create("token of the longest life", func(r *kmsg.CreateDelegationTokenRequest) { r.MaxLifetimeMillis = -1 })
	if v >= 3 {
		create("token for another", func(r *kmsg.CreateDelegationTokenRequest) {
			r.OwnerPrincipalType, r.OwnerPrincipalName = kmsg.StringPtr("User"), kmsg.StringPtr("carol")
		})
	}
	describe := func(step string, owners ...string) {
		req := kmsg.NewPtrDescribeDelegationTokenRequest()
		for _, name := range owners {
			o := kmsg.NewDescribeDelegationTokenRequestOwner()
			o.PrincipalType, o.PrincipalName = "User", name
			req.Owners = append(req.Owners, o)
		}
		s.on(conn, step, req, s.clamp(41, v))
	}
	describe("tokens of alice", "alice")
	describe("tokens of bob", "bob")
	for _, one := range []struct {
		what string
		hmac []byte
		ms   int64
	}{{"a minute", token.HMAC, 60_000}, {"no time", token.HMAC, 0}, {"as long as may be", token.HMAC, -1}, {"what is no token", []byte("no token"), 1000}} {
		renew := kmsg.NewPtrRenewDelegationTokenRequest()
		renew.HMAC, renew.RenewTimeMillis = one.hmac, one.ms
		s.on(conn, "renew by "+one.what, renew, s.clamp(39, v))
	}
	for _, one := range []struct {
		what string
		hmac []byte
		ms   int64
	}{{"in a minute", token.HMAC, 60_000}, {"what is no token", []byte("no token"), 1000}, {"now", token.HMAC, -1}, {"again", token.HMAC, -1}} {
		expire := kmsg.NewPtrExpireDelegationTokenRequest()
		expire.HMAC, expire.ExpiryPeriodMillis = one.hmac, one.ms
		resp := s.on(conn, "expire "+one.what, expire, s.clamp(40, v)).(*kmsg.ExpireDelegationTokenResponse)
		if resp.ErrorCode == 0 && one.ms < 0 {
			s.numbers["tokens of alice"]--
			s.awaitTokens(conn)
		}
	}
}

// awaitTokens waits until those who answer know the tokens that alice has made.
func (s *side) awaitTokens(conn string) {
	s.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(callTimeout); ; <-tick.C {
		resp, err := s.try(conn, kmsg.NewPtrDescribeDelegationTokenRequest(), s.latest(41))
		if err != nil {
			s.t.Fatal(err)
		}
		n := len(resp.(*kmsg.DescribeDelegationTokenResponse).TokenDetails)
		if n == s.numbers["tokens of alice"] {
			return
		}
		if time.Now().After(deadline) {
			s.transcript = append(s.transcript, said{"wait", "tokens of alice", fmt.Sprintf("%d instead of %d", n, s.numbers["tokens of alice"])})
			return
		}
	}
}

// compareDenied asks for everything as somebody who may do nothing.
func compareDenied(s *side) {
	s.topic("denied", 1)
	for key := int16(0); key <= 92; key++ {
		r, ok := s.ranges[key]
		if !ok || key == 17 || key == 36 || key == 18 {
			continue
		}
		conn := fmt.Sprintf("denied %s", kmsg.NameForKey(key))
		if err := s.alice(conn); err != nil {
			s.t.Fatal(err)
		}
		req := kmsg.RequestForKey(key)
		if d, ok := req.(interface{ Default() }); ok {
			d.Default()
		}
		fill(req)
		s.on(conn, "request", req, r[1])
	}
}

// fill gives a request one of everything that it may have, all of it called denied.
func fill(req kmsg.Request) {
	fillValue(reflect.ValueOf(req).Elem())
	if r, ok := req.(*kmsg.ProduceRequest); ok {
		r.Acks = 1
	}
}

func fillValue(v reflect.Value) {
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		switch name {
		case "Version", "UnknownTags", "TransactionID", "InstanceID", "RackID", "Rack", "ServerAssignor", "Cursor", "ForgottenTopics", "SubscribedTopicRegex":
			continue
		case "Records":
			f.SetBytes(sealed(recordBatch(1)))
			continue
		case "ResourceType", "ResourcePatternType", "Operation", "PermissionType":
			f.SetInt(map[string]int64{"ResourceType": 2, "ResourcePatternType": 3, "Operation": 3, "PermissionType": 3}[name])
			continue
		}
		switch {
		case f.Kind() == reflect.String:
			f.SetString("denied")
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.String:
			f.Set(reflect.ValueOf(kmsg.StringPtr("denied")))
		case f.Kind() == reflect.Struct:
			fillValue(f)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() != reflect.Uint8:
			one := reflect.New(f.Type().Elem())
			if d, ok := one.Interface().(interface{ Default() }); ok {
				d.Default()
			}
			switch one.Elem().Kind() {
			case reflect.Struct:
				fillValue(one.Elem())
			case reflect.String:
				one.Elem().SetString("denied")
			}
			f.Set(reflect.Append(reflect.Zero(f.Type()), one.Elem()))
		}
	}
}
