package share

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of the script tests anew")

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the output up to
// the next empty line. See testdata/README.md for the commands.
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
	t      *testing.T
	s      *inFlight
	limits Limits
	now    time.Time
	kept   fakeState // what a persister would have
	w      *write    // under way
	out    strings.Builder
}

func runScript(t *testing.T, text string) string {
	s := &script{t: t, now: time.Unix(0, 0), limits: DefaultLimits()}
	var done strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			done.WriteString("\n")
		}
		commands, _, _ := strings.Cut(block, "\n----")
		comment := true
		for line := range strings.SplitSeq(commands, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			comment = false
			s.command(line)
			if s.s != nil {
				if err := s.s.check(); err != nil {
					t.Errorf("after %q: %v", line, err)
				}
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

func (s *script) printf(format string, args ...any) {
	s.out.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

func (s *script) num(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		s.t.Fatalf("%q: %v", text, err)
	}
	return n
}

func (s *script) ranges(text string) (out []Range) {
	if text == "" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, ok := strings.Cut(part, "-")
		if !ok {
			last = first
		}
		out = append(out, Range{s.num(first), s.num(last)})
	}
	return out
}

var ackNames = map[string]AckType{"gap": Gap, "accept": Accept, "release": Release, "reject": Reject, "renew": Renew}

func (s *script) command(line string) {
	fields := strings.Fields(line)
	kv := map[string]string{}
	var pos []string
	for _, f := range fields[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			kv[k] = v
		} else {
			pos = append(pos, f)
		}
	}
	number := func(key string, def int64) int64 {
		if v, ok := kv[key]; ok {
			return s.num(v)
		}
		return def
	}
	switch fields[0] {
	case "limits":
		s.limits.Deliveries = int16(number("deliveries", int64(s.limits.Deliveries)))
		s.limits.RecordLocks = int(number("locks", int64(s.limits.RecordLocks)))
		if s.s != nil {
			s.s.configure(s.limits)
		}
	case "begin":
		s.s, s.w = begin(number("start", 0), s.limits), nil
		s.kept = fakeState{}
		s.command("write")
		s.command("ok")
	case "failover": // whoever leads now has what the persister has
		st := s.kept.state()
		var err error
		if s.s, err = load(st, number("log-start", 0), s.limits); err != nil {
			s.printf("error: %v", err)
		}
		s.w = nil
		s.command("state")
	case "fetch":
		w := Wanted{Member: pos[0], Records: int(number("records", 500)), BatchSize: int(number("size", 500))}
		_, w.Strict = kv["strict"]
		from, ok := s.s.fetchFrom()
		if !ok {
			s.printf("full")
			return
		}
		from = number("from", from)
		f := Fetched{From: from, Hidden: s.ranges(kv["hidden"])}
		for _, b := range s.ranges(pos[1]) {
			if b.Last >= from {
				f.Batches = append(f.Batches, b)
			}
		}
		got := s.s.acquire(f, w, s.now)
		if len(got) == 0 {
			s.printf("%s: nothing at %d", pos[0], from)
		}
		for _, a := range got {
			s.printf("%s: %d-%d delivery %d", pos[0], a.First, a.Last, a.DeliveryCount)
		}
	case "ack":
		var batches []AckBatch
		for _, p := range pos[1:] {
			r, types, _ := strings.Cut(p, ":")
			b := AckBatch{Range: s.ranges(r)[0]}
			for name := range strings.SplitSeq(types, ",") {
				b.Types = append(b.Types, ackNames[name])
			}
			batches = append(batches, b)
		}
		err := CheckAcks(batches, true)
		var w uint64
		if err == nil {
			w, err = s.s.acknowledge(pos[0], batches, s.now)
		}
		switch {
		case err != nil:
			s.printf("error: %v", err)
		case w == 0:
			s.printf("done")
		default:
			s.printf("write %d will tell", w)
		}
	case "leave":
		if !s.s.release(pos[0]) {
			s.printf("has nothing")
		}
	case "tick":
		d, err := time.ParseDuration(pos[0])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
		if s.s.expire(s.now) {
			s.printf("locks ended")
		}
	case "log-start":
		s.s.advance(s.num(pos[0]))
	case "write":
		if s.w = s.s.flush(); s.w == nil {
			s.printf("nothing to write")
			return
		}
		s.printf("write %d start %d complete %d%s", s.w.id, s.w.start, s.w.complete, formatBatches(s.w.batches))
	case "ok", "fail", "lost": // lost: written, but the answer did not come
		if fields[0] != "fail" {
			s.kept.write(s.w.start, s.w.batches)
		}
		s.s.written(s.w, fields[0] == "ok", s.now)
		s.w = nil
	case "state":
		s.printf("start %d end %d", s.s.start, s.s.end)
		for i := range s.s.spans {
			p := &s.s.spans[i]
			text := fmt.Sprintf("  %d-%d %s %d", p.first, p.last, stateNames[p.state], p.count)
			if p.member != "" {
				text += fmt.Sprintf(" %s until %v", p.member, p.deadline.Sub(time.Unix(0, 0)))
			}
			if p.pending != 0 {
				text += fmt.Sprintf(" to be %s", stateNames[p.to])
			}
			if p.gap {
				text += " gap"
			}
			s.printf("%s", text)
		}
	default:
		s.t.Fatalf("unknown command %q", line)
	}
}

var stateNames = map[RecordState]string{Available: "available", Acquired: "acquired", Acknowledged: "acknowledged", Archived: "archived"}

func formatBatches(batches []StateBatch) string {
	var b strings.Builder
	for _, x := range batches {
		fmt.Fprintf(&b, "\n  %d-%d %s %d", x.First, x.Last, stateNames[x.State], x.DeliveryCount)
	}
	return b.String()
}
