package group

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/codec"
)

// Versions of the record keys, by which the kinds of records are told apart, and
// of the values that are written. All lower value versions are read.
const (
	offsetKeyVersion       = 1 // and 0, which has the same bytes
	groupKeyVersion        = 2
	offsetValueExpires     = 1 // the only one with an expiry of the offset itself
	offsetValueVersion     = 3
	offsetValueWithTopicID = 4
	offsetValueNewest      = 4
	groupValueVersion      = 3
	groupValueNewest       = 4
)

// maxID bounds ids that clients choose: what is made of one must fit the int16 length that
// strings have in the keys of records and in rigid values.
const maxID = 32000

func offsetKey(group string, tp topicPartition) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: group, Topic: tp.topic, Partition: tp.partition}
	return k.AppendTo(make([]byte, 0, 10+len(group)+len(tp.topic)))
}

func offsetRecord(group string, tp topicPartition, c *committed) coordinator.Record {
	v := kmsg.OffsetCommitValue{
		Version: offsetValueVersion, Offset: c.offset, LeaderEpoch: c.leaderEpoch, Metadata: c.metadata,
		CommitTimestamp: c.at, ExpireTimestamp: -1, TopicID: c.topicID,
	}
	switch {
	case c.expires >= 0:
		v.Version, v.ExpireTimestamp = offsetValueExpires, c.expires
	case c.topicID != [16]byte{}:
		v.Version = offsetValueWithTopicID
	}
	return coordinator.Record{Key: offsetKey(group, tp), Value: v.AppendTo(make([]byte, 0, 52+len(c.metadata)))}
}

func offsetTombstone(group string, tp topicPartition) coordinator.Record {
	return coordinator.Record{Key: offsetKey(group, tp)}
}

func groupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: group}
	return k.AppendTo(nil)
}

// groupRecord is what of a membership is kept: members with what they have
// been assigned, but nobody who waits.
func groupRecord(group string, ms *membership) coordinator.Record {
	v := kmsg.GroupMetadataValue{
		Version: groupValueVersion, ProtocolType: ms.protocolType, Generation: ms.generation,
		Protocol: nonEmpty(ms.protocol), Leader: nonEmpty(ms.leader), CurrentStateTimestamp: -1,
	}
	if !ms.since.IsZero() {
		v.CurrentStateTimestamp = ms.since.UnixMilli()
	}
	for _, m := range ms.members {
		v.Members = append(v.Members, kmsg.GroupMetadataValueMember{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.clientHost,
			RebalanceTimeoutMillis: int32(m.rebalanceTimeout.Milliseconds()), SessionTimeoutMillis: int32(m.sessionTimeout.Milliseconds()),
			Subscription: m.metadata(ms.protocol), Assignment: m.assignment,
		})
	}
	return coordinator.Record{Key: groupKey(group), Value: v.AppendTo(nil)}
}

func groupTombstone(group string) coordinator.Record {
	return coordinator.Record{Key: groupKey(group)}
}

// entry is a decoded record: an offset, a classic group or a part of a modern one, or
// the tombstone of one.
type entry struct {
	group      string
	kind       Kind       // of a modern group
	modern     *recordKey // of a modern group, whose value is decoded by its kind
	tp         topicPartition
	offset     *committed
	membership *membership
	isGroup    bool
}

// decode reads a record of __consumer_offsets. It copies what it keeps.
func decode(key, value []byte) (entry, error) {
	var e entry
	if len(key) < 2 {
		return e, fmt.Errorf("key of %d bytes", len(key))
	}
	switch version := int16(binary.BigEndian.Uint16(key)); version {
	case 0, offsetKeyVersion:
		k := kmsg.NewOffsetCommitKey()
		if err := k.ReadFrom(key); err != nil {
			return e, fmt.Errorf("offset key version=%d: %w", version, err)
		}
		e.group, e.tp = k.Group, topicPartition{k.Topic, k.Partition}
		if value == nil {
			return e, nil
		}
		c, err := decodeOffset(value)
		if err != nil {
			return e, fmt.Errorf("offset value group=%q topic=%q partition=%d: %w", k.Group, k.Topic, k.Partition, err)
		}
		e.offset = c
		return e, nil
	case groupKeyVersion:
		k := kmsg.NewGroupMetadataKey()
		if err := k.ReadFrom(key); err != nil {
			return e, fmt.Errorf("group key version=%d: %w", version, err)
		}
		e.group, e.isGroup = k.Group, true
		if value == nil {
			return e, nil
		}
		ms, err := decodeGroup(value)
		if err != nil {
			return e, fmt.Errorf("group value group=%q: %w", k.Group, err)
		}
		e.membership = ms
		return e, nil
	default:
		k, kind, err := decodeKey(key)
		if err != nil {
			return e, err
		}
		e.group, e.kind, e.modern = k.group, kind, &k
		return e, nil
	}
}

// openValue reads a value behind its version. An unknown one is another error than bad
// bytes: a newer broker wrote it.
func openValue(b []byte, newest int16) (codec.Reader, error) {
	r := codec.NewReader(b)
	v := r.Int16()
	switch {
	case r.Err() != nil:
		return r, fmt.Errorf("value of %d bytes", len(b))
	case v < 0 || v > newest:
		return r, fmt.Errorf("unknown value version=%d", v)
	}
	return r, nil
}

func decodeOffset(b []byte) (*committed, error) {
	r, err := openValue(b, offsetValueNewest)
	if err != nil {
		return nil, err
	}
	if b[1] == offsetValueWithTopicID {
		return decodeOffsetFlexible(&r)
	}
	v := kmsg.NewOffsetCommitValue()
	if err := v.ReadFrom(b); err != nil {
		return nil, err
	}
	c := &committed{offset: v.Offset, leaderEpoch: v.LeaderEpoch, metadata: v.Metadata, at: v.CommitTimestamp, expires: -1}
	if v.Version < offsetValueVersion {
		c.leaderEpoch = -1
	}
	if v.Version == offsetValueExpires && v.ExpireTimestamp >= 0 {
		c.expires = v.ExpireTimestamp
	}
	return c, nil
}

// groupValue is a decoded group value of any version; times are in ms, -1: not known.
type groupValue struct {
	protocolType, protocol, leader string
	generation                     int32
	since                          int64
	members                        []memberValue
}

type memberValue struct {
	id, clientID, clientHost string
	instance                 *string
	rebalance, session       int32
	subscription, assignment []byte
}

func decodeGroupRigid(b []byte) (*groupValue, error) {
	v := kmsg.NewGroupMetadataValue()
	if err := v.ReadFrom(b); err != nil {
		return nil, err
	}
	g := &groupValue{protocolType: v.ProtocolType, protocol: deref(v.Protocol), leader: deref(v.Leader), generation: v.Generation, since: -1}
	if v.Version >= 2 {
		g.since = v.CurrentStateTimestamp
	}
	for i := range v.Members {
		m := &v.Members[i]
		rebalance := m.RebalanceTimeoutMillis
		if v.Version < 1 {
			rebalance = -1
		}
		g.members = append(g.members, memberValue{
			id: m.MemberID, clientID: m.ClientID, clientHost: m.ClientHost, instance: m.InstanceID,
			rebalance: rebalance, session: m.SessionTimeoutMillis,
			subscription: bytes.Clone(m.Subscription), assignment: bytes.Clone(m.Assignment),
		})
	}
	return g, nil
}

func decodeGroup(b []byte) (*membership, error) {
	r, err := openValue(b, groupValueNewest)
	if err != nil {
		return nil, err
	}
	var v *groupValue
	if b[1] == groupValueNewest {
		v, err = decodeGroupFlexible(&r)
	} else {
		v, err = decodeGroupRigid(b)
	}
	if err != nil {
		return nil, err
	}
	ms := &membership{state: Empty, generation: v.generation, protocolType: v.protocolType, protocol: v.protocol, leader: v.leader}
	if v.since >= 0 {
		ms.since = time.UnixMilli(v.since)
	}
	for _, m := range v.members {
		if m.rebalance < 0 {
			m.rebalance = m.session
		}
		if ms.member(m.id) != nil {
			return nil, fmt.Errorf("member id=%q twice", m.id)
		}
		ms.put(&member{
			id: m.id, instance: m.instance, clientID: m.clientID, clientHost: m.clientHost,
			sessionTimeout: millis(m.session), rebalanceTimeout: millis(m.rebalance),
			protocols: []protocol{{name: v.protocol, metadata: m.subscription}}, assignment: m.assignment,
		})
	}
	if len(ms.members) > 0 {
		ms.state = Stable
		if ms.member(ms.leader) == nil {
			ms.leader = ms.members[0].id
		}
	}
	ms.subscribe()
	ms.durable = ms
	return ms, nil
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
