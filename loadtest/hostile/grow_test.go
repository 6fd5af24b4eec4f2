package hostile

import (
	"encoding/binary"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

// Sizes of what a script can make.
const (
	maxGrown     = 600     // elements of all arrays of a request
	maxGrownText = 100_000 // bytes of all strings
)

// script decides what a request is made of, a byte for a decision. Where it has ended all
// bytes are 0, which is always the ordinary choice: so the shorter a script, the plainer
// the request, and an empty one makes the request that a client would send.
type script struct {
	b              []byte
	elements, text int
	id             [16]byte // of a topic that exists
}

func (s *script) next() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *script) word() uint64 {
	var w [8]byte
	for i := range w {
		w[i] = s.next()
	}
	return binary.BigEndian.Uint64(w[:])
}

// grow makes a request as the script wants it.
func grow(a api, s *script) kmsg.Request {
	req := kmsg.RequestForKey(a.key)
	s.value(reflect.ValueOf(req).Elem(), "")
	req.SetVersion(a.version)
	return req
}

// value fills one field.
func (s *script) value(v reflect.Value, name string) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(s.next()&1 != 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(s.number(name))
	case reflect.Uint16:
		v.SetUint(uint64(uint16(s.number(name))))
	case reflect.Float64:
		v.SetFloat(s.fraction())
	case reflect.String:
		v.SetString(s.string())
	case reflect.Array:
		s.uuid(v)
	case reflect.Pointer:
		if s.next()%4 != 1 {
			v.Set(reflect.New(v.Type().Elem()))
			s.value(v.Elem(), name)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(s.bytes())
			return
		}
		s.array(v, name)
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			s.tags(tags)
			return
		}
		for i := range v.NumField() {
			s.value(v.Field(i), v.Type().Field(i).Name)
		}
	default:
		panic("no value of kind " + v.Kind().String())
	}
}

// number is 1 where the script has no opinion; -1 and 0 where 1 would mean another
// broker or a partition that is not there.
func (s *script) number(name string) int64 {
	c := s.next()
	switch c {
	case 0:
		switch {
		case name == "ReplicaID":
			return -1
		case strings.HasPrefix(name, "Partition"), strings.Contains(name, "Offset"), strings.Contains(name, "Epoch"):
			return 0
		}
		return 1
	case 1:
		return 0
	case 2:
		return -1
	case 3:
		return math.MaxInt64
	case 4:
		return math.MinInt64
	case 5:
		return math.MaxInt32 // fits some, wraps in others
	case 6:
		return math.MinInt32
	case 7:
		return int64(s.word())
	case 8:
		return 1 << (s.next() % 63)
	}
	return int64(int8(c - 9))
}

func (s *script) fraction() float64 {
	switch c := s.next(); c {
	case 0:
		return 1024
	case 1:
		return math.NaN()
	case 2:
		return math.Inf(1)
	case 3:
		return -1
	case 4:
		return math.Float64frombits(s.word())
	default:
		return float64(c)
	}
}

// words are strings that mean something to some handler.
var words = []string{
	victim, "", "g", "t", "1", "-1", "consumer", "range", "m-1", "__consumer_offsets", "__transaction_state", "__share_group_state",
	"cleanup.policy", "compact", "retention.ms", "100", "max.message.bytes", "share.auto.offset.reset", "by_duration:PT1H",
	"producer_byte_rate", "user", "client-id", "ip", "127.0.0.1", "alice", "User:alice", "User:*", "*", "Group:ops", "metadata.version", "tideline.version",
	"PLAIN", "SCRAM-SHA-256", "controller_mutation_rate", "interval.ms", "match", "client_id=a.*", "org.apache.kafka.", "Ongoing", "Stable",
	"\x00alice\x00wrong", "n,,n=alice,r=rOprNGfwEbeRWgbNEkqO", "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=AAAA", "5",
	".", "..", "a/b", "\xff\xfe", "\x00", "(((((a*)*)*)*)*)$", "PT99999999999H", "CONTROLLER", "localhost",
}

func (s *script) string() string {
	c := int(s.next())
	if c < len(words) {
		return words[c]
	}
	n := c - len(words)
	if c >= 250 {
		n = math.MaxInt16 >> (c - 250)
	}
	if n > maxGrownText-s.text {
		return ""
	}
	s.text += n
	return strings.Repeat(string(rune('a'+s.next()%26)), n)
}

func (s *script) uuid(v reflect.Value) {
	id := s.id
	switch s.next() {
	case 0:
	case 1:
		id = [16]byte{}
	case 2:
		id[15]++
	default:
		binary.BigEndian.PutUint64(id[:], s.word())
	}
	reflect.Copy(v, reflect.ValueOf(id[:]))
}

func (s *script) array(v reflect.Value, name string) {
	n := 0
	switch c := s.next(); {
	case c == 0:
		n = 1
	case c == 1:
		v.SetZero()
		return
	case c < 10:
		n = int(c) - 2
	case c > 250:
		n = 32 << (c - 251) // up to 512
	}
	n = min(n, maxGrown-s.elements)
	s.elements += n
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		s.value(v.Index(i), name)
	}
}

// tags are fields that nobody knows.
func (s *script) tags(tags *kmsg.Tags) {
	n := int(s.next())
	if n < 200 { // where there is a choice, few requests have some
		return
	}
	for i := range uint32(n - 199) {
		tags.Set(1000+i*uint32(1+s.next()), make([]byte, s.next()))
	}
}

// bytes is a batch, or what members of groups tell each other, or nothing of the kind.
func (s *script) bytes() []byte {
	switch c := s.next(); {
	case int(c) < len(batches):
		return slices.Clone(batches[c])
	case c < 60: // changed, and sealed again
		b := slices.Clone(batches[int(c)%len(batches)])
		for range 1 + s.next()%3 {
			b[int(uint16(s.next())<<8|uint16(s.next()))%len(b)] = s.next()
		}
		if s.next()%4 != 0 {
			sealed(b)
		}
		return b
	case c < 70:
		return nil
	case c < 80:
		return []byte{0, 1, 0, 0, 0, 1, 0, byte(len(victim)), 'v', 'i', 'c', 't', 'i', 'm', 0, 0, 0, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}
	case c < 90:
		return []byte(s.string())
	default:
		b := make([]byte, c-90)
		for i := range b {
			b[i] = s.next()
		}
		return b
	}
}

// batches are what a producer sends.
var batches = func() (out [][]byte) {
	for codec := record.None; codec <= record.Zstd; codec++ {
		out = append(out, batchWith(record.Options{ProducerID: record.NoProducerID, LeaderEpoch: record.NoLeaderEpoch, Codec: codec}, 3))
	}
	return append(out,
		batchWith(record.Options{ProducerID: 1, LeaderEpoch: record.NoLeaderEpoch}, 2),
		compressed(1, []byte("this is not compressed"), 1),
	)
}()

func batchWith(o record.Options, records int) []byte {
	b := record.NewBuilder(o)
	for range records {
		r := record.Record{Timestamp: 1_700_000_000_000, Key: []byte("key"), Value: []byte("value value value"), Headers: []record.Header{{Key: []byte("h"), Value: []byte("v")}}}
		if err := b.Add(r); err != nil {
			panic(err)
		}
	}
	return b.Build()
}
