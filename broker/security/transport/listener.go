package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/security"
)

// Settings are what a listener's TLS is made of.
type Settings struct {
	Key, Trust   Store
	ClientAuth   string   // none, requested or required
	Protocols    []string // TLSv1.2, TLSv1.3
	CipherSuites []string // empty: all that are safe
	Rules        string   // ssl.principal.mapping.rules
}

func (s *Settings) equal(o *Settings) bool {
	return s.Key == o.Key && s.Trust == o.Trust && s.ClientAuth == o.ClientAuth && s.Rules == o.Rules &&
		slices.Equal(s.Protocols, o.Protocols) && slices.Equal(s.CipherSuites, o.CipherSuites)
}

// Listener is the TLS of one listener.
type Listener struct {
	name    string
	logger  *slog.Logger
	metrics *Metrics
	base    *tls.Config
	current atomic.Pointer[loaded]

	// Of Poll and Change.
	settings Settings
	stamps   [2]stamp // of the files that were tried last
	failure  string   // why they were not taken, empty: they were
}

// loaded is what a handshake needs, made of one state of the files.
type loaded struct {
	config *tls.Config
	rules  *Rules
}

// stamp tells one state of a file from another.
type stamp struct {
	size int64
	time time.Time
}

// NewListener reads everything for the first time; what does not work then is an error.
// metrics may be nil.
func NewListener(name string, s Settings, logger *slog.Logger, metrics *Metrics) (*Listener, error) {
	l := &Listener{name: name, logger: logger, metrics: metrics, settings: s}
	l.base = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return l.current.Load().config, nil
	}}
	l.stamps = s.stamps()
	now, err := s.load()
	if err != nil {
		return nil, fmt.Errorf("TLS of listener %s: %w", name, err)
	}
	l.publish(now)
	return l, nil
}

// Upgrade shakes hands with a client. It fits server.ListenerOptions.
func (l *Listener) Upgrade(c net.Conn) (net.Conn, error) {
	conn := tls.Server(c, l.base)
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	return conn, nil
}

// Principal is who a client is by its certificate: Anonymous if it showed none.
func (l *Listener) Principal(c net.Conn) (*security.Principal, error) {
	conn, ok := c.(*tls.Conn)
	if !ok {
		return nil, errors.New("connection without TLS on a listener with it")
	}
	certs := conn.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return security.Anonymous, nil
	}
	distinguished, err := DistinguishedName(certs[0])
	if err != nil {
		return nil, err
	}
	name, err := l.current.Load().rules.Name(distinguished)
	if err != nil {
		return nil, fmt.Errorf("%w: subject=%q", err, distinguished)
	}
	return &security.Principal{Type: security.UserType, Name: name}, nil
}

// Change takes other settings. Those that do not work leave the ones before in force.
func (l *Listener) Change(s Settings) {
	if l.settings.equal(&s) {
		return
	}
	l.settings = s
	l.stamps = s.stamps()
	l.reload("settings")
}

// Poll looks for files that have changed since they were tried last. What was tried and did
// not work is tried again.
func (l *Listener) Poll() {
	stamps := l.settings.stamps()
	if stamps == l.stamps && l.failure == "" {
		return
	}
	l.stamps = stamps
	l.reload("file")
}

// reload tries the settings, and tells of it once.
func (l *Listener) reload(cause string) {
	now, err := l.settings.load()
	if err != nil {
		l.metrics.reloaded(l.name, "failed")
		if text := err.Error(); text != l.failure {
			l.failure = text
			l.logger.Error("TLS can not be made anew; what was before stays in force", "listener", l.name, "cause", cause, "error", err)
		}
		return
	}
	l.failure = ""
	l.publish(now)
	l.metrics.reloaded(l.name, "done")
	l.logger.Info("TLS made anew", "listener", l.name, "cause", cause, "subject", now.config.Certificates[0].Leaf.Subject.String(),
		"not_after", now.config.Certificates[0].Leaf.NotAfter)
}

func (l *Listener) publish(now *loaded) {
	l.current.Store(now)
	l.metrics.expires(l.name, now.config.Certificates[0].Leaf.NotAfter)
}

// stamps looks at the files; one that can not be looked at has none. Those of a directory
// have one together: their sizes, and the time of the newest.
func (s *Settings) stamps() (stamps [2]stamp) {
	for i, files := range [2][]string{s.Key.paths(keyFiles), s.Trust.paths(trustFiles)} {
		for _, path := range files {
			info, err := os.Stat(path)
			if path == "" || err != nil {
				continue
			}
			stamps[i].size += info.Size()
			if info.ModTime().After(stamps[i].time) {
				stamps[i].time = info.ModTime()
			}
		}
	}
	return stamps
}

// load reads the stores and puts all together.
func (s *Settings) load() (*loaded, error) {
	if !s.Key.given() {
		return nil, errors.New("neither ssl.keystore.location nor ssl.keystore.key is given")
	}
	pair, err := s.Key.KeyPair()
	if err != nil {
		return nil, err
	}
	rules, err := ParseRules(s.Rules)
	if err != nil {
		return nil, fmt.Errorf("ssl.principal.mapping.rules: %w", err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if c.MinVersion, c.MaxVersion, c.CipherSuites, err = versions(s.Protocols, s.CipherSuites); err != nil {
		return nil, err
	}
	switch s.ClientAuth {
	case "requested":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case "required":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return &loaded{c, rules}, nil
	}
	if !s.Trust.given() {
		return nil, fmt.Errorf("ssl.client.auth is %s, and neither ssl.truststore.location nor ssl.truststore.certificates is given", s.ClientAuth)
	}
	authorities, err := s.Trust.Authorities()
	if err != nil {
		return nil, err
	}
	c.ClientCAs = x509.NewCertPool()
	for _, a := range authorities {
		c.ClientCAs.AddCert(a)
	}
	return &loaded{c, rules}, nil
}

// versions reads ssl.enabled.protocols and ssl.cipher.suites.
func versions(protocols, suites []string) (low, high uint16, ids []uint16, err error) {
	with12, with13 := slices.Contains(protocols, "TLSv1.2"), slices.Contains(protocols, "TLSv1.3")
	if len(suites) > 0 {
		any13 := false
		for _, name := range suites {
			suite := suiteOf(name)
			switch {
			case suite == nil:
				return 0, 0, nil, fmt.Errorf("ssl.cipher.suites names one that is unknown or not safe: suite=%q", name)
			case slices.Contains(suite.SupportedVersions, tls.VersionTLS13):
				any13 = true
			default:
				ids = append(ids, suite.ID)
			}
		}
		with12, with13 = with12 && len(ids) > 0, with13 && any13
	}
	switch {
	case with12 && with13:
		return tls.VersionTLS12, tls.VersionTLS13, ids, nil
	case with12:
		return tls.VersionTLS12, tls.VersionTLS12, ids, nil
	case with13:
		return tls.VersionTLS13, tls.VersionTLS13, nil, nil
	}
	return 0, 0, nil, errors.New("ssl.enabled.protocols and ssl.cipher.suites leave no version of TLS")
}

// suiteOf finds a cipher suite that is safe, by the name that Go and Java share.
func suiteOf(name string) *tls.CipherSuite {
	for _, s := range tls.CipherSuites() {
		if s.Name == name || s.Name == name+"_SHA256" {
			return s
		}
	}
	return nil
}
