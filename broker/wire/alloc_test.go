//go:build !race

package wire

import (
	"math/rand/v2"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The race detector makes pools forget at random, hence the build constraint.

func TestAllocations(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	var produce, fetch []byte
	for len(produce) < 500 {
		k := randomProduceRequest(r, 13)
		for i := range k.Topics {
			k.Topics[i].UnknownTags = kmsg.Tags{}
		}
		produce = k.AppendTo(nil)
	}
	for len(fetch) < 500 {
		k := randomFetchRequest(r, 16)
		k.UnknownTags, k.ClusterID, k.ReplicaState = kmsg.Tags{}, nil, kmsg.NewFetchRequestReplicaState()
		for i := range k.Topics {
			for j := range k.Topics[i].Partitions {
				k.Topics[i].Partitions[j].UnknownTags = kmsg.Tags{}
			}
		}
		fetch = k.AppendTo(nil)
	}
	if n := testing.AllocsPerRun(100, func() {
		p := AcquireProduceRequest()
		if err := p.Parse(13, produce); err != nil {
			t.Fatal(err)
		}
		p.Release()
	}); n > 0.1 {
		t.Errorf("produce: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		f := AcquireFetchRequest()
		if err := f.Parse(16, fetch); err != nil {
			t.Fatal(err)
		}
		f.Release()
	}); n > 0.1 {
		t.Errorf("fetch: %v allocations", n)
	}
	var resp FetchResponse
	_, part := randomFetchPartition(r, 16)
	resp.Topics = []FetchTopicResponse{{Partitions: []FetchPartitionResponse{part, part}}}
	bufs, fields := make(net.Buffers, 0, 16), make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { resp.AppendTo(bufs, fields, 16) }); n > 0 {
		t.Errorf("fetch response: %v allocations", n)
	}
}
