package group

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Values of version 4 are flexible: lengths are unsigned varints, one higher, and
// tagged fields follow. They are read here and not by kmsg, whose readers go through as
// many tagged fields as a count of 32 bits says, even when the bytes have ended: a few
// bad bytes would keep a shard from loading for a minute.

var errTorn = errors.New("value ends early")

// flexReader reads a flexible value. After bytes ran out everything it reads is zero.
type flexReader struct {
	b   []byte
	bad bool
}

func (r *flexReader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *flexReader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *flexReader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// size reads a length or count; -1 is null. What is counted has at least one byte each.
func (r *flexReader) size() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)-n)+1 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int(v) - 1
}

func (r *flexReader) nullable() *string {
	n := r.size()
	if n < 0 {
		return nil
	}
	s := string(r.take(n))
	return &s
}

func (r *flexReader) string() string { return deref(r.nullable()) }

func (r *flexReader) bytes() []byte {
	n := r.size()
	if n < 0 {
		return nil
	}
	return append([]byte{}, r.take(n)...)
}

// tags reads tagged fields and gives each to known, which may be nil.
func (r *flexReader) tags(known func(tag uint64, b []byte)) {
	count, n := binary.Uvarint(r.b)
	if n <= 0 || count > uint64(len(r.b)-n)/2 { // a field has two bytes at least
		r.bad, r.b = true, nil
		return
	}
	r.b = r.b[n:]
	for range count {
		tag, n := binary.Uvarint(r.b)
		r.take(n)
		size, m := binary.Uvarint(r.b)
		if r.bad || n <= 0 || m <= 0 || size > uint64(len(r.b)-m) {
			r.bad, r.b = true, nil
			return
		}
		r.take(m)
		if b := r.take(int(size)); known != nil {
			known(tag, b)
		}
	}
}

func (r *flexReader) end() error {
	switch {
	case r.bad:
		return errTorn
	case len(r.b) > 0:
		return fmt.Errorf("%d bytes after the value", len(r.b))
	}
	return nil
}

func decodeOffsetFlexible(b []byte) (*committed, error) {
	r := flexReader{b: b[2:]}
	c := &committed{expires: -1}
	c.offset, c.leaderEpoch, c.metadata, c.at = r.int64(), r.int32(), r.string(), r.int64()
	r.tags(func(tag uint64, b []byte) {
		if tag == 0 && len(b) == len(c.topicID) {
			c.topicID = [16]byte(b)
		}
	})
	return c, r.end()
}

func decodeGroupFlexible(b []byte) (*groupValue, error) {
	r := flexReader{b: b[2:]}
	v := &groupValue{}
	v.protocolType, v.generation, v.protocol, v.leader, v.since = r.string(), r.int32(), r.string(), r.string(), r.int64()
	for range max(r.size(), 0) {
		var m memberValue
		m.id, m.instance, m.clientID, m.clientHost = r.string(), r.nullable(), r.string(), r.string()
		m.rebalance, m.session = r.int32(), r.int32()
		m.subscription, m.assignment = r.bytes(), r.bytes()
		r.tags(nil)
		if r.bad {
			break
		}
		v.members = append(v.members, m)
	}
	r.tags(nil)
	return v, r.end()
}
