package config

import (
	"strings"
	"testing"
	"time"
)

func TestListenerKeys(t *testing.T) {
	for text, want := range map[string]listenerKey{
		"listener.name.external.ssl.client.auth":                {"external", "", "ssl.client.auth"},
		"listener.name.sasl_ssl.plain.sasl.jaas.config":         {"sasl_ssl", "plain", "sasl.jaas.config"},
		"listener.name.sasl_ssl.sasl.jaas.config":               {"sasl_ssl", "", "sasl.jaas.config"},
		"listener.name.a.b.scram-sha-256.sasl.jaas.config":      {"a.b", "scram-sha-256", "sasl.jaas.config"},
		"listener.name.plain.ssl.client.auth":                   {"plain", "", "ssl.client.auth"},
		"listener.name.x.oauthbearer.connections.max.reauth.ms": {"x", "oauthbearer", "connections.max.reauth.ms"},
	} {
		if got, ok := parseListenerKey(text); !ok || got != want {
			t.Errorf("%s: %+v %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"listener.name.", "listener.name.x", "listener.name.x.num.partitions", "listener.name..ssl.client.auth", "listener.name.X.ssl.client.auth",
		"listener.name.ssl.client.auth", "ssl.client.auth", "listener.name.x.sasl.server.max.receive.size",
	} {
		if got, ok := parseListenerKey(text); ok {
			t.Errorf("%s is a key of a listener: %+v", text, got)
		}
	}
}

func TestListenerKeysInTheEnvironment(t *testing.T) {
	for name, want := range map[string]string{
		"LISTENER_NAME_EXTERNAL_SSL_CLIENT_AUTH":                "listener.name.external.ssl.client.auth",
		"LISTENER_NAME_SASL_SSL_PLAIN_SASL_JAAS_CONFIG":         "listener.name.sasl_ssl.plain.sasl.jaas.config",
		"LISTENER_NAME_SASL_SSL_SCRAM_SHA_256_SASL_JAAS_CONFIG": "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config",
		"LISTENER_NAME_SSL_SSL_KEYSTORE_LOCATION":               "listener.name.ssl.ssl.keystore.location",
	} {
		if got, ok := environmentListenerKey(name); !ok || got != want {
			t.Errorf("%s: %s %v", name, got, ok)
		}
	}
	for _, name := range []string{"LISTENER_NAME_X_NUM_PARTITIONS", "LISTENER_NAME__SSL_CLIENT_AUTH", "NODE_ID"} {
		if got, ok := environmentListenerKey(name); ok {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// The narrowest key counts, whatever the layer.
func TestListenerSecurity(t *testing.T) {
	c := load(t, Sources{
		File: file(t, `
listeners: INSIDE://127.0.0.1:1,SASL_SSL://127.0.0.1:2
listener.security.protocol.map: INSIDE:SSL,SASL_SSL:SASL_SSL
ssl.keystore.location: /all.pem
ssl.client.auth: requested
sasl.enabled.mechanisms: PLAIN
connections.max.reauth.ms: 1000
listener:
  name:
    sasl_ssl:
      ssl.client.auth: none
      plain:
        connections.max.reauth.ms: 2000
`),
		Environ: []string{"TIDELINE_LISTENER_NAME_SASL_SSL_SSL_KEYSTORE_LOCATION=/own.pem", "TIDELINE_LISTENER_NAME_SASL_SSL_SASL_ENABLED_MECHANISMS=PLAIN,OAUTHBEARER"},
		Set:     []string{"listener.name.sasl_ssl.plain.sasl.jaas.config=hunter2"},
	})
	inside, outside := c.ListenerSecurity(c.Listeners[0]), c.ListenerSecurity(c.Listeners[1])
	if inside.KeystoreLocation != "/all.pem" || inside.ClientAuth != "requested" || len(inside.Mechanisms) != 1 || !inside.TLS() || inside.SASL() {
		t.Errorf("a listener without keys of its own: %+v", inside)
	}
	if outside.KeystoreLocation != "/own.pem" || outside.ClientAuth != "none" || len(outside.Mechanisms) != 2 || !outside.SASL() {
		t.Errorf("a listener with keys of its own: %+v", outside)
	}
	plain, oauth := c.MechanismSecurity(c.Listeners[1], "PLAIN"), c.MechanismSecurity(c.Listeners[1], "OAUTHBEARER")
	if plain.MaxReauth != 2*time.Second || oauth.MaxReauth != time.Second || plain.JAAS != "hunter2" || oauth.JAAS != "" || oauth.SubClaim != "sub" {
		t.Errorf("mechanisms: %+v %+v", plain, oauth)
	}
	found := false
	for _, e := range c.Entries() {
		if strings.Contains(e.Value, "hunter2") {
			t.Errorf("%s shows a secret", e.Name)
		}
		for _, s := range e.Synonyms {
			if strings.Contains(s.Value, "hunter2") {
				t.Errorf("%s shows a secret", e.Name)
			}
		}
		if e.Name == "listener.name.sasl_ssl.ssl.client.auth" {
			found = true
			if e.Value != "none" || e.Source != SourceStaticBroker || len(e.Synonyms) != 3 || e.Synonyms[1].Name != "ssl.client.auth" || e.Synonyms[1].Value != "requested" {
				t.Errorf("entry %+v", e)
			}
		}
	}
	if !found {
		t.Error("keys of a listener are not described")
	}
}

func TestListenerKeysAreJudged(t *testing.T) {
	for _, set := range []string{
		"listener.name.nowhere.ssl.client.auth=none", "listener.name.plaintext.ssl.client.auth=perhaps", "listener.name.plaintext.num.partitions=1",
	} {
		if err := loadError(t, Sources{Set: []string{set}}); !strings.Contains(err.Error(), "listener.name.") {
			t.Errorf("%s: %v", set, err)
		}
	}
	c := load(t, Sources{Set: []string{"listeners=SSL://127.0.0.1:1"}})
	changed, err := c.WithDynamic(nil, map[string]string{
		"listener.name.ssl.ssl.keystore.location": "/new.p12", "listener.name.gone.ssl.client.auth": "none", "listener.name.ssl.ssl.principal.mapping.rules": "DEFAULT",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := changed.ListenerSecurity(c.Listeners[0]); got.KeystoreLocation != "/new.p12" {
		t.Errorf("a dynamic key of a listener has no effect: %+v", got)
	}
	err = ValidateDynamic("listener.name.ssl.ssl.keystore.password", "hunter2", true)
	if err != nil {
		t.Errorf("a password can not be changed: %v", err)
	}
	if err := ValidateDynamic("listener.name.ssl.ssl.client.auth", "perhaps", true); err == nil {
		t.Error("a value that is not allowed passes")
	}
	if err := ValidateDynamic("listener.name.ssl.connections.max.reauth.ms", "1", true); err == nil {
		t.Error("what is read at the start only can be changed")
	}
}
