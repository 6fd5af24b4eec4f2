package metadata

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tidelinehq/tideline/metadata/record"
)

func testACL(resource, principal string) record.ACL {
	return record.ACL{ResourceType: record.ResourceTopic, Pattern: record.PatternLiteral, Resource: resource, Principal: principal, Host: "*",
		Operation: record.OperationRead, Permission: record.PermissionAllow}
}

func TestACLs(t *testing.T) {
	w := newLedgerWorld(t)
	a, b, c := testACL("a", "User:alice"), testACL("b", "User:alice"), testACL("a", "User:bob")
	g := testACL("g", "User:alice")
	g.ResourceType = record.ResourceGroup
	w.ok(&record.ChangeACLs{Add: []record.ACL{g, c, b, a, a}})
	list := func(want ...record.ACL) {
		t.Helper()
		if got := slices.Collect(w.image.ACLs()); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	list(a, c, b, g)
	if got := slices.Collect(w.image.ACLsOf(record.ResourceGroup)); !slices.Equal(got, []record.ACL{g}) {
		t.Fatal(got)
	}
	if got := slices.Collect(w.image.ACLsOf(record.ResourceTopic)); len(got) != 3 {
		t.Fatal(got)
	}
	before := w.image.SecurityGeneration()
	invalid := a
	invalid.Operation = 1
	w.want(&record.ChangeACLs{Remove: []record.ACL{a, b}, Add: []record.ACL{invalid}}, record.Invalid)
	list(a, c, b, g)
	if w.image.SecurityGeneration() != before {
		t.Fatal("a refused change moved the generation")
	}
	w.ok(&record.ChangeACLs{Remove: []record.ACL{a, testACL("not there", "User:x")}, Add: []record.ACL{b}})
	list(c, b, g)
	if !w.image.HasACL(b) || w.image.HasACL(a) || w.image.SecurityGeneration() == before {
		t.Fatal("the change is not seen")
	}
	for name, x := range map[string]func(*record.ACL){
		"type":       func(a *record.ACL) { a.ResourceType = 8 },
		"any":        func(a *record.ACL) { a.ResourceType = 1 },
		"match":      func(a *record.ACL) { a.Pattern = 2 },
		"operation":  func(a *record.ACL) { a.Operation = 16 },
		"permission": func(a *record.ACL) { a.Permission = 1 },
		"no name":    func(a *record.ACL) { a.Resource = "" },
		"no host":    func(a *record.ACL) { a.Host = "" },
		"zero":       func(a *record.ACL) { a.Resource = "a\x00b" },
		"principal":  func(a *record.ACL) { a.Principal = "alice" },
		"no type":    func(a *record.ACL) { a.Principal = ":alice" },
		"no user":    func(a *record.ACL) { a.Principal = "User:" },
	} {
		bad := a
		x(&bad)
		if r := w.apply(&record.ChangeACLs{Add: []record.ACL{bad}}); r.Reason != record.Invalid {
			t.Errorf("%s: %s", name, r.Reason)
		}
	}
}

// The bound holds, all of a command or nothing is taken, and what is full can
// be emptied.
func TestACLBound(t *testing.T) {
	w := newLedgerWorld(t)
	next := 0
	add := func(n int) *record.ChangeACLs {
		c := new(record.ChangeACLs)
		for range n {
			c.Add = append(c.Add, testACL(fmt.Sprint(next), "User:a"))
			next++
		}
		return c
	}
	for _, c := range record.ChunkACLs(add(record.MaxACLs - 1)) {
		w.ok(c)
	}
	w.want(add(2), record.TooMany)
	if n := w.image.ACLCount(); n != record.MaxACLs-1 {
		t.Fatal(n)
	}
	w.ok(add(1))
	full := add(1)
	w.want(full, record.TooMany)
	full.Remove = []record.ACL{testACL("1", "User:a")}
	w.ok(full)
	if n := w.image.ACLCount(); n != record.MaxACLs {
		t.Fatal(n)
	}
}

func TestRolesAndGrants(t *testing.T) {
	w := newLedgerWorld(t)
	binding := testACL("a", "")
	role := record.Role{Name: "reader", Description: "reads", ACLs: []record.ACL{binding}}
	grant := record.Grant{Role: "reader", Principal: "Group:ops"}
	w.want(&record.ChangeGrants{Add: []record.Grant{grant}}, record.NoRole)
	w.ok(&record.SetRole{Role: role})
	w.want(&record.SetRole{Role: record.Role{Name: "with principal", ACLs: []record.ACL{testACL("a", "User:a")}}}, record.Invalid)
	w.want(&record.SetRole{Role: record.Role{Name: ""}}, record.Invalid)
	w.ok(&record.SetRole{Role: record.Role{Name: "reader2"}})
	other := record.Grant{Role: "reader2", Principal: "User:a"}
	w.ok(&record.ChangeGrants{Add: []record.Grant{grant, other}})
	w.want(&record.ChangeGrants{Remove: []record.Grant{grant}, Add: []record.Grant{{Role: "reader", Principal: "a"}}}, record.Invalid)
	if got := slices.Collect(w.image.Grants()); len(got) != 2 {
		t.Fatal(got)
	}
	if r, ok := w.image.Role("reader"); !ok || cmp.Diff(role, r) != "" {
		t.Fatal(r, ok)
	}
	before := w.image.SecurityGeneration()
	w.ok(&record.RemoveRole{Name: "reader"})
	if got := slices.Collect(w.image.Grants()); !slices.Equal(got, []record.Grant{other}) || w.image.SecurityGeneration() == before {
		t.Fatal(got)
	}
	w.want(&record.RemoveRole{Name: "reader"}, record.NoRole)
}

func testScram(user string, mechanism uint8) record.Scram {
	n := record.ScramKeySize(mechanism)
	return record.Scram{User: user, Mechanism: mechanism, Salt: []byte("salt"), StoredKey: bytes.Repeat([]byte{'S'}, n), ServerKey: bytes.Repeat([]byte{'K'}, n), Iterations: 4096}
}

func TestScram(t *testing.T) {
	w := newLedgerWorld(t)
	a, b := testScram("a", record.ScramSHA256), testScram("a", record.ScramSHA512)
	w.ok(&record.ChangeScram{Set: []record.Scram{b, a}})
	if got := slices.Collect(w.image.ScramUsers()); cmp.Diff(got, []record.Scram{a, b}) != "" {
		t.Fatal(got)
	}
	short := testScram("c", record.ScramSHA512)
	short.ServerKey = short.ServerKey[:32]
	w.want(&record.ChangeScram{Remove: []record.ScramName{a.Name()}, Set: []record.Scram{short}}, record.Invalid)
	if _, ok := w.image.Scram("a", record.ScramSHA256); !ok {
		t.Fatal("a refused change removed something")
	}
	before := w.image.ScramGeneration()
	w.ok(&record.ChangeScram{Remove: []record.ScramName{a.Name(), {User: "x", Mechanism: 1}}})
	if _, ok := w.image.Scram("a", record.ScramSHA256); ok || w.image.ScramCount() != 1 || w.image.ScramGeneration() == before {
		t.Fatal("the change is not seen")
	}
	for _, text := range []string{fmt.Sprint(b), fmt.Sprintf("%+v %#v %v", &b, b, []record.Scram{b}), fmt.Sprintf("%+v", record.ChangeScram{Set: []record.Scram{b}}), b.LogValue().String()} {
		if strings.Contains(text, "SSS") || strings.Contains(text, "KKK") || strings.Contains(text, "83 83") || strings.Contains(text, "0x53") || strings.Contains(text, "salt") {
			t.Errorf("secrets in %s", text)
		}
	}
}

func TestQuotas(t *testing.T) {
	w := newLedgerWorld(t)
	user := record.QuotaEntity{{Type: "user", Name: "a"}}
	both := record.QuotaEntity{{Type: "client-id", Default: true}, {Type: "user", Name: "a"}}
	set := func(e record.QuotaEntity, key string, v float64) record.QuotaChange {
		return record.QuotaChange{Entity: e, Key: key, Value: v}
	}
	w.ok(&record.ChangeQuotas{Changes: []record.QuotaChange{set(user, "p", 1), set(user, "c", 2), set(both, "p", 3), set(user, "p", 4)}})
	q, ok := w.image.Quota(user)
	if p, _ := q.Get("p"); !ok || p != 4 || len(q.Values) != 2 {
		t.Fatal(q)
	}
	for name, e := range map[string]record.QuotaEntity{
		"none": {}, "order": {{Type: "user"}, {Type: "client-id"}}, "ip and user": {{Type: "ip", Name: "1"}, {Type: "user", Name: "a"}},
		"unknown": {{Type: "x"}}, "twice": {{Type: "user"}, {Type: "user"}}, "named default": {{Type: "user", Name: "x", Default: true}},
	} {
		if r := w.apply(&record.ChangeQuotas{Changes: []record.QuotaChange{{Entity: user, Key: "p", Remove: true}, set(e, "p", 1)}}); r.Reason != record.Invalid {
			t.Errorf("%s: %s", name, r.Reason)
		}
	}
	w.want(&record.ChangeQuotas{Changes: []record.QuotaChange{set(user, "p", math.NaN())}}, record.Invalid)
	w.want(&record.ChangeQuotas{Changes: []record.QuotaChange{set(user, "", 1)}}, record.Invalid)
	before := w.image.QuotaGeneration()
	w.ok(&record.ChangeQuotas{Changes: []record.QuotaChange{{Entity: user, Key: "p", Remove: true}, {Entity: user, Key: "c", Remove: true}, {Entity: user, Key: "x", Remove: true}}})
	if _, ok := w.image.Quota(user); ok || w.image.QuotaCount() != 1 || w.image.QuotaGeneration() == before {
		t.Fatal("an entity without quotas takes room")
	}
}

func TestTokens(t *testing.T) {
	w := newLedgerWorld(t)
	token := record.Token{ID: "id", Owner: "User:a", Requester: "User:a", IssuedAt: 10, ExpiresAt: 20, MaxAt: 40}
	renewed := token
	renewed.ExpiresAt = 30
	w.want(&record.SetToken{Token: token, Renew: true}, record.NoToken)
	w.ok(&record.SetToken{Token: token})
	w.want(&record.SetToken{Token: token}, record.Already)
	w.want(&record.SetToken{Token: renewed}, record.TokenExists)
	w.ok(&record.SetToken{Token: renewed, Renew: true})
	w.want(&record.RemoveToken{ID: "id", ExpiresAt: 20}, record.StaleEpoch) // renewed meanwhile
	late := token
	late.ExpiresAt = 41
	w.want(&record.SetToken{Token: late, Renew: true}, record.Invalid)
	w.ok(&record.RemoveToken{ID: "id", ExpiresAt: 30})
	w.want(&record.RemoveToken{ID: "id", ExpiresAt: 30}, record.NoToken)
	w.want(&record.SetToken{Token: renewed, Renew: true}, record.NoToken)
}

func TestClientMetrics(t *testing.T) {
	w := newLedgerWorld(t)
	set := func(name, value string) *record.SetClientMetrics {
		return &record.SetClientMetrics{Name: name, Changes: []record.ConfigChange{{Key: "k", Value: value, Delete: value == ""}}}
	}
	w.want(set("", "1"), record.Invalid)
	w.ok(set("m", "1"))
	for name, c := range w.image.ClientMetrics() {
		if v, _ := c.Get("k"); name != "m" || v != "1" {
			t.Fatal(name, c)
		}
	}
	w.ok(set("m", ""))
	if w.image.clientMetrics.Len() != 0 {
		t.Fatal("a subscription without settings takes room")
	}
	for i := range record.MaxSubscriptions {
		w.ok(set(fmt.Sprint(i), "1"))
	}
	w.want(set("m", "1"), record.TooMany)
}

// A snapshot that says what no command can have made is refused.
func TestSnapshotRefusesInvalidSecurity(t *testing.T) {
	open := testACL("a", "User:a")
	open.Operation = 1
	for name, m := range map[string]func(*Image){
		"acl":   func(m *Image) { m.acls.Set(open.Key(), &open) },
		"grant": func(m *Image) { g := record.Grant{Role: "r", Principal: "User:a"}; m.grants.Set(g.Key(), &g) },
		"quota": func(m *Image) { m.quotas.Set("", &record.Quota{}) },
		"token": func(m *Image) { m.tokens.Set("t", &record.Token{ID: "t"}) },
		"scram": func(m *Image) { s := record.Scram{User: "u"}; m.scram.Set(s.Name().Key(), &s) },
	} {
		x := new(Image)
		m(x)
		if _, err := ReadImage(bytes.NewReader(snapshotBytes(t, x))); err == nil {
			t.Errorf("%s: read", name)
		}
		if Check(x) == nil {
			t.Errorf("%s: not found", name)
		}
	}
}
