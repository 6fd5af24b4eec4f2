package share

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/scripttest"
)

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the output up to
// the next empty line. See testdata/README.md for the commands.
func TestScripts(t *testing.T) {
	scripttest.Run(t, newScript)
}

type script struct {
	*scripttest.Output
	t      *testing.T
	s      *inFlight
	limits Limits
	now    time.Time
	kept   fakeState // what a persister would have
	w      *write    // under way
}

func newScript(t *testing.T, out *scripttest.Output) scripttest.Script {
	s := &script{t: t, Output: out, now: time.Unix(0, 0), limits: DefaultLimits()}
	return scripttest.Script{Command: func(l scripttest.Line) {
		s.command(l)
		if s.s == nil {
			return
		}
		if err := s.s.check(); err != nil {
			t.Errorf("after %q: %v", l.Text, err)
		}
	}}
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

func (s *script) command(l scripttest.Line) {
	pos := l.Words
	switch l.Name {
	case "limits":
		s.limits.Deliveries = int16(l.Num("deliveries", int64(s.limits.Deliveries)))
		s.limits.RecordLocks = int(l.Num("locks", int64(s.limits.RecordLocks)))
		if s.s != nil {
			s.s.configure(s.limits)
		}
	case "begin":
		s.s, s.w = begin(l.Num("start", 0), s.limits), nil
		s.kept = fakeState{}
		s.command(scripttest.Parse(s.t, "write"))
		s.command(scripttest.Parse(s.t, "ok"))
	case "failover": // whoever leads now has what the persister has
		st := s.kept.state()
		var err error
		if s.s, err = load(st, l.Num("log-start", 0), s.limits); err != nil {
			s.Printf("error: %v", err)
		}
		s.w = nil
		s.command(scripttest.Parse(s.t, "state"))
	case "fetch":
		w := Wanted{Member: pos[0], Records: int(l.Num("records", 500)), BatchSize: int(l.Num("size", 500))}
		w.Strict = l.Has("strict")
		from, ok := s.s.fetchFrom()
		if !ok {
			s.Printf("full")
			return
		}
		from = l.Num("from", from)
		f := Fetched{From: from, Hidden: s.ranges(l.Named["hidden"])}
		for _, b := range s.ranges(pos[1]) {
			if b.Last >= from {
				f.Batches = append(f.Batches, b)
			}
		}
		got := s.s.acquire(f, w, s.now)
		if len(got) == 0 {
			s.Printf("%s: nothing at %d", pos[0], from)
		}
		for _, a := range got {
			s.Printf("%s: %d-%d delivery %d", pos[0], a.First, a.Last, a.DeliveryCount)
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
			s.Printf("error: %v", err)
		case w == 0:
			s.Printf("done")
		default:
			s.Printf("write %d will tell", w)
		}
	case "leave":
		if !s.s.release(pos[0]) {
			s.Printf("has nothing")
		}
	case "tick":
		s.now = s.now.Add(l.Duration(pos[0]))
		if s.s.expire(s.now) {
			s.Printf("locks ended")
		}
	case "log-start":
		s.s.advance(s.num(pos[0]))
	case "write":
		if s.w = s.s.flush(); s.w == nil {
			s.Printf("nothing to write")
			return
		}
		s.Printf("write %d start %d complete %d%s", s.w.id, s.w.start, s.w.complete, formatBatches(s.w.batches))
	case "ok", "fail", "lost": // lost: written, but the answer did not come
		if l.Name != "fail" {
			s.kept.write(s.w.start, s.w.batches)
		}
		s.s.written(s.w, l.Name == "ok", s.now)
		s.w = nil
	case "state":
		s.Printf("start %d end %d", s.s.start, s.s.end)
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
			s.Printf("%s", text)
		}
	default:
		s.t.Fatalf("unknown command %q", l.Text)
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
