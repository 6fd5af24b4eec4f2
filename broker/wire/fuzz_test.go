package wire

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzProduceRequest parses arbitrary bytes in every version. What parses must
// mean the same to kmsg.
func FuzzProduceRequest(f *testing.F) {
	r := rand.New(rand.NewPCG(7, 1))
	for version := int16(MinProduceVersion); version <= MaxProduceVersion; version++ {
		f.Add(version, randomProduceRequest(r, version).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		version = MinProduceVersion + int16(uint16(version)%(MaxProduceVersion-MinProduceVersion+1))
		p := AcquireProduceRequest()
		defer p.Release()
		if err := p.Parse(version, body); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		k := kmsg.NewPtrProduceRequest()
		k.Version = version
		if err := k.ReadFrom(body); err != nil {
			t.Fatalf("version %d parses here only: %v", version, err)
		}
		sameProduce(t, p, k)
	})
}

// FuzzFetchRequest parses arbitrary bytes in every version. What parses must
// mean the same to kmsg.
func FuzzFetchRequest(f *testing.F) {
	r := rand.New(rand.NewPCG(8, 1))
	for version := int16(MinFetchVersion); version <= MaxFetchVersion; version++ {
		f.Add(version, randomFetchRequest(r, version).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		version = MinFetchVersion + int16(uint16(version)%(MaxFetchVersion-MinFetchVersion+1))
		p := AcquireFetchRequest()
		defer p.Release()
		if err := p.Parse(version, body); err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		k := kmsg.NewPtrFetchRequest()
		k.Version = version
		if err := k.ReadFrom(body); err != nil {
			t.Fatalf("version %d parses here only: %v", version, err)
		}
		if version < 17 || foreignTags(k) {
			return // kmsg takes tags of later versions at their word
		}
		sameFetch(t, p, k)
	})
}

func foreignTags(k *kmsg.FetchRequest) bool {
	if k.Version >= 18 {
		return false
	}
	for _, t := range k.Topics {
		for _, p := range t.Partitions {
			if p.HighWatermark != 1<<63-1 {
				return true
			}
		}
	}
	return false
}

// FuzzRequestHeader parses arbitrary frames.
func FuzzRequestHeader(f *testing.F) {
	for key := int16(0); key <= MaxKey; key++ {
		f.Add(AppendRequestHeader(nil, RequestHeader{Key: key, Version: key % 13, CorrelationID: 1, ClientID: []byte("client")}))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseRequestHeader(frame)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnknownKey) {
				t.Fatal(err)
			}
			return
		}
		if len(body)+MinRequestSize > len(frame) || !KnownKey(h.Key) {
			t.Fatalf("%+v body of %d bytes in a frame of %d", h, len(body), len(frame))
		}
	})
}
