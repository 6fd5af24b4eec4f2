package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func randomFetchRequest(r *rand.Rand, version int16) *kmsg.FetchRequest {
	k := kmsg.NewPtrFetchRequest()
	k.Version = version
	if version <= 14 {
		k.ReplicaID = r.Int32()
	}
	k.MaxWaitMillis, k.MinBytes, k.MaxBytes, k.IsolationLevel = r.Int32(), r.Int32(), r.Int32(), int8(r.Uint32())
	if version >= 7 {
		k.SessionID, k.SessionEpoch = r.Int32(), r.Int32()
	}
	if version >= 11 {
		k.Rack = str(r, 0)
	}
	if version >= 12 {
		_, k.ClusterID = optional(r)
		unknownTags(r, &k.UnknownTags, 2)
	}
	if version >= 15 && r.IntN(2) == 0 {
		k.ReplicaState.ID, k.ReplicaState.Epoch = r.Int32(), r.Int64()
		unknownTags(r, &k.ReplicaState.UnknownTags, 0)
	}
	for range r.IntN(4) {
		t := kmsg.NewFetchRequestTopic()
		if version < 13 {
			t.Topic = str(r, 0)
		} else {
			t.TopicID = uuid(r)
		}
		for range r.IntN(4) {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.FetchOffset, p.PartitionMaxBytes = r.Int32(), r.Int64(), r.Int32()
			if version >= 5 {
				p.LogStartOffset = r.Int64()
			}
			if version >= 9 {
				p.CurrentLeaderEpoch = r.Int32()
			}
			if version >= 12 {
				p.LastFetchedEpoch = r.Int32()
				unknownTags(r, &p.UnknownTags, 2)
			}
			if version >= 17 && r.IntN(2) == 0 {
				p.ReplicaDirectoryID = uuid(r)
			}
			if version >= 18 && r.IntN(2) == 0 {
				p.HighWatermark = r.Int64()
			}
			t.Partitions = append(t.Partitions, p)
		}
		k.Topics = append(k.Topics, t)
	}
	for range r.IntN(3) {
		if version < 7 {
			break
		}
		t := kmsg.NewFetchRequestForgottenTopic()
		if version < 13 {
			t.Topic = str(r, 0)
		} else {
			t.TopicID = uuid(r)
		}
		for range r.IntN(4) {
			t.Partitions = append(t.Partitions, r.Int32())
		}
		if version >= 12 {
			unknownTags(r, &t.UnknownTags, 0)
		}
		k.ForgottenTopics = append(k.ForgottenTopics, t)
	}
	return k
}

func sameFetch(t *testing.T, got *FetchRequest, want *kmsg.FetchRequest) {
	t.Helper()
	replica, epoch := want.ReplicaID, int64(-1)
	if want.Version >= 15 {
		replica, epoch = want.ReplicaState.ID, want.ReplicaState.Epoch
	}
	if got.ReplicaID != replica || got.ReplicaEpoch != epoch || got.MaxWaitMillis != want.MaxWaitMillis || got.MinBytes != want.MinBytes ||
		got.MaxBytes != want.MaxBytes || got.IsolationLevel != want.IsolationLevel || got.SessionID != want.SessionID ||
		got.SessionEpoch != want.SessionEpoch || string(got.Rack) != want.Rack || !sameBytes(got.ClusterID, optionalBytes(want.ClusterID)) ||
		len(got.Topics) != len(want.Topics) || len(got.Forgotten) != len(want.ForgottenTopics) {
		t.Fatalf("version %d\n got %+v\nwant %+v", want.Version, got, want)
	}
	for i, g := range got.Topics {
		w := want.Topics[i]
		if string(g.Name) != w.Topic || g.ID != w.TopicID || len(g.Partitions) != len(w.Partitions) {
			t.Fatalf("version %d topic\n got %+v\nwant %+v", want.Version, g, w)
		}
		for j, p := range g.Partitions {
			k := w.Partitions[j]
			if p != (FetchPartition{Index: k.Partition, CurrentLeaderEpoch: k.CurrentLeaderEpoch, FetchOffset: k.FetchOffset, LastFetchedEpoch: k.LastFetchedEpoch,
				LogStartOffset: k.LogStartOffset, MaxBytes: k.PartitionMaxBytes, DirectoryID: k.ReplicaDirectoryID, HighWatermark: k.HighWatermark}) {
				t.Fatalf("version %d partition\n got %+v\nwant %+v", want.Version, p, k)
			}
		}
	}
	for i, g := range got.Forgotten {
		w := want.ForgottenTopics[i]
		if string(g.Name) != w.Topic || g.ID != w.TopicID || !slices.Equal(g.Partitions, w.Partitions) {
			t.Fatalf("version %d forgotten\n got %+v\nwant %+v", want.Version, g, w)
		}
	}
}

func TestFetchRequest(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	var got FetchRequest
	for version := int16(MinFetchVersion); version <= MaxFetchVersion; version++ {
		for range 200 {
			want := randomFetchRequest(r, version)
			body := want.AppendTo(nil)
			if err := got.Parse(version, body); err != nil {
				t.Fatal(err)
			}
			sameFetch(t, &got, want)
		}
		body := randomFetchRequest(r, version).AppendTo(nil)
		for n := range body {
			if err := got.Parse(version, body[:n]); !errors.Is(err, ErrMalformed) || len(got.Topics) != 0 {
				t.Fatalf("version %d cut at %d: %v", version, n, err)
			}
		}
	}
}

func randomEpochEnd(r *rand.Rand) *EpochEndOffset {
	if r.IntN(2) == 0 {
		return nil
	}
	return &EpochEndOffset{Epoch: r.Int32(), EndOffset: r.Int64()}
}

func TestFetchResponse(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	var ours FetchResponse
	var fields []byte
	for version := int16(MinFetchVersion); version <= MaxFetchVersion; version++ {
		for range 200 {
			ours.Reset()
			k := kmsg.NewPtrFetchResponse()
			k.Version, k.ThrottleMillis, k.ErrorCode, k.SessionID = version, r.Int32(), int16(r.Uint32()), r.Int32()
			ours.ThrottleMillis, ours.ErrorCode, ours.SessionID = k.ThrottleMillis, k.ErrorCode, k.SessionID
			for range r.IntN(4) {
				kt := kmsg.NewFetchResponseTopic()
				kt.Topic, kt.TopicID = str(r, 0), uuid(r)
				ot := FetchTopicResponse{Name: []byte(kt.Topic), ID: kt.TopicID}
				for range r.IntN(4) {
					kp, op := randomFetchPartition(r, version)
					ot.Partitions, kt.Partitions = append(ot.Partitions, op), append(kt.Partitions, kp)
				}
				ours.Topics, k.Topics = append(ours.Topics, ot), append(k.Topics, kt)
			}
			if version >= 16 {
				for range r.IntN(3) {
					n := NodeEndpoint{NodeID: r.Int32(), Host: str(r, 0), Port: r.Int32()}
					kn := kmsg.NewFetchResponseBroker()
					kn.NodeID, kn.Host, kn.Port = n.NodeID, n.Host, n.Port
					n.Rack, kn.Rack = optional(r)
					ours.Nodes, k.Brokers = append(ours.Nodes, n), append(k.Brokers, kn)
				}
			}
			var bufs net.Buffers
			bufs, fields = ours.AppendTo(net.Buffers{[]byte("head")}, fields[:0], version)
			if got, want := flat(bufs), k.AppendTo([]byte("head")); !bytes.Equal(got, want) {
				t.Fatalf("version %d\n got %x\nwant %x", version, got, want)
			}
		}
	}
}

func randomFetchPartition(r *rand.Rand, version int16) (kmsg.FetchResponseTopicPartition, FetchPartitionResponse) {
	kp := kmsg.NewFetchResponseTopicPartition()
	op := FetchPartitionResponse{Index: r.Int32(), ErrorCode: int16(r.Uint32()), HighWatermark: r.Int64(), LastStableOffset: r.Int64(), LogStartOffset: r.Int64(), PreferredReadReplica: r.Int32()}
	kp.Partition, kp.ErrorCode, kp.HighWatermark, kp.LastStableOffset, kp.LogStartOffset, kp.PreferredReadReplica = op.Index, op.ErrorCode, op.HighWatermark, op.LastStableOffset, op.LogStartOffset, op.PreferredReadReplica
	kp.RecordBatches, kp.AbortedTransactions = []byte{}, []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	for range r.IntN(3) {
		b := []byte(str(r, 0))
		op.Records, kp.RecordBatches = append(op.Records, b), append(kp.RecordBatches, b...)
	}
	if op.NullAborted = r.IntN(3) == 0; op.NullAborted {
		kp.AbortedTransactions = nil
	} else {
		for range r.IntN(3) {
			a := AbortedTransaction{ProducerID: r.Int64(), FirstOffset: r.Int64()}
			op.Aborted = append(op.Aborted, a)
			kp.AbortedTransactions = append(kp.AbortedTransactions, kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
		}
	}
	if version >= 12 {
		if op.DivergingEpoch = randomEpochEnd(r); op.DivergingEpoch != nil {
			kp.DivergingEpoch.Epoch, kp.DivergingEpoch.EndOffset = op.DivergingEpoch.Epoch, op.DivergingEpoch.EndOffset
		}
		if r.IntN(2) == 0 {
			op.CurrentLeader = &LeaderAndEpoch{LeaderID: r.Int32(), Epoch: r.Int32()}
			kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch = op.CurrentLeader.LeaderID, op.CurrentLeader.Epoch
		}
		if op.SnapshotID = randomEpochEnd(r); op.SnapshotID != nil {
			kp.SnapshotID.Epoch, kp.SnapshotID.EndOffset = op.SnapshotID.Epoch, op.SnapshotID.EndOffset
		}
	}
	return kp, op
}
