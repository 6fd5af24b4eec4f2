package partition

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the output up to the next empty
// line. See testdata/README.md for the commands.
func TestScripts(t *testing.T) {
	scripttest.Run(t, newScript)
}

// script is one run: a partition, and the guards of the questions under way by producer.
type script struct {
	*world
	*scripttest.Output
	guards map[int64]Guard
	epoch  int32
}

func newScript(t *testing.T, out *scripttest.Output) scripttest.Script {
	s := &script{world: newWorld(t), Output: out, guards: map[int64]Guard{}, epoch: 4}
	return scripttest.Script{Command: s.command}
}

// command runs one line.
func (s *script) command(l scripttest.Line) {
	n := map[string]int64{"tv": 2, "n": 1}
	for name, value := range l.Named {
		n[name] = l.Int(value)
	}
	switch l.Name {
	case "ask":
		g, needed, err := s.VerificationGuard(n["id"], int16(n["epoch"]), int32(n["seq"]), !l.Has("old"))
		s.guards[n["id"]] = g
		s.Printf("needed=%v%s", needed, suffix(err))
	case "append":
		o := record.Options{ProducerID: n["id"], ProducerEpoch: int16(n["epoch"]), Sequence: int32(n["seq"]), Transactional: l.Has("txn")}
		a := &Append{Guard: s.guards[n["id"]]}
		if l.Has("trusted") {
			a.Guard = Trusted
		}
		s.told(a, s.Append(a, batch(o, int(n["n"]), 1000), FromClient, make(owner, 1)))
	case "marker":
		m := Marker{
			ProducerID: n["id"], ProducerEpoch: int16(n["epoch"]), CoordinatorEpoch: int32(n["coordinator"]),
			Commit: l.Has("commit"), TransactionVersion: int8(n["tv"]),
		}
		a := &Append{}
		s.told(a, s.AppendMarker(a, m, make(owner, 1)))
	case "isr":
		s.leads(s.epoch, int32(n["n"]), 1, 2)
	case "ack":
		s.Acked(s.epoch, 2, n["at"])
	case "producers":
		s.producers()
	case "aborted":
		txns, since := s.Aborted(nil, n["from"], n["to"])
		s.aborted(txns)
		s.Printf("since=%d", since)
	case "scan":
		txns, err := s.ScanAborted(n["from"], n["to"])
		s.aborted(txns)
		if err != nil {
			s.Printf("%s", strings.TrimSpace(suffix(err)))
		}
	case "snapshot":
		snap, err := s.Snapshot(n["from"], n["to"])
		if err != nil {
			s.t.Fatal(err)
		}
		s.aborted(snap.Aborted)
		decoded, err := decodeState(snap.Producers)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range decoded.producers.ongoing.list {
			s.Printf("open id=%d first=%d epoch=%d", o.id, o.first, decoded.producers.entries[o.id].epoch)
		}
		s.Printf("stable=%d", snap.Stable)
	case "tiered":
		s.SetTiered(n["to"])
		s.FreeLocal(n["to"])
	case "start":
		s.SetLogStart(n["to"])
	case "save":
		s.SaveState()
	case "reopen":
		s.reopen(0, n["tiered"])
	case "cut":
		s.epoch++
		s.Follow(s.epoch)
		s.mustCut(s.epoch, n["to"], n["to"])
		s.epoch++
		s.Lead(alone(s.epoch), nil, nil)
	default:
		s.t.Fatalf("unknown command: %s", l.Text)
	}
	s.durable()
}

// durable waits for the disk, without a trace in the log.
func (s *script) durable() {
	for {
		s.acks.Lock()
		done := s.acks.durable >= s.End()
		s.acks.Unlock()
		if done {
			return
		}
		runtime.Gosched()
	}
}

func suffix(err error) string {
	if err == nil {
		return ""
	}
	for _, e := range []error{ErrOutOfOrderSequence, ErrInvalidProducerEpoch, ErrTransactionOpen, ErrTransactionUnverified, ErrCoordinatorFenced, ErrCold} {
		if errors.Is(err, e) {
			return " refused: " + e.Error()
		}
	}
	return " refused: " + err.Error()
}

func (s *script) told(a *Append, err error) {
	if err != nil {
		s.Printf("%s", strings.TrimSpace(suffix(err)))
		return
	}
	s.durable()
	duplicate := ""
	if a.Duplicate {
		duplicate = " duplicate"
	}
	s.Printf("at=%d%s stable=%d high=%d", a.BaseOffset, duplicate, s.LastStable(), s.HighWatermark())
}

func (s *script) producers() {
	all := s.Producers()
	slices.SortFunc(all, func(a, b ProducerState) int { return int(a.ID - b.ID) })
	for _, p := range all {
		s.Printf("id=%d epoch=%d last_sequence=%d coordinator=%d txn=%d", p.ID, p.Epoch, p.LastSequence, p.CoordinatorEpoch, p.TxnStart)
	}
	s.Printf("stable=%d high=%d end=%d", s.LastStable(), s.HighWatermark(), s.End())
}

func (s *script) aborted(txns []AbortedTxn) {
	for _, t := range txns {
		s.Printf("id=%d first=%d marker=%d stable=%d", t.ProducerID, t.FirstOffset, t.LastOffset, t.LastStable)
	}
}
