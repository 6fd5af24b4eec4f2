package config

import (
	"reflect"
	"time"
)

// ListenerSecurity is what one listener demands of its clients and shows them.
type ListenerSecurity struct {
	Listener

	KeystoreLocation string   `key:"ssl.keystore.location"`
	KeystoreType     string   `key:"ssl.keystore.type"`
	KeystorePassword string   `key:"ssl.keystore.password"`
	KeyPassword      string   `key:"ssl.key.password"`
	Key              string   `key:"ssl.keystore.key"`
	CertificateChain string   `key:"ssl.keystore.certificate.chain"`
	TrustLocation    string   `key:"ssl.truststore.location"`
	TrustType        string   `key:"ssl.truststore.type"`
	TrustPassword    string   `key:"ssl.truststore.password"`
	TrustCerts       string   `key:"ssl.truststore.certificates"`
	ClientAuth       string   `key:"ssl.client.auth"`
	Protocols        []string `key:"ssl.enabled.protocols"`
	CipherSuites     []string `key:"ssl.cipher.suites"`
	PrincipalRules   string   `key:"ssl.principal.mapping.rules"`

	Mechanisms []string `key:"sasl.enabled.mechanisms"`
}

// TLS reports whether the listener speaks TLS.
func (l Listener) TLS() bool { return l.Protocol == SSL || l.Protocol == SASLSSL }

// SASL reports whether clients of the listener must prove by SASL who they are.
func (l Listener) SASL() bool { return l.Protocol == SASLPlaintext || l.Protocol == SASLSSL }

// MechanismSecurity is what one listener has for one SASL mechanism.
type MechanismSecurity struct {
	JAAS       string        `key:"sasl.jaas.config"`
	UsersFile  string        `key:"sasl.plain.users.file"`
	MaxReauth  time.Duration `key:"connections.max.reauth.ms"`
	JWKS       string        `key:"sasl.oauthbearer.jwks.endpoint.url"`
	Refresh    time.Duration `key:"sasl.oauthbearer.jwks.endpoint.refresh.ms"`
	Backoff    time.Duration `key:"sasl.oauthbearer.jwks.endpoint.retry.backoff.ms"`
	BackoffMax time.Duration `key:"sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms"`
	Audience   []string      `key:"sasl.oauthbearer.expected.audience"`
	Issuer     string        `key:"sasl.oauthbearer.expected.issuer"`
	Skew       time.Duration `key:"sasl.oauthbearer.clock.skew.seconds"`
	ScopeClaim string        `key:"sasl.oauthbearer.scope.claim.name"`
	SubClaim   string        `key:"sasl.oauthbearer.sub.claim.name"`
	Groups     string        `key:"sasl.oauthbearer.groups.claim.name"`
}

// ListenerSecurity returns what holds for a listener.
func (c *Config) ListenerSecurity(l Listener) ListenerSecurity {
	s := ListenerSecurity{Listener: l}
	bindFields(reflect.ValueOf(&s).Elem(), "key", func(key string) string { return c.listenerText(l.Name, "", key) })
	return s
}

// MechanismSecurity returns what holds for a mechanism of a listener.
func (c *Config) MechanismSecurity(l Listener, mechanism string) MechanismSecurity {
	var m MechanismSecurity
	bindFields(reflect.ValueOf(&m).Elem(), "key", func(key string) string { return c.listenerText(l.Name, mechanism, key) })
	return m
}
