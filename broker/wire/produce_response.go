package wire

// ProduceResponse is the answer to a ProduceRequest.
type ProduceResponse struct {
	Topics         []ProduceTopicResponse
	ThrottleMillis int32
	Nodes          []NodeEndpoint // version 10+: where the current leaders are
}

// ProduceTopicResponse is one topic of a ProduceResponse.
type ProduceTopicResponse struct {
	Name       []byte   // up to version 12
	ID         [16]byte // from version 13
	Partitions []ProducePartitionResponse
}

// ProducePartitionResponse is the outcome of one partition.
type ProducePartitionResponse struct {
	Index          int32
	ErrorCode      int16
	BaseOffset     int64           // -1 on error
	LogAppendTime  int64           // ms; -1 unless the topic's timestamps are the broker's
	LogStartOffset int64           // version 5+; -1: not known
	RecordErrors   []RecordError   // version 8+
	ErrorMessage   string          // version 8+; "": null
	CurrentLeader  *LeaderAndEpoch // version 10+, with NOT_LEADER_OR_FOLLOWER; nil: absent
}

// RecordError says which record of a batch made the broker refuse it.
type RecordError struct {
	Index   int32  // within the batch
	Message string // "": null
}

// AppendTo appends the body of the response in the given version.
func (p *ProduceResponse) AppendTo(dst []byte, version int16) []byte {
	flexible := version >= 9
	dst = appendCount(dst, len(p.Topics), flexible)
	for i := range p.Topics {
		t := &p.Topics[i]
		if version >= produceTopicIDs {
			dst = append(dst, t.ID[:]...)
		} else {
			dst = appendString(dst, t.Name, flexible)
		}
		dst = appendCount(dst, len(t.Partitions), flexible)
		for j := range t.Partitions {
			dst = t.Partitions[j].appendTo(dst, version, flexible)
		}
		dst = appendNoTags(dst, flexible)
	}
	dst = appendInt32(dst, p.ThrottleMillis)
	switch {
	case version >= 10:
		dst = appendNodes(dst, p.Nodes)
	case flexible:
		dst = append(dst, 0)
	}
	return dst
}

func (p *ProducePartitionResponse) appendTo(dst []byte, version int16, flexible bool) []byte {
	dst = appendInt32(dst, p.Index)
	dst = appendInt16(dst, p.ErrorCode)
	dst = appendInt64(dst, p.BaseOffset)
	dst = appendInt64(dst, p.LogAppendTime)
	if version >= 5 {
		dst = appendInt64(dst, p.LogStartOffset)
	}
	if version >= 8 {
		dst = appendCount(dst, len(p.RecordErrors), flexible)
		for i := range p.RecordErrors {
			dst = appendInt32(dst, p.RecordErrors[i].Index)
			dst = appendOptional(dst, p.RecordErrors[i].Message, flexible)
			dst = appendNoTags(dst, flexible)
		}
		dst = appendOptional(dst, p.ErrorMessage, flexible)
	}
	if version >= 10 && p.CurrentLeader != nil {
		dst = append(dst, 1)
		return p.CurrentLeader.appendTag(dst, 0)
	}
	return appendNoTags(dst, flexible)
}
