package broker

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/security/sasl"
	"github.com/tidelinehq/tideline/broker/security/transport"
	"github.com/tidelinehq/tideline/broker/server"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// doors are what stands between the listeners and their clients: TLS and SASL. They may
// change while the broker runs, by its settings and by the files that these name.
type doors struct {
	all    []*door // by the order of the listeners
	byName map[string]*door
	mu     sync.Mutex // one change at a time
}

// door is that of one listener.
type door struct {
	listener config.Listener
	logger   *slog.Logger
	scram    *sasl.Scram
	poll     time.Duration // of files of keys
	run      func(func())  // in the background, until the broker stops
	maxBytes int

	tls  *transport.Listener // nil: the listener has no TLS
	sasl atomic.Pointer[saslDoor]
}

// saslDoor is SASL by one state of the settings.
type saslDoor struct {
	settings saslSettings
	server   *sasl.Server
	users    []*sasl.UsersFile
	stop     context.CancelFunc
}

// saslSettings are all that SASL of a listener is made of.
type saslSettings struct {
	mechanisms []string
	each       []config.MechanismSecurity
}

// openDoors makes them; what the settings say must work then.
func (b *Broker) openDoors(context.Context) error {
	b.doors = &doors{byName: make(map[string]*door)}
	metrics := transport.NewMetrics(b.registry)
	scram := &sasl.Scram{User: b.scramUser, Token: b.scramToken}
	for _, l := range b.cfg.Listeners {
		d := &door{
			listener: l, logger: b.logger.With("part", "security"), scram: scram, run: b.background,
			poll: b.cfg.StoreReloadInterval, maxBytes: int(b.cfg.SASLMaxReceiveBytes),
		}
		s := b.cfg.ListenerSecurity(l)
		if l.TLS() {
			var err error
			if d.tls, err = transport.NewListener(l.Name, transportOf(&s), d.logger, metrics); err != nil {
				return err
			}
		}
		if l.SASL() {
			made, err := d.makeSASL(b.run, saslOf(b.cfg, l))
			if err != nil {
				return fmt.Errorf("SASL of listener %s: %w", l.Name, err)
			}
			d.sasl.Store(made)
		}
		b.doors.all = append(b.doors.all, d)
		b.doors.byName[l.Name] = d
	}
	return nil
}

// seedDoors says what unknown users of SCRAM are answered with, once it is known: the same
// on all brokers of the cluster, or two of them would tell who is unknown.
func (b *Broker) seedDoors() {
	seed := sha256.Sum256([]byte("unknown users of SCRAM\x00" + b.clusterID() + "\x00" + b.cfg.DelegationTokenSecret))
	for _, d := range b.doors.all {
		d.scram.Seed = seed[:]
	}
}

// listenerOptions are those of the connections of a listener.
func (b *Broker) listenerOptions(l config.Listener) server.ListenerOptions {
	d := b.doors.byName[l.Name]
	o := server.ListenerOptions{Name: l.Name, NeedsAuthentication: l.SASL()}
	if d.tls != nil {
		o.Upgrade = d.tls.Upgrade
	}
	o.Open = func(c *server.Conn) error {
		b.api.Open(c)
		if d.tls == nil || l.SASL() {
			return nil
		}
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			host = c.RemoteAddr().String()
		}
		p, err := d.tls.Principal(c.NetConn())
		if err != nil {
			b.audit.AuthenticationFailed("", host, l.Name, "SSL", err)
			return err
		}
		c.SetPrincipal(p)
		b.audit.Authenticated(p, host, l.Name, "SSL")
		return nil
	}
	return o
}

// saslServer is how clients of a listener prove who they are; nil: they need not.
func (b *Broker) saslServer(listener string) *sasl.Server {
	d := b.doors.byName[listener]
	if d == nil {
		return nil
	}
	if s := d.sasl.Load(); s != nil {
		return s.server
	}
	return nil
}

// scramUser looks for a user in the metadata.
func (b *Broker) scramUser(mechanism, user string) (sasl.Credential, bool) {
	image := b.Image()
	kind := command.ScramSHA256
	if mechanism == sasl.ScramSHA512 {
		kind = command.ScramSHA512
	}
	if image == nil {
		return sasl.Credential{}, false
	}
	s, ok := image.Scram(user, kind)
	return sasl.Credential{Salt: s.Salt, StoredKey: s.StoredKey, ServerKey: s.ServerKey, Iterations: int(s.Iterations)}, ok
}

// pollDoors looks at the files again and again, if there can be any.
func (b *Broker) pollDoors() {
	if !slices.ContainsFunc(b.doors.all, func(d *door) bool { return d.tls != nil || d.sasl.Load() != nil }) {
		return
	}
	t := time.NewTicker(b.cfg.StoreReloadInterval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-b.run.Done():
			return
		}
		b.doors.mu.Lock()
		b.doors.poll()
		b.doors.mu.Unlock()
	}
}

// poll looks at the files of all doors; mu is held.
func (all *doors) poll() {
	for _, d := range all.all {
		if d.tls != nil {
			d.tls.Poll()
		}
		if s := d.sasl.Load(); s != nil {
			for _, u := range s.users {
				u.Poll()
			}
		}
	}
}

// changeDoors takes over new settings. Those that do not work leave a listener as it was.
func (b *Broker) changeDoors(c *config.Config) {
	b.doors.mu.Lock()
	defer b.doors.mu.Unlock()
	for _, d := range b.doors.all {
		s := c.ListenerSecurity(d.listener)
		if d.tls != nil {
			d.tls.Change(transportOf(&s))
		}
		before := d.sasl.Load()
		if before == nil {
			continue
		}
		settings := saslOf(c, d.listener)
		if reflect.DeepEqual(settings, before.settings) {
			continue
		}
		made, err := d.makeSASL(b.run, settings)
		if err != nil {
			d.logger.Error("SASL can not be changed; what was before stays in force", "listener", d.listener.Name, "error", err)
			continue
		}
		d.sasl.Store(made)
		before.stop()
		d.logger.Info("SASL changed", "listener", d.listener.Name, "mechanisms", made.server.Mechanisms())
	}
}

func transportOf(s *config.ListenerSecurity) transport.Settings {
	return transport.Settings{
		Key: transport.Store{
			Location: s.KeystoreLocation, Type: s.KeystoreType, Password: s.KeystorePassword,
			Key: s.Key, Certificates: s.CertificateChain, KeyPassword: s.KeyPassword,
		},
		Trust:      transport.Store{Location: s.TrustLocation, Type: s.TrustType, Password: s.TrustPassword, Certificates: s.TrustCerts},
		ClientAuth: s.ClientAuth, Protocols: s.Protocols, CipherSuites: s.CipherSuites, Rules: s.PrincipalRules,
	}
}

func saslOf(c *config.Config, l config.Listener) saslSettings {
	s := saslSettings{mechanisms: c.ListenerSecurity(l).Mechanisms}
	for _, m := range s.mechanisms {
		s.each = append(s.each, c.MechanismSecurity(l, m))
	}
	return s
}

// makeSASL makes SASL of settings. Keys of tokens are fetched until it is stopped, or ctx ends.
func (d *door) makeSASL(ctx context.Context, s saslSettings) (made *saslDoor, err error) {
	made = &saslDoor{settings: s}
	ctx, stop := context.WithCancel(ctx)
	made.stop = stop
	defer func() {
		if err != nil {
			stop()
		}
	}()
	o := sasl.Options{MaxBytes: d.maxBytes, Scram: d.scram, MaxReauth: make(map[string]time.Duration)}
	for i, m := range s.mechanisms {
		each := &s.each[i]
		o.MaxReauth[m] = each.MaxReauth
		switch m {
		case sasl.Plain:
			o.Plain, err = d.plainUsers(made, each)
		case sasl.OAuthBearer:
			o.Bearer, err = d.bearer(ctx, each)
		default:
			o.ScramMechanisms = append(o.ScramMechanisms, m)
			if each.JAAS != "" {
				_, err = sasl.ParseJAAS(each.JAAS)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m, err)
		}
	}
	if made.server, err = sasl.NewServer(o); err != nil {
		return nil, fmt.Errorf("sasl.enabled.mechanisms: %w", err)
	}
	return made, nil
}

// plainUsers are those of sasl.jaas.config and of sasl.plain.users.file together.
func (d *door) plainUsers(made *saslDoor, s *config.MechanismSecurity) (func(user, password string) bool, error) {
	var judges []func(user, password string) bool
	if s.JAAS != "" {
		module, err := sasl.ParseJAAS(s.JAAS)
		if err != nil {
			return nil, err
		}
		users, err := sasl.UsersOf(module)
		if err != nil {
			return nil, err
		}
		judges = append(judges, users.Judge)
	}
	if s.UsersFile != "" {
		users, err := sasl.OpenUsers(s.UsersFile, d.logger)
		if err != nil {
			return nil, err
		}
		made.users = append(made.users, users)
		judges = append(judges, users.Judge)
	}
	if len(judges) == 0 {
		return nil, errors.New("no users: sasl.plain.users.file or sasl.jaas.config names them")
	}
	return func(user, password string) bool {
		good := false
		for _, judge := range judges {
			if judge(user, password) { // each is asked, so that all names take as long
				good = true
			}
		}
		return good
	}, nil
}

func (d *door) bearer(ctx context.Context, s *config.MechanismSecurity) (*sasl.Bearer, error) {
	if s.JWKS == "" {
		return nil, errors.New("sasl.oauthbearer.jwks.endpoint.url is not given")
	}
	keys, err := sasl.NewKeySet(sasl.KeyOptions{
		URL: s.JWKS, Refresh: s.Refresh, Poll: d.poll, Backoff: s.Backoff, BackoffMax: max(s.Backoff, s.BackoffMax), Logger: d.logger,
	})
	if err != nil {
		return nil, err
	}
	d.run(func() { keys.Run(ctx) })
	return &sasl.Bearer{
		Keys: keys, Audience: s.Audience, Issuer: s.Issuer, Skew: s.Skew, ScopeClaim: s.ScopeClaim, SubClaim: s.SubClaim, GroupsClaim: s.Groups,
	}, nil
}
