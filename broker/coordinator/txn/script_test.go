package txn

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the output up to the
// next empty line. See testdata/README.md for the commands.
func TestScripts(t *testing.T) {
	scripttest.Run(t, newScript)
}

type script struct {
	*world
	*scripttest.Output
	who     map[string]producer // what the producer of an id knows of itself
	waiting []asked
}

// asked is a request that may not be answered yet.
type asked struct {
	line string
	got  *[]kmsg.Response
	tell func(kmsg.Response) string
}

func newScript(t *testing.T, out *scripttest.Output) scripttest.Script {
	s := &script{world: newWorld(t), Output: out, who: map[string]producer{}}
	s.onBatch = s.logged
	return scripttest.Script{
		Command: func(l scripttest.Line) {
			s.command(l)
			s.answers()
		},
		BlockEnd: s.checkReplay,
	}
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
			s.Printf("  log %s gone", e.id)
		} else {
			s.Printf("  log %s", s.show(e.id, e.t))
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
		s.Printf("%s <- %s", a.line, a.tell((*a.got)[0]))
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

func (s *script) command(l scripttest.Line) {
	pos := l.Words
	who := func(id string) producer {
		if v := l.Opt("as"); v != nil {
			a, b, _ := strings.Cut(*v, ":")
			pid, _ := strconv.ParseInt(a, 10, 64)
			epoch, _ := strconv.ParseInt(b, 10, 16)
			return producer{pid, int16(epoch)}
		}
		return s.who[id]
	}
	ask := func(req kmsg.Request, tell func(kmsg.Response) string) {
		s.waiting = append(s.waiting, asked{l.Text, s.send(req), tell})
	}
	switch l.Name {
	case "level":
		s.level = int16(l.Num("v", 2))
	case "set":
		s.cfg.MaxIDs = int(l.Num("max-ids", int64(s.cfg.MaxIDs)))
		s.cfg.MaxPartitions = int(l.Num("max-partitions", int64(s.cfg.MaxPartitions)))
	case "epoch": // as after very many transactions
		t := *s.m.txns[pos[0]]
		t.epoch = int16(l.Num("is", 0))
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
		req.Version = int16(l.Num("v", 5))
		req.TransactionalID, req.TransactionTimeoutMillis = &pos[0], int32(l.Num("timeout", 60_000))
		if l.Opt("as") != nil || len(pos) > 1 && pos[1] == "again" {
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
		p, v := who(pos[0]), int16(l.Num("v", 5))
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
			one.TransactionalID, one.ProducerID, one.ProducerEpoch, one.VerifyOnly, one.Topics = pos[0], p.id, p.epoch, l.Name == "verify", topics
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
		req.Version = int16(l.Num("v", 4))
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = pos[0], p.id, p.epoch, pos[1]
		ask(req, func(r kmsg.Response) string { return codeName(r.(*kmsg.AddOffsetsToTxnResponse).ErrorCode) })
	case "commit", "abort":
		p := who(pos[0])
		req := kmsg.NewPtrEndTxnRequest()
		req.Version = int16(l.Num("v", 5))
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = pos[0], p.id, p.epoch, l.Name == "commit"
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
			s.Printf("  marker %s %d:%d %s in %d partitions, coordinator epoch %d, version %d", j.id, j.producerID, j.epoch, result, j.left, j.shard.epoch, j.version)
		}
	case "markers":
		s.markers()
	case "refill":
		s.refill()
	case "tick":
		s.tick(l.Duration(pos[0]))
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
			s.Printf("  %s", s.show(id, s.m.txns[id]))
		}
	case "waiting":
		for _, a := range s.waiting {
			s.Printf("  %s", a.line)
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
		req.StateFilters = l.List("states")
		if l.Opt("id") != nil {
			req.ProducerIDFilters = []int64{l.Num("id", 0)}
		}
		req.DurationFilterMillis = l.Num("longer", -1)
		req.TransactionalIDPattern = l.Opt("like")
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
		s.t.Fatalf("unknown command: %s", l.Text)
	}
}
