package metadata

import (
	"fmt"

	"github.com/tidelinehq/tideline/metadata/record"
)

// security runs a random command about bindings, roles, credentials, quotas,
// tokens or subscriptions, of so few names that they often meet.
func (w *world) security() {
	pick := func(list ...string) string { return list[w.r.IntN(len(list))] }
	principal := func() string { return pick("User:a", "User:b", "Group:g", "User:*", "nobody") }
	binding := func() record.ACL {
		return record.ACL{
			ResourceType: 2 + uint8(w.r.IntN(6)), Pattern: 3 + uint8(w.r.IntN(2)), Resource: pick("x", "xy", "*"),
			Principal: principal(), Host: pick("*", "10.0.0.1"), Operation: 2 + uint8(w.r.IntN(14)), Permission: 2 + uint8(w.r.IntN(2)),
		}
	}
	some := func(f func()) {
		for range w.r.IntN(4) {
			f()
		}
	}
	switch w.r.IntN(9) {
	case 0, 1:
		var c record.ChangeACLs
		some(func() { c.Add = append(c.Add, binding()) })
		some(func() { c.Remove = append(c.Remove, binding()) })
		for a := range w.image.ACLs() {
			if w.r.IntN(4) == 0 {
				c.Remove = append(c.Remove, a)
			}
		}
		w.apply(&c)
	case 2:
		c := record.SetRole{Role: record.Role{Name: pick("r", "s", "t"), Description: fmt.Sprint(w.index)}}
		some(func() {
			a := binding()
			a.Principal = ""
			c.Role.ACLs = append(c.Role.ACLs, a)
		})
		w.apply(&c)
	case 3:
		name := pick("r", "s", "t")
		w.apply(&record.RemoveRole{Name: name})
		for g := range w.image.Grants() {
			if g.Role == name {
				w.t.Fatalf("grant of a role that is gone: %+v", g)
			}
		}
	case 4:
		var c record.ChangeGrants
		grant := func() record.Grant { return record.Grant{Role: pick("r", "s", "t"), Principal: principal()} }
		some(func() { c.Add = append(c.Add, grant()) })
		some(func() { c.Remove = append(c.Remove, grant()) })
		w.apply(&c)
	case 5:
		var c record.ChangeScram
		some(func() {
			s := record.Scram{User: pick("a", "b", "c"), Mechanism: 1 + uint8(w.r.IntN(2)), Salt: []byte{byte(w.index)}, Iterations: 4096}
			s.StoredKey, s.ServerKey = make([]byte, record.ScramKeySize(s.Mechanism)), make([]byte, 32<<w.r.IntN(2))
			c.Set = append(c.Set, s)
		})
		some(func() { c.Remove = append(c.Remove, record.ScramName{User: pick("a", "b"), Mechanism: 1}) })
		w.apply(&c)
	case 6:
		var c record.ChangeQuotas
		some(func() {
			x := record.QuotaChange{Entity: record.QuotaEntity{{Type: pick("user", "ip", "client-id", "other"), Name: pick("", "n")}},
				Key: pick("k", "l"), Value: float64(w.r.IntN(9)), Remove: w.r.IntN(3) == 0}
			if x.Entity[0].Name == "" {
				x.Entity[0].Default = true
			}
			if w.r.IntN(3) == 0 {
				x.Entity = append(x.Entity, record.QuotaPart{Type: "user", Name: "n"})
			}
			c.Changes = append(c.Changes, x)
		})
		w.apply(&c)
	case 7:
		t := record.Token{ID: fmt.Sprint(w.r.IntN(6)), Owner: principal(), Requester: "User:r", Renewers: []string{"User:n"}, IssuedAt: 5, ExpiresAt: int64(w.r.IntN(20)), MaxAt: 18}
		if w.r.IntN(3) == 0 {
			w.apply(&record.RemoveToken{ID: t.ID, ExpiresAt: t.ExpiresAt})
			return
		}
		_, was := w.image.Token(t.ID)
		c := &record.SetToken{Token: t, Renew: w.r.IntN(2) == 0}
		if r := w.apply(c); r.Reason == record.OK && was != c.Renew {
			w.t.Fatalf("token was there=%v, renewed=%v", was, c.Renew)
		}
	default:
		w.apply(&record.SetClientMetrics{Name: pick("m", "n"), Changes: []record.ConfigChange{{Key: pick("k", "l"), Value: "v", Delete: w.r.IntN(2) == 0}}})
	}
}
