package broker_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/internal/pki"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// everything is all that a broker has said, whoever heard it.
type everything struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (e *everything) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.b.Write(p)
}

// add notes what somebody was told.
func (e *everything) add(what string, said any) { fmt.Fprintf(e, "%s: %v\n", what, said) }

// find returns where a secret is among it, in one of the forms that a careless line may have.
func (e *everything) find(secret string) (where string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	text := e.b.String()
	for _, form := range []string{
		secret, hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		fmt.Sprintf("%d", []byte(secret)),
	} {
		if i := strings.Index(text, form); i >= 0 {
			return text[max(0, i-300):min(len(text), i+len(form)+100)]
		}
	}
	return ""
}

// TestSecretsAreKept gives a broker secrets of every kind and all occasions to tell them, and reads all that it says: log lines of every level, errors, metrics,
// pages, and what clients are answered.
func TestSecretsAreKept(t *testing.T) {
	var secrets []string
	secret := func(what string) string {
		s := "MARKED-" + what + "-0123456789abcdef"
		secrets = append(secrets, s)
		return s
	}
	var heard everything
	id := newIdentity(t)
	store := secret("keystore")
	issued, err := id.ca.Issue(pki.Subject{Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := issued.Write(id.dir, "marked", store); err != nil {
		t.Fatal(err)
	}
	filed := secret("users-file")
	id.write(t, "users", []byte("bob:"+filed+"\n"))
	t.Setenv("AWS_ACCESS_KEY_ID", "somebody")
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret("object-store"))
	jaas := secret("jaas")
	settings := id.settings()
	for key, value := range map[string]string{
		"ssl.keystore.location": id.path("marked.p12"), "ssl.keystore.password": store, "ssl.key.password": store,
		"listener.name.sasl_ssl.plain.sasl.jaas.config": `org.apache.kafka.common.security.plain.PlainLoginModule required user_carol="` + jaas + `";`,
		"delegation.token.secret.key":                   secret("delegation"),
		"object.store":                                  "s3://bucket?endpoint=http://127.0.0.1:1", "data.dir": t.TempDir(),
		"http.listener": "127.0.0.1:0", "http.users": "scram", "wal.tail.bytes": "4194304", "cache.memory.bytes": "8388608", "cache.disk.bytes": "67108864",
	} {
		settings[key] = value
	}
	var set []string
	for k, v := range settings {
		set = append(set, k+"="+v)
	}
	cfg, err := config.Load(config.Sources{Set: set, Machine: config.ThisMachine()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(cfg, slog.New(slog.NewTextHandler(&heard, &slog.HandlerOptions{Level: slog.LevelDebug - 8})), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := b.Start(ctx); err != nil {
		t.Fatal(err)
	}
	for _, e := range cfg.Entries() {
		heard.add("entry", fmt.Sprintf("%+v", e))
	}
	heard.add("settings", fmt.Sprintf("%+v", cfg.Listeners))

	// What the metadata hold.
	password := secret("scram")
	stored := scramOf(t, "alice", password, command.ScramSHA256)
	secrets = append(secrets, string(stored.StoredKey), string(stored.ServerKey))
	if err := b.Propose(ctx, &command.ChangeScram{Set: []command.Scram{stored}}); err != nil {
		t.Fatal(err)
	}
	heard.add("credential", fmt.Sprintf("%v %+v", stored, stored))

	// Ways in, right and wrong.
	secure := kgo.DialTLSConfig(id.tls(t, ""))
	for name, m := range map[string]sasl.Mechanism{
		"file": plain.Auth{User: "bob", Pass: filed}.AsMechanism(), "jaas": plain.Auth{User: "carol", Pass: jaas}.AsMechanism(),
		"wrong":  plain.Auth{User: "bob", Pass: secret("wrong-plain")}.AsMechanism(),
		"nobody": plain.Auth{User: "nobody", Pass: secret("nobody")}.AsMechanism(),
		"scram":  scram.Auth{User: "alice", Pass: password}.AsSha256Mechanism(), "wrong scram": scram.Auth{User: "alice", Pass: secret("wrong-scram")}.AsSha256Mechanism(),
		"token": oauth.Auth{Token: secret("bearer")}.AsMechanism(), "tokens": oauth.Auth{Token: id.token(t, secret("subject"), -time.Hour)}.AsMechanism(),
	} {
		client, err := kgo.NewClient(kgo.SeedBrokers(b.Address(1)), secure, kgo.SASL(m), kgo.RequestRetries(0))
		if err != nil {
			t.Fatal(err)
		}
		heard.add(name, client.Ping(ctx))
		client.Close()
	}
	// The subject of a token is a name, which the audit log has to tell.
	for i, s := range secrets {
		if strings.Contains(s, "subject") {
			secrets = append(secrets[:i], secrets[i+1:]...)
			break
		}
	}

	// What tools ask and set.
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Address(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	dynamic := secret("dynamic")
	for _, key := range []string{"listener.name.sasl_ssl.ssl.keystore.password", "ssl.key.password", "listener.name.sasl_ssl.plain.sasl.jaas.config", "delegation.token.secret.key"} {
		answers, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: kadm.StringPtr(dynamic)}}, 1)
		heard.add("alter "+key, fmt.Sprintf("%+v %v", answers, err))
	}
	b.PollDoors()
	for _, req := range []kmsg.Request{
		func() kmsg.Request {
			r := kmsg.NewPtrDescribeConfigsRequest()
			r.IncludeSynonyms, r.IncludeDocumentation = true, true
			for _, name := range []string{"1", ""} {
				x := kmsg.NewDescribeConfigsRequestResource()
				x.ResourceType, x.ResourceName = kmsg.ConfigResourceTypeBroker, name
				r.Resources = append(r.Resources, x)
			}
			return r
		}(),
		kmsg.NewPtrDescribeUserSCRAMCredentialsRequest(), kmsg.NewPtrDescribeDelegationTokenRequest(), kmsg.NewPtrDescribeClusterRequest(), kmsg.NewPtrDescribeLogDirsRequest(),
	} {
		resp, err := client.Request(ctx, req)
		if err != nil {
			heard.add("request", err)
			continue
		}
		heard.add(kmsg.Key(req.Key()).Name(), string(resp.AppendTo(nil)))
	}

	// The admin port.
	_, web := b.Addresses()
	for _, path := range []string{"/metrics", adminapi.TierStatusPath, adminapi.BrokersPath, "/debug/pprof/cmdline", "/debug/pprof/heap?debug=1", "/readyz"} {
		for _, p := range []string{password, secret("http")} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+web+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("alice", p)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Error(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			heard.add(path, string(page))
		}
	}
	if err := b.Stop(ctx); err != nil {
		heard.add("stop", err)
	}

	// Settings that are refused.
	refused := secret("refused")
	for _, key := range []string{"sasl.jaas.config", "ssl.keystore.password", "ssl.keystore.key", "ssl.key.password", "delegation.token.secret.key", "ssl.keystore.certificate.chain"} {
		for _, value := range []string{refused, "\x00" + refused, strings.Repeat(refused, 1000)} {
			heard.add(key, config.ValidateDynamic(key, value, true))
			bad := append(append([]string{}, set...), key+"="+value)
			cfg, err := config.Load(config.Sources{Set: bad, Machine: config.ThisMachine()})
			heard.add(key, err)
			if err != nil {
				continue
			}
			if b, err := broker.New(cfg, slog.New(slog.NewTextHandler(&heard, nil)), nil); err != nil {
				heard.add(key, err)
			} else {
				heard.add(key, b.Stop(ctx))
			}
		}
	}
	for _, s := range secrets {
		if where := heard.find(s); where != "" {
			t.Errorf("%s was told:\n…%q…", s, where)
		}
	}
	for _, s := range []string{"msg=audit", "tideline_server_connections", "delegation.token.secret.key", "listener.name.sasl_ssl.plain.sasl.jaas.config", "SASL can not be changed"} {
		if heard.find(s) == "" {
			t.Errorf("the test does not hear of %q", s)
		}
	}
}
