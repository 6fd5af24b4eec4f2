package record

import "fmt"

// Reason says why a command or an entry was refused. The zero Reason is
// acceptance. A Reason is an error, so errors.Is finds it in what Store
// returns; OK and Already never are returned as errors.
type Reason uint8

// Reasons. Numbers are never reused.
const (
	OK                Reason = 0
	Already           Reason = 1  // had been applied before; nothing changed
	Invalid           Reason = 2  // the command contradicts itself
	TooMany           Reason = 3  // a bound of the state is reached
	NoCluster         Reason = 4  // the cluster has no id yet
	NoBroker          Reason = 5  // broker not registered
	StaleBrokerEpoch  Reason = 6  // the broker was registered anew
	BrokerInUse       Reason = 7  // broker holds replicas, or is not fenced
	TopicExists       Reason = 8  // name or id taken
	NoTopic           Reason = 9  // topic not there
	NoPartition       Reason = 10 // partition not there
	WrongCount        Reason = 11 // topic does not have the expected number of partitions
	StaleEpoch        Reason = 12 // leader or partition epoch is not the expected one
	WrongOffset       Reason = 13 // ledger does not end where expected, or a gap
	HotFull           Reason = 14 // spill first
	NoIntent          Reason = 15 // upload was not begun, or is closed
	ObjectExists      Reason = 16 // object id was used before
	WrongGeneration   Reason = 17 // ledger changed since it was read
	WrongReferences   Reason = 18 // a release would make a reference count negative
	WrongTotals       Reason = 19 // a release does not agree with the running totals
	RetainFirst       Reason = 20 // a gap can be jumped only when pages are released
	PurgePending      Reason = 21 // ledgers of the deleted topic remain
	UnsupportedLevel  Reason = 22 // a broker does not support the feature level
	FeatureNotEnabled Reason = 23 // the finalized feature level is below what the command needs
	Halted            Reason = 24 // the image refused an undecodable command; this broker is behind
	IneligibleReplica Reason = 25 // replica fenced, shutting down, or registered anew
	UncleanElection   Reason = 26 // the leader may lack acknowledged records, and that was not accepted
	WrongSegments     Reason = 27 // the ledger does not have the segments that were to be replaced
	NoRole            Reason = 28 // role not there
	NoToken           Reason = 29 // delegation token not there
	TokenExists       Reason = 30 // token id was used before
)

var reasons = [...]string{
	"ok", "already applied", "invalid command", "bound of the state reached", "cluster not initialized",
	"broker not registered", "stale broker epoch", "broker in use", "topic exists", "no such topic",
	"no such partition", "unexpected partition count", "stale epoch", "unexpected tiered offset",
	"hot segments full", "no open upload intent", "object exists", "ledger generation changed",
	"reference count would be negative", "running totals disagree", "pages must be released first",
	"purge pending", "feature level not supported", "feature not enabled", "metadata halted",
	"replica not eligible for the isr", "election would be unclean", "segments to be replaced are not there",
	"no such role", "no such delegation token", "delegation token exists",
}

// String returns the reason in words.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Error implements error.
func (r Reason) Error() string { return r.String() }

// Refused reports whether the reason is a refusal.
func (r Reason) Refused() bool { return r > Already }

// Err returns nil for OK and Already, the reason otherwise.
func (r Reason) Err() error {
	if !r.Refused() {
		return nil
	}
	return r
}

// EntryResult answers one entry of a command. After an acceptance as after a
// refusal it shows the state that now stands.
type EntryResult struct {
	Reason         Reason
	LeaderEpoch    int32
	PartitionEpoch int32
	Tiered         int64
	Generation     uint64
	Unclean        bool // ChangePartition: the leader elected may lack acknowledged records
}

// Result answers a command. It follows from state and command alone, so it is
// the same on every broker.
type Result struct {
	Reason          Reason
	Entries         []EntryResult // for commands with entries that are judged one by one
	BrokerEpoch     int64         // RegisterBroker
	FirstProducerID int64         // AllocateProducerIDs
	ClusterID       string        // InitCluster
	Garbage         bool          // CommitUpload, Spill, AbortUpload: the object became garbage
}

// Accepted returns how many entries were accepted, now or before.
func (r *Result) Accepted() int {
	n := 0
	for i := range r.Entries {
		if !r.Entries[i].Reason.Refused() {
			n++
		}
	}
	return n
}

// AppendResult appends the bytes of a result, for replies to brokers that
// proposed through the leader.
func AppendResult(dst []byte, r *Result) []byte {
	k := coder{buf: append(dst, resultVersion)}
	r.code(&k)
	return k.buf
}

// DecodeResult returns the result in b.
func DecodeResult(b []byte) (Result, error) {
	var r Result
	if len(b) == 0 {
		return r, fmt.Errorf("decode result: %w: empty", ErrCorrupt)
	}
	if b[0] != resultVersion {
		return r, fmt.Errorf("decode result: %w: version=%d", ErrUnknownVersion, b[0])
	}
	k := coder{buf: b[1:], decoding: true}
	r.code(&k)
	if k.err == nil && len(k.buf) > 0 {
		k.fail("trailing bytes")
	}
	if k.err != nil {
		return Result{}, fmt.Errorf("decode result: %w", k.err)
	}
	return r, nil
}

const resultVersion = 1

func (r *Result) code(k *coder) {
	k.u8((*uint8)(&r.Reason))
	list(k, &r.Entries, maxList, 6, func(k *coder, e *EntryResult) {
		k.u8((*uint8)(&e.Reason))
		k.i32(&e.LeaderEpoch)
		k.i32(&e.PartitionEpoch)
		k.i64(&e.Tiered)
		k.u64(&e.Generation)
		k.bool(&e.Unclean)
	})
	k.i64(&r.BrokerEpoch)
	k.i64(&r.FirstProducerID)
	k.str(&r.ClusterID, 255)
	k.bool(&r.Garbage)
}
