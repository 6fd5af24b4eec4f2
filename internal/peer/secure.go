package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
)

// ErrTLS says that two brokers did not agree on TLS: one of them has none, or does not believe the other's certificate.
var ErrTLS = errors.New("no TLS between these brokers")

// secure shakes hands over TLS, where this host speaks it. address is what was dialed; "" on the side that accepted.
func (h *Host) secure(ctx context.Context, raw net.Conn, address string) (net.Conn, error) {
	if h.opts.TLS == nil {
		return raw, nil
	}
	config, err := h.opts.TLS()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTLS, err)
	}
	conn := tls.Server(raw, config)
	if address != "" {
		config = config.Clone()
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			return nil, err
		}
		conn = tls.Client(raw, config)
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		if address == "" {
			drain(raw)
		}
		// Not wrapped: the end of a connection within it would read as a proof that the other process is gone.
		return nil, fmt.Errorf("%w: %s: %v", ErrTLS, advice(err), err) //nolint:errorlint // see above
	}
	return conn, nil
}

// maxDrained bounds what is read of a dialer that was refused: its hello, and the rest of its handshake.
const maxDrained = 64 << 10

// drain reads what a dialer that was refused has sent, until it hangs up or its time is over: closed with bytes unread the connection would be reset, and the dialer
// would not hear why.
func drain(raw net.Conn) {
	if half, ok := raw.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return // it is gone
		}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(raw, maxDrained)) // whatever ends it
}

// advice says what is to be looked at.
func advice(err error) string {
	var (
		plain tls.RecordHeaderError
		cert  *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &plain):
		return "the other side speaks without: all brokers of a cluster must have TLS, or none"
	case errors.As(err, &cert):
		return "the other broker's certificate is not good here: it must come from an authority that this broker believes, be valid now, and name the host that was dialed"
	case isAlert(err):
		return refused
	case errors.Is(err, io.EOF):
		return "the other side ended it: it speaks without TLS, or refused this broker's certificate"
	}
	return "the handshake failed"
}

const refused = "the other broker refused this broker's certificate: it must come from an authority that the other believes, be valid now, and name the host that was dialed"

// isAlert reports whether the other side said what is wrong.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error" // as crypto/tls has it
}

// refusedCertificate explains an error of the first read after a handshake: with TLS 1.3 whoever dialed learns only then that his certificate was refused.
func refusedCertificate(err error) error {
	if isAlert(err) {
		return fmt.Errorf("%w: %s: %w", ErrTLS, refused, err)
	}
	return err
}
