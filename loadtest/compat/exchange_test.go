package compat

import (
	"fmt"
	"sync"
	"testing"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

// perCodec is how many records each client writes with each codec.
const perCodec = 60

// TestExchange has every client write to a partition of its own with each of its codecs, and every client read all of it: from the
// beginning, from an offset and from a time.
func TestExchange(t *testing.T) {
	p := brokertest.Start(t, brokertest.Options{Settings: quick})
	topic := "exchange"
	clients[0].create(t, worker.Options{Brokers: p.Addr(), Topic: topic, Partitions: len(clients)})

	var mu sync.Mutex
	var all []worker.Record // guarded by mu
	t.Run("write", func(t *testing.T) {
		for number, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				c.create(t, worker.Options{
					Brokers: p.Addr(), Topic: "made-by-" + c.name, Partitions: 2, Configs: map[string]string{"retention.ms": "12345678"},
				})
				for i, codec := range c.codecs {
					records := makeRecords(int32(number), int64(i*perCodec), perCodec, c.name+" "+codec)
					if c.fullHeaders {
						withoutNullHeaders(records)
					}
					acks := c.produce(t, worker.Options{Brokers: p.Addr(), Topic: topic, Codec: codec}, records)
					for n, a := range acks {
						if a.Offset != records[n].Offset {
							t.Fatalf("%s: record %d was acknowledged at offset %d, want %d", codec, n, a.Offset, records[n].Offset)
						}
					}
					mu.Lock()
					all = append(all, records...)
					mu.Unlock()
				}
			})
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	middle := map[int32]int64{}
	for number := range clients {
		middle[int32(number)] = int64(100 + 7*number) // inside of a batch
	}
	at := epoch + 10*150 + 3
	t.Run("read", func(t *testing.T) {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				for _, one := range []struct {
					o    worker.Options
					want []worker.Record
				}{
					{worker.Options{From: "beginning"}, all},
					{worker.Options{From: "offset", Offsets: middle}, from(all, middle)},
					{worker.Options{From: "time", Time: at}, after(all, at)},
				} {
					one.o.Brokers, one.o.Topic, one.o.Count = p.Addr(), topic, len(one.want)
					same(t, fmt.Sprintf("%s from %s", c.name, one.o.From), c.consume(t, one.o), one.want)
				}
			})
		}
	})
	for _, c := range clients {
		name := "made-by-" + c.name
		if d := p.Run("topic", "describe", name); !containsAll(d, name, "retention.ms", "12345678") {
			t.Errorf("%s made another topic:\n%s", c.name, d)
		}
	}
}
