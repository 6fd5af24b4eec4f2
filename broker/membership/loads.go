package membership

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/record"
)

// LoadRequest is the type of control request by which a broker asks another how much the
// partitions that it leads have to do. Integers are big endian.
//
//	request  0 version u8 = 1
//	answer   0 version u8 = 1   1 any number of: topic id 16 bytes, partition i32, bytes per second i64, bytes not in the object store i64
const LoadRequest uint16 = 18

const (
	loadVersion = 1
	loadBytes   = 16 + 4 + 8 + 8
	// maxLoads bounds an answer. Where there are more partitions, those with the least to do
	// are left out.
	maxLoads = 200_000
	// loadTimeout is for a broker to answer: without it its partitions count as idle.
	loadTimeout = 2 * time.Second
)

// PartitionLoad is the load of one partition.
type PartitionLoad struct {
	Topic     metadata.ID
	Partition int32
	controller.Load
}

// Loads is what the brokers' partitions have to do.
type Loads map[record.TopicPartition]controller.Load

// Of returns the load of a partition, nothing for one that nobody told of.
func (l Loads) Of(topic metadata.ID, partition int32) controller.Load {
	return l[record.TopicPartition{Topic: topic, Partition: partition}]
}

func appendLoads(dst []byte, loads []PartitionLoad) []byte {
	if len(loads) > maxLoads {
		slices.SortFunc(loads, func(a, b PartitionLoad) int { return cmp.Compare(b.BytesIn+b.TailBytes, a.BytesIn+a.TailBytes) })
		loads = loads[:maxLoads]
	}
	dst = append(dst, loadVersion)
	for i := range loads {
		x := &loads[i]
		dst = append(dst, x.Topic[:]...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(x.Partition))
		dst = binary.BigEndian.AppendUint64(dst, uint64(x.BytesIn))
		dst = binary.BigEndian.AppendUint64(dst, uint64(x.TailBytes))
	}
	return dst
}

// parseLoads adds what an answer tells.
func parseLoads(b []byte, into Loads) error {
	r := codec.NewReader(b)
	version := r.Uint8()
	if n := r.Remaining(); version != loadVersion || n%loadBytes != 0 {
		return fmt.Errorf("loads of a broker have version=%d bytes=%d: upgrade one release at a time", version, len(b))
	}
	for r.Remaining() > 0 {
		name := record.TopicPartition{Topic: r.UUID(), Partition: r.Int32()}
		into[name] = controller.Load{BytesIn: max(r.Int64(), 0), TailBytes: max(r.Int64(), 0)}
	}
	return r.Finish()
}

// serveLoads answers another broker.
func (s *Steward) serveLoads(_ context.Context, from peer.Identity, b []byte) ([]byte, error) {
	if len(b) != 1 || b[0] != loadVersion {
		return nil, fmt.Errorf("question of broker=%d about loads: bytes=%d: upgrade one release at a time", from.Node, len(b))
	}
	return appendLoads(nil, s.o.Loads()), nil
}

// Gather asks all brokers in service what their partitions have to do. What one does not tell in
// time is missing.
func (s *Steward) Gather(ctx context.Context) Loads {
	out := Loads{}
	for _, x := range s.o.Loads() {
		out[record.TopicPartition{Topic: x.Topic, Partition: x.Partition}] = x.Load
	}
	if s.o.Peers == nil {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	var mu sync.Mutex // guards out
	var asked sync.WaitGroup
	for b := range s.o.Store.Image().Brokers() {
		address, ok := Address(b)
		if b.ID == s.o.Registration.ID || b.Fenced || !ok {
			continue
		}
		asked.Go(func() {
			answer, err := s.o.Peers.Call(ctx, address, b.ID, LoadRequest, []byte{loadVersion})
			if err == nil {
				mu.Lock()
				err = parseLoads(answer, out)
				mu.Unlock()
			}
			if err != nil {
				s.o.Logger.InfoContext(ctx, "a broker does not tell its loads", "broker", b.ID, "error", err)
			}
		})
	}
	asked.Wait()
	return out
}
