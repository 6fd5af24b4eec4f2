package broker

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"slices"
	"sync"

	"github.com/tidelinehq/tideline/broker/telemetry"
	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
)

// adminHandler serves metrics, health and the admin API.
func (b *Broker) adminHandler() http.Handler {
	mux := telemetry.NewAdminMux(telemetry.AdminOptions{
		Listener: b.http.Addr(), Gatherer: b.registry, Logger: b.logger,
		Healthy: b.healthy,
		Ready:   b.isReady,
	})
	mux.HandleFunc("GET "+inSyncPath, b.inSyncProbe)
	mux.HandleFunc("GET "+adminapi.TierStatusPath, b.tierStatus)
	mux.HandleFunc("GET "+adminapi.TierVerifyPath, b.tierVerify)
	b.clusterRoutes(mux)
	b.roleRoutes(mux)
	return mux
}

var (
	errStopping = errors.New("the broker is stopping")
	errStarting = errors.New("the broker is starting")
	errNoLeader = errors.New("the metadata group has no leader")
)

func (b *Broker) healthy() error {
	if b.run.Err() != nil {
		return errStopping
	}
	return nil
}

func (b *Broker) isReady() error {
	select {
	case <-b.ready:
	default:
		return errStarting
	}
	if b.stopping.Load() {
		return errStopping // it hands over, and still answers: whoever asks before he connects goes elsewhere
	}
	if b.meta.Controller() < 0 {
		return errNoLeader
	}
	return b.healthy()
}

// chosen returns whether a topic was asked for; none means all.
func chosen(r *http.Request) func(topic string) bool {
	topics := r.URL.Query()["topic"]
	return func(topic string) bool { return len(topics) == 0 || slices.Contains(topics, topic) }
}

func (b *Broker) tierStatus(w http.ResponseWriter, r *http.Request) {
	image := b.meta.Image()
	s := adminapi.TierStatus{ObjectStore: b.cfg.ObjectStore, Partitions: []adminapi.TierPartition{}}
	want := chosen(r)
	objects := map[[16]byte]struct{}{}
	for t, p := range image.AllPartitions() {
		l := &p.Ledger
		if !want(t.Name) {
			continue
		}
		part := adminapi.TierPartition{
			Topic: t.Name, Partition: p.Index, LogStart: l.LogStart, TieredEnd: l.Tiered, CleanedEnd: l.Cleaned, End: -1,
			Segments: l.Segments, StoredBytes: l.StoredBytes, LogBytes: l.LogBytes,
		}
		if led := b.table.Get(t.Name, p.Index); led != nil {
			part.End = led.HighWatermark()
			pending, _ := led.Pending()
			s.PendingBytes += pending
		}
		for i := range l.Hot {
			objects[l.Hot[i].Object] = struct{}{}
		}
		s.StoredBytes += l.StoredBytes
		s.LogBytes += l.LogBytes
		s.Partitions = append(s.Partitions, part)
	}
	s.Objects = int64(len(objects))
	for g := range image.Garbage() {
		s.GarbageObjects++
		s.GarbageBytes += g.Bytes
	}
	s.OpenUploads = int64(image.IntentCount())
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(&s); err != nil {
		b.logger.DebugContext(r.Context(), "tier status was not read to its end", "error", err)
	}
}

// audited shows the ledgers of chosen topics to a verification.
type audited struct {
	*ledger
	want func(topic string) bool
}

var _ tiering.Audited = audited{}

// Ledgers implements tiering.Audited.
func (a audited) Ledgers() iter.Seq2[manifest.ID, manifest.Ledger] {
	return func(yield func(manifest.ID, manifest.Ledger) bool) {
		image := a.meta.Image()
		for t, p := range image.AllPartitions() {
			if a.want(t.Name) && !yield(manifest.ID{Topic: p.Topic, Partition: p.Index}, toLedger(&p.Ledger)) {
				return
			}
		}
		for purge := range image.Purges() {
			for p := range image.PurgePartitions(purge) {
				if a.want(purge.Name) && !yield(manifest.ID{Topic: p.Topic, Partition: p.Index}, toLedger(&p.Ledger)) {
					return
				}
			}
		}
	}
}

// Unreferenced implements tiering.Audited.
func (a audited) Unreferenced() iter.Seq[[16]byte] {
	return func(yield func([16]byte) bool) {
		image := a.meta.Image()
		for i := range image.Intents() {
			if !yield(i.Object) {
				return
			}
		}
		for g := range image.Garbage() {
			if !yield(g.Object) {
				return
			}
		}
	}
}

func (b *Broker) tierVerify(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl")
	out := &verifyStream{out: json.NewEncoder(w), flush: http.NewResponseController(w)}
	l := &ledger{meta: b.meta, nodeID: b.cfg.NodeID, now: b.now}
	all := len(r.URL.Query()["topic"]) == 0
	report, err := tiering.Verify(r.Context(), tiering.VerifyOptions{
		Ledger: audited{l, chosen(r)}, Store: b.reads, Locator: b.locator, Blocks: true, Orphans: all,
		Progress: out.progress,
	})
	image := b.meta.Image()
	for i := range report.Found {
		out.finding(image, &report.Found[i])
	}
	out.end(&report, err)
}

// verifyStream writes the events of one verification.
type verifyStream struct {
	mu    sync.Mutex
	out   *json.Encoder
	flush *http.ResponseController
	last  adminapi.VerifyEvent
}

func (s *verifyStream) send(e adminapi.VerifyEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = e
	s.last.Fault = nil
	// A client that went away ends the verification through its context.
	if s.out.Encode(&e) == nil {
		_ = s.flush.Flush()
	}
}

func (s *verifyStream) progress(p tiering.VerifyProgress) {
	s.send(adminapi.VerifyEvent{Segments: p.Segments, TotalSegments: p.All, Bytes: p.Bytes, Faults: p.Findings})
}

func (s *verifyStream) finding(image *metadata.Image, f *tiering.Finding) {
	e := s.last
	fault := adminapi.VerifyFault{
		Topic: hex.EncodeToString(f.Partition.Topic[:]), Partition: f.Partition.Partition,
		Object: f.Key, Base: f.Base, End: f.End, Problem: string(f.Kind),
	}
	if t, ok := image.TopicByID(f.Partition.Topic); ok {
		fault.Topic = t.Name
	}
	if f.Err != nil {
		fault.Problem += ": " + f.Err.Error()
	}
	e.Fault = &fault
	s.send(e)
}

func (s *verifyStream) end(r *tiering.VerifyReport, err error) {
	e := s.last
	e.Done, e.Faults = true, r.Findings
	e.Segments, e.TotalSegments, e.Bytes = r.Segments, r.All, r.Bytes
	if err != nil {
		e.Failure = err.Error()
	}
	s.send(e)
}
