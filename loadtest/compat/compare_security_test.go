package compat

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var securityAllowed = []allowance{
	allow(`(bindings|delete bindings|create bindings) of (no|an unknown) (kind|pattern|operation|permission) (Describe|Delete|Create)ACLs v\d`, "a number that means nothing is refused in an answer, not by the end of the connection"),
	allow(`create bindings of (a match|any \w+) CreateACLs v\d: .*: kafka=UNKNOWN_SERVER_ERROR tideline=INVALID_REQUEST$`, "what is only for filters has the code of a bad request"),
	allow(`create bindings of an empty host CreateACLs v\d: .*: kafka=NONE tideline=INVALID_REQUEST$`, "no host is empty, so it would do nothing"),
	allow(`credentials of no (salt|password) AlterUserSCRAMCredentials v0: .*: kafka=(NONE|UNKNOWN_SERVER_ERROR) tideline=UNACCEPTABLE_CREDENTIAL$`, "a credential without a salt or a password is none"),
	allow(`credentials removed of no salt .*: kafka=NONE tideline=RESOURCE_NOT_FOUND$`, "it was refused"),
	allow(`credentials set and removed AlterUserSCRAMCredentials v0: .*: kafka=RESOURCE_NOT_FOUND tideline=DUPLICATE_RESOURCE$`, "what contradicts itself is told before what is not there"),
}

// compareSecurity makes access rules, quotas, credentials and tokens with every version of every call.
func compareSecurity(s *side) {
	for _, one := range []struct {
		key     int16
		compare func(s *side, v int16)
	}{{30, compareACLs}, {49, compareQuotas}, {51, compareScram}, {38, compareTokens}} {
		if _, ok := s.ranges[one.key]; ok {
			s.each(one.key, func(v int16) { one.compare(s, v) })
		}
	}
}

// binding is an access rule, or with wildcards a filter of such.
type binding struct {
	kind       int8 // of resource: 1 any, 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user
	name       *string
	pattern    int8 // 1 any, 2 match, 3 literal, 4 prefixed
	principal  *string
	host       *string
	operation  int8 // 1 any, 2 all, 3 read, 4 write, 5 create …
	permission int8 // 1 any, 2 deny, 3 allow
}

func compareACLs(s *side, v int16) {
	p := kmsg.StringPtr
	prefix := fmt.Sprintf("acl-%d-", v)
	kept := map[string]bool{}
	create := func(what string, all ...binding) {
		req := kmsg.NewPtrCreateACLsRequest()
		for _, b := range all {
			c := kmsg.NewCreateACLsRequestCreation()
			c.ResourceType, c.ResourceName, c.ResourcePatternType = kmsg.ACLResourceType(b.kind), *b.name, kmsg.ACLResourcePatternType(b.pattern)
			c.Principal, c.Host, c.Operation, c.PermissionType = *b.principal, *b.host, kmsg.ACLOperation(b.operation), kmsg.ACLPermissionType(b.permission)
			req.Creations = append(req.Creations, c)
		}
		resp := s.call("create bindings "+what, req, v).(*kmsg.CreateACLsResponse)
		for i, b := range all {
			if i < len(resp.Results) && resp.Results[i].ErrorCode == 0 {
				kept[fmt.Sprint(b.kind, *b.name, b.pattern, *b.principal, *b.host, b.operation, b.permission)] = true
			}
		}
	}
	good := binding{2, p(prefix + "a"), 3, p("User:alice"), p("*"), 3, 3}
	with := func(change func(b *binding)) binding {
		b := good
		change(&b)
		return b
	}
	create("for one", good)
	create("for one again", good)
	create("for several",
		with(func(b *binding) { b.operation = 4 }), with(func(b *binding) { b.principal = p("User:*") }), with(func(b *binding) { b.host = p("10.0.0.1") }),
		with(func(b *binding) { b.permission = 2 }), with(func(b *binding) { b.pattern = 4 }), with(func(b *binding) { b.name = p("*") }),
		with(func(b *binding) { b.kind, b.name = 3, p(prefix+"g") }), with(func(b *binding) { b.kind, b.name, b.operation = 4, p("kafka-cluster"), 8 }),
		with(func(b *binding) { b.kind, b.name = 5, p(prefix+"x") }))
	for _, one := range []struct {
		what string
		b    binding
	}{
		{"of any kind", with(func(b *binding) { b.kind = 1 })},
		{"of an unknown kind", with(func(b *binding) { b.kind = 99 })},
		{"of no kind", with(func(b *binding) { b.kind = 0 })},
		{"of any pattern", with(func(b *binding) { b.pattern = 1 })},
		{"of a match", with(func(b *binding) { b.pattern = 2 })},
		{"of no pattern", with(func(b *binding) { b.pattern = 0 })},
		{"of any operation", with(func(b *binding) { b.operation = 1 })},
		{"of an unknown one", with(func(b *binding) { b.operation = 99 })},
		{"of any permission", with(func(b *binding) { b.permission = 1 })},
		{"of no permission", with(func(b *binding) { b.permission = 0 })},
		{"of an empty name", with(func(b *binding) { b.name = p("") })},
		{"of an empty principal", with(func(b *binding) { b.principal = p("") })},
		{"of a strange principal", with(func(b *binding) { b.principal = p("alice") })},
		{"of another cluster", with(func(b *binding) { b.kind, b.name, b.operation = 4, p("mine"), 8 })},
		{"of a group's writing", with(func(b *binding) { b.kind, b.operation = 3, 4 })},
		{"of a topic's cluster", with(func(b *binding) { b.operation = 9 })},
	} {
		create(one.what, one.b)
	}
	// Those who tell of bindings know them a little later than they are made.
	everything := kmsg.NewPtrDescribeACLsRequest()
	everything.ResourceType, everything.ResourcePatternType, everything.Operation, everything.PermissionType = 1, 1, 1, 1
	until(s, "bindings", everything, s.latest(29), func(r *kmsg.DescribeACLsResponse) bool {
		n := 0
		for i := range r.Resources {
			n += len(r.Resources[i].ACLs)
		}
		return n >= len(kept)
	})
	filters := []struct {
		what string
		b    binding
	}{
		{"of the name", binding{2, p(prefix + "a"), 3, nil, nil, 1, 1}},
		{"that match the name", binding{2, p(prefix + "a"), 2, nil, nil, 1, 1}},
		{"that match a longer name", binding{2, p(prefix + "abc"), 2, nil, nil, 1, 1}},
		{"of any pattern", binding{2, p(prefix + "a"), 1, nil, nil, 1, 1}},
		{"that are prefixes", binding{2, nil, 4, nil, nil, 1, 1}},
		{"of alice", binding{1, nil, 1, p("User:alice"), nil, 1, 1}},
		{"of all", binding{1, nil, 1, p("User:*"), nil, 1, 1}},
		{"of a host", binding{1, nil, 1, nil, p("10.0.0.1"), 1, 1}},
		{"that deny", binding{1, nil, 1, nil, nil, 1, 2}},
		{"of reading", binding{1, nil, 1, nil, nil, 3, 1}},
		{"of groups", binding{3, nil, 1, nil, nil, 1, 1}},
		{"of the cluster", binding{4, nil, 1, nil, nil, 1, 1}},
		{"of an unknown kind", binding{99, nil, 1, nil, nil, 1, 1}},
		{"of no kind", binding{0, nil, 1, nil, nil, 1, 1}},
		{"of an unknown pattern", binding{2, nil, 0, nil, nil, 1, 1}},
		{"of an unknown operation", binding{2, nil, 1, nil, nil, 0, 1}},
		{"of an unknown permission", binding{2, nil, 1, nil, nil, 1, 0}},
		{"of an empty name", binding{2, p(""), 3, nil, nil, 1, 1}},
	}
	for _, f := range filters {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourceName, req.ResourcePatternType = kmsg.ACLResourceType(f.b.kind), f.b.name, kmsg.ACLResourcePatternType(f.b.pattern)
		req.Principal, req.Host, req.Operation, req.PermissionType = f.b.principal, f.b.host, kmsg.ACLOperation(f.b.operation), kmsg.ACLPermissionType(f.b.permission)
		s.call("bindings "+f.what, req, s.clamp(29, v))
	}
	for _, f := range append(filters, struct {
		what string
		b    binding
	}{"of everything", binding{1, nil, 1, nil, nil, 1, 1}}) {
		req := kmsg.NewPtrDeleteACLsRequest()
		d := kmsg.NewDeleteACLsRequestFilter()
		d.ResourceType, d.ResourceName, d.ResourcePatternType = kmsg.ACLResourceType(f.b.kind), f.b.name, kmsg.ACLResourcePatternType(f.b.pattern)
		d.Principal, d.Host, d.Operation, d.PermissionType = f.b.principal, f.b.host, kmsg.ACLOperation(f.b.operation), kmsg.ACLPermissionType(f.b.permission)
		req.Filters = append(req.Filters, d)
		s.call("delete bindings "+f.what, req, s.clamp(31, v))
		if f.what == "of everything" {
			create("of an empty host", with(func(b *binding) { b.host = p("") }))
			_ = s.ask("main", req, s.clamp(31, v)) // whatever there is now
		}
	}
}

func compareQuotas(s *side, v int16) {
	type part struct {
		kind string
		name *string
	}
	p := kmsg.StringPtr
	user := fmt.Sprintf("quota-%d", v)
	alter := func(what string, key string, value float64, remove bool, parts ...part) {
		for _, dry := range []bool{true, false} {
			req := kmsg.NewPtrAlterClientQuotasRequest()
			req.ValidateOnly = dry
			e := kmsg.NewAlterClientQuotasRequestEntry()
			for _, one := range parts {
				n := kmsg.NewAlterClientQuotasRequestEntryEntity()
				n.Type, n.Name = one.kind, one.name
				e.Entity = append(e.Entity, n)
			}
			op := kmsg.NewAlterClientQuotasRequestEntryOp()
			op.Key, op.Value, op.Remove = key, value, remove
			e.Ops = append(e.Ops, op)
			req.Entries = append(req.Entries, e)
			s.call(fmt.Sprintf("quota %s, only looked at %v", what, dry), req, v)
		}
	}
	alter("of a user", "producer_byte_rate", 1024, false, part{"user", p(user)})
	alter("of a user again", "producer_byte_rate", 2048, false, part{"user", p(user)})
	alter("of a user and a client", "consumer_byte_rate", 512.5, false, part{"user", p(user)}, part{"client-id", p("c")})
	alter("of a client", "request_percentage", 12.5, false, part{"client-id", p(user)})
	alter("of the default user", "producer_byte_rate", 100, false, part{"user", nil})
	alter("of a user and the default client", "controller_mutation_rate", 2.5, false, part{"user", p(user)}, part{"client-id", nil})
	alter("of an address", "connection_creation_rate", 5, false, part{"ip", p("10.1.2.3")})
	alter("of the default address", "connection_creation_rate", 6, false, part{"ip", nil})
	alter("of a name that is not an address", "connection_creation_rate", 5, false, part{"ip", p("no address")})
	alter("of an unknown kind", "producer_byte_rate", 5, false, part{"group", p("a")})
	alter("of nobody", "producer_byte_rate", 5, false)
	alter("of an empty name", "producer_byte_rate", 5, false, part{"user", p("")})
	alter("of a user twice", "producer_byte_rate", 5, false, part{"user", p("a")}, part{"user", p("b")})
	alter("of a user and an address", "producer_byte_rate", 5, false, part{"user", p("a")}, part{"ip", p("10.0.0.1")})
	alter("of an unknown key", "bytes", 5, false, part{"user", p(user)})
	alter("of a negative rate", "producer_byte_rate", -1, false, part{"user", p(user)})
	alter("of no rate", "producer_byte_rate", 0, false, part{"user", p(user)})
	alter("of half a byte", "producer_byte_rate", 0.5, false, part{"user", p(user)})
	alter("of a key of addresses", "connection_creation_rate", 5, false, part{"user", p(user)})
	alter("of a key of users", "producer_byte_rate", 5, false, part{"ip", p("10.1.2.3")})
	describe := func(what string, strict bool, parts ...kmsg.DescribeClientQuotasRequestComponent) {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Strict, req.Components = strict, parts
		s.call("quotas "+what, req, s.clamp(48, v))
	}
	part3 := func(kind string, match int8, name *string) kmsg.DescribeClientQuotasRequestComponent {
		c := kmsg.NewDescribeClientQuotasRequestComponent()
		c.EntityType, c.MatchType, c.Match = kind, kmsg.QuotasMatchType(match), name
		return c
	}
	look := func(what string) {
		for _, strict := range []bool{false, true} {
			describe(fmt.Sprintf("%s of the user strict %v", what, strict), strict, part3("user", 0, p(user)))
			describe(fmt.Sprintf("%s of the user and any client strict %v", what, strict), strict, part3("user", 0, p(user)), part3("client-id", 2, nil))
			describe(fmt.Sprintf("%s of the user and the default client strict %v", what, strict), strict, part3("user", 0, p(user)), part3("client-id", 1, nil))
			describe(fmt.Sprintf("%s of the default user strict %v", what, strict), strict, part3("user", 1, nil))
			describe(fmt.Sprintf("%s of any address strict %v", what, strict), strict, part3("ip", 2, nil))
			describe(fmt.Sprintf("%s of anybody strict %v", what, strict), strict)
		}
	}
	look("")
	describe("of an unknown kind", false, part3("group", 2, nil))
	describe("of an unknown match", false, part3("user", 7, nil))
	describe("of no name", false, part3("user", 0, nil))
	describe("of a user twice", false, part3("user", 2, nil), part3("user", 1, nil))
	describe("of a user and an address", false, part3("user", 2, nil), part3("ip", 2, nil))
	for _, gone := range []struct {
		key   string
		parts []part
	}{
		{"producer_byte_rate", []part{{"user", p(user)}}}, {"producer_byte_rate", []part{{"user", p("missing")}}},
		{"consumer_byte_rate", []part{{"user", p(user)}, {"client-id", p("c")}}}, {"request_percentage", []part{{"client-id", p(user)}}},
		{"producer_byte_rate", []part{{"user", nil}}}, {"controller_mutation_rate", []part{{"user", p(user)}, {"client-id", nil}}},
		{"connection_creation_rate", []part{{"ip", p("10.1.2.3")}}}, {"connection_creation_rate", []part{{"ip", nil}}},
	} {
		alter("removed "+gone.key, gone.key, 0, true, gone.parts...)
	}
	look("removed")
}

// saltedPassword is the password "secret" as SCRAM-SHA-256 has it.
func saltedPassword(s *side) []byte {
	s.t.Helper()
	key, err := pbkdf2.Key(sha256.New, "secret", []byte("a salt"), 4096, sha256.Size)
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

func compareScram(s *side, v int16) {
	salted := saltedPassword(s)
	set := func(name string, mechanism int8, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
		u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
		u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = name, mechanism, iterations, []byte("a salt"), salted
		return u
	}
	remove := func(name string, mechanism int8) kmsg.AlterUserSCRAMCredentialsRequestDeletion {
		d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
		d.Name, d.Mechanism = name, mechanism
		return d
	}
	alter := func(what string, all ...any) {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		for _, one := range all {
			switch x := one.(type) {
			case kmsg.AlterUserSCRAMCredentialsRequestUpsertion:
				req.Upsertions = append(req.Upsertions, x)
			case kmsg.AlterUserSCRAMCredentialsRequestDeletion:
				req.Deletions = append(req.Deletions, x)
			}
		}
		s.call("credentials "+what, req, v)
	}
	describe := func(what string, names ...string) {
		req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
		for _, name := range names {
			u := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
			u.Name = name
			req.Users = append(req.Users, u)
		}
		s.call("users "+what, req, s.clamp(50, v))
	}
	noSalt, noPassword := set("bad", 1, 8192), set("bad", 1, 8192)
	noSalt.Salt, noPassword.SaltedPassword = nil, nil
	describe("before")
	alter("of one", set("alice", 1, 8192))
	alter("of the other mechanism", set("alice", 2, 4096))
	alter("of two", set("bob", 1, 4096), set("carol", 2, 16384))
	alter("of one twice", set("dave", 1, 8192), set("dave", 1, 4096))
	alter("set and removed", set("dave", 1, 8192), remove("dave", 1))
	alter("of few iterations", set("bad", 1, 4095))
	alter("of many iterations", set("bad", 1, 16385))
	alter("of negative iterations", set("bad", 1, -1))
	alter("of an unknown mechanism", set("bad", 3, 8192))
	alter("of no mechanism", set("bad", 0, 8192))
	alter("of no name", set("", 1, 8192))
	alter("of no salt", noSalt)
	alter("removed of no salt", remove("bad", 1))
	alter("of no password", noPassword)
	alter("of a good one and a bad one", set("erin", 1, 8192), set("bad", 1, 1))
	describe("then", "alice", "bob", "missing", "")
	describe("twice", "alice", "alice")
	describe("all")
	alter("removed", remove("alice", 2))
	alter("removed again", remove("alice", 2))
	alter("removed of a user that is not there", remove("missing", 1))
	alter("removed by an unknown mechanism", remove("alice", 9))
	alter("removed of no name", remove("", 1))
	alter("of nothing")
	describe("at last", "alice")
	alter("removed all", remove("alice", 1), remove("bob", 1), remove("carol", 2), remove("erin", 1))
	describe("after all")
}

// compareTokens: a connection without a name gets no tokens, whatever it asks for.
func compareTokens(s *side, v int16) {
	for _, renewers := range [][]string{nil, {"User:bob"}, {"Group:bob"}, {"User:"}} {
		req := kmsg.NewPtrCreateDelegationTokenRequest()
		req.MaxLifetimeMillis = 60_000
		for _, one := range renewers {
			kind, name, _ := strings.Cut(one, ":")
			r := kmsg.NewCreateDelegationTokenRequestRenewer()
			r.PrincipalType, r.PrincipalName = kind, name
			req.Renewers = append(req.Renewers, r)
		}
		s.call(fmt.Sprintf("token for %v", renewers), req, v)
	}
	renew := kmsg.NewPtrRenewDelegationTokenRequest()
	renew.HMAC, renew.RenewTimeMillis = []byte("no token"), 1000
	s.call("renew what is no token", renew, s.clamp(39, v))
	expire := kmsg.NewPtrExpireDelegationTokenRequest()
	expire.HMAC, expire.ExpiryPeriodMillis = []byte("no token"), 1000
	s.call("expire what is no token", expire, s.clamp(40, v))
	describe := kmsg.NewPtrDescribeDelegationTokenRequest()
	s.call("all tokens", describe, s.clamp(41, v))
	describe.Owners = []kmsg.DescribeDelegationTokenRequestOwner{}
	s.call("tokens of nobody", describe, s.clamp(41, v))
}
