package metadata

import (
	"iter"

	"github.com/tidwall/btree"

	"github.com/tidelinehq/tideline/metadata/record"
)

// generations say when a kind of thing was changed last, as Image.Layout does:
// by the index of the command. They are not part of the state.
type generations struct {
	security, quota, scram, token, clientMetrics uint64
}

// loaded are the generations of an image that was read.
func loaded(index uint64) generations { return generations{index, index, index, index, index} }

// SecurityGeneration grows with each change of bindings, roles or grants. It is
// not part of the state: two brokers may have different ones.
func (m *Image) SecurityGeneration() uint64 { return m.generations.security }

// QuotaGeneration grows with each change of quotas, as SecurityGeneration.
func (m *Image) QuotaGeneration() uint64 { return m.generations.quota }

// ScramGeneration grows with each change of SCRAM credentials, as SecurityGeneration.
func (m *Image) ScramGeneration() uint64 { return m.generations.scram }

// TokenGeneration grows with each change of delegation tokens, as SecurityGeneration.
func (m *Image) TokenGeneration() uint64 { return m.generations.token }

// ClientMetricsGeneration grows with each change of subscriptions to the
// metrics of clients, as SecurityGeneration.
func (m *Image) ClientMetricsGeneration() uint64 { return m.generations.clientMetrics }

// values iterates over a tree in the order of its keys.
func values[V any](tree *btree.Map[string, *V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		tree.Scan(func(_ string, v *V) bool { return yield(*v) })
	}
}

// one returns a value of a tree.
func one[V any](tree *btree.Map[string, *V], k string) (v V, ok bool) {
	if p, ok := tree.Get(k); ok {
		return *p, true
	}
	return v, false
}

// ACLs iterates over all bindings, in the order of record.ACL.Key: by type of
// resource, pattern, resource, principal.
func (m *Image) ACLs() iter.Seq[record.ACL] { return values(&m.acls) }

// ACLsOf iterates over the bindings of one type of resource, in the same order.
func (m *Image) ACLsOf(resourceType uint8) iter.Seq[record.ACL] {
	return func(yield func(record.ACL) bool) {
		m.acls.Ascend(string([]byte{resourceType}), func(_ string, a *record.ACL) bool {
			return a.ResourceType == resourceType && yield(*a)
		})
	}
}

// ACLCount returns the number of bindings.
func (m *Image) ACLCount() int { return m.acls.Len() }

// HasACL reports whether a binding is there.
func (m *Image) HasACL(a record.ACL) bool {
	_, ok := m.acls.Get(a.Key())
	return ok
}

// Roles iterates over the roles in name order.
func (m *Image) Roles() iter.Seq[record.Role] { return values(&m.roles) }

// Role returns a role.
func (m *Image) Role(name string) (record.Role, bool) { return one(&m.roles, name) }

// Grants iterates over the grants by role, then principal.
func (m *Image) Grants() iter.Seq[record.Grant] { return values(&m.grants) }

// ScramUsers iterates over the SCRAM credentials by user, then mechanism.
func (m *Image) ScramUsers() iter.Seq[record.Scram] { return values(&m.scram) }

// Scram returns the credential of a user for a mechanism.
func (m *Image) Scram(user string, mechanism uint8) (record.Scram, bool) {
	return one(&m.scram, record.ScramName{User: user, Mechanism: mechanism}.Key())
}

// ScramCount returns the number of SCRAM credentials.
func (m *Image) ScramCount() int { return m.scram.Len() }

// Quotas iterates over the entities that have quotas, in the order of
// record.QuotaEntity.Key.
func (m *Image) Quotas() iter.Seq[record.Quota] { return values(&m.quotas) }

// Quota returns the quotas of one entity, exactly as it is named.
func (m *Image) Quota(entity []record.QuotaPart) (record.Quota, bool) {
	return one(&m.quotas, record.QuotaEntity(entity).Key())
}

// QuotaCount returns how many entities have quotas.
func (m *Image) QuotaCount() int { return m.quotas.Len() }

// Tokens iterates over the delegation tokens in id order, those that have
// expired and are not removed yet among them.
func (m *Image) Tokens() iter.Seq[record.Token] { return values(&m.tokens) }

// Token returns a delegation token; it may have expired.
func (m *Image) Token(id string) (record.Token, bool) { return one(&m.tokens, id) }

// TokenCount returns the number of delegation tokens.
func (m *Image) TokenCount() int { return m.tokens.Len() }

// ClientMetrics iterates over the subscriptions to the metrics of clients and
// their settings, in name order.
func (m *Image) ClientMetrics() iter.Seq2[string, Configs] {
	return func(yield func(string, Configs) bool) {
		m.clientMetrics.Scan(yield)
	}
}

// ClientMetricsConfigs returns the settings of a subscription.
func (m *Image) ClientMetricsConfigs(name string) Configs {
	c, _ := m.clientMetrics.Get(name)
	return c
}
