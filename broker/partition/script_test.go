package partition

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of the script tests anew")

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the output up to the next empty
// line. See testdata/README.md for the commands.
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

// script is one run: a partition, and the guards of the questions under way by producer.
type script struct {
	*world
	out    strings.Builder
	guards map[int64]Guard
	epoch  int32
}

func runScript(t *testing.T, text string) string {
	s := &script{world: newWorld(t), guards: map[int64]Guard{}, epoch: 4}
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
				s.command(strings.Fields(line))
			}
		}
		done.WriteString(commands + "\n")
		if !comment {
			done.WriteString("----\n" + s.out.String())
		}
		s.out.Reset()
	}
	return done.String()
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

// command runs one line: a verb, then words or name=value.
func (s *script) command(words []string) {
	n := map[string]int64{"tv": 2, "n": 1}
	has := map[string]bool{}
	for _, w := range words[1:] {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			has[w] = true
			continue
		}
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			s.t.Fatalf("%v: %v", words, err)
		}
		n[name] = v
	}
	switch words[0] {
	case "ask":
		g, needed, err := s.VerificationGuard(n["id"], int16(n["epoch"]), int32(n["seq"]), !has["old"])
		s.guards[n["id"]] = g
		s.printf("needed=%v%s", needed, suffix(err))
	case "append":
		o := record.Options{ProducerID: n["id"], ProducerEpoch: int16(n["epoch"]), Sequence: int32(n["seq"]), Transactional: has["txn"]}
		a := &Append{Guard: s.guards[n["id"]]}
		if has["trusted"] {
			a.Guard = Trusted
		}
		s.told(a, s.Append(a, batch(o, int(n["n"]), 1000), FromClient, make(owner, 1)))
	case "marker":
		m := Marker{
			ProducerID: n["id"], ProducerEpoch: int16(n["epoch"]), CoordinatorEpoch: int32(n["coordinator"]),
			Commit: has["commit"], TransactionVersion: int8(n["tv"]),
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
		s.printf("since=%d", since)
	case "scan":
		txns, err := s.ScanAborted(n["from"], n["to"])
		s.aborted(txns)
		if err != nil {
			s.printf("%s", strings.TrimSpace(suffix(err)))
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
			s.printf("open id=%d first=%d epoch=%d", o.id, o.first, decoded.producers.entries[o.id].epoch)
		}
		s.printf("stable=%d", snap.Stable)
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
		cut := make(chan error, 1)
		if err := s.Cut(s.epoch, n["to"], n["to"], func(_ int64, err error) { cut <- err }); err != nil {
			s.t.Fatal(err)
		}
		if err := <-cut; err != nil {
			s.t.Fatal(err)
		}
		s.epoch++
		s.Lead(alone(s.epoch), nil, nil)
	default:
		s.t.Fatalf("unknown command %v", words)
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
		s.printf("%s", strings.TrimSpace(suffix(err)))
		return
	}
	s.durable()
	duplicate := ""
	if a.Duplicate {
		duplicate = " duplicate"
	}
	s.printf("at=%d%s stable=%d high=%d", a.BaseOffset, duplicate, s.LastStable(), s.HighWatermark())
}

func (s *script) producers() {
	all := s.Producers()
	slices.SortFunc(all, func(a, b ProducerState) int { return int(a.ID - b.ID) })
	for _, p := range all {
		s.printf("id=%d epoch=%d last_sequence=%d coordinator=%d txn=%d", p.ID, p.Epoch, p.LastSequence, p.CoordinatorEpoch, p.TxnStart)
	}
	s.printf("stable=%d high=%d end=%d", s.LastStable(), s.HighWatermark(), s.End())
}

func (s *script) aborted(txns []AbortedTxn) {
	for _, t := range txns {
		s.printf("id=%d first=%d marker=%d stable=%d", t.ProducerID, t.FirstOffset, t.LastOffset, t.LastStable)
	}
}
