package share

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of the script tests anew")

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the
// output up to the next empty line. See testdata/README.md for the commands.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("output differs; got:\n%s", got)
			}
		})
	}
}

type script struct {
	*world
	out strings.Builder
}

func runScript(t *testing.T, text string) string {
	s := &script{}
	var done strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			done.WriteString("\n")
		}
		commands, _, _ := strings.Cut(block, "\n----")
		comment := true
		for line := range strings.SplitSeq(commands, "\n") {
			if !strings.HasPrefix(line, "#") {
				comment = false
				s.command(t, line)
			}
		}
		done.WriteString(commands + "\n")
		if !comment {
			done.WriteString("----\n" + s.out.String())
		}
		s.out.Reset()
		if s.world != nil {
			s.check()
		}
	}
	return done.String()
}

func (s *script) printf(format string, args ...any) {
	s.out.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// args are the words of a line: key=value, and the rest.
type args struct {
	t  testing.TB
	kv map[string]string
	at []string
}

func parseArgs(t testing.TB, line string) args {
	a := args{t: t, kv: map[string]string{}}
	for _, f := range strings.Fields(line)[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			a.kv[k] = v
		} else {
			a.at = append(a.at, f)
		}
	}
	return a
}

func (a args) str(k, def string) string {
	if v, ok := a.kv[k]; ok {
		return v
	}
	return def
}

func (a args) num(k string, def int64) int64 {
	v, ok := a.kv[k]
	if !ok {
		return def
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		a.t.Fatal(err)
	}
	return n
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

func (s *script) command(t *testing.T, line string) {
	a := parseArgs(t, line)
	name, _, _ := strings.Cut(line, " ")
	switch name {
	case "new":
		cfg := Defaults()
		cfg.UpdatesPerSnapshot = int(a.num("updates", 3))
		cfg.MaxBatches = int(a.num("max-batches", int64(cfg.MaxBatches)))
		cfg.MaxShardBatches = int(a.num("max-shard-batches", int64(cfg.MaxShardBatches)))
		cfg.MaxSharePartitions = int(a.num("max", int64(cfg.MaxSharePartitions)))
		s.world = newWorld(t, cfg)
		s.onBatch = s.showBatch
	case "topic":
		s.topics[topicID(a.at[0])] = int32(a.num("partitions", 4))
	case "drop-topic":
		delete(s.topics, topicID(a.at[0]))
		s.co.TopicDeleted(a.at[0], topicID(a.at[0]))
	case "tick":
		d, err := time.ParseDuration(a.at[0])
		if err != nil {
			t.Fatal(err)
		}
		before := s.start
		s.pass(d)
		if s.start != before {
			s.printf("pruned below %d", s.start)
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
		}[a.at[0]])
	case "failover":
		s.hold = false
		s.failover(len(a.at) > 0)
	case "states":
		for _, k := range s.machine.keys() {
			x := s.machine.states[k]
			s.printf("%s %s/%d snapshot=%d state-epoch=%d leader-epoch=%d start=%d complete=%d %s", k.Group, topicName(k.Topic), k.Partition,
				x.snapshotEpoch, x.stateEpoch, x.leaderEpoch, x.start, x.complete, batchesText(x.batches))
		}
	default:
		req := buildRequest(t, name, a)
		if req == nil {
			t.Fatalf("unknown command %q", line)
		}
		if !s.co.Handle(req, func(resp kmsg.Response) { s.showResponse(name, resp) }) {
			t.Fatalf("%q is not taken", line)
		}
	}
}

// buildRequest makes the request of a line; every word is a partition, all of one request.
func buildRequest(t testing.TB, name string, a args) kmsg.Request {
	group := a.str("group", "g")
	switch name {
	case "init":
		r := kmsg.NewPtrInitializeShareGroupStateRequest()
		r.GroupID = group
		for _, w := range a.at {
			id, p := at(t, w)
			r.Topics = append(r.Topics, kmsg.InitializeShareGroupStateRequestTopic{TopicID: id, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{{
				Partition: p, StateEpoch: int32(a.num("epoch", 0)), StartOffset: a.num("start", -1),
			}}})
		}
		return r
	case "read":
		r := kmsg.NewPtrReadShareGroupStateRequest()
		r.GroupID = group
		for _, w := range a.at {
			id, p := at(t, w)
			r.Topics = append(r.Topics, kmsg.ReadShareGroupStateRequestTopic{TopicID: id, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{
				Partition: p, LeaderEpoch: int32(a.num("leader", 0)),
			}}})
		}
		return r
	case "write":
		r := kmsg.NewPtrWriteShareGroupStateRequest()
		r.GroupID, r.Version = group, int16(a.num("v", 1))
		for _, w := range a.at {
			id, p := at(t, w)
			rp := kmsg.WriteShareGroupStateRequestTopicPartition{
				Partition: p, StateEpoch: int32(a.num("epoch", 0)), LeaderEpoch: int32(a.num("leader", 0)),
				StartOffset: a.num("start", -1), DeliveryCompleteCount: int32(a.num("complete", 0)),
			}
			for _, b := range parseBatches(t, a.str("batches", "")) {
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
		for _, w := range a.at {
			id, p := at(t, w)
			r.Topics = append(r.Topics, kmsg.DeleteShareGroupStateRequestTopic{TopicID: id, Partitions: []kmsg.DeleteShareGroupStateRequestTopicPartition{{Partition: p}}})
		}
		return r
	case "summary":
		r := kmsg.NewPtrReadShareGroupStateSummaryRequest()
		r.GroupID, r.Version = group, 1
		for _, w := range a.at {
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
		s.printf("%s <- %s/%d %s %s", name, topicName(id), partition, codeText(code), text)
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
		s.printf("log %d %s %s/%d %s", r.Offset, e.key.Group, topicName(e.key.Topic), e.key.Partition, what)
	}
}
