package clientmetrics

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/tidelinehq/tideline/internal/record"
)

// MaxInstances bounds the instances of clients that are known at a time, as in Kafka.
const MaxInstances = 16_384

// decompressing bounds the bytes that all pushes together may take while they are
// read: decompressed, taken apart, and put together with what is spliced in.
const (
	decompressing   = 64 << 20
	copies          = 4
	attributesBytes = 128 << 10 // those of one resource, whatever the client calls itself
)

// Sink takes what is to be exported. It must not block; false: dropped.
type Sink interface {
	Offer(metrics []byte) bool
}

// Options make a Manager.
type Options struct {
	MaxBytes int // telemetry.max.bytes
	NodeID   int32
	Sink     Sink // nil: nothing is exported
	// ClusterID is told with the metrics; it is asked for with each push.
	ClusterID  func() string
	Registerer prometheus.Registerer // nil: no metrics
}

// Manager knows the instances of clients and what is wanted of each.
type Manager struct {
	options Options
	memory  *semaphore.Weighted
	metrics *metrics

	mu            sync.Mutex
	subscriptions []Subscription       // guarded by mu
	generation    uint64               // guarded by mu; grows with each change of subscriptions
	instances     map[ID]*list.Element // guarded by mu; of *instance
	order         *list.List           // guarded by mu; heard of last: in front
	conns         map[uint64]ID        // guarded by mu; the instance that each connection made last
	watched       map[uint64]struct{}  // guarded by mu; connections whose end is told
	version       uint64               // guarded by mu; what SetSubscriptions was last told
}

// NewManager returns a manager without subscriptions.
func NewManager(o Options) *Manager {
	m := &Manager{
		options: o, memory: semaphore.NewWeighted(decompressing), generation: 1,
		instances: map[ID]*list.Element{}, order: list.New(), conns: map[uint64]ID{}, watched: map[uint64]struct{}{},
	}
	m.metrics = newMetrics(m, o.Registerer)
	return m
}

// Exports tells whether there is somebody to export to, so that clients should push.
func (m *Manager) Exports() bool { return m.options.Sink != nil }

// SetSubscriptions replaces the subscriptions, unless version is that of the last call or older. read is
// called only when it is newer.
func (m *Manager) SetSubscriptions(version uint64, read func() []Subscription) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if version <= m.version {
		return
	}
	m.version = version
	m.subscriptions = read()
	m.generation++
}

// Wanted is the answer to a client that asks what is wanted of it.
type Wanted struct {
	ID             ID
	SubscriptionID int32
	Metrics        []string
	Codecs         []int8 // the preferred one first
	Interval       time.Duration
	MaxBytes       int32
}

// codecs that clients may push with, the preferred one first, as in Kafka. No compression is taken as well.
var codecs = []int8{int8(record.Zstd), int8(record.LZ4), int8(record.Gzip), int8(record.Snappy)}

func supported(id int8) bool { return id == int8(record.None) || slices.Contains(codecs, id) }

// Get answers GetTelemetrySubscriptions. An id of zeros asks for a new one.
func (m *Manager) Get(c Client, id ID, now time.Time) (Wanted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id == (ID{}) {
		id = m.newID()
	}
	i := m.instance(c, id, now)
	if !i.mayGet(now) {
		m.metrics.throttled.Inc()
		return Wanted{}, fmt.Errorf("%w: client_instance_id=%s interval=%s", ErrTooOften, i.id, i.interval)
	}
	i.again = false
	return Wanted{
		ID: id, SubscriptionID: i.subscriptionID, Metrics: i.metrics, Codecs: codecs,
		Interval: i.interval, MaxBytes: int32(m.options.MaxBytes),
	}, nil
}

// Push is one push of metrics.
type Push struct {
	ID             ID
	SubscriptionID int32
	Terminating    bool
	Codec          int8
	Metrics        []byte
}

// Push answers PushTelemetry: it checks what is pushed and hands it to the exporter.
func (m *Manager) Push(ctx context.Context, c Client, p *Push, now time.Time) error {
	if p.ID.reserved() {
		return ErrInvalidID
	}
	m.mu.Lock()
	i := m.instance(c, p.ID, now)
	err := i.check(p, m.options.MaxBytes, now)
	m.note(i, err)
	m.mu.Unlock()
	if err != nil || len(p.Metrics) == 0 {
		return err
	}
	err = m.export(ctx, i, c, p)
	m.mu.Lock()
	m.note(i, err)
	m.mu.Unlock()
	return err
}

// note takes down how a push ended.
func (m *Manager) note(i *instance, err error) {
	i.again = errors.Is(err, ErrUnknownSubscription) || errors.Is(err, ErrCodec)
	switch {
	case errors.Is(err, ErrTooOften):
		m.metrics.throttled.Inc()
	case errors.Is(err, ErrUnknownSubscription):
		m.metrics.unknown.Inc()
	}
}

// export decompresses, checks and hands on. It runs on the caller's goroutine.
func (m *Manager) export(ctx context.Context, i *instance, c Client, p *Push) error {
	limit := min(m.options.MaxBytes, decompressing/copies)
	weight := int64(copies * limit)
	if err := m.memory.Acquire(ctx, weight); err != nil {
		return err
	}
	defer m.memory.Release(weight)
	raw, err := record.Codec(p.Codec).Decompress(nil, p.Metrics, limit)
	if err != nil {
		m.metrics.refused.Inc()
		if errors.Is(err, record.ErrTooLarge) {
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		}
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if m.options.Sink == nil {
		return nil
	}
	stamped, err := Stamp(raw, m.attributes(i, c), 2*limit+attributesBytes)
	if err != nil {
		m.metrics.refused.Inc()
		return err
	}
	m.metrics.pushes.Inc()
	if len(stamped) > 0 && !m.options.Sink.Offer(stamped) {
		m.metrics.dropped.Inc()
	}
	return nil
}

// attributes say where metrics come from.
func (m *Manager) attributes(i *instance, c Client) []Attribute {
	a := []Attribute{
		{string(attributeInstance), i.id.String()},
		{string(attributeAddress), c.Address},
		{string(attributePort), strconv.Itoa(c.Port)},
		{"principal", c.Principal},
		{"broker_id", strconv.Itoa(int(m.options.NodeID))},
	}
	if c.HasClientID {
		a = append(a, Attribute{string(attributeClientID), c.ClientID})
	}
	if c.SoftwareName != "" {
		a = append(a, Attribute{string(attributeSoftwareName), c.SoftwareName})
	}
	if c.SoftwareVersion != "" {
		a = append(a, Attribute{string(attributeSoftwareVersion), c.SoftwareVersion})
	}
	if m.options.ClusterID != nil {
		a = append(a, Attribute{"cluster_id", m.options.ClusterID()})
	}
	return a
}

// instance returns the state of an instance, computed anew when it is not known, was silent for too long, or the
// subscriptions have changed.
func (m *Manager) instance(c Client, id ID, now time.Time) *instance {
	m.expire(now)
	e, known := m.instances[id]
	switch {
	case !known:
		for len(m.instances) >= MaxInstances {
			m.metrics.evicted.Inc()
			m.forget(m.order.Back())
		}
		e = m.order.PushFront(subscribe(id, c, m.subscriptions, m.generation))
		m.instances[id] = e
	case e.Value.(*instance).generation < m.generation:
		e.Value = subscribe(id, e.Value.(*instance).client, m.subscriptions, m.generation)
	}
	m.order.MoveToFront(e)
	i := e.Value.(*instance)
	i.expires = now.Add(max(minExpiry, 3*i.interval))
	if i.conn == 0 && c.Conn != 0 {
		i.conn = c.Conn
		m.conns[c.Conn] = id
	}
	return i
}

// expire forgets those that were silent for too long. Intervals differ, so one that is kept longer may hide others
// behind it for a while; there are never more than MaxInstances.
func (m *Manager) expire(now time.Time) {
	for e := m.order.Back(); e != nil && now.After(e.Value.(*instance).expires); e = m.order.Back() {
		m.forget(e)
	}
}

func (m *Manager) forget(e *list.Element) {
	i := e.Value.(*instance)
	delete(m.instances, i.id)
	m.order.Remove(e)
	if m.conns[i.conn] == i.id {
		delete(m.conns, i.conn)
	}
}

// Watch tells whether the end of a connection is still to be told to Disconnected. It does so once.
func (m *Manager) Watch(conn uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, watched := m.watched[conn]
	m.watched[conn] = struct{}{}
	return !watched
}

// Disconnected tells that a connection has ended, and with it the instance that it made last.
func (m *Manager) Disconnected(conn uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watched, conn)
	if id, ok := m.conns[conn]; ok {
		if e, there := m.instances[id]; there {
			m.forget(e)
		}
		delete(m.conns, conn)
	}
}

// newID makes an id that nobody has and whose text does not begin with a dash, which tools would take for a flag.
func (m *Manager) newID() (id ID) {
	for {
		_, _ = rand.Read(id[:]) // it never fails
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if _, taken := m.instances[id]; !taken && !id.reserved() && id.String()[0] != '-' {
			return id
		}
	}
}
