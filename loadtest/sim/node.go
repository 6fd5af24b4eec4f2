package sim

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/broker"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/memnet"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
)

// node is a machine: it has an address and a disk, and at most one process. All fields are guarded by
// cluster.mu, but what never changes.
type node struct {
	c       *cluster
	id      int32
	mem     *memfs.FS     // what is on the disk
	process *process      // nil: none
	life    int           // number of the process
	buried  chan struct{} // closed when the process before has noticed its end; nil: there was none
	dead    bool          // it must not be started again: the run is over
	log     *logTail
}

// process is one broker. A broker that was ended runs on, with its network gone, its object store shut and its disk
// thrown away, until it has noticed.
type process struct {
	n        *node
	b        *broker.Broker
	host     *memnet.Host
	disk     *disk
	gate     *gate
	registry *prometheus.Registry
	cancel   context.CancelFunc
	started  chan struct{} // closed when Start has returned
	err      error         // of Start

	mu     sync.Mutex // guards what follows
	member *member
	ended  bool
}

// logTail keeps the end of a node's log, over all of its processes.
type logTail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// logBytes is what is kept.
const logBytes = 4 << 20

func (l *logTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 2*logBytes {
		l.b.Next(l.b.Len() - logBytes)
	}
	return l.b.Write(b)
}

func (l *logTail) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.b.Bytes())
}

func (c *cluster) ip(id int32) string      { return fmt.Sprintf("10.0.0.%d", id) }
func (c *cluster) kafka(id int32) string   { return net.JoinHostPort(c.ip(id), "9092") }
func (c *cluster) private(id int32) string { return net.JoinHostPort(c.ip(id), "9093") }

// dataDir is where a machine keeps what is on its disk in memory and, with Options.RaftDir, its metadata on the real one.
func (c *cluster) dataDir(id int32) string {
	return filepath.Join("/", c.o.RaftDir, fmt.Sprintf("node%d", id))
}

func (c *cluster) web(id int32) string { return net.JoinHostPort(c.ip(id), "8080") }

// rollBytes is in keeping with the time after which a tail is uploaded anyway.
func (c *cluster) rollBytes() int64 { return 64<<10 + c.plan.Roll.Milliseconds()*100 }

// settings are those of every broker: small tiers, short times.
func (c *cluster) settings(id int32) []string {
	s := []string{
		fmt.Sprintf("node.id=%d", id), "data.dir=" + c.dataDir(id), "wal.direct.io=false", "object.store=s3://simulated/",
		"listeners=PLAINTEXT://" + c.kafka(id), "rpc.listener=" + c.private(id), "http.listener=" + c.web(id), "http.allow.unauthenticated=true",
		fmt.Sprintf("cluster.seeds=%s,%s,%s", c.private(1), c.private(2), c.private(3)), fmt.Sprintf("broker.rack=r%d", id%3),
		"wal.max.bytes=268435456", "wal.file.bytes=16777216", "wal.tail.bytes=4194304", "cache.memory.bytes=4194304", "cache.disk.bytes=0",
		"queued.max.request.bytes=16777216",
		fmt.Sprintf("tier.roll.ms=%d", max(c.plan.Roll.Milliseconds(), 500)), fmt.Sprintf("tier.roll.bytes=%d", c.rollBytes()), "tier.garbage.grace.ms=15000",
		"min.insync.replicas=2", "default.replication.factor=3", "replica.lag.time.max.ms=3000",
		"broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=300",
		"offsets.topic.num.partitions=3", "group.initial.rebalance.delay.ms=500",
		"leader.imbalance.check.interval.seconds=10",
	}
	return append(s, c.o.Set...)
}

// start starts a process where there is none.
func (n *node) start() {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.process != nil || n.dead {
		return
	}
	if err := n.launch(); err != nil {
		n.c.violate("start", "broker=%d: %v", n.id, err)
	}
}

// launch makes a process. The mutex is held.
func (n *node) launch() error {
	c := n.c
	n.life++
	p := &process{n: n, registry: prometheus.NewRegistry(), started: make(chan struct{})}
	host, err := c.net.Attach(c.ip(n.id))
	if err != nil {
		return err
	}
	p.host = host
	p.disk = newDisk(n.mem, c.plan.Seed^uint64(n.id)<<32^uint64(n.life))
	p.gate = &gate{inner: c.store}
	machine := config.Machine{
		MemoryBytes: 256 << 20, DiskBytes: func(string) int64 { return 1 << 40 },
		Hostname: func() (string, error) { return c.ip(n.id), nil },
	}
	cfg, err := config.Load(config.Sources{Set: c.settings(n.id), Machine: machine})
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: c.o.Level})).With("life", n.life)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.b, err = broker.NewWith(cfg, logger, p.registry, broker.Deps{
		FS: p.disk, Listen: host.Listen, Dial: host.Dial,
		Store:       func(_ context.Context, o retry.Options) (objstore.Store, error) { return retry.Wrap(p.gate, o) },
		MetadataLog: c.metadataLog(ctx, p),
	})
	if err != nil {
		cancel()
		return err
	}
	n.process = p
	before := n.buried
	c.work.Go(func() { p.run(ctx, before) })
	return nil
}

// metadataLog is where a process has its metadata; nil: where it has them in production.
func (c *cluster) metadataLog(ctx context.Context, p *process) func(quorum.StateMachine) (quorum.Log, error) {
	if c.o.RaftDir != "" {
		return nil
	}
	return func(m quorum.StateMachine) (quorum.Log, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ended {
			return nil, quorum.ErrClosed
		}
		p.member = c.ensemble.join(ctx, p.n.id, m)
		return p.member, nil
	}
}

// run starts the broker and waits for its end.
func (p *process) run(ctx context.Context, before <-chan struct{}) {
	if before != nil && p.n.c.o.RaftDir != "" {
		<-before // it has files open on the real disk
	}
	p.err = p.b.Start(ctx)
	close(p.started)
	err := p.err
	if err == nil {
		p.n.c.trace("broker=%d serves", p.n.id)
		err = p.b.Wait()
	}
	p.n.c.mu.Lock()
	current := p.n.process == p
	p.n.c.mu.Unlock()
	if err != nil && current {
		p.n.c.fell(p, err)
	}
}

// fell is for a broker that ended by itself: only its disk is a reason to.
func (c *cluster) fell(p *process, err error) {
	c.trace("broker=%d ended by itself: %v", p.n.id, err)
	c.mu.Lock()
	hurt := c.hurt[p.n.id] > 0
	c.mu.Unlock()
	if !hurt {
		c.violate("availability", "broker=%d ended by itself, with nothing wrong with its disk: %v", p.n.id, err)
	}
	p.n.end(Kill)
	c.restart(p.n, time.Second)
}

// end ends the process in one of the ways: Kill, Power, PowerAll, Wipe.
func (n *node) end(how Kind) {
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	p := n.process
	n.process = nil
	if p != nil {
		// In this order: nothing that it says after the disk was looked at is heard by anybody.
		if how == Kill {
			p.host.Kill()
		} else {
			p.host.Vanish()
		}
		p.gate.shut.Store(true)
		p.mu.Lock()
		p.ended = true
		member := p.member
		p.mu.Unlock()
		if member != nil {
			member.die()
		}
	}
	switch how {
	case Kill:
		n.mem = n.mem.Clone()
	case Wipe:
		if n.c.o.RaftDir != "" {
			break // the real disk keeps what it has
		}
		n.mem = memfs.New(n.c.o.DiskBytes)
	default:
		n.mem = n.mem.Crash(n.c.choose)
	}
	if p != nil {
		buried := make(chan struct{})
		n.buried = buried
		n.c.ghosts.Go(func() {
			defer close(buried)
			p.bury()
		})
	}
}

// bury waits until a process that was ended has noticed.
func (p *process) bury() {
	p.cancel()
	<-p.started
	if p.err != nil {
		return // Start has stopped it
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.b.Stop(ctx) // it has lost everything: errors are what is expected
}

// stop asks the process to stop, as an operator does, and waits for that.
func (n *node) stop(patience time.Duration) error {
	n.c.mu.Lock()
	p := n.process
	n.c.mu.Unlock()
	if p == nil {
		return nil
	}
	<-p.started
	if p.err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := p.b.Stop(ctx)
	n.c.mu.Lock()
	defer n.c.mu.Unlock()
	if n.process == p {
		n.process = nil
		p.host.Kill()
		p.gate.shut.Store(true)
		n.mem = n.mem.Clone()
	}
	return err
}
