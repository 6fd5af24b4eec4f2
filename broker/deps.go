package broker

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/open"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
)

// Deps are a broker's doors to the world. A field that is not set is the real thing, so
// that the zero value is what a process of its own needs; a simulation gives its own.
type Deps struct {
	// FS holds the write-ahead log, the spool and the cache.
	FS vfs.FS
	// Listen opens a port at HOST:PORT, for Kafka clients, HTTP and other brokers.
	Listen func(ctx context.Context, address string) (net.Listener, error)
	// Dial opens a connection to another broker's HOST:PORT.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// Store opens the object store, with what retries are to use. It is called once for
	// uploads and once for reads.
	Store func(ctx context.Context, o retry.Options) (objstore.Store, error)
	// MetadataLog replaces the Raft log. Then there is none on the disk, and no seeds are
	// asked: who the members are is the log's business.
	MetadataLog func(quorum.StateMachine) (quorum.Log, error)
	// Now is the clock of timestamps, sessions and retention. Timers run by the process's.
	Now func() time.Time
}

func (d *Deps) setDefaults(cfg *config.Config) {
	if d.FS == nil {
		d.FS = vfs.OS()
	}
	if d.Listen == nil {
		d.Listen = func(ctx context.Context, address string) (net.Listener, error) {
			return new(net.ListenConfig).Listen(ctx, "tcp", address)
		}
	}
	if d.Dial == nil {
		d.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
	}
	if d.Store == nil {
		d.Store = func(ctx context.Context, o retry.Options) (objstore.Store, error) {
			lowest := uint16(tls.VersionTLS12)
			if cfg.ObjectStoreTLSMinVersion == "TLSv1.3" {
				lowest = tls.VersionTLS13
			}
			secure, err := open.ReadTLS(cfg.ObjectStoreCAFile, lowest)
			if err != nil {
				return nil, fmt.Errorf("object.store.ca.file: %w", err)
			}
			return open.Open(ctx, cfg.ObjectStore, open.Options{Retry: o, TLS: secure})
		}
	}
	if d.Now == nil {
		d.Now = time.Now
	}
}
