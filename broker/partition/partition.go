package partition

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidelinehq/tideline/broker/trail"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// Errors of a partition. The api package turns them into Kafka's codes.
var (
	// ErrOffsetOutOfRange means that an offset lies below the log start or above
	// the log end.
	ErrOffsetOutOfRange = errors.New("offset out of range")
	// ErrCold means that an offset is not on this broker's disk any more: it is
	// served from the object store.
	ErrCold = errors.New("offset is in the object store only")
	// ErrStopped means that this broker does not lead the partition (any more).
	ErrStopped = errors.New("partition is not led by this broker")
	// ErrNotEnoughReplicas means that the ISR is smaller than min.insync.replicas,
	// so that an append with acks=all is refused.
	ErrNotEnoughReplicas = errors.New("fewer replicas are in sync than min.insync.replicas")
	// ErrUnfit means that a follower can not come into line while it is in the ISR.
	ErrUnfit = errors.New("follower must leave the isr before it begins anew")
	// ErrFencedEpoch and ErrUnknownEpoch answer a client whose view of the leader
	// epoch is older or newer than this broker's (KIP-320).
	ErrFencedEpoch  = errors.New("leader epoch is older than the current one")
	ErrUnknownEpoch = errors.New("leader epoch is newer than the current one")
)

// Settings are the topic settings that decide about an append.
type Settings struct {
	MaxMessageBytes    int           // greatest batch, bytes (max.message.bytes)
	LogAppendTime      bool          // message.timestamp.type
	TimestampBeforeMax time.Duration // message.timestamp.before.max.ms
	TimestampAfterMax  time.Duration // message.timestamp.after.max.ms
	Compacted          bool          // cleanup.policy contains compact: records need keys
	ProducerExpiry     time.Duration // producer.id.expiration.ms
	// Compression is that in which batches of clients are kept (compression.type); nil: as they came.
	Compression *record.Compression
}

// Options describe a partition to Open.
type Options struct {
	Topic    string
	ID       wal.ID
	Log      *wal.Log
	LogStart int64 // from the ledger
	Tiered   int64 // from the ledger: the end of what is in the object store
	Settings Settings
	Now      func() time.Time
	Logger   *slog.Logger
	// Restore returns the leader epochs and the producers' state, as Snapshot gave
	// them, at the end of what is in the object store. It is asked when this replica
	// shall lead and its local log is lost, and again when it did not know; nil: nothing is
	// known. It may be called from several goroutines.
	Restore func() (history []EpochStart, producers []byte, err error)
	// Trail remembers which traces wrote which offsets; nil: nothing is traced.
	Trail *trail.Trail
}

// Partition is one partition's replica. See the package comment for its
// invariants.
type Partition struct {
	topic    string
	id       wal.ID
	log      *wal.Partition
	now      func() time.Time
	logger   *slog.Logger
	trail    *trail.Trail // nil: off
	settings atomic.Pointer[Settings]

	logStart  atomic.Int64 // at most the high watermark; follows wantStart
	wantStart atomic.Int64 // the log start as the ledger has it
	tiered    atomic.Int64
	highWater atomic.Int64
	stable    atomic.Int64 // last stable offset; written with acks held
	end       atomic.Int64 // log end offset: the next to assign; written with mu held
	epoch     atomic.Int32 // leader epoch; written with mu held
	leads     atomic.Bool  // this broker leads under epoch; written with mu held

	aborted    abortedIndex
	replicated atomic.Bool // it has followers, as far as this leader knows

	mu        sync.Mutex // orders appends; taken before acks.mu
	producers producers
	epochs    epochs
	guards    Guard       // the last that was given out
	stopped   atomic.Bool // set with mu held, so that no append follows
	restore   func() ([]EpochStart, []byte, error)
	lost      bool  // the local log is lost, and with it epochs and producers; see recall.go
	seam      int64 // where it begins anew
	saved     int64 // the log end that the newest state frame describes
	asked     time.Time
	asking    atomic.Bool
	forgetful bool // the log can not be cut where it should be: what was open there is not known

	acks struct {
		sync.Mutex
		head, tail *Append // waiting for the high watermark, ascending by end
		waiters    map[Waiter]struct{}
		committed  map[Waiter]struct{} // those that wait for the last stable offset
		unstable   unstable
		pending    pending
		meter      meter
		uploader   Uploader
		feeder     Feeder
		failed     error // the write-ahead log makes nothing durable any more

		durable  int64       // the log end that is durable here
		marks    marks       // what lies between high watermark and durable
		cuts     int         // truncations under way: the high watermark stands
		lead     *leadership // nil while another broker leads
		leaderHW int64       // what the leader said last
	}
}

// Waiter is told when a partition's high watermark moves. It is called on the
// write-ahead log's goroutine and must not block.
type Waiter interface {
	// Advanced says that bytes more are readable, or that the partition stopped
	// being served (bytes < 0).
	Advanced(p *Partition, bytes int)
}

// Uploader is told how much became durable, so that it knows when to upload.
// tiering.Lease is one. It is called on the write-ahead log's goroutine.
type Uploader interface {
	// Advanced says that the high watermark moved over so many bytes more.
	Advanced(bytes int64)
	// Changed says that the log start moved.
	Changed()
}

// Open makes a replica of what the write-ahead log and the ledger hold, which
// neither leads nor follows until it is told to. Recovered state that describes
// records which did not survive is dropped.
func Open(o Options) (*Partition, error) {
	log, err := o.Log.Partition(o.ID, max(o.LogStart, o.Tiered))
	if err != nil {
		return nil, fmt.Errorf("open partition topic=%s partition=%d: %w", o.Topic, o.ID.Partition, err)
	}
	p := &Partition{topic: o.Topic, id: o.ID, log: log, now: o.Now, logger: o.Logger, restore: o.Restore, trail: o.Trail}
	p.settings.Store(&o.Settings)
	if err := p.recover(); err != nil {
		return nil, fmt.Errorf("recover partition topic=%s partition=%d: %w", o.Topic, o.ID.Partition, err)
	}
	least := max(o.LogStart, o.Tiered)
	state, _ := log.State()
	p.lost, p.seam = log.End() < least || len(state) == 0 && log.Start() >= least && (least > 0 || log.End() == log.Start()), least
	if log.End() < least {
		// The ledger knows more than this disk: the local log was lost or replaced, or
		// its end was deleted and did not reach the disk. Offsets go on from what the
		// ledger has seen, never below it: they may have been read.
		log.Drop()
		if p.log, err = o.Log.Partition(o.ID, least); err != nil {
			return nil, fmt.Errorf("restart partition topic=%s partition=%d at=%d: %w", o.Topic, o.ID.Partition, least, err)
		}
	}
	end := p.log.End()
	if p.lost && end == p.log.Start() {
		p.producers = producers{ended: decisions{floor: end}}
		p.aborted.reset(end, nil)
	}
	p.end.Store(end)
	p.acks.durable = end
	p.tiered.Store(o.Tiered)
	p.wantStart.Store(o.LogStart)
	// What was committed is known as far as the last state said, and as far as the
	// ledger goes. The rest is learned from the leader, or from the followers.
	p.highWater.Store(min(end, max(p.highWater.Load(), least)))
	p.acks.leaderHW = p.highWater.Load()
	p.logStart.Store(min(o.LogStart, p.highWater.Load()))
	p.freed()
	p.epochs = p.epochs.truncateEnd(end)
	p.resettle()
	if err := p.measure(); err != nil {
		return nil, fmt.Errorf("size partition topic=%s partition=%d: %w", o.Topic, o.ID.Partition, err)
	}
	return p, nil
}

// Topic returns the topic's name, ID its identity in the write-ahead log.
func (p *Partition) Topic() string { return p.topic }

// ID returns topic id and partition index.
func (p *Partition) ID() wal.ID { return p.id }

// Epoch returns the leader epoch under which this broker leads or follows.
func (p *Partition) Epoch() int32 { return p.epoch.Load() }

// Leads reports whether this broker leads the partition.
func (p *Partition) Leads() bool { return p.leads.Load() && !p.stopped.Load() }

// LogStart returns the first offset that a consumer may read.
func (p *Partition) LogStart() int64 { return p.logStart.Load() }

// LocalStart returns the first offset that this broker's disk holds.
func (p *Partition) LocalStart() int64 { return max(p.log.Start(), p.logStart.Load()) }

// HighWatermark returns the offset below which every record is durable on all
// replicas in sync, as far as this one knows.
func (p *Partition) HighWatermark() int64 { return p.highWater.Load() }

// LastStable returns the offset below which no transaction is open.
func (p *Partition) LastStable() int64 { return p.stable.Load() }

// Tiered returns the end of what is in the object store.
func (p *Partition) Tiered() int64 { return p.tiered.Load() }

// End returns the log end offset.
func (p *Partition) End() int64 { return p.end.Load() }

// LocalBytes returns the size of the local log in bytes of record batches.
func (p *Partition) LocalBytes() (int64, error) {
	return p.bytesBetween(p.log.Start(), p.highWater.Load())
}

// bytesBetween returns the bytes of the local batches in [from, to).
func (p *Partition) bytesBetween(from, to int64) (int64, error) {
	if from >= to {
		return 0, nil
	}
	_, n, err := p.log.Cut(from, to, math.MaxInt64)
	return n, err
}

// measure counts what a log that was just opened has beyond the object store. What is not known to be committed becomes
// pending when it is, like an append.
func (p *Partition) measure() error {
	from, high, end := max(p.tiered.Load(), p.logStart.Load()), p.highWater.Load(), p.end.Load()
	committed, err := p.soundBytes(from, high)
	if err != nil {
		return err
	}
	if committed > 0 {
		// When it was appended is not known any more; it may wait once more as long.
		p.acks.pending.add(high, int(committed), p.now())
	}
	above, err := p.soundBytes(max(from, high), end)
	if err != nil {
		return err
	}
	if above > 0 {
		p.acks.marks = p.acks.marks.add(end, int(above))
	}
	return nil
}

// soundBytes returns the bytes of the local batches in [from, to), without those that are damaged.
func (p *Partition) soundBytes(from, to int64) (total int64, err error) {
	for from < to {
		n, err := p.bytesBetween(from, to)
		total += n
		next, damaged := p.behindDamage(err, from)
		if !damaged {
			return total, err
		}
		from = next
	}
	return total, nil
}

// Configure replaces the settings; appends from now on obey the new ones.
func (p *Partition) Configure(s Settings) { p.settings.Store(&s) }

// CheckEpoch compares a client's view of the leader epoch; -1 means that the
// client has none.
func (p *Partition) CheckEpoch(client int32) error {
	current := p.epoch.Load()
	switch {
	case client < 0 || client == current:
		return nil
	case client < current:
		return fmt.Errorf("%w: epoch=%d current=%d", ErrFencedEpoch, client, current)
	default:
		return fmt.Errorf("%w: epoch=%d current=%d", ErrUnknownEpoch, client, current)
	}
}

// SetLogStart raises the log start; what lies below is not served any more.
func (p *Partition) SetLogStart(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset > p.wantStart.Load() {
		p.wantStart.Store(offset)
	}
	start := min(p.wantStart.Load(), p.highWater.Load())
	if start <= p.logStart.Load() && start <= p.log.Start() {
		return
	}
	p.logStart.Store(max(start, p.logStart.Load()))
	p.epochs = p.epochs.truncateStart(start)
	p.free(start)
	p.producers.ended.forget(start)
	// What is deleted needs no upload any more.
	p.acks.Lock()
	p.acks.pending.advance(start)
	p.stabilize(0)
	p.acks.Unlock()
}

// SetTiered tells how far the object store has the log.
func (p *Partition) SetTiered(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if offset <= p.tiered.Load() {
		return
	}
	p.tiered.Store(offset)
	if offset <= p.end.Load() {
		p.producers.ended.forget(offset)
	}
	p.freed()
	p.acks.Lock()
	p.acks.pending.advance(offset)
	p.acks.Unlock()
}

// Attach sets the uploader that is told from now on; nil for none.
func (p *Partition) Attach(u Uploader) {
	p.acks.Lock()
	defer p.acks.Unlock()
	p.acks.uploader = u
}

// Pending returns how many bytes are durable here and not in the object store,
// and since when the first of them waits; see pending for how exact that is.
func (p *Partition) Pending() (bytes int64, since time.Time) {
	p.acks.Lock()
	defer p.acks.Unlock()
	return p.acks.pending.bytes()
}

// FreeLocal lets the disk drop what lies below offset, which must be tiered.
func (p *Partition) FreeLocal(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A follower may be behind what is tiered; its log has nothing there to free.
	p.free(min(offset, max(p.tiered.Load(), p.logStart.Load()), p.highWater.Load()))
}

// free raises the start of the local log. What lies below can not be replayed any more, so a state frame has to
// say first what it did. The caller holds the mutex.
func (p *Partition) free(start int64) {
	if start > p.log.Start() {
		if start > p.saved {
			p.saveState()
		}
		p.log.SetStart(start)
	}
	p.freed()
}

// freed forgets the aborted transactions that the disk does not have any more. The caller holds the mutex.
func (p *Partition) freed() {
	p.producers.crowded = p.aborted.freed(p.log.Start(), max(p.tiered.Load(), p.logStart.Load()))
}

// Stop makes every later append and read fail, and wakes all waiters: the broker
// is no replica any more, or the topic is gone.
func (p *Partition) Stop() {
	p.mu.Lock()
	p.stopped.Store(true)
	p.leads.Store(false)
	told := p.demote()
	p.mu.Unlock()
	tell(told, ErrStopped)
}

// Drop stops the partition and deletes its local log.
func (p *Partition) Drop() {
	p.Stop()
	p.log.Drop()
}

// EndOfEpoch answers OffsetForLeaderEpoch (KIP-279).
func (p *Partition) EndOfEpoch(epoch int32) (int32, int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epochs.endOf(epoch, p.epoch.Load(), p.end.Load())
}

// EpochAt returns the leader epoch of the record at offset, or -1.
func (p *Partition) EpochAt(offset int64) int32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.epochs.at(offset)
}
