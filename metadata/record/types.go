package record

import "sort"

// ID is a topic id, an object id, or the incarnation of a broker: 16 random
// bytes. It is an alias so that structs of other packages with [16]byte fields
// convert to the ones here.
type ID = [16]byte

// NoLeader is the leader of a partition that has none.
const NoLeader int32 = -1

// TopicPartition names one partition.
type TopicPartition struct {
	Topic     ID
	Partition int32
}

// Segment is one range of one partition in one object.
type Segment struct {
	Object                                         ID    // object id, new per upload attempt
	Position                                       int64 // byte position of this partition's section in the object
	Size                                           int64 // bytes of that section, blocks and section index
	Base, End                                      int64 // offsets [Base, End)
	LogBytes                                       int64 // bytes of record batches as Kafka counts them
	MinTimestamp, MaxTimestamp, MaxTimestampOffset int64 // data batches only; -1 when there are none
	Epoch                                          int32 // leader epoch of the writer
	Flags                                          uint32
	CRC                                            uint32   // crc32c of the section index
	Chain                                          [32]byte // hash over the previous chain, this section's block checksums and offsets
}

// Bits of Segment.Flags.
const (
	SegmentAborted uint32 = 1 << 0 // the range holds aborted transactions
	SegmentSparse  uint32 = 1 << 1 // written by compaction, with gaps
)

// PageRef locates one manifest page. The zero Object means none.
type PageRef struct {
	Object   ID
	Position int64 // bytes
	Size     int32 // bytes
	CRC      uint32
}

// Ledger is what the Raft state knows of one partition's remote data.
//
//	LogStart            RootEnd                     Tiered
//	   |  pages in the bucket  |  Hot, contiguous     |  not uploaded yet
//	---+-----------------------+----------------------+------------------
type Ledger struct {
	LogStart, Tiered                 int64 // log start offset; end of what is in the bucket (exclusive)
	LogBytes, StoredBytes, Segments  int64 // running totals of live segments
	MaxTimestamp, MaxTimestampOffset int64 // -1 when there are none
	Root                             PageRef
	RootEnd                          int64     // offsets below it are found through Root
	Hot                              []Segment // newest segments, oldest first, contiguous
	Chain                            [32]byte  // chain of the newest segment
	Generation                       uint64    // bumped on each change, expected by Spill and Retain
	Cleaned                          int64     // compaction has been over all below it
	Horizon                          int64     // Unix ms from which on what it kept below for a time may go; 0 when there is nothing
}

// ObjectRef is a release: Segments live sections of Object go away, which were
// Bytes stored and LogBytes of record batches.
type ObjectRef struct {
	Object          ID
	Bytes, LogBytes int64
	Segments        int64
}

// Partition is the state of one partition. It is immutable.
type Partition struct {
	Topic    ID
	Index    int32
	Replicas []int32 // preferred leader first
	ISR      []int32 // empty when nobody that has all of the log is in service
	// ELR are the eligible leader replicas: they left the ISR when it was, or
	// became, smaller than min.insync.replicas, so that the high watermark has
	// stood still since and they have all that was acknowledged.
	ELR []int32
	// LastKnownELR are replicas that were eligible and lost their logs since.
	LastKnownELR   []int32
	Adding         []int32 // replicas being added by a reassignment
	Removing       []int32 // replicas that a reassignment will drop
	Leader         int32   // NoLeader when none
	LeaderEpoch    int32   // bumped whenever a leader is chosen
	PartitionEpoch int32   // bumped on every ChangePartition
	// ReleasedEnd is the cut of the last Retain: segments that end at or below
	// it are released. Between it and Ledger.LogStart, which DeleteRecords
	// moves too, is what the next Retain has to release.
	ReleasedEnd int64
	Ledger      Ledger
}

// Config is one key of a topic or broker.
type Config struct{ Key, Value string }

// Configs is a list of settings in key order, without repeats. It is immutable.
type Configs []Config

// Get returns the value of key.
func (c Configs) Get(key string) (string, bool) {
	i := sort.Search(len(c), func(i int) bool { return c[i].Key >= key })
	if i < len(c) && c[i].Key == key {
		return c[i].Value, true
	}
	return "", false
}

// Map returns a copy as a map.
func (c Configs) Map() map[string]string {
	m := make(map[string]string, len(c))
	for _, kv := range c {
		m[kv.Key] = kv.Value
	}
	return m
}

// ConfigsOf returns the settings of a map in key order.
func ConfigsOf(m map[string]string) Configs {
	if len(m) == 0 {
		return nil
	}
	c := make(Configs, 0, len(m))
	for k, v := range m {
		c = append(c, Config{k, v})
	}
	sort.Slice(c, func(i, j int) bool { return c[i].Key < c[j].Key })
	return c
}

// bytes returns the size that counts against MaxConfigBytes.
func (c Configs) bytes() int {
	n := 0
	for _, kv := range c {
		n += len(kv.Key) + len(kv.Value)
	}
	return n
}

// ConfigChange sets a key, or deletes it.
type ConfigChange struct {
	Key, Value string
	Delete     bool
}

// Apply returns the settings after the changes, in order. It fails with
// TooMany when the result would exceed MaxConfigs or MaxConfigBytes.
func (c Configs) Apply(changes []ConfigChange) (Configs, error) {
	out := make(Configs, len(c), len(c)+len(changes))
	copy(out, c)
	for _, ch := range changes {
		i := sort.Search(len(out), func(i int) bool { return out[i].Key >= ch.Key })
		found := i < len(out) && out[i].Key == ch.Key
		switch {
		case ch.Delete && found:
			out = append(out[:i], out[i+1:]...)
		case ch.Delete:
		case found:
			out[i].Value = ch.Value
		default:
			out = append(out, Config{})
			copy(out[i+1:], out[i:])
			out[i] = Config{ch.Key, ch.Value}
		}
	}
	if len(out) > MaxConfigs || out.bytes() > MaxConfigBytes {
		return nil, TooMany
	}
	return out, nil
}

// Valid reports whether the settings are ordered, unique and within bounds.
func (c Configs) Valid() bool {
	for i := 1; i < len(c); i++ {
		if c[i-1].Key >= c[i].Key {
			return false
		}
	}
	return len(c) <= MaxConfigs && c.bytes() <= MaxConfigBytes
}

// Topic is the state of one topic without its partitions. It is immutable.
type Topic struct {
	ID         ID
	Name       string
	Ordinal    uint32 // position in the partition tree; never reused
	Partitions int32  // indexes 0..Partitions-1 exist
	Configs    Configs
	CreatedAt  int64 // Unix milliseconds
}

// InternalListener is the name of the endpoint that is a broker's internal port, where the other brokers
// reach it. No listener for clients can have it: their names are upper case.
const InternalListener = "internal"

// Endpoint is where a broker listens.
type Endpoint struct {
	Listener string // listener name, e.g. PLAINTEXT
	Host     string
	Port     int32
	Protocol string // security protocol of the listener
}

// Broker is a registered broker. It is immutable.
type Broker struct {
	ID          int32
	Epoch       int64 // grows with every new incarnation in the cluster
	Incarnation ID    // random, new for each process
	Rack        string
	Endpoints   []Endpoint
	Features    []FeatureRange // what the process understands
	// Fenced: out of service. It neither leads nor is in an ISR, but for the
	// moment until those changes follow.
	Fenced bool
	// ShuttingDown: in controlled shutdown. It takes no leadership and enters
	// no ISR any more. The next process starts without it.
	ShuttingDown bool
	// Draining: being decommissioned. It gets no new replicas, those that it
	// has are moved away. It outlives restarts.
	Draining bool
}

// Active reports whether the broker may be elected and may enter an ISR.
func (b *Broker) Active() bool { return !b.Fenced && !b.ShuttingDown }

// FeatureRange is what one process supports of a feature.
type FeatureRange struct {
	Name     string
	Min, Max int32
}

// Feature is a finalized feature level.
type Feature struct {
	Name  string
	Level int32
}

// UploadKind says what an object holds.
type UploadKind uint8

// Kinds of objects.
const (
	KindData  UploadKind = 1 // sections of partitions
	KindPages UploadKind = 2 // manifest pages
)

// Intent is an upload that was announced and not finished yet. While it is
// open, the references of its object are counted here.
type Intent struct {
	Object      ID
	Kind        UploadKind
	Broker      int32
	BrokerEpoch int64
	At          int64 // Unix milliseconds
	Bytes       int64 // size of the object, 0 until a commit names it
	Refs        int64
}

// Object is the reference count of an object that is referred to more than
// once. A committed object without an entry has exactly one reference.
type Object struct {
	ID    ID
	Bytes int64
	Refs  int64
}

// Garbage is an object that nothing refers to.
type Garbage struct {
	Object ID
	Kind   UploadKind
	Bytes  int64 // as far as known
	Due    int64 // Unix milliseconds from which on it may be deleted
}

// Purge is a deleted topic whose remote data is not released yet.
type Purge struct {
	Topic     ID
	Name      string
	Ordinal   uint32
	DeletedAt int64 // Unix milliseconds
	Remaining int32 // partitions whose ledgers are not worked off
}
