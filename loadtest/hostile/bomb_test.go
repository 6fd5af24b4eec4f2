package hostile

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

// What batches that inflate may cost while they are handled, all of them together: some for
// each processor, none for each connection. It is what the heap grows by until it is
// collected, so it holds some of them twice.
const (
	bombLimit = 1792 << 20 // of batches that are inflated and compressed anew, a great one among them
	lookLimit = 768 << 20  // of batches that are looked at
)

// inflating is a batch that is right in all respects and takes so many MiB when it is
// decompressed: records of 1 MiB of zeros.
func inflating(t *testing.T, codec record.Codec, mib int, o record.Options) []byte {
	t.Helper()
	o.Codec, o.LeaderEpoch = codec, record.NoLeaderEpoch
	b := record.NewBuilder(o)
	for range mib {
		if err := b.Add(record.Record{Timestamp: time.Now().UnixMilli(), Key: []byte("k"), Value: make([]byte, 1<<20-64)}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Build()
}

// parts is a compressed batch of one record with so many headers, each of two bytes.
func parts(t *testing.T, headers int) []byte {
	t.Helper()
	body := []byte{0, 0, 0, 2, 'k', 2, 'v'} // attributes, deltas, key, value
	body = binary.AppendVarint(body, int64(headers))
	body = append(body, make([]byte, 2*headers)...)
	for i := len(body) - 2*headers; i < len(body); i += 2 {
		body[i+1] = 1 // a null value behind an empty key
	}
	whole := append(binary.AppendVarint(nil, int64(len(body))), body...)
	packed, err := record.Zstd.Compress(nil, whole)
	if err != nil {
		t.Fatal(err)
	}
	b := compressed(byte(record.Zstd), packed, 1)
	copy(b[posFirstTime:], stamped(time.Now().UnixMilli())[posFirstTime:posFirstTime+16])
	return sealed(b)
}

// TestBombs sends batches that inflate a thousandfold to topics of all kinds, from many
// connections at once. What a topic's settings allow is stored, whatever it inflates to;
// what is beyond is refused; and the broker has memory for a few at a time only.
func TestBombs(t *testing.T) {
	n := start(t)
	kinds := map[string][]string{
		"plain": nil, "compacted": {"cleanup.policy=compact"}, "stamped": {"message.timestamp.type=LogAppendTime"},
		"gzipped": {"compression.type=gzip"}, "unpacked": {"compression.type=uncompressed"},
		"vast": {"max.message.bytes=104857600"}, // where bombs may be a hundred times as great
	}
	for name, configs := range kinds {
		n.createTopic(t, name, 1, configs...)
	}
	none := record.Options{ProducerID: record.NoProducerID}
	small := map[record.Codec][]byte{}
	for _, codec := range []record.Codec{record.Gzip, record.LZ4, record.Zstd} {
		small[codec] = inflating(t, codec, 48, none)
	}
	huge := inflating(t, record.Zstd, 600, none)
	code := func(c *conn, to string, batch []byte) int16 {
		return call[*kmsg.ProduceResponse](t, c, produceRequest(9, to, 0, batch)).Topics[0].Partitions[0].ErrorCode
	}
	grew := peak(func() {
		var wait sync.WaitGroup
		for name := range kinds {
			for i := range 2 {
				wait.Go(func() {
					c := n.dial(t)
					defer c.close()
					for codec, batch := range small {
						got := code(c, name, batch)
						if tooLarge := kerr.MessageTooLarge.Code; got != 0 && (name != "unpacked" || got != tooLarge) {
							t.Errorf("%s bomb for topic %s: code=%d", codec, name, got)
						}
					}
					if i == 0 {
						expectCode(t, "a bomb of 600 MiB for topic "+name, code(c, name, huge), kerr.MessageTooLarge)
					}
				})
			}
		}
		wait.Wait()
	})
	t.Logf("bombs of %d to %d KiB cost %d MiB", len(small[record.Zstd])>>10, len(huge)>>10, grew>>20)
	if grew > bombLimit {
		t.Errorf("bombs cost %d MiB", grew>>20)
	}
	c := n.dial(t)
	defer c.close()
	expectCode(t, "25 million headers", code(c, topic, parts(t, 25_000_000)), kerr.MessageTooLarge)
	expectCode(t, "a million headers", code(c, topic, parts(t, 1_000_000)), nil)
	n.wellAfter(t, "bombs")
}

// TestBombsLookedUp asks for offsets by time of batches that inflate: many requests at once,
// each about many partitions.
func TestBombsLookedUp(t *testing.T) {
	const partitions, askers = 8, 8
	n := start(t)
	n.createTopic(t, "mines", partitions)
	c := n.dial(t)
	defer c.close()
	batch := inflating(t, record.Zstd, 24, record.Options{ProducerID: record.NoProducerID})
	for p := range int32(partitions) {
		produce(t, c, "mines", p, batch)
	}
	grew := peak(func() {
		var wait sync.WaitGroup
		for range askers {
			wait.Go(func() {
				c := n.dial(t)
				defer c.close()
				var all []int32
				for p := range int32(partitions) {
					all = append(all, p)
				}
				for _, found := range listOffsets(t, c, "mines", all, time.Now().Add(-time.Hour).UnixMilli()) {
					if found.ErrorCode != 0 || found.Offset != 0 {
						t.Errorf("partition=%d code=%d offset=%d", found.Partition, found.ErrorCode, found.Offset)
					}
				}
			})
		}
		wait.Wait()
	})
	t.Logf("%d look-ups of %d bombs cost %d MiB", askers, partitions, grew>>20)
	if grew > lookLimit {
		t.Errorf("%d look-ups of %d bombs cost %d MiB", askers, partitions, grew>>20)
	}
	n.wellAfter(t, "looking bombs up")
}

// ofProducer is the batch as that producer sends it.
func ofProducer(batch []byte, id *kmsg.InitProducerIDResponse, sequence uint32, transactional bool) []byte {
	b := slices.Clone(batch)
	binary.BigEndian.PutUint64(b[posProducer:], uint64(id.ProducerID))
	binary.BigEndian.PutUint16(b[posProducer+8:], uint16(id.ProducerEpoch))
	binary.BigEndian.PutUint32(b[posProducer+10:], sequence)
	if transactional {
		b[posAttributes+1] |= 1 << 4
	}
	return sealed(b)
}

// TestBombsInTransactions sends bombs that belong to transactions and to sequences.
func TestBombsInTransactions(t *testing.T) {
	n := start(t)
	c := n.dial(t)
	defer c.close()
	bomb := inflating(t, record.Gzip, 48, record.Options{ProducerID: record.NoProducerID})
	var wait sync.WaitGroup
	grew := peak(func() {
		for i := range 8 {
			wait.Go(func() {
				c := n.dial(t)
				defer c.close()
				init := kmsg.NewPtrInitProducerIDRequest()
				init.Version = 4
				id := call[*kmsg.InitProducerIDResponse](t, c, init)
				got := call[*kmsg.ProduceResponse](t, c, produceRequest(9, topic, 0, ofProducer(bomb, id, 0, false))).Topics[0].Partitions[0].ErrorCode
				expectCode(t, fmt.Sprintf("an idempotent bomb, producer %d", i), got, nil)
				req := produceRequest(9, topic, 0, ofProducer(bomb, id, 48, true))
				req.TransactionID = kmsg.StringPtr("tx")
				got = call[*kmsg.ProduceResponse](t, c, req).Topics[0].Partitions[0].ErrorCode
				if got == 0 {
					t.Error("a bomb out of a transaction is stored")
				}
			})
		}
		wait.Wait()
	})
	t.Logf("cost %d MiB", grew>>20)
	if grew > bombLimit {
		t.Errorf("bombs of transactions cost %d MiB", grew>>20)
	}
	n.wellAfter(t, "bombs of transactions")
}
