package group

import (
	"fmt"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
	"github.com/tidelinehq/tideline/internal/codec"
)

// Versions of the record keys of modern groups, of which each stands for a kind of record.
const (
	keyConsumerGroup      int16 = 3
	keyConsumerPartitions int16 = 4 // not written since Kafka 4.1
	keyConsumerMember     int16 = 5
	keyConsumerTarget     int16 = 6
	keyConsumerTargetOf   int16 = 7
	keyConsumerCurrent    int16 = 8
	keyShareMember        int16 = 10
	keyShareGroup         int16 = 11
	keyShareTarget        int16 = 12
	keyShareTargetOf      int16 = 13
	keyShareCurrent       int16 = 14
	keyShareParts         int16 = 15
	keyConsumerRegex      int16 = 16
)

// keyForm is what a key of a version is about: which kind of group, and
// whether a second string follows the group, such as a member id.
type keyForm struct {
	kind Kind
	part bool
}

var keyForms = map[int16]keyForm{
	keyConsumerGroup:      {Consumer, false},
	keyConsumerPartitions: {Consumer, false},
	keyConsumerMember:     {Consumer, true},
	keyConsumerTarget:     {Consumer, false},
	keyConsumerTargetOf:   {Consumer, true},
	keyConsumerCurrent:    {Consumer, true},
	keyShareMember:        {Share, true},
	keyShareGroup:         {Share, false},
	keyShareTarget:        {Share, false},
	keyShareTargetOf:      {Share, true},
	keyShareCurrent:       {Share, true},
	keyShareParts:         {Share, false},
	keyConsumerRegex:      {Consumer, true},

	streams.KeyGroup:       {Streams, false},
	streams.KeyMember:      {Streams, true},
	streams.KeyTargetEpoch: {Streams, false},
	streams.KeyTarget:      {Streams, true},
	streams.KeyAssignment:  {Streams, true},
	streams.KeyTopology:    {Streams, false},
}

// recordKey is the key of a record of a modern group.
//
//	version int16 │ group string │ part string, if the version has one
type recordKey struct {
	version int16
	group   string
	part    string // a member id or a regular expression
}

// bytes is the key as it is written.
func (k recordKey) bytes() []byte {
	b := codec.AppendInt16(make([]byte, 0, 6+len(k.group)+len(k.part)), k.version)
	b = codec.AppendShortString(b, k.group)
	if keyForms[k.version].part {
		b = codec.AppendShortString(b, k.part)
	}
	return b
}

// decodeKey reads the key of a modern group's record.
func decodeKey(b []byte) (recordKey, Kind, error) {
	r := codec.NewReader(b)
	k := recordKey{version: r.Int16()}
	form, ok := keyForms[k.version]
	if !ok || newModern[form.kind] == nil {
		return k, 0, fmt.Errorf("unknown record kind, key version=%d", k.version)
	}
	k.group = r.ShortString()
	if form.part {
		k.part = r.ShortString()
	}
	if err := r.Finish(); err != nil {
		return k, 0, fmt.Errorf("key version=%d: %w", k.version, err)
	}
	return k, form.kind, nil
}

func tombstone(version int16, group, part string) coordinator.Record {
	return coordinator.Record{Key: recordKey{version, group, part}.bytes()}
}

// valueModern is the only version of the values of modern groups.
const valueModern = 0

// newValue starts a value.
func newValue() []byte { return codec.AppendInt16(make([]byte, 0, 64), valueModern) }

// readValue has read read a value; what that returns takes it in once all of it was read.
func readValue(key recordKey, value []byte, read func(recordKey, *codec.Reader) func()) error {
	r, err := openValue(value, valueModern)
	var set func()
	if err == nil {
		set = read(key, &r)
		err = r.Finish()
	}
	if err != nil {
		return fmt.Errorf("%v group=%q key version=%d: %w", keyForms[key.version].kind, key.group, key.version, err)
	}
	set()
	return nil
}

// epochRecord is an epoch and, in a tagged field that is left out when it is 0, a number:
// of a group the hash of its topics' metadata, of a target when it was computed.
//
//	version int16 │ epoch int32 │ tag 0: number int64
func epochRecord(version int16, group string, epoch int32, number int64) coordinator.Record {
	b := codec.AppendInt32(newValue(), epoch)
	if number != 0 {
		b = codec.AppendTags(b, codec.Tag{Tag: 0, Value: codec.AppendInt64(nil, number)})
	} else {
		b = codec.AppendTags(b)
	}
	return coordinator.Record{Key: recordKey{version, group, ""}.bytes(), Value: b}
}

func readEpoch(r *codec.Reader) (epoch int32, number int64) {
	epoch = r.Int32()
	r.Tags(func(tag uint64, field *codec.Reader) {
		if tag == 0 && field.Remaining() == 8 {
			number = field.Int64()
		}
	})
	return epoch, number
}

// targetOfRecord is what a member shall have.
func targetOfRecord(version int16, group, member string, a assignment) coordinator.Record {
	b := codec.AppendTags(appendAssignment(newValue(), a))
	return coordinator.Record{Key: recordKey{version, group, member}.bytes(), Value: b}
}

// topicBytes is what a topic in an array has at least: its id, one length, and the count
// of tagged fields.
const topicBytes = 16 + 1 + 1

// appendAssignment writes topics with their partitions, as all kinds of groups have them:
// an array of { topic id uuid │ partitions []int32 │ tags }.
func appendAssignment(b []byte, a assignment) []byte {
	b = codec.AppendCompactLen(b, len(a))
	for _, id := range a.topics() {
		b = append(b, id[:]...)
		b = codec.AppendCompactInt32s(b, a[id])
		b = codec.AppendTags(b)
	}
	return b
}

func decodeAssignment(r *codec.Reader) assignment {
	a := assignment{}
	r.CompactEach(topicBytes, func() {
		id, ps := r.UUID(), r.CompactInt32s()
		r.Tags(nil)
		a.add(id, ps...)
	})
	return a
}
