package s3proto

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

const (
	// DefaultMaxConns bounds the connections of one store. Callers beyond it wait in the transport, within their attempt's timeout.
	DefaultMaxConns = 64

	dialTimeout     = 5 * time.Second
	keepAlive       = 15 * time.Second
	tlsTimeout      = 10 * time.Second
	idleTimeout     = 50 * time.Second // below the 60 s after which common load balancers drop idle connections silently
	headerTimeout   = 60 * time.Second // from the end of the request to the first byte of the answer; attempts have shorter ones
	continueTimeout = 1 * time.Second

	// socketBuffer is what is handed to the socket at once. The 4 KiB default costs a system call for every 4 KiB of a PUT.
	socketBuffer = 64 << 10

	maxHeaderBytes = 64 << 10
)

// NewTransport makes the HTTP transport of one store. HTTP/1.1 only: one stream of HTTP/2 would share flow control and head-of-line
// blocking among all transfers. maxConns 0 is DefaultMaxConns;
// secure nil is what Config.TLS says of it.
func NewTransport(maxConns int, secure *tls.Config) *http.Transport {
	if maxConns == 0 {
		maxConns = DefaultMaxConns
	}
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        secure,
		TLSHandshakeTimeout:    tlsTimeout,
		MaxIdleConns:           maxConns,
		MaxIdleConnsPerHost:    maxConns,
		MaxConnsPerHost:        maxConns,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  headerTimeout,
		ExpectContinueTimeout:  continueTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // else the transport would ask for gzip and hide the length
		WriteBufferSize:        socketBuffer,
		ReadBufferSize:         socketBuffer,
	}
}
