package share

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the
// output up to the next empty line. See testdata/README.md for the commands.
func TestScripts(t *testing.T) {
	scripttest.Run(t, newScript)
}

type script struct {
	*world
	*scripttest.Output
}

func newScript(t *testing.T, out *scripttest.Output) scripttest.Script {
	s := &script{Output: out}
	return scripttest.Script{
		Command: func(l scripttest.Line) { s.command(t, l) },
		BlockEnd: func() {
			if s.world != nil {
				s.check()
			}
		},
	}
}

func topicID(name string) (id [16]byte) { copy(id[:], name); return id }

func topicName(id [16]byte) string { return strings.TrimRight(string(id[:]), "\x00") }

// at splits "topic/1" into the topic's id and the partition.
func at(t testing.TB, word string) ([16]byte, int32) {
	name, n, _ := strings.Cut(word, "/")
	p, err := strconv.ParseInt(n, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return topicID(name), int32(p)
}

var states = map[string]int8{"available": 0, "acked": 2, "archived": 4}

// parseBatches reads "10-19:acked:1,20-29:available:2".
func parseBatches(t testing.TB, text string) (out []StateBatch) {
	for part := range strings.SplitSeq(text, ",") {
		if part == "" {
			continue
		}
		var b StateBatch
		var name string
		if _, err := fmt.Sscanf(strings.ReplaceAll(part, ":", " "), "%d-%d %s %d", &b.First, &b.Last, &name, &b.DeliveryCount); err != nil {
			t.Fatalf("%q: %v", part, err)
		}
		b.State = states[name]
		out = append(out, b)
	}
	return out
}

func batchesText(batches []StateBatch) string {
	var out []string
	for _, b := range batches {
		name := strconv.Itoa(int(b.State))
		for n, s := range states {
			if s == b.State {
				name = n
			}
		}
		out = append(out, fmt.Sprintf("%d-%d:%s:%d", b.First, b.Last, name, b.DeliveryCount))
	}
	return strings.Join(out, ",")
}

func (s *script) command(t *testing.T, a scripttest.Line) {
	switch name := a.Name; name {
	case "new":
		cfg := Defaults()
		cfg.UpdatesPerSnapshot = int(a.Num("updates", 3))
		cfg.MaxBatches = int(a.Num("max-batches", int64(cfg.MaxBatches)))
		cfg.MaxShardBatches = int(a.Num("max-shard-batches", int64(cfg.MaxShardBatches)))
		cfg.MaxSharePartitions = int(a.Num("max", int64(cfg.MaxSharePartitions)))
		s.world = newWorld(t, cfg)
		s.onBatch = s.showBatch
	case "topic":
		s.topics[topicID(a.Words[0])] = int32(a.Num("partitions", 4))
	case "drop-topic":
		delete(s.topics, topicID(a.Words[0]))
		s.co.TopicDeleted(a.Words[0], topicID(a.Words[0]))
	case "tick":
		d, err := time.ParseDuration(a.Words[0])
		if err != nil {
			t.Fatal(err)
		}
		before := s.start
		s.pass(d)
		if s.start != before {
			s.Printf("pruned below %d", s.start)
		}
	case "hold":
		s.hold = true
	case "ack":
		s.hold = false
		s.ack()
		s.pump()
	case "fail":
		s.hold = false
		s.fail(map[string]error{
			"unavailable": errors.New("unavailable"), "too-large": coordinator.ErrTooLarge, "not-leader": coordinator.ErrNotLeader,
		}[a.Words[0]])
	case "failover":
		s.hold = false
		s.failover(len(a.Words) > 0)
	case "states":
		for _, k := range s.machine.keys() {
			x := s.machine.states[k]
			s.Printf("%s %s/%d snapshot=%d state-epoch=%d leader-epoch=%d start=%d complete=%d %s", k.Group, topicName(k.Topic), k.Partition,
				x.snapshotEpoch, x.stateEpoch, x.leaderEpoch, x.start, x.complete, batchesText(x.batches))
		}
	default:
		req := buildRequest(t, name, a)
		if req == nil {
			t.Fatalf("unknown command %q", a.Text)
		}
		if !s.co.Handle(req, func(resp kmsg.Response) { s.showResponse(name, resp) }) {
			t.Fatalf("%q is not taken", a.Text)
		}
	}
}

// buildRequest makes the request of a line; every word is a partition, all of one request.
func buildRequest(t testing.TB, name string, a scripttest.Line) kmsg.Request {
	group := a.Str("group", "g")
	switch name {
	case "init":
		r := kmsg.NewPtrInitializeShareGroupStateRequest()
		r.GroupID = group
		for _, w := range a.Words {
			id, p := at(t, w)
			r.Topics = append(r.Topics, kmsg.InitializeShareGroupStateRequestTopic{TopicID: id, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{{
				Partition: p, StateEpoch: int32(a.Num("epoch", 0)), StartOffset: a.Num("start", -1),
			}}})
		}
		return r
	case "read":
		r := kmsg.NewPtrReadShareGroupStateRequest()
		r.GroupID = group
		for _, w := range a.Words {
			id, p := at(t, w)
			r.Topics = append(r.Topics, kmsg.ReadShareGroupStateRequestTopic{TopicID: id, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{
				Partition: p, LeaderEpoch: int32(a.Num("leader", 0)),
			}}})
		}
		return r
	case "write":
		r := kmsg.NewPtrWriteShareGroupStateRequest()
		r.GroupID, r.Version = group, int16(a.Num("v", 1))
		for _, w := range a.Words {
			id, p := at(t, w)
			rp := kmsg.WriteShareGroupStateRequestTopicPartition{
				Partition: p, StateEpoch: int32(a.Num("epoch", 0)), LeaderEpoch: int32(a.Num("leader", 0)),
				StartOffset: a.Num("start", -1), DeliveryCompleteCount: int32(a.Num("complete", 0)),
			}
			for _, b := range parseBatches(t, a.Str("batches", "")) {
				rp.StateBatches = append(rp.StateBatches, kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{
					FirstOffset: b.First, LastOffset: b.Last, DeliveryState: b.State, DeliveryCount: b.DeliveryCount,
				})
			}
			r.Topics = append(r.Topics, kmsg.WriteShareGroupStateRequestTopic{TopicID: id, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{rp}})
		}
		return r
	case "delete":
		r := kmsg.NewPtrDeleteShareGroupStateRequest()
		r.GroupID = group
		for _, w := range a.Words {
			id, p := at(t, w)
			r.Topics = append(r.Topics, kmsg.DeleteShareGroupStateRequestTopic{TopicID: id, Partitions: []kmsg.DeleteShareGroupStateRequestTopicPartition{{Partition: p}}})
		}
		return r
	case "summary":
		r := kmsg.NewPtrReadShareGroupStateSummaryRequest()
		r.GroupID, r.Version = group, 1
		for _, w := range a.Words {
			id, p := at(t, w)
			r.Topics = append(r.Topics, kmsg.ReadShareGroupStateSummaryRequestTopic{TopicID: id, Partitions: []kmsg.ReadShareGroupStateSummaryRequestTopicPartition{{Partition: p}}})
		}
		return r
	}
	return nil
}

func codeText(code int16) string {
	if code == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(code).Message
}

func (s *script) showResponse(name string, resp kmsg.Response) {
	show := func(id [16]byte, partition int32, code int16, format string, args ...any) {
		text := ""
		if code == 0 {
			text = fmt.Sprintf(format, args...)
		}
		s.Printf("%s <- %s/%d %s %s", name, topicName(id), partition, codeText(code), text)
	}
	switch r := resp.(type) {
	case *kmsg.InitializeShareGroupStateResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				show(t.TopicID, p.Partition, p.ErrorCode, "")
			}
		}
	case *kmsg.ReadShareGroupStateResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				var batches []StateBatch
				for _, b := range p.StateBatches {
					batches = append(batches, StateBatch{b.FirstOffset, b.LastOffset, b.DeliveryState, b.DeliveryCount})
				}
				show(t.TopicID, p.Partition, p.ErrorCode, "epoch=%d start=%d %s", p.StateEpoch, p.StartOffset, batchesText(batches))
			}
		}
	case *kmsg.WriteShareGroupStateResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				show(t.TopicID, p.Partition, p.ErrorCode, "")
			}
		}
	case *kmsg.DeleteShareGroupStateResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				show(t.TopicID, p.Partition, p.ErrorCode, "")
			}
		}
	case *kmsg.ReadShareGroupStateSummaryResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				show(t.TopicID, p.Partition, p.ErrorCode, "epoch=%d leader=%d start=%d complete=%d", p.StateEpoch, p.LeaderEpoch, p.StartOffset, p.DeliveryCompleteCount)
			}
		}
	}
}

func (s *script) showBatch(b record.Batch) {
	for r, err := range b.Records(1 << 24) {
		if err != nil {
			s.t.Fatal(err)
		}
		e, err := decode(r.Key, r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		what := "tombstone"
		if x := e.snapshot; x != nil {
			what = fmt.Sprintf("snapshot %d state-epoch=%d leader-epoch=%d start=%d complete=%d %s", x.snapshotEpoch, x.stateEpoch, x.leaderEpoch, x.start, x.complete, batchesText(x.batches))
		} else if u := e.update; u != nil {
			what = fmt.Sprintf("update of %d leader-epoch=%d start=%d complete=%d %s", u.snapshotEpoch, u.leaderEpoch, u.start, u.complete, batchesText(u.batches))
		}
		s.Printf("log %d %s %s/%d %s", r.Offset, e.key.Group, topicName(e.key.Topic), e.key.Partition, what)
	}
}
