package broker

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
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
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
		// A client that does not believe the certificate is worth a line for who looks for it, and no alarm.
		ErrorLog: log.New(adminLog{b.logger.With("part", "http")}, "", 0),
	}
}

// serveAdmin serves the admin port until it is closed.
func (b *Broker) serveAdmin() error {
	l := b.http
	if b.adminTLS != nil {
		l = tls.NewListener(l, &tls.Config{
			MinVersion:         b.adminTLS.minVersion,
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return b.adminTLS.current() },
		})
	}
	return b.web.Serve(l)
}

// adminLog writes what net/http has to say.
type adminLog struct{ logger *slog.Logger }

// Write implements io.Writer.
func (l adminLog) Write(line []byte) (int, error) {
	l.logger.Debug("admin port", "message", string(line))
	return len(line), nil
}
