package group

import (
	"bytes"

	"github.com/tidelinehq/tideline/internal/codec"
)

// Values of version 4 are flexible. They are read here and not by kmsg, whose readers go
// through as many tagged fields as a count of 32 bits says, even when the bytes have ended:
// a few bad bytes would keep a shard from loading for a minute.

func decodeOffsetFlexible(r *codec.Reader) (*committed, error) {
	c := &committed{expires: -1}
	c.offset, c.leaderEpoch, c.metadata, c.at = r.Int64(), r.Int32(), r.CompactString(), r.Int64()
	r.Tags(func(tag uint64, field *codec.Reader) {
		if tag == 0 && field.Remaining() == len(c.topicID) {
			c.topicID = field.UUID()
		}
	})
	return c, r.Finish()
}

// memberValueBytes is what a member has at least: six lengths, two timeouts, and the count
// of tagged fields.
const memberValueBytes = 6 + 2*4 + 1

func decodeGroupFlexible(r *codec.Reader) (*groupValue, error) {
	v := &groupValue{}
	v.protocolType, v.generation, v.protocol, v.leader, v.since = r.CompactString(), r.Int32(), r.CompactString(), r.CompactString(), r.Int64()
	r.CompactEach(memberValueBytes, func() {
		var m memberValue
		m.id, m.instance, m.clientID, m.clientHost = r.CompactString(), r.CompactNullable(), r.CompactString(), r.CompactString()
		m.rebalance, m.session = r.Int32(), r.Int32()
		m.subscription, m.assignment = bytes.Clone(r.CompactBytes()), bytes.Clone(r.CompactBytes())
		r.Tags(nil)
		v.members = append(v.members, m)
	})
	r.Tags(nil)
	return v, r.Finish()
}
