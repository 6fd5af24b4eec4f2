package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errOpenAdmin says why http.listener is not opened.
var errOpenAdmin = errors.New("anybody who reaches this address could move replicas: give http.users and http.ssl.certificate, or a loopback address, " +
	"or http.allow.unauthenticated=true where the network keeps strangers out")

// checkAdminPort refuses an admin port that strangers reach.
func (b *Broker) checkAdminPort(bound net.Addr) error {
	tcp, ok := bound.(*net.TCPAddr)
	if !ok || tcp.IP.IsLoopback() || b.cfg.HTTPAllowUnauthenticated || b.cfg.HTTPUsers != "none" && b.cfg.HTTPCertificate != "" {
		return nil
	}
	return fmt.Errorf("http.listener: %w: address=%s", errOpenAdmin, bound)
}

// newAdminServer makes the server of the admin port, with TLS and users where they are given.
func (b *Broker) newAdminServer() *http.Server {
	handler := b.adminHandler()
	if b.cfg.HTTPUsers == adminScram {
		handler = newAdminUsers(&adminUsers{image: b.Image, authorizer: b.authorizer(), audit: b.audit}).guard(handler)
	}
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		// A client that does not believe the certificate is worth a line for who looks for it, and no alarm.
		ErrorLog: log.New(adminLog{b.logger.With("part", "http")}, "", 0),
	}
}

// serveAdmin serves the admin port until it is closed.
func (b *Broker) serveAdmin() error {
	var l net.Listener = &countedListener{Listener: b.http}
	if b.adminTLS != nil {
		l = tls.NewListener(l, &tls.Config{
			MinVersion:         b.adminTLS.minVersion,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return b.adminTLS.current() },
		})
	}
	return b.web.Serve(l)
}

// maxAdminConnections bounds the connections of the admin port: those of people, probes and scrapers, and then some. One more is closed at once.
const maxAdminConnections = 500

// countedListener closes what is above maxAdminConnections.
type countedListener struct {
	net.Listener
	open atomic.Int32
}

// Accept implements net.Listener.
func (l *countedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= maxAdminConnections {
			return &countedConn{Conn: conn, listener: l}, nil
		}
		l.open.Add(-1)
		_ = conn.Close() // nothing was said on it
	}
}

type countedConn struct {
	net.Conn
	listener *countedListener
	once     sync.Once
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	c.once.Do(func() { c.listener.open.Add(-1) })
	return c.Conn.Close()
}

// adminLog writes what net/http has to say.
type adminLog struct{ logger *slog.Logger }

// Write implements io.Writer.
func (l adminLog) Write(line []byte) (int, error) {
	l.logger.Debug("admin port", "message", string(line))
	return len(line), nil
}
