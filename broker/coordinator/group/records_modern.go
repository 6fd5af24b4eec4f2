package group

import (
	"encoding/binary"
	"fmt"

	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
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
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 6+len(k.group)+len(k.part)), uint16(k.version))
	b = appendString(b, k.group)
	if keyForms[k.version].part {
		b = appendString(b, k.part)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// decodeKey reads the key of a modern group's record.
func decodeKey(b []byte) (recordKey, Kind, error) {
	k := recordKey{version: int16(binary.BigEndian.Uint16(b))}
	form, ok := keyForms[k.version]
	if !ok || newModern[form.kind] == nil {
		return k, 0, fmt.Errorf("unknown record kind, key version=%d", k.version)
	}
	b, bad := b[2:], false
	take := func() string {
		if len(b) < 2 || int(int16(binary.BigEndian.Uint16(b))) < 0 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
			bad = true
			return ""
		}
		n := 2 + int(binary.BigEndian.Uint16(b))
		s := string(b[2:n])
		b = b[n:]
		return s
	}
	k.group = take()
	if form.part && !bad {
		k.part = take()
	}
	if bad || len(b) > 0 {
		return k, 0, fmt.Errorf("key version=%d: %w", k.version, errTorn)
	}
	return k, form.kind, nil
}

// flexWriter writes a flexible value, whose version comes first.
type flexWriter struct{ b []byte }

func newFlexWriter(version int16) *flexWriter {
	return &flexWriter{b: binary.BigEndian.AppendUint16(make([]byte, 0, 64), uint16(version))}
}

func (w *flexWriter) int8(v int8)   { w.b = append(w.b, byte(v)) }
func (w *flexWriter) int32(v int32) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)) }
func (w *flexWriter) int64(v int64) { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)) }

// size writes a length or count; -1 is null.
func (w *flexWriter) size(n int) { w.b = binary.AppendUvarint(w.b, uint64(n+1)) }

func (w *flexWriter) string(s string) {
	w.size(len(s))
	w.b = append(w.b, s...)
}

func (w *flexWriter) nullable(s *string) {
	if s == nil {
		w.size(-1)
		return
	}
	w.string(*s)
}

func (w *flexWriter) bytes(b []byte) {
	w.size(len(b))
	w.b = append(w.b, b...)
}

func (w *flexWriter) id(id [16]byte) { w.b = append(w.b, id[:]...) }

func (w *flexWriter) strings(list []string) {
	w.size(len(list))
	for _, s := range list {
		w.string(s)
	}
}

func (w *flexWriter) int32s(list []int32) {
	w.size(len(list))
	for _, n := range list {
		w.int32(n)
	}
}

// flexTag is a tagged field.
type flexTag struct {
	tag   uint64
	value []byte
}

// tags writes tagged fields, which must ascend; none is the end of most structures.
func (w *flexWriter) tags(fields ...flexTag) {
	w.b = binary.AppendUvarint(w.b, uint64(len(fields)))
	for _, f := range fields {
		w.b = binary.AppendUvarint(w.b, f.tag)
		w.b = binary.AppendUvarint(w.b, uint64(len(f.value)))
		w.b = append(w.b, f.value...)
	}
}

// openFlex starts reading a value of which only version 0 is known.
func openFlex(value []byte) (*flexReader, error) {
	if err := valueVersion(value, 0); err != nil {
		return nil, err
	}
	return &flexReader{b: value[2:]}, nil
}

func (r *flexReader) int8() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *flexReader) id() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}

func (r *flexReader) strings() []string {
	n := max(r.size(), 0)
	out := make([]string, 0, n)
	for range n {
		if r.bad {
			return nil
		}
		out = append(out, r.string())
	}
	return out
}

// int32s reads numbers; null and none are nil.
func (r *flexReader) int32s() []int32 {
	n := r.size()
	if n <= 0 {
		return nil
	}
	b := r.take(4 * n)
	if b == nil {
		return nil
	}
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(binary.BigEndian.Uint32(b[4*i:]))
	}
	return out
}

// assignment reads topics with their partitions, as all kinds of groups have them:
// an array of { topic id uuid │ partitions []int32 │ tags }.
func (r *flexReader) assignment() assignment {
	a := assignment{}
	for range max(r.size(), 0) {
		id := r.id()
		ps := r.int32s()
		r.tags(nil)
		if r.bad {
			break
		}
		a.add(id, ps...)
	}
	return a
}

func (w *flexWriter) assignment(a assignment) {
	w.size(len(a))
	for _, id := range a.topics() {
		w.id(id)
		w.int32s(a[id])
		w.tags()
	}
}
