package hostile

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker"
	brokerapi "github.com/tidelinehq/tideline/broker/api"
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/memnet"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
)

// victim is the topic that grown requests are about.
const victim = "victim"

const (
	// worldLife is after how many requests a world is replaced: some of them create what
	// stays, and a broker is entitled to grow with that.
	worldLife = 5000
	// checkEvery is how often it is looked at what a request may have left behind.
	checkEvery = 250
	// strayGoroutines are how many more a broker may have than when it was new: of
	// topics, groups and transactions that requests have made.
	strayGoroutines = 64
	// parkPatience is how long a request is waited for that may wait for others.
	parkPatience = 3 * time.Millisecond
)

// world is a broker with its disk, its network and its object store in memory, and one
// client.
type world struct {
	b          *broker.Broker
	client     *memnet.Host
	conn       *conn // nil: the broker closed it
	control    *conn
	id         [16]byte // of the victim
	panicked   atomic.Pointer[string]
	requests   int
	goroutines int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	network := memnet.New(1, memnet.Link{})
	host, err := network.Attach("10.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	if w.client, err = network.Attach("10.0.0.9"); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{
		Machine: config.Machine{MemoryBytes: 256 << 20, DiskBytes: func(string) int64 { return 1 << 40 }, Hostname: func() (string, error) { return "10.0.0.1", nil }},
		Set: []string{
			"listeners=PLAINTEXT://10.0.0.1:9092,SASL_PLAINTEXT://10.0.0.1:9094", "sasl.enabled.mechanisms=" + strings.Join(provable, ","),
			`listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="` + secret + `";`,
			"connection.failed.authentication.delay.ms=0", "delegation.token.secret.key=" + secret,
			"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS",
			"http.listener=10.0.0.1:8080", "http.allow.unauthenticated=true", "rpc.listener=10.0.0.1:9093", "data.dir=/node",
			"wal.direct.io=false", "wal.max.bytes=268435456", "wal.file.bytes=16777216", "wal.tail.bytes=4194304", "cache.memory.bytes=4194304",
			"cache.disk.bytes=0", "group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=2", "transaction.state.log.num.partitions=2",
			"share.coordinator.state.topic.num.partitions=2",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	store := memstore.New(nil)
	w.b, err = broker.NewWith(cfg, slog.New(panicWatch{w}), prometheus.NewRegistry(), broker.Deps{
		FS: memfs.New(0), Listen: host.Listen, Dial: host.Dial,
		Store: func(_ context.Context, o retry.Options) (objstore.Store, error) { return retry.Wrap(store, o) },
		MetadataLog: func(m quorum.StateMachine) (quorum.Log, error) {
			return quorum.NewGroup().Join(metadata.MemberID(cfg.NodeID), m, true), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.control = w.dial(t, openPort)
	w.ensureVictim(t)
	w.goroutines = runtime.NumGoroutine()
	return w
}

func (w *world) stop(tb testing.TB) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.b.Stop(ctx); err != nil {
		tb.Errorf("stop: %v", err)
	}
}

// The ports: one for everybody, and one for those who prove who they are.
const (
	openPort  = "9092"
	provePort = "9094"
)

// provable are the mechanisms of the second port.
var provable = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}

// secret is what nothing that leaves the broker may have in it.
const secret = "sesame-open-4711"

func (w *world) dial(t *testing.T, port string) *conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := w.client.Dial(ctx, "10.0.0.1:"+port)
	if err != nil {
		t.Fatalf("the broker takes no connection: %v", err)
	}
	return &conn{Conn: c}
}

// ensureVictim creates the topic unless it is there.
func (w *world) ensureVictim(t *testing.T) {
	t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis = 7, 10_000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = victim, 2, 1
	req.Topics = append(req.Topics, rt)
	call[*kmsg.CreateTopicsResponse](t, w.control, req)
	meta := kmsg.NewPtrMetadataRequest()
	meta.Version = 12
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = kmsg.StringPtr(victim)
	meta.Topics = append(meta.Topics, mt)
	w.id = call[*kmsg.MetadataResponse](t, w.control, meta).Topics[0].TopicID
}

// parks are the APIs whose requests may wait for other clients, for as long as they say
// themselves.
var parks = map[int16]bool{1: true, 11: true, 14: true, 78: true}

// try sends one request and looks at what comes of it: a reply that can be read or the end
// of the connection, no panic, and no more memory than the request was admitted with.
func (w *world) try(t *testing.T, a api, body []byte) {
	t.Helper()
	w.requests++
	if w.conn == nil {
		w.conn = w.connect(t, a.key)
	}
	wait := patience
	if parks[a.key] {
		wait = parkPatience
	}
	before := allocated()
	w.conn.send(t, a.key, a.version, body)
	var reply []byte
	var err error
	if a.key == wire.KeyProduce && noAcks(a, body) {
		err = errSilent // by design
	} else {
		reply, err = w.conn.receiveWithin(wait, a.key, a.version)
	}
	if err == nil {
		cost := allocated() - before
		if limit := costLimit(a, body, len(reply)); cost > limit {
			t.Fatalf("%s v%d: a request of %d bytes allocates %d KiB, the limit is %d KiB\nrequest %x", wire.KeyName(a.key), a.version, len(body), cost>>10, limit>>10, clip(body))
		}
		resp := kmsg.ResponseForKey(a.key)
		resp.SetVersion(a.version)
		if bytes.Contains(reply, []byte(secret)) {
			t.Fatalf("%s v%d: a secret is in the reply\nrequest %x\nreply %q", wire.KeyName(a.key), a.version, clip(body), reply)
		}
		if err := resp.ReadFrom(reply); err != nil {
			t.Fatalf("%s v%d: the reply does not decode: %v\nrequest %x\nreply %x", wire.KeyName(a.key), a.version, err, clip(body), clip(reply))
		}
	} else {
		if err == errSilent && wait == patience {
			err = nil // nothing is to come
		}
		w.conn.close()
		w.conn = nil
		if err != nil && !isEnd(err) && !parks[a.key] {
			t.Fatalf("%s v%d: %v\nrequest %x", wire.KeyName(a.key), a.version, err, clip(body))
		}
	}
	if p := w.panicked.Load(); p != nil {
		t.Fatalf("%s v%d: %s\nrequest %x", wire.KeyName(a.key), a.version, *p, clip(body))
	}
	if w.requests%checkEvery == 0 {
		w.check(t)
	}
}

// connect opens a connection on which the API means something: a proof has been begun
// where its next step is to be fuzzed.
func (w *world) connect(t *testing.T, key int16) *conn {
	t.Helper()
	switch key {
	case keySASLHandshake:
		return w.dial(t, provePort)
	case keySASLAuthenticate:
		c := w.dial(t, provePort)
		begin := kmsg.NewPtrSASLHandshakeRequest()
		begin.Version, begin.Mechanism = 1, provable[w.requests%len(provable)]
		if code := call[*kmsg.SASLHandshakeResponse](t, c, begin).ErrorCode; code != 0 {
			t.Fatalf("handshake: code=%d", code)
		}
		return c
	}
	return w.dial(t, openPort)
}

const (
	keyCreateTopics     = 19
	keyCreatePartitions = 37
	keySASLHandshake    = 17
	keySASLAuthenticate = 36
)

func isEnd(err error) bool { return err == errClosed }

// check looks at what all requests have left behind: the broker answers, and no goroutine
// is left of a connection that has gone.
func (w *world) check(t *testing.T) {
	t.Helper()
	if w.conn != nil {
		w.conn.close()
		w.conn = nil
	}
	w.ensureVictim(t)
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > w.goroutines+strayGoroutines {
		select {
		case <-tick.C:
		case <-deadline:
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines=%d, the new broker had %d\n%s", runtime.NumGoroutine(), w.goroutines, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// What a request may allocate in all, which is more than what it has at any time: a
// multiple of what it was admitted with, of its own bytes and of its reply's, and a sum
// for what goes on beside it.
const (
	costFactor = 4
	costFloor  = 64 << 20 // the disk is in memory, too
	// costBomb is for Produce: the records of a batch are decompressed up to a bound,
	// into room that doubles.
	costBomb = 192 << 20
	// costMade is for what stays: a hundred thousand partitions, which one request may make.
	costMade = 2 << 30
)

func costLimit(a api, body []byte, reply int) uint64 {
	admitted, _ := brokerapi.Admitted(a.key, a.version, body)
	limit := costFloor + costFactor*(uint64(admitted)+uint64(len(body))+uint64(reply))
	switch a.key {
	case wire.KeyProduce:
		limit += costBomb
	case keyCreateTopics, keyCreatePartitions:
		limit += costMade
	}
	return limit
}

// allocated is how many bytes this process has allocated so far.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// panicWatch is a log in which only panics matter.
type panicWatch struct{ w *world }

func (p panicWatch) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelError
}
func (p panicWatch) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p panicWatch) WithGroup(string) slog.Handler      { return p }

func (p panicWatch) Handle(_ context.Context, r slog.Record) error {
	if !strings.Contains(r.Message, "panic") {
		return nil
	}
	var text strings.Builder
	fmt.Fprintln(&text, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&text, "%s=%s\n", a.Key, a.Value)
		return true
	})
	s := text.String()
	p.w.panicked.CompareAndSwap(nil, &s)
	return nil
}
