package wire

import "sync"

// The versions of Produce that this package speaks.
const (
	MinProduceVersion = 3
	MaxProduceVersion = 13
)

// produceTopicIDs is the first version that names topics by id.
const produceTopicIDs = 13

// ProduceRequest is a parsed Produce request. All byte slices are views of the
// body; nothing may be kept beyond its frame.
type ProduceRequest struct {
	TransactionalID []byte // nil: null
	Acks            int16
	TimeoutMillis   int32
	Topics          []ProduceTopic

	partitions []ProducePartition // of all topics, in order
}

// ProduceTopic is one topic of a ProduceRequest.
type ProduceTopic struct {
	Name       []byte   // up to version 12
	ID         [16]byte // from version 13
	Partitions []ProducePartition

	count int
}

// ProducePartition is what to append to one partition.
type ProducePartition struct {
	Index   int32
	Records []byte // nil: null
}

var produceRequests = sync.Pool{New: func() any { return new(ProduceRequest) }}

// AcquireProduceRequest takes an empty request from the pool.
func AcquireProduceRequest() *ProduceRequest { return produceRequests.Get().(*ProduceRequest) }

// poolLimit is how many elements a pooled structure may keep room for.
const poolLimit = 4096

// Release gives the request back to the pool; it and its slices must not be
// used again.
func (p *ProduceRequest) Release() {
	if cap(p.partitions) > poolLimit || cap(p.Topics) > poolLimit {
		return
	}
	clear(p.partitions)
	clear(p.Topics)
	*p = ProduceRequest{Topics: p.Topics[:0], partitions: p.partitions[:0]}
	produceRequests.Put(p)
}

// Parse reads the body of a Produce request of the given version. What p held
// before is gone, its memory is used again. The error is ErrMalformed.
func (p *ProduceRequest) Parse(version int16, body []byte) error {
	r := newReader(body, version >= 9)
	p.Topics, p.partitions = p.Topics[:0], p.partitions[:0]
	p.TransactionalID = r.nullableString()
	p.Acks = r.Int16()
	p.TimeoutMillis = r.Int32()
	topicBytes, partitionBytes := 6, 8 // least encoded sizes
	switch {
	case version >= produceTopicIDs:
		topicBytes, partitionBytes = 18, 6
	case r.flexible:
		topicBytes, partitionBytes = 3, 6
	}
	for topics := r.count(topicBytes, MaxTopics); topics > 0 && r.Err() == nil; topics-- {
		var t ProduceTopic
		if version >= produceTopicIDs {
			t.ID = r.UUID()
		} else {
			t.Name = r.nonNullString()
		}
		t.count = r.count(partitionBytes, MaxPartitions-len(p.partitions))
		for n := t.count; n > 0 && r.Err() == nil; n-- {
			part := ProducePartition{Index: r.Int32(), Records: r.nullableBytes()}
			r.skipTags()
			p.partitions = append(p.partitions, part)
		}
		r.skipTags()
		p.Topics = append(p.Topics, t)
	}
	r.skipTags()
	if err := r.failure("produce", version); err != nil {
		p.Topics, p.partitions = p.Topics[:0], p.partitions[:0]
		return err
	}
	at := 0
	for i := range p.Topics {
		t := &p.Topics[i]
		t.Partitions = p.partitions[at : at+t.count : at+t.count]
		at += t.count
	}
	return nil
}
