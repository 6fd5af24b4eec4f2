package api

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// batch makes a batch of n records at an offset.
func batch(t *testing.T, base int64, n int, o record.Options) []byte {
	t.Helper()
	b := record.NewBuilder(o)
	for range n {
		r := record.Record{Value: []byte("v"), Timestamp: 1}
		if o.Control {
			r = record.ControlRecord(record.Abort, 0, 1)
		}
		if err := b.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	out := b.Build()
	out.SetBaseOffset(base)
	return out
}

// TestHiddenBatches: of aborted transactions only, and not their markers.
func TestHiddenBatches(t *testing.T) {
	plain := record.Options{ProducerID: record.NoProducerID}
	txn := func(id int64) record.Options { return record.Options{ProducerID: id, Transactional: true} }
	marker := record.Options{ProducerID: 7, Transactional: true, Control: true}
	first := slices.Concat(batch(t, 0, 5, plain), batch(t, 5, 5, txn(7)), batch(t, 10, 5, txn(8)))
	second := slices.Concat(batch(t, 15, 5, txn(7)), batch(t, 20, 1, marker), batch(t, 21, 5, txn(7)))
	f, err := fetched([][]byte{first, second}, []partition.AbortedTxn{{ProducerID: 7, FirstOffset: 5, LastOffset: 20}})
	if err != nil {
		t.Fatal(err)
	}
	if want := []share.Range{{First: 5, Last: 9}, {First: 15, Last: 19}}; !slices.Equal(f.Hidden, want) {
		t.Errorf("hidden %v, want %v", f.Hidden, want)
	}
	if len(f.Batches) != 6 || f.Batches[5] != (share.Range{First: 21, Last: 25}) {
		t.Errorf("batches %v", f.Batches)
	}
	for _, c := range []struct {
		acquired    [2]int64
		first, last int64
		buffers     int
	}{{[2]int64{6, 7}, 5, 9, 1}, {[2]int64{0, 25}, 0, 25, 2}, {[2]int64{14, 15}, 10, 19, 2}, {[2]int64{21, 30}, 21, 25, 1}} {
		got := within([][]byte{first, second}, []share.Acquisition{{Range: share.Range{First: c.acquired[0], Last: c.acquired[1]}}})
		f, err := fetched(got, nil)
		if err != nil || len(got) != c.buffers || f.Batches[0].First != c.first || f.Batches[len(f.Batches)-1].Last != c.last {
			t.Errorf("acquired %v: %v %v", c.acquired, f.Batches, err)
		}
	}
	if _, err := fetched([][]byte{first[:len(first)-1]}, nil); err == nil {
		t.Error("a batch that ends early is no error")
	}
}

// TestShareFetchBytes: what is encoded without a copy are the bytes of kmsg.
func TestShareFetchBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	text := func() *string {
		if r.IntN(2) == 0 {
			return nil
		}
		s := string(make([]byte, r.IntN(200)))
		return &s
	}
	for range 200 {
		resp := kmsg.NewPtrShareFetchResponse()
		resp.Version = int16(1 + r.IntN(2))
		resp.ErrorCode, resp.ErrorMessage, resp.AcquisitionLockTimeoutMillis = int16(r.IntN(100)), text(), r.Int32()
		for range r.IntN(4) {
			topic := kmsg.NewShareFetchResponseTopic()
			topic.TopicID[3] = byte(r.IntN(256))
			for range r.IntN(4) {
				p := kmsg.NewShareFetchResponseTopicPartition()
				p.Partition, p.ErrorCode, p.ErrorMessage = r.Int32(), int16(r.IntN(100)), text()
				p.AcknowledgeErrorCode, p.AcknowledgeErrorMessage = int16(r.IntN(100)), text()
				p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = r.Int32(), r.Int32()
				p.Records = make([]byte, r.IntN(300)*r.IntN(2))
				for range r.IntN(4) {
					p.AcquiredRecords = append(p.AcquiredRecords, kmsg.ShareFetchResponseTopicPartitionAcquiredRecord{FirstOffset: r.Int64(), LastOffset: r.Int64(), DeliveryCount: int16(r.IntN(9))})
				}
				topic.Partitions = append(topic.Partitions, p)
			}
			resp.Topics = append(resp.Topics, topic)
		}
		for range r.IntN(3) {
			resp.NodeEndpoints = append(resp.NodeEndpoints, kmsg.ShareFetchResponseNodeEndpoint{NodeID: r.Int32(), Host: "h", Port: 9092, Rack: text()})
		}
		var got bytes.Buffer
		buffers := appendShareFetch(resp, func(i, j int) [][]byte {
			b := resp.Topics[i].Partitions[j].Records
			if len(b) == 0 {
				return nil
			}
			return [][]byte{b[:len(b)/2], b[len(b)/2:]}
		})
		for _, b := range buffers {
			got.Write(b)
		}
		if want := resp.AppendTo(nil); !bytes.Equal(got.Bytes(), want) {
			t.Fatalf("got  %x\nwant %x", got.Bytes(), want)
		}
	}
}

// TestShareSessionBounds: sessions and their partitions are counted, whichever way a
// session ends.
func TestShareSessionBounds(t *testing.T) {
	c := newShareSessions(2)
	closers := map[*server.Conn][]func(){}
	c.onClose = func(conn *server.Conn, f func()) { closers[conn] = append(closers[conn], f) }
	var left []string
	c.left = func(group, member string, last bool) {
		if last {
			member += " last"
		}
		left = append(left, group+" "+member)
	}
	ids := func(n int32) (out []wal.ID) {
		for i := range n {
			out = append(out, wal.ID{Partition: i})
		}
		return out
	}
	conn := new(server.Conn)
	open := func(member string, n int32) int16 {
		_, code := c.open(shareMember{"g", member}, conn, ids(n))
		return code
	}
	if open("a", 3) != 0 || open("b", 4) != 0 || open("c", 1) != kerr.ShareSessionLimitReached.Code {
		t.Error("two sessions")
	}
	if open("a", 2) != 0 || c.partitions != 6 || !slices.Equal(left, []string{"g a"}) {
		t.Errorf("opened once more: partitions=%d left=%v", c.partitions, left)
	}
	if s, code := c.next(shareMember{"g", "a"}, 1, func(s *shareSession) {
		s.put(wal.ID{Partition: 9})
		s.forget(wal.ID{Partition: 0})
		s.forget(wal.ID{Partition: 1})
	}); code != 0 || c.partitions != 5 || s.epoch != 2 {
		t.Errorf("changed: partitions=%d code=%d", c.partitions, code)
	}
	if _, code := c.next(shareMember{"g", "a"}, 1, nil); code != kerr.InvalidShareSessionEpoch.Code {
		t.Errorf("an old epoch: %d", code)
	}
	c.close(shareMember{"g", "b"})
	if len(closers[conn]) != 1 {
		t.Errorf("the connection is watched %d times", len(closers[conn]))
	}
	closers[conn][0]()
	if c.len() != 0 || c.partitions != 0 || len(c.groups) != 0 || len(c.conns) != 0 || !slices.Equal(left, []string{"g a", "g b", "g a last"}) {
		t.Errorf("sessions=%d partitions=%d groups=%v conns=%v left=%v", c.len(), c.partitions, c.groups, c.conns, left)
	}
	if code := open("d", maxSessionPartitions+1); code != kerr.ShareSessionLimitReached.Code {
		t.Errorf("too many partitions: %d", code)
	}
}
