package transport

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/broker/security"
)

func (w *world) settings() Settings {
	return Settings{
		Key:   Store{Location: w.path("broker.p12"), Password: "changeit"},
		Trust: Store{Location: w.path("ca.pem")}, ClientAuth: "requested", Protocols: []string{"TLSv1.2", "TLSv1.3"}, Rules: "RULE:^CN=([a-z]+),.*$/$1/U",
	}
}

func (w *world) client(cert string) *tls.Config {
	w.t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	c.RootCAs.AddCert(w.ca.Certificate)
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(w.path(cert+".pem"), w.path(cert+".key"))
		if err != nil {
			w.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// shake has a client and the listener shake hands, and says a word each way.
func shake(t *testing.T, l *Listener, c *tls.Config) (state tls.ConnectionState, principal *security.Principal, err error) {
	t.Helper()
	bound, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	type served struct {
		principal *security.Principal
		err       error
	}
	done := make(chan served, 1)
	go func() {
		raw, err := bound.Accept()
		if err != nil {
			done <- served{nil, err}
			return
		}
		defer raw.Close()
		conn, err := l.Upgrade(raw)
		if err != nil {
			done <- served{nil, err}
			return
		}
		p, err := l.Principal(conn)
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		done <- served{p, err}
	}()
	conn, dialErr := tls.Dial("tcp", bound.Addr().String(), c)
	if dialErr == nil {
		defer conn.Close()
		_, dialErr = io.ReadFull(conn, make([]byte, 1)) // with TLS 1.3 a refusal comes only now
		state = conn.ConnectionState()
	}
	s := <-done
	if s.err != nil {
		return state, nil, s.err
	}
	return state, s.principal, dialErr
}

func TestListener(t *testing.T) {
	w := newWorld(t)
	w.issue("alice")
	stranger := newWorld(t)
	stranger.issue("alice")
	l, err := NewListener("L", w.settings(), slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, p, err := shake(t, l, w.client("alice")); err != nil || p.String() != "User:ALICE" {
		t.Errorf("a good certificate: %v %v", p, err)
	}
	if _, p, err := shake(t, l, w.client("")); err != nil || p != security.Anonymous {
		t.Errorf("no certificate: %v %v", p, err)
	}
	foreign := w.client("")
	foreign.Certificates = stranger.client("alice").Certificates
	if _, p, err := shake(t, l, foreign); err == nil {
		t.Errorf("a certificate of another authority is %v", p)
	}
	old := w.client("alice")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, _, err := shake(t, l, old); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	required := w.settings()
	required.ClientAuth, required.Rules = "required", "RULE:^CN=bob.*$/b/"
	l.Change(required)
	if _, p, err := shake(t, l, w.client("")); err == nil {
		t.Errorf("no certificate where one is required is %v", p)
	}
	if _, p, err := shake(t, l, w.client("alice")); err == nil || !strings.Contains(err.Error(), "no rule") {
		t.Errorf("a name that no rule takes is %v: %v", p, err)
	}
}

func TestVersionsAndSuites(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		protocols, suites []string
		version           uint16
		suite             uint16
		refused           bool
	}{
		"both":            {protocols: []string{"TLSv1.2", "TLSv1.3"}, version: tls.VersionTLS13},
		"only 1.2":        {protocols: []string{"TLSv1.2"}, version: tls.VersionTLS12},
		"one suite":       {protocols: []string{"TLSv1.2", "TLSv1.3"}, suites: []string{"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}, version: tls.VersionTLS12, suite: tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
		"a suite of 1.3":  {protocols: []string{"TLSv1.2", "TLSv1.3"}, suites: []string{"TLS_AES_128_GCM_SHA256"}, version: tls.VersionTLS13},
		"unknown suite":   {protocols: []string{"TLSv1.2"}, suites: []string{"TLS_RSA_WITH_RC4_128_SHA"}, refused: true},
		"nothing is left": {protocols: []string{"TLSv1.2"}, suites: []string{"TLS_AES_128_GCM_SHA256"}, refused: true},
	} {
		s := w.settings()
		s.Protocols, s.CipherSuites = c.protocols, c.suites
		l, err := NewListener("L", s, slog.New(slog.DiscardHandler), nil)
		if c.refused {
			if err == nil {
				t.Errorf("%s: accepted", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		state, _, err := shake(t, l, w.client(""))
		if err != nil || state.Version != c.version || c.suite != 0 && state.CipherSuite != c.suite {
			t.Errorf("%s: version %x suite %x, %v", name, state.Version, state.CipherSuite, err)
		}
	}
}

// A file that changes is taken when it is good; until then the one before is in force, and that is said once.
func TestReload(t *testing.T) {
	w := newWorld(t)
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	s := w.settings()
	s.Key = Store{Location: w.path("broker.both.pem")}
	l, err := NewListener("L", s, slog.New(slog.NewTextHandler(&log, nil)), NewMetrics(registry))
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		state, _, err := shake(t, l, w.client(""))
		if err != nil {
			t.Fatal(err)
		}
		return state.PeerCertificates[0].SerialNumber.String()
	}
	first := serial()
	l.Poll()
	if log.Len() != 0 {
		t.Errorf("nothing changed: %s", log.String())
	}
	next := w.issue("broker")
	w.write("broker.both.pem", append(w.broker.KeyPEM(), next.PEM()...)) // a certificate without its key
	l.Poll()
	l.Poll()
	if got := serial(); got != first || strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("shows %s, showed %s: %s", got, first, log.String())
	}
	w.write("broker.both.pem", append(next.KeyPEM(), next.PEM()...))
	l.Poll()
	if got := serial(); got == first {
		t.Error("the new certificate is not shown")
	}
	if n := value(t, registry, "tideline_tls_reloads_total", "done"); n != 1 {
		t.Errorf("%v reloads", n)
	}
	if n := value(t, registry, "tideline_tls_certificate_expiry_seconds", "L"); n != float64(next.Certificate.NotAfter.Unix()) {
		t.Errorf("expiry %v", n)
	}
	// The authorities are part of it: whoever they no longer know is kept out, with a ticket of old too.
	w.issue("alice")
	c := w.client("alice")
	c.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	if _, _, err := shake(t, l, c); err != nil {
		t.Fatal(err)
	}
	other := newWorld(t)
	w.write("ca.pem", other.ca.PEM())
	l.Poll()
	if _, p, err := shake(t, l, c); err == nil {
		t.Errorf("a client of an authority that was taken away is %v", p)
	}
	bad := l.settings
	bad.Rules = "nonsense"
	l.Change(bad)
	if !strings.Contains(log.String(), "nonsense") {
		t.Errorf("bad settings go unnoticed: %s", log.String())
	}
}

func TestListenerRefusesToStart(t *testing.T) {
	w := newWorld(t)
	for name, change := range map[string]func(*Settings){
		"no key":   func(s *Settings) { s.Key = Store{} },
		"no trust": func(s *Settings) { s.Trust = Store{} },
		"rules":    func(s *Settings) { s.Rules = "RULE:(/x/" },
		"file":     func(s *Settings) { s.Key.Location = w.path("none") },
	} {
		s := w.settings()
		change(&s)
		if _, err := NewListener("L", s, slog.Default(), nil); err == nil {
			t.Errorf("%s: starts", name)
		}
	}
}

// value is that of the metric that has a label of this value.
func value(t *testing.T, registry *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetValue() == label {
					return m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	t.Fatalf("no metric %s of %s", name, label)
	return 0
}
