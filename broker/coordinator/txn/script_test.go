package txn

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of the script tests anew")

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the output up to the
// next empty line. See testdata/README.md for the commands.
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
	out     strings.Builder
	who     map[string]producer // what the producer of an id knows of itself
	waiting []asked
}

// asked is a request that may not be answered yet.
type asked struct {
	line string
	got  *[]kmsg.Response
	tell func(kmsg.Response) string
}

func runScript(t *testing.T, text string) string {
	s := &script{world: newWorld(t), who: map[string]producer{}}
	s.onBatch = s.logged
	var done strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			done.WriteString("\n")
		}
		commands, _, _ := strings.Cut(block, "\n----")
		comment := true
		for line := range strings.Lines(commands) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
				continue
			}
			comment = false
			s.command(line)
			s.answers()
		}
		done.WriteString(commands + "\n")
		if !comment {
			done.WriteString("----\n" + s.out.String())
		}
		s.out.Reset()
		s.checkReplay()
	}
	return done.String()
}

func (s *script) printf(format string, args ...any) {
	s.out.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// logged shows the records of a batch.
func (s *script) logged(b record.Batch) {
	for r, err := range b.Records(1 << 20) {
		if err != nil {
			s.t.Fatal(err)
		}
		e, err := decode(r.Key, r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		if e.t == nil {
			s.printf("  log %s gone", e.id)
		} else {
			s.printf("  log %s", s.show(e.id, e.t))
		}
	}
}

func (s *script) show(id string, t *transaction) string {
	out := fmt.Sprintf("%s %s %d:%d", id, t.state, t.producerID, t.epoch)
	if t.previousID != t.producerID && t.previousID >= 0 {
		out += fmt.Sprintf(" before=%d", t.previousID)
	}
	if t.nextID >= 0 {
		out += fmt.Sprintf(" next=%d", t.nextID)
	}
	for _, tp := range t.partitions {
		out += fmt.Sprintf(" %s/%d", tp.topic, tp.partition)
	}
	return out
}

func (s *script) answers() {
	s.waiting = slices.DeleteFunc(s.waiting, func(a asked) bool {
		if len(*a.got) == 0 {
			return false
		}
		if len(*a.got) > 1 {
			s.t.Fatalf("%s is answered %d times", a.line, len(*a.got))
		}
		s.printf("%s <- %s", a.line, a.tell((*a.got)[0]))
		return true
	})
}

func codeName(code int16) string {
	if code == 0 {
		return "ok"
	}
	if e := kerr.TypedErrorForCode(code); e != nil {
		return e.Message
	}
	return fmt.Sprint(code)
}

func (s *script) command(line string) {
	kv := map[string]string{}
	var pos []string
	fields := strings.Fields(line)
	for _, f := range fields[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			kv[k] = v
		} else {
			pos = append(pos, f)
		}
	}
	num := func(k string, def int64) int64 {
		v, ok := kv[k]
		if !ok {
			return def
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		return n
	}
	duration := func(v string) time.Duration {
		d, err := time.ParseDuration(v)
		if err != nil {
			s.t.Fatalf("%s: %v", line, err)
		}
		return d
	}
	who := func(id string) producer {
		if v, ok := kv["as"]; ok {
			a, b, _ := strings.Cut(v, ":")
			pid, _ := strconv.ParseInt(a, 10, 64)
			epoch, _ := strconv.ParseInt(b, 10, 16)
			return producer{pid, int16(epoch)}
		}
		return s.who[id]
	}
	ask := func(req kmsg.Request, tell func(kmsg.Response) string) {
		s.waiting = append(s.waiting, asked{line, s.send(req), tell})
	}
	switch fields[0] {
	case "level":
		s.level = int16(num("v", 2))
	case "set":
		s.cfg.MaxIDs = int(num("max-ids", int64(s.cfg.MaxIDs)))
		s.cfg.MaxPartitions = int(num("max-partitions", int64(s.cfg.MaxPartitions)))
	case "epoch": // as after very many transactions
		t := *s.m.txns[pos[0]]
		t.epoch = int16(num("is", 0))
		r := transactionRecord(pos[0], &t, s.level)
		b := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
		if err := b.Add(record.Record{Key: r.Key, Value: r.Value}); err != nil {
			s.t.Fatal(err)
		}
		s.append(b.Build())
		s.failover(false)
		s.who[pos[0]] = producer{t.producerID, t.epoch}
	case "init":
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version = int16(num("v", 5))
		req.TransactionalID, req.TransactionTimeoutMillis = &pos[0], int32(num("timeout", 60_000))
		if _, ok := kv["as"]; ok || len(pos) > 1 && pos[1] == "again" {
			p := who(pos[0])
			req.ProducerID, req.ProducerEpoch = p.id, p.epoch
		}
		ask(req, func(r kmsg.Response) string {
			resp := r.(*kmsg.InitProducerIDResponse)
			if resp.ErrorCode != 0 {
				return codeName(resp.ErrorCode)
			}
			s.who[pos[0]] = producer{resp.ProducerID, resp.ProducerEpoch}
			return fmt.Sprintf("%d:%d", resp.ProducerID, resp.ProducerEpoch)
		})
	case "add", "verify":
		p, v := who(pos[0]), int16(num("v", 5))
		var topics []kmsg.AddPartitionsToTxnRequestTransactionTopic
		for _, tp := range pos[1:] {
			name, n, _ := strings.Cut(tp, "/")
			i, _ := strconv.Atoi(n)
			topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			topic.Topic, topic.Partitions = name, []int32{int32(i)}
			topics = append(topics, topic)
		}
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.Version = v
		if v < addBatchedSince {
			req.TransactionalID, req.ProducerID, req.ProducerEpoch = pos[0], p.id, p.epoch
			for _, t := range topics {
				topic := kmsg.NewAddPartitionsToTxnRequestTopic()
				topic.Topic, topic.Partitions = t.Topic, t.Partitions
				req.Topics = append(req.Topics, topic)
			}
		} else {
			one := kmsg.NewAddPartitionsToTxnRequestTransaction()
			one.TransactionalID, one.ProducerID, one.ProducerEpoch, one.VerifyOnly, one.Topics = pos[0], p.id, p.epoch, fields[0] == "verify", topics
			req.Transactions = append(req.Transactions, one)
		}
		ask(req, func(r kmsg.Response) string {
			var out []string
			resp := r.(*kmsg.AddPartitionsToTxnResponse)
			for _, t := range resp.Topics {
				out = append(out, codeName(t.Partitions[0].ErrorCode))
			}
			for _, one := range resp.Transactions {
				for _, t := range one.Topics {
					out = append(out, codeName(t.Partitions[0].ErrorCode))
				}
			}
			return strings.Join(out, " ")
		})
	case "offsets":
		p := who(pos[0])
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.Version = int16(num("v", 4))
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = pos[0], p.id, p.epoch, pos[1]
		ask(req, func(r kmsg.Response) string { return codeName(r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode) })
	case "commit", "abort":
		p := who(pos[0])
		req := kmsg.NewPtrEndTxnRequest()
		req.Version = int16(num("v", 5))
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = pos[0], p.id, p.epoch, fields[0] == "commit"
		ask(req, func(r kmsg.Response) string {
			resp := r.(*kmsg.EndTxnResponse)
			if resp.ErrorCode != 0 || resp.ProducerID < 0 {
				return codeName(resp.ErrorCode)
			}
			s.who[pos[0]] = producer{resp.ProducerID, resp.ProducerEpoch}
			return fmt.Sprintf("ok, next %d:%d", resp.ProducerID, resp.ProducerEpoch)
		})
	case "pending":
		for _, j := range s.jobs {
			result := "abort"
			if j.commit {
				result = "commit"
			}
			s.printf("  marker %s %d:%d %s in %d partitions, coordinator epoch %d, version %d", j.id, j.producerID, j.epoch, result, j.left, j.shard.epoch, j.version)
		}
	case "markers":
		s.markers()
	case "refill":
		s.refill()
	case "tick":
		s.tick(duration(pos[0]))
	case "hold":
		s.hold = true
	case "ack":
		s.settle(nil)
	case "fail":
		s.settle(map[string]error{"unavailable": errors.New("not enough replicas"), "not-leader": coordinator.ErrNotLeader}[pos[0]])
	case "failover":
		s.failover(len(pos) > 0 && pos[0] == "keep")
	case "state":
		for _, id := range s.m.ids() {
			s.printf("  %s", s.show(id, s.m.txns[id]))
		}
	case "waiting":
		for _, a := range s.waiting {
			s.printf("  %s", a.line)
		}
	case "describe":
		req := kmsg.NewPtrDescribeTransactionsRequest()
		req.TransactionalIDs = pos
		ask(req, func(r kmsg.Response) string {
			var out []string
			for _, t := range r.(*kmsg.DescribeTransactionsResponse).TransactionStates {
				one := t.TransactionalID + " " + codeName(t.ErrorCode)
				if t.ErrorCode == 0 {
					one += fmt.Sprintf(" %s %d:%d timeout=%d topics=%d", t.State, t.ProducerID, t.ProducerEpoch, t.TimeoutMillis, len(t.Topics))
				}
				out = append(out, one)
			}
			return strings.Join(out, "; ")
		})
	case "list":
		req := kmsg.NewPtrListTransactionsRequest()
		req.Version = 2
		if v, ok := kv["states"]; ok {
			req.StateFilters = strings.Split(v, ",")
		}
		if _, ok := kv["id"]; ok {
			req.ProducerIDFilters = []int64{num("id", 0)}
		}
		req.DurationFilterMillis = num("longer", -1)
		if v, ok := kv["like"]; ok {
			req.TransactionalIDPattern = &v
		}
		ask(req, func(r kmsg.Response) string {
			resp := r.(*kmsg.ListTransactionsResponse)
			var out []string
			if resp.ErrorCode != 0 {
				out = append(out, codeName(resp.ErrorCode))
			}
			for _, t := range resp.TransactionStates {
				out = append(out, fmt.Sprintf("%s %s %d", t.TransactionalID, t.TransactionState, t.ProducerID))
			}
			for _, u := range resp.UnknownStateFilters {
				out = append(out, "unknown state "+u)
			}
			return strings.Join(out, "; ")
		})
	default:
		s.t.Fatalf("unknown command: %s", line)
	}
}
