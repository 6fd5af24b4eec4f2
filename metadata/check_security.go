package metadata

import (
	"fmt"

	"github.com/tidelinehq/tideline/metadata/record"
)

// security verifies what Check verifies of bindings, roles, credentials,
// quotas and tokens: everything is valid and under its own key, bounds hold,
// and every grant has its role.
func (c *checker) security() {
	m := c.m
	if err := m.soundSecurity(); err != nil {
		c.failf("%w", err)
	}
	for what, n := range map[string][2]int{
		"acls": {m.acls.Len(), record.MaxACLs}, "roles": {m.roles.Len(), record.MaxRoles}, "grants": {m.grants.Len(), record.MaxGrants},
		"scram": {m.scram.Len(), record.MaxScram}, "quotas": {m.quotas.Len(), record.MaxQuotas}, "tokens": {m.tokens.Len(), record.MaxTokens},
		"subscriptions": {m.clientMetrics.Len(), record.MaxSubscriptions},
	} {
		if n[0] > n[1] {
			c.failf("%s=%d max=%d", what, n[0], n[1])
		}
	}
	for _, g := range []uint64{m.generations.security, m.generations.quota, m.generations.scram, m.generations.token, m.generations.clientMetrics} {
		if g > m.index {
			c.failf("generation=%d index=%d", g, m.index)
		}
	}
}

// soundSecurity reports something of security that is invalid, or under a
// key that is not its own. A snapshot is refused for it: a binding that nobody
// can have made might open what is to be shut.
func (m *Image) soundSecurity() (err error) {
	wrong := func(what, k string) bool {
		err = fmt.Errorf("%s invalid or out of place key=%q", what, k)
		return false
	}
	m.acls.Scan(func(k string, a *record.ACL) bool { return a.Valid() && a.Key() == k || wrong("acl", k) })
	m.roles.Scan(func(k string, r *record.Role) bool { return r.Valid() && r.Name == k || wrong("role", k) })
	m.grants.Scan(func(k string, g *record.Grant) bool {
		_, ok := m.roles.Get(g.Role)
		return ok && g.Valid() && g.Key() == k || wrong("grant", k)
	})
	m.scram.Scan(func(k string, s *record.Scram) bool {
		return s.Valid() && s.Name().Key() == k || wrong("scram credential", k)
	})
	m.quotas.Scan(func(k string, q *record.Quota) bool { return q.Valid() && q.Entity.Key() == k || wrong("quota", k) })
	m.tokens.Scan(func(k string, t *record.Token) bool { return t.Valid() && t.ID == k || wrong("token", k) })
	m.clientMetrics.Scan(func(k string, c Configs) bool {
		return len(c) > 0 && c.Valid() && record.ValidName(k, record.MaxSubscriptionName) || wrong("subscription", k)
	})
	return err
}
