package wire

import (
	"math"
	"sync"
)

// The versions of Fetch that this package speaks.
const (
	MinFetchVersion = 4
	MaxFetchVersion = 18
)

// fetchTopicIDs is the first version that names topics by id.
const fetchTopicIDs = 13

// FetchRequest is a parsed Fetch request. All byte slices are views of the
// body; nothing may be kept beyond its frame.
type FetchRequest struct {
	ReplicaID      int32 // -1: a consumer
	ReplicaEpoch   int64 // version 15+; -1: not known
	MaxWaitMillis  int32
	MinBytes       int32
	MaxBytes       int32
	IsolationLevel int8  // 0 read uncommitted, 1 read committed
	SessionID      int32 // version 7+; 0: none
	SessionEpoch   int32 // version 7+; -1: no session, 0: a new one
	Topics         []FetchTopic
	Forgotten      []ForgottenTopic // version 7+
	Rack           []byte           // version 11+; empty: none
	ClusterID      []byte           // version 12+; nil: null

	partitions []FetchPartition // of all topics, in order
	forgotten  []int32          // of all forgotten topics, in order
}

// FetchTopic is one topic of a FetchRequest.
type FetchTopic struct {
	Name       []byte   // up to version 12
	ID         [16]byte // from version 13
	Partitions []FetchPartition

	count int
}

// FetchPartition is what to fetch from one partition.
type FetchPartition struct {
	Index              int32
	CurrentLeaderEpoch int32 // version 9+; -1: not known
	FetchOffset        int64
	LastFetchedEpoch   int32 // version 12+; -1: none
	LogStartOffset     int64 // version 5+; of a follower; -1: a consumer
	MaxBytes           int32
	DirectoryID        [16]byte // version 17+, of a follower
	HighWatermark      int64    // version 18+, of a follower; MaxInt64: not known
}

// ForgottenTopic has partitions to drop from the fetch session.
type ForgottenTopic struct {
	Name       []byte   // up to version 12
	ID         [16]byte // from version 13
	Partitions []int32

	count int
}

var fetchRequests = sync.Pool{New: func() any { return new(FetchRequest) }}

// AcquireFetchRequest takes an empty request from the pool.
func AcquireFetchRequest() *FetchRequest { return fetchRequests.Get().(*FetchRequest) }

// Release gives the request back to the pool; it and its slices must not be
// used again.
func (f *FetchRequest) Release() {
	if cap(f.partitions) > poolLimit || cap(f.Topics) > poolLimit || cap(f.Forgotten) > poolLimit || cap(f.forgotten) > poolLimit {
		return
	}
	clear(f.Topics)
	clear(f.Forgotten)
	f.reset()
	fetchRequests.Put(f)
}

// reset sets the defaults of the schema and keeps the memory.
func (f *FetchRequest) reset() {
	*f = FetchRequest{
		ReplicaID: -1, ReplicaEpoch: -1, MaxBytes: math.MaxInt32, SessionEpoch: -1,
		Topics: f.Topics[:0], Forgotten: f.Forgotten[:0], partitions: f.partitions[:0], forgotten: f.forgotten[:0],
	}
}

// Parse reads the body of a Fetch request of the given version. What f held
// before is gone, its memory is used again. The error is ErrMalformed.
func (f *FetchRequest) Parse(version int16, body []byte) error {
	r := newReader(body, version >= 12)
	f.reset()
	if version <= 14 {
		f.ReplicaID = r.Int32()
	}
	f.MaxWaitMillis = r.Int32()
	f.MinBytes = r.Int32()
	f.MaxBytes = r.Int32()
	f.IsolationLevel = r.Int8()
	if version >= 7 {
		f.SessionID = r.Int32()
		f.SessionEpoch = r.Int32()
	}
	f.parseTopics(&r, version)
	if version >= 7 {
		f.parseForgotten(&r, version)
	}
	if version >= 11 {
		f.Rack = r.nonNullString()
	}
	r.tags(func(tag uint32, v *reader) {
		switch {
		case tag == 0:
			f.ClusterID = v.nullableString()
		case tag == 1 && version >= 15:
			f.ReplicaID, f.ReplicaEpoch = v.Int32(), v.Int64()
			v.skipTags()
		}
	})
	if err := r.failure("fetch", version); err != nil {
		f.reset()
		return err
	}
	f.slice()
	return nil
}

func (f *FetchRequest) parseTopics(r *reader, version int16) {
	for topics := r.count(fetchTopicBytes(version), MaxTopics); topics > 0 && r.Err() == nil; topics-- {
		var t FetchTopic
		if version >= fetchTopicIDs {
			t.ID = r.UUID()
		} else {
			t.Name = r.nonNullString()
		}
		t.count = r.count(fetchPartitionBytes(version), MaxPartitions-len(f.partitions))
		for n := t.count; n > 0 && r.Err() == nil; n-- {
			f.partitions = append(f.partitions, parseFetchPartition(r, version))
		}
		r.skipTags()
		f.Topics = append(f.Topics, t)
	}
}

func parseFetchPartition(r *reader, version int16) FetchPartition {
	p := FetchPartition{CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1, HighWatermark: math.MaxInt64}
	p.Index = r.Int32()
	if version >= 9 {
		p.CurrentLeaderEpoch = r.Int32()
	}
	p.FetchOffset = r.Int64()
	if version >= 12 {
		p.LastFetchedEpoch = r.Int32()
	}
	if version >= 5 {
		p.LogStartOffset = r.Int64()
	}
	p.MaxBytes = r.Int32()
	if r.flexible && !r.noTags() {
		r.tags(func(tag uint32, v *reader) {
			switch {
			case tag == 0 && version >= 17:
				p.DirectoryID = v.UUID()
			case tag == 1 && version >= 18:
				p.HighWatermark = v.Int64()
			}
		})
	}
	return p
}

func (f *FetchRequest) parseForgotten(r *reader, version int16) {
	for topics := r.count(fetchTopicBytes(version), MaxTopics); topics > 0 && r.Err() == nil; topics-- {
		var t ForgottenTopic
		if version >= fetchTopicIDs {
			t.ID = r.UUID()
		} else {
			t.Name = r.nonNullString()
		}
		t.count = r.count(4, MaxPartitions-len(f.forgotten))
		for n := t.count; n > 0 && r.Err() == nil; n-- {
			f.forgotten = append(f.forgotten, r.Int32())
		}
		r.skipTags()
		f.Forgotten = append(f.Forgotten, t)
	}
}

// slice hands the partitions to their topics, once they move no more.
func (f *FetchRequest) slice() {
	at := 0
	for i := range f.Topics {
		t := &f.Topics[i]
		t.Partitions = f.partitions[at : at+t.count : at+t.count]
		at += t.count
	}
	at = 0
	for i := range f.Forgotten {
		t := &f.Forgotten[i]
		t.Partitions = f.forgotten[at : at+t.count : at+t.count]
		at += t.count
	}
}

// fetchTopicBytes is the least encoded size of a topic with no partitions.
func fetchTopicBytes(version int16) int {
	switch {
	case version >= fetchTopicIDs:
		return 16 + 1 + 1
	case version >= 12:
		return 1 + 1 + 1
	}
	return 2 + 4
}

// fetchPartitionBytes is the least encoded size of a partition.
func fetchPartitionBytes(version int16) int {
	n := 4 + 8 + 4
	if version >= 5 {
		n += 8
	}
	if version >= 9 {
		n += 4
	}
	if version >= 12 {
		n += 4 + 1
	}
	return n
}
