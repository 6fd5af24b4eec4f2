package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// flat joins the pieces of a body.
func flat(bufs net.Buffers) []byte { return bytes.Join(bufs, nil) }

func str(r *rand.Rand, min int) string {
	b := make([]byte, min+r.IntN(200))
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}

// optional is a random string, "" half the time, with the pointer that kmsg has.
func optional(r *rand.Rand) (string, *string) {
	if r.IntN(2) == 0 {
		return "", nil
	}
	s := str(r, 1)
	return s, &s
}

func uuid(r *rand.Rand) (id [16]byte) {
	for i := range id {
		id[i] = byte(r.Uint32())
	}
	return id
}

func blob(r *rand.Rand) []byte {
	switch r.IntN(4) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	return []byte(str(r, 1))
}

func unknownTags(r *rand.Rand, t *kmsg.Tags, first uint32) {
	if r.IntN(3) == 0 {
		t.Set(first+uint32(r.IntN(3)), []byte(str(r, 0)))
		t.Set(1<<20, []byte(str(r, 0)))
	}
}

func randomProduceRequest(r *rand.Rand, version int16) *kmsg.ProduceRequest {
	k := kmsg.NewPtrProduceRequest()
	k.Version = version
	_, k.TransactionID = optional(r)
	k.Acks, k.TimeoutMillis = int16(r.Uint32()), int32(r.Uint32())
	flexible := version >= 9
	for range r.IntN(5) {
		t := kmsg.NewProduceRequestTopic()
		if version < 13 {
			t.Topic = str(r, 0)
		} else {
			t.TopicID = uuid(r)
		}
		for range r.IntN(4) {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition, p.Records = int32(r.Uint32()), blob(r)
			if flexible {
				unknownTags(r, &p.UnknownTags, 0)
			}
			t.Partitions = append(t.Partitions, p)
		}
		if flexible {
			unknownTags(r, &t.UnknownTags, 0)
		}
		k.Topics = append(k.Topics, t)
	}
	if flexible {
		unknownTags(r, &k.UnknownTags, 0)
	}
	return k
}

func optionalBytes(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}

func sameProduce(t *testing.T, got *ProduceRequest, want *kmsg.ProduceRequest) {
	t.Helper()
	if !sameBytes(got.TransactionalID, optionalBytes(want.TransactionID)) || got.Acks != want.Acks || got.TimeoutMillis != want.TimeoutMillis || len(got.Topics) != len(want.Topics) {
		t.Fatalf("version %d\n got %+v\nwant %+v", want.Version, got, want)
	}
	for i, g := range got.Topics {
		w := want.Topics[i]
		if string(g.Name) != w.Topic || g.ID != w.TopicID || len(g.Partitions) != len(w.Partitions) {
			t.Fatalf("version %d topic\n got %+v\nwant %+v", want.Version, g, w)
		}
		for j, p := range g.Partitions {
			if p.Index != w.Partitions[j].Partition || !sameBytes(p.Records, w.Partitions[j].Records) {
				t.Fatalf("version %d partition\n got %+v\nwant %+v", want.Version, p, w.Partitions[j])
			}
		}
	}
}

func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

func TestProduceRequest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var got ProduceRequest
	for version := int16(MinProduceVersion); version <= MaxProduceVersion; version++ {
		for range 200 {
			want := randomProduceRequest(r, version)
			body := want.AppendTo(nil)
			if err := got.Parse(version, body); err != nil {
				t.Fatal(err)
			}
			sameProduce(t, &got, want)
		}
	}
}

// TestProduceRequestCut shows that no prefix of a request passes for a whole one.
func TestProduceRequestCut(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	var got ProduceRequest
	for version := int16(MinProduceVersion); version <= MaxProduceVersion; version++ {
		body := randomProduceRequest(r, version).AppendTo(nil)
		for n := range body {
			if err := got.Parse(version, body[:n]); !errors.Is(err, ErrMalformed) || len(got.Topics) != 0 {
				t.Fatalf("version %d cut at %d: %v", version, n, err)
			}
		}
	}
}

func TestProduceResponse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for version := int16(MinProduceVersion); version <= MaxProduceVersion; version++ {
		for range 200 {
			k := kmsg.NewPtrProduceResponse()
			k.Version, k.ThrottleMillis = version, int32(r.Uint32())
			ours := ProduceResponse{ThrottleMillis: k.ThrottleMillis}
			for range r.IntN(4) {
				kt := kmsg.NewProduceResponseTopic()
				kt.Topic, kt.TopicID = str(r, 0), uuid(r)
				ot := ProduceTopicResponse{Name: []byte(kt.Topic), ID: kt.TopicID}
				for range r.IntN(4) {
					kp := kmsg.NewProduceResponseTopicPartition()
					op := ProducePartitionResponse{Index: int32(r.Uint32()), ErrorCode: int16(r.Uint32()), BaseOffset: int64(r.Uint64()), LogAppendTime: int64(r.Uint64()), LogStartOffset: int64(r.Uint64())}
					kp.Partition, kp.ErrorCode, kp.BaseOffset, kp.LogAppendTime, kp.LogStartOffset = op.Index, op.ErrorCode, op.BaseOffset, op.LogAppendTime, op.LogStartOffset
					op.ErrorMessage, kp.ErrorMessage = optional(r)
					for range r.IntN(3) {
						oe := RecordError{Index: int32(r.Uint32())}
						ke := kmsg.NewProduceResponseTopicPartitionErrorRecord()
						ke.RelativeOffset = oe.Index
						oe.Message, ke.ErrorMessage = optional(r)
						op.RecordErrors, kp.ErrorRecords = append(op.RecordErrors, oe), append(kp.ErrorRecords, ke)
					}
					if version >= 10 && r.IntN(2) == 0 {
						op.CurrentLeader = &LeaderAndEpoch{LeaderID: r.Int32(), Epoch: r.Int32()}
						kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch = op.CurrentLeader.LeaderID, op.CurrentLeader.Epoch
					}
					ot.Partitions, kt.Partitions = append(ot.Partitions, op), append(kt.Partitions, kp)
				}
				ours.Topics, k.Topics = append(ours.Topics, ot), append(k.Topics, kt)
			}
			if version >= 10 {
				for range r.IntN(200) / 60 * 50 {
					n := NodeEndpoint{NodeID: r.Int32(), Host: str(r, 0), Port: r.Int32()}
					kn := kmsg.NewProduceResponseBroker()
					kn.NodeID, kn.Host, kn.Port = n.NodeID, n.Host, n.Port
					n.Rack, kn.Rack = optional(r)
					ours.Nodes, k.Brokers = append(ours.Nodes, n), append(k.Brokers, kn)
				}
			}
			if got, want := ours.AppendTo([]byte("x"), version)[1:], k.AppendTo(nil); !bytes.Equal(got, want) {
				t.Fatalf("version %d\n got %x\nwant %x", version, got, want)
			}
		}
	}
}

// TestFlexible compares the table with kmsg for every key and version.
func TestFlexible(t *testing.T) {
	for key := int16(-1); key < MaxKey+20; key++ {
		k := kmsg.RequestForKey(key)
		switch {
		case key >= 4 && key <= 7:
			if KnownKey(key) || Flexible(key, 10) {
				t.Errorf("key %d of brokers with ZooKeeper is known", key)
			}
		case k == nil:
			if KnownKey(key) || Flexible(key, 10) {
				t.Errorf("key %d is known here and not in kmsg", key)
			}
		default:
			if !KnownKey(key) {
				t.Errorf("key %d is unknown", key)
			}
			for version := int16(0); version <= k.MaxVersion()+3; version++ {
				k.SetVersion(version)
				if got, want := Flexible(key, version), k.IsFlexible(); got != want {
					t.Errorf("key %d version %d: %v, want %v", key, version, got, want)
				}
			}
		}
	}
}

func TestRequestHeader(t *testing.T) {
	id := "a client"
	for key := int16(0); key <= MaxKey; key++ {
		k := kmsg.RequestForKey(key)
		if k == nil || !KnownKey(key) {
			continue
		}
		for version := int16(0); version <= k.MaxVersion(); version++ {
			for _, clientID := range []*string{nil, &id, new(string)} {
				k.SetVersion(version)
				frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID(id)).AppendRequest(nil, k, 77)[SizePrefix:]
				h := RequestHeader{Key: key, Version: version, CorrelationID: 77, ClientID: optionalBytes(clientID)}
				if clientID == &id && !bytes.HasPrefix(frame, AppendRequestHeader(nil, h)) {
					t.Fatalf("key %d version %d: our header %x, kmsg %x", key, version, AppendRequestHeader(nil, h), frame)
				}
				got, body, err := ParseRequestHeader(append(AppendRequestHeader(nil, h), "body"...))
				if err != nil || !reflect.DeepEqual(got, h) || string(body) != "body" {
					t.Fatalf("key %d version %d: %+v %q %v", key, version, got, body, err)
				}
			}
		}
	}
}

func TestRequestHeaderRefuses(t *testing.T) {
	produce9 := AppendRequestHeader(nil, RequestHeader{Key: KeyProduce, Version: 9, CorrelationID: 1, ClientID: []byte("id")})
	for n := range produce9 {
		if _, _, err := ParseRequestHeader(produce9[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for name, c := range map[string]struct {
		in  []byte
		err error
	}{
		"key 1000":               {[]byte{3, 232, 0, 0, 0, 0, 0, 1, 255, 255}, ErrUnknownKey},
		"key -1":                 {[]byte{255, 255, 0, 0, 0, 0, 0, 1, 255, 255}, ErrUnknownKey},
		"LeaderAndIsr":           {[]byte{0, 4, 0, 0, 0, 0, 0, 1, 255, 255}, ErrUnknownKey},
		"client id of -2":        {[]byte{0, 0, 0, 3, 0, 0, 0, 1, 255, 254}, ErrMalformed},
		"client id too long":     {[]byte{0, 0, 0, 3, 0, 0, 0, 1, 0, 9, 'x'}, ErrMalformed},
		"tags out of order":      {[]byte{0, 0, 0, 9, 0, 0, 0, 1, 255, 255, 2, 1, 0, 1, 0}, ErrMalformed},
		"tag beyond the end":     {[]byte{0, 0, 0, 9, 0, 0, 0, 1, 255, 255, 1, 1, 9}, ErrMalformed},
		"2³²-1 tags":             {[]byte{0, 0, 0, 9, 0, 0, 0, 1, 255, 255, 255, 255, 255, 255, 15}, ErrMalformed},
		"ApiVersions v99":        {[]byte{0, 18, 0, 99, 0, 0, 0, 1, 255, 255, 9, 9}, nil},
		"ApiVersions v3, proper": {[]byte{0, 18, 0, 3, 0, 0, 0, 1, 255, 255, 0, 1, 1, 0}, nil},
	} {
		if h, _, err := ParseRequestHeader(c.in); !errors.Is(err, c.err) || err == nil && h.Key != 18 {
			t.Errorf("%s: %v, want %v", name, err, c.err)
		}
	}
}

func TestResponseHeader(t *testing.T) {
	for _, c := range []struct {
		key, version int16
		want         []byte
	}{
		{KeyProduce, 8, []byte{0, 0, 0, 5}}, {KeyProduce, 9, []byte{0, 0, 0, 5, 0}},
		{KeyFetch, 11, []byte{0, 0, 0, 5}}, {KeyFetch, 12, []byte{0, 0, 0, 5, 0}},
		{KeyApiVersions, 0, []byte{0, 0, 0, 5}}, {KeyApiVersions, 4, []byte{0, 0, 0, 5}},
		{17, 1, []byte{0, 0, 0, 5}},
	} {
		if got := AppendResponseHeader(nil, c.key, c.version, 5); !bytes.Equal(got, c.want) {
			t.Errorf("%d v%d: %x", c.key, c.version, got)
		}
		got := AppendFrame([]byte("x"), c.key, c.version, 5, 1000)
		if want := append([]byte{'x', 0, 0, 3, byte(0xe8 + len(c.want))}, c.want...); !bytes.Equal(got, want) {
			t.Errorf("%d v%d: %x, want %x", c.key, c.version, got, want)
		}
	}
}

// TestCountsAreBounded shows that a count costs nothing before its elements are there.
func TestCountsAreBounded(t *testing.T) {
	huge := []byte{0x7f, 0xff, 0xff, 0xff}
	produce := append([]byte{255, 255, 0, 1, 0, 0, 0, 1}, huge...)
	fetch := append(make([]byte, 4+4+4+4+1), huge...)
	var p ProduceRequest
	var f FetchRequest
	if err := p.Parse(3, append(produce, make([]byte, 1000)...)); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
	if err := f.Parse(4, append(fetch, make([]byte, 1000)...)); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
	many := kmsg.NewPtrProduceRequest()
	many.Version = 12
	many.Topics = make([]kmsg.ProduceRequestTopic, MaxTopics+1)
	if err := p.Parse(12, many.AppendTo(nil)); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
	many.Topics = make([]kmsg.ProduceRequestTopic, 2)
	many.Topics[0].Partitions = make([]kmsg.ProduceRequestTopicPartition, MaxPartitions)
	many.Topics[1].Partitions = make([]kmsg.ProduceRequestTopicPartition, 1)
	if err := p.Parse(12, many.AppendTo(nil)); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
	many.Topics = many.Topics[:1]
	if err := p.Parse(12, many.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Topics[0].Partitions); n != MaxPartitions {
		t.Fatal(n)
	}
}

func TestKeyName(t *testing.T) {
	for key := int16(0); key <= MaxKey; key++ {
		if !KnownKey(key) {
			continue
		}
		// kmsg spells some names by its own rules.
		if got, want := KeyName(key), kmsg.NameForKey(key); !strings.EqualFold(got, want) && key != 45 {
			t.Errorf("key %d: %q, kmsg %q", key, got, want)
		}
	}
	if got := KeyName(1000); got != "unknown" {
		t.Error(got)
	}
}
