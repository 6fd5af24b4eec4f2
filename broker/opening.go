package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/tiering/objstore/open"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
	"github.com/tidelinehq/tideline/wal"
)

// listen takes the addresses first: a port that is in use should be known before
// anything else happens.
func (b *Broker) listen(ctx context.Context) error {
	for _, l := range b.cfg.Listeners {
		bound, err := b.deps.Listen(ctx, l.Address())
		if err != nil {
			return fmt.Errorf("listeners: %w", err)
		}
		b.kafka = append(b.kafka, bound)
	}
	if b.cfg.HTTPListener == "" {
		return nil
	}
	bound, err := b.deps.Listen(ctx, b.cfg.HTTPListener)
	if err != nil {
		return fmt.Errorf("http.listener: %w", err)
	}
	b.http = bound
	if err := b.checkAdminPort(bound.Addr()); err != nil {
		return err
	}
	if b.cfg.HTTPCertificate == "" {
		return nil
	}
	b.adminTLS, err = newTLSFiles(&tlsFiles{
		certificate: b.cfg.HTTPCertificate, key: b.cfg.HTTPKey, minVersion: tls.VersionTLS12, logger: b.logger.With("part", "http"),
	})
	if err != nil {
		return fmt.Errorf("http.ssl.certificate: %w", err)
	}
	return nil
}

// openPeers opens the internal port.
func (b *Broker) openPeers(ctx context.Context) error {
	if _, err := rand.Read(b.incarnation[:]); err != nil {
		return fmt.Errorf("name this process: %w", err)
	}
	if len(b.cfg.ClusterSeeds) == 0 {
		return nil
	}
	bound, err := b.deps.Listen(ctx, b.cfg.RPCListener)
	if err != nil {
		return fmt.Errorf("rpc.listener: %w", err)
	}
	secure, err := b.openPeerTLS()
	if err != nil {
		return errors.Join(fmt.Errorf("peer.tls.certificate: %w", err), bound.Close())
	}
	b.peers = peer.New(peer.Options{
		TLS:  secure,
		Node: b.cfg.NodeID, Incarnation: b.incarnation, Listener: bound, Dialer: b.deps.Dial, Cluster: b.clusterID,
		Logger: b.logger.With("part", "peers"),
	})
	b.peers.Start()
	return nil
}

// openPeerTLS reads the files of the TLS between brokers; nil where they have none.
func (b *Broker) openPeerTLS() (func() (*tls.Config, error), error) {
	if b.cfg.PeerTLSCertificate == "" {
		return nil, nil
	}
	var err error
	b.peerTLS, err = newTLSFiles(&tlsFiles{
		certificate: b.cfg.PeerTLSCertificate, key: b.cfg.PeerTLSKey, ca: b.cfg.PeerTLSCA, minVersion: tls.VersionTLS13,
		logger: b.logger.With("part", "peers"),
	})
	return b.peerTLS.current, err
}

// clusterID is that of the metadata, empty while they are not known.
func (b *Broker) clusterID() string {
	if m := b.opened.Load(); m != nil {
		return m.Image().ClusterID()
	}
	return ""
}

// openState opens the Raft state and the write-ahead log, side by side.
func (b *Broker) openState(ctx context.Context) error {
	opened := make(chan error, 1)
	go func() { opened <- b.openMetadata(ctx) }()
	sync := wal.SyncAlways
	if b.cfg.WALSync == "os" {
		sync = wal.SyncOS
	}
	var err error
	b.log, err = wal.Open(wal.Options{
		FS: b.fs, Dir: filepath.Join(b.cfg.DataDir, "wal"), Sync: sync,
		FileBytes: b.cfg.WALFileBytes, MaxBytes: b.cfg.WALMaxBytes, TailBytes: b.cfg.WALTailBytes, DirectIO: b.cfg.WALDirectIO,
		OnRoll: b.rolled, OnFatal: b.fail, Logger: b.logger.With("part", "wal"), Registerer: b.registry, Tracer: b.walTracer(),
	})
	return errors.Join(err, <-opened)
}

// openMetadata opens the Raft state, and finds or makes the cluster where there is none yet.
func (b *Broker) openMetadata(ctx context.Context) error {
	o := metadata.Options{
		NodeID: b.cfg.NodeID, HeartbeatTimeout: b.cfg.ControllerElectionTimeout, Log: b.deps.MetadataLog, Now: b.now,
		OnFatal: b.fail, Logger: b.logger.With("part", "metadata"), Registerer: b.registry,
	}
	if b.peers != nil {
		o.Peers, o.Advertise = b.peers, b.rpcAdvertised()
	}
	if o.Log == nil {
		o.Dir = filepath.Join(b.cfg.DataDir, "metadata")
	}
	if b.peers != nil && o.Log == nil {
		o.Seeds = &metadata.Seeds{
			Peers: b.peers, NodeID: b.cfg.NodeID, Addresses: b.cfg.ClusterSeeds, Voters: int(b.cfg.ControllerVoters), Logger: o.Logger,
		}
	}
	store, err := metadata.Open(ctx, o)
	if err != nil {
		return err
	}
	b.opened.Store(store)
	b.meta = newMetadataHandle(store)
	return nil
}

// rpcAdvertised is rpc.advertised, with the port that the system chose where that is 0.
func (b *Broker) rpcAdvertised() string {
	host, port, err := net.SplitHostPort(b.cfg.RPCAdvertised)
	if err != nil || port != "0" {
		return b.cfg.RPCAdvertised
	}
	_, bound, err := net.SplitHostPort(b.peers.Addr().String())
	if err != nil {
		return b.cfg.RPCAdvertised
	}
	return net.JoinHostPort(host, bound)
}

// rolled is called by the write-ahead log, maybe before the replicas exist: then
// recovery has not opened anything that could have a state to save.
func (b *Broker) rolled(logs []*wal.Partition) {
	select {
	case <-b.ready:
		b.replicas.rolled(logs)
	case <-b.run.Done():
	}
}

// storeCheckTimeout bounds the look at the object store at start. A store that is
// away is no reason not to serve.
const storeCheckTimeout = 3 * time.Second

func (b *Broker) openStore(ctx context.Context) error {
	logger := b.logger.With("part", "object_store")
	options := retry.Options{Logger: logger, Registerer: b.registry, Tracer: b.tracer}
	var err error
	// Uploads and cold reads have connections and retry budgets of their own.
	if b.uploads, err = b.deps.Store(ctx, options); err != nil {
		return err
	}
	if b.reads, err = b.deps.Store(ctx, options); err != nil {
		return err
	}
	check, cancel := context.WithTimeout(ctx, storeCheckTimeout)
	defer cancel()
	if err := open.Wait(check, b.uploads, logger); err != nil {
		if check.Err() == nil {
			return fmt.Errorf("object.store %s: %w", b.cfg.ObjectStore, err)
		}
		logger.WarnContext(ctx, "the object store does not answer; the broker serves what is on its disk and uploads later", "error", err)
	}
	return nil
}
