package peer

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/pki"
)

// identity makes the TLS of a broker whose certificate has an authority of its own, and which believes others.
func identity(t *testing.T, by *pki.Authority, subject pki.Subject, believes ...*pki.Authority) func() (*tls.Config, error) {
	t.Helper()
	issued, err := by.Issue(subject)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(issued.PEM(), issued.KeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for _, a := range believes {
		pool.AddCert(a.Certificate)
	}
	return func() (*tls.Config, error) {
		return &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		}, nil
	}
}

func authority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// logged are the lines of a log.
type logged chan string

func (l logged) Write(p []byte) (int, error) { l <- string(p); return len(p), nil }

// secured is a host on a loopback port.
func secured(t *testing.T, node int32, secure func() (*tls.Config, error), log logged) *Host {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Node: node, Incarnation: [16]byte{byte(node)}, Listener: l, TLS: secure, HandshakeTimeout: 10 * time.Second}
	if log != nil {
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	}
	h := New(o)
	h.Start()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

var local = pki.Subject{Name: pkix.Name{CommonName: "broker"}, Hosts: []string{"127.0.0.1"}}

func TestTLS(t *testing.T) {
	a := authority(t)
	one, two := secured(t, 1, identity(t, a, local, a), nil), secured(t, 2, identity(t, a, local, a), nil)
	two.Register(9, echoing)
	got, err := one.Call(t.Context(), two.Addr().String(), 2, 9, []byte("over TLS"))
	if err != nil || string(got) != "1:over TLS" {
		t.Errorf("%q %v", got, err)
	}
}

// TestTLSRefusals says on both sides what is wrong, and never that the other process is gone.
func TestTLSRefusals(t *testing.T) {
	ours, theirs := authority(t), authority(t)
	expired, elsewhere := local, local
	expired.Lifetime, elsewhere.Hosts = time.Minute-time.Hour, []string{"broker-2.example"}
	good := identity(t, ours, local, ours)
	for name, c := range map[string]struct {
		dialer, listener func() (*tls.Config, error)
		says             string // of the dialer's error
		logs             string // of the listener's log
	}{
		"a dialer of another authority":   {identity(t, theirs, local, ours), good, "refused this broker's certificate", "not good here"},
		"a dialer whose time is over":     {identity(t, ours, expired, ours), good, "refused this broker's certificate", "not good here"},
		"a listener of another authority": {good, identity(t, theirs, local, ours), "not good here", "the other broker refused"},
		"a listener for another host":     {good, identity(t, ours, elsewhere, ours), "not good here", "the other broker refused"},
		"a dialer without TLS":            {nil, good, "", "speaks without"},
		"a listener without TLS":          {good, nil, "no TLS between these brokers", ""},
	} {
		log := make(logged, 16)
		one, two := secured(t, 1, c.dialer, nil), secured(t, 2, c.listener, log)
		two.Register(9, echoing)
		_, err := one.Call(t.Context(), two.Addr().String(), 2, 9, nil)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if c.dialer != nil && (!errors.Is(err, ErrTLS) || Gone(err)) {
			t.Errorf("%s: taken for gone: %v", name, err)
		}
		if line := <-log; !strings.Contains(line, c.logs) {
			t.Errorf("%s: log %q", name, line)
		}
	}
}

// TestTLSFails when there is none to be had.
func TestTLSFails(t *testing.T) {
	a := authority(t)
	two := secured(t, 2, identity(t, a, local, a), nil)
	one := secured(t, 1, func() (*tls.Config, error) { return nil, errors.New("no key") }, nil)
	if _, err := one.Call(t.Context(), two.Addr().String(), 2, 9, nil); !errors.Is(err, ErrTLS) || !strings.Contains(err.Error(), "no key") {
		t.Error(err)
	}
}
