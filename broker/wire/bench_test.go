package wire

import (
	"math/rand/v2"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func BenchmarkProduceRequest(b *testing.B) {
	k := kmsg.NewPtrProduceRequest()
	k.Version = 12
	k.Topics = []kmsg.ProduceRequestTopic{{Topic: "a-topic", Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: 3, Records: make([]byte, 1024)}}}}
	body := k.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		p := AcquireProduceRequest()
		if err := p.Parse(12, body); err != nil {
			b.Fatal(err)
		}
		p.Release()
	}
}

func BenchmarkProduceResponse(b *testing.B) {
	p := ProduceResponse{Topics: []ProduceTopicResponse{{Name: []byte("a-topic"), Partitions: []ProducePartitionResponse{{Index: 3}}}}}
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		dst = p.AppendTo(dst[:0], 12)
	}
}

func BenchmarkFetchRequest(b *testing.B) {
	k := kmsg.NewPtrFetchRequest()
	k.Version = 16
	k.Topics = []kmsg.FetchRequestTopic{{Partitions: make([]kmsg.FetchRequestTopicPartition, 100)}}
	for i := range k.Topics[0].Partitions {
		k.Topics[0].Partitions[i] = kmsg.NewFetchRequestTopicPartition()
	}
	body := k.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		f := AcquireFetchRequest()
		if err := f.Parse(16, body); err != nil {
			b.Fatal(err)
		}
		f.Release()
	}
}

func BenchmarkFetchResponse(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 1))
	var f FetchResponse
	f.Topics = []FetchTopicResponse{{}}
	for range 100 {
		_, p := randomFetchPartition(r, 16)
		p.Aborted, p.DivergingEpoch, p.SnapshotID, p.CurrentLeader = nil, nil, nil, nil
		f.Topics[0].Partitions = append(f.Topics[0].Partitions, p)
	}
	bufs, fields := make(net.Buffers, 0, 512), make([]byte, 0, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		f.AppendTo(bufs, fields, 16)
	}
}
