package group

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

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of the script tests anew")

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the
// output up to the next empty line. Requests are answered by lines with <-,
// committed records are lines with "log". See testdata/README.md for the commands.
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
	waiting map[string]int // labels of requests not yet answered
	n       int
}

func runScript(t *testing.T, text string) string {
	s := &script{waiting: map[string]int{}}
	var done strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			done.WriteString("\n")
		}
		commands, _, _ := strings.Cut(block, "\n----")
		comment := true
		for _, line := range strings.Split(commands, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			comment = false
			s.command(t, line)
			if s.world != nil {
				s.runTasks()
				for _, what := range s.shares.asked {
					s.printf("asked %s", what)
				}
				s.shares.asked = nil
			}
		}
		done.WriteString(commands + "\n")
		if !comment {
			done.WriteString("----\n" + s.out.String())
		}
		s.out.Reset()
		if s.world != nil {
			s.checkGroups()
			s.checkReplay()
		}
	}
	return done.String()
}

func (s *script) printf(format string, args ...any) {
	s.out.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

type args struct {
	t    *testing.T
	line string
	kv   map[string]string
	pos  []string
}

func parseArgs(t *testing.T, line string) args {
	a := args{t: t, line: line, kv: map[string]string{}}
	for _, f := range strings.Fields(line)[1:] {
		if k, v, ok := strings.Cut(f, "="); ok {
			a.kv[k] = v
		} else {
			a.pos = append(a.pos, f)
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
		a.t.Fatalf("%s: %v", a.line, err)
	}
	return n
}

func (a args) dur(k string, def time.Duration) time.Duration {
	v, ok := a.kv[k]
	if !ok {
		return def
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		a.t.Fatalf("%s: %v", a.line, err)
	}
	return d
}

func (a args) opt(k string) *string {
	if v, ok := a.kv[k]; ok {
		return &v
	}
	return nil
}

func (a args) list(k string) []string {
	if a.kv[k] == "" {
		return nil
	}
	return strings.Split(a.kv[k], ",")
}

func (s *script) command(t *testing.T, line string) {
	a := parseArgs(t, line)
	switch name := strings.Fields(line)[0]; name {
	case "new":
		s.start(a)
	case "topic":
		id := [16]byte{15: byte(a.num("id", int64(len(s.topics)+1)))}
		s.topics[a.pos[0]] = fakeTopic{id, int32(a.num("partitions", 4)), a.list("racks")}
	case "drop-topic":
		was := s.topics[a.pos[0]]
		if id := a.num("id", -1); id >= 0 {
			was.id[15] = byte(id)
		} else {
			delete(s.topics, a.pos[0])
		}
		s.co.TopicDeleted(a.pos[0], was.id)
	case "tick":
		d, err := time.ParseDuration(a.pos[0])
		if err != nil {
			t.Fatal(err)
		}
		s.pass(d)
	case "set":
		s.co.cfg.MaxSize = int(a.num("max-size", int64(s.co.cfg.MaxSize)))
	case "alive":
		s.alive(a)
	case "hold":
		s.hold = true
	case "ack":
		s.hold = false
		s.ack()
		s.pump()
	case "fail":
		s.hold = false
		s.fail(map[string]error{"unavailable": errors.New("not enough replicas"), "not-leader": coordinator.ErrNotLeader, "too-large": coordinator.ErrTooLarge}[a.pos[0]])
		if s.step.Fenced() {
			s.printf("fenced")
		}
	case "failover":
		s.failover(len(a.pos) > 0 && a.pos[0] == "keep")
		s.hold = false
	case "unload":
		s.resign(false)
		s.down = true
	case "load":
		s.down = false
		s.load(s.step.Now())
	case "shares": // what the share coordinators do: fail, work, hold, go
		switch a.pos[0] {
		case "fail":
			s.shares.fail = share.ErrUnavailable
		case "work":
			s.shares.fail = nil
		case "hold":
			s.shares.hold = true
		case "go":
			s.shares.hold = false
			s.runTasks()
		}
	case "waiting":
		var w []string
		for l, n := range s.waiting {
			w = append(w, slices.Repeat([]string{l}, n)...)
		}
		slices.Sort(w)
		s.printf("waiting: %s", strings.Join(w, " "))
	case "state":
		s.state()
	case "txn-commit":
		s.txnCommit(t, a)
	case "marker":
		s.marker(t, a)
	default:
		s.request(t, name, a)
	}
}

// alive sends heartbeats of the members every 5 s, and prints answers that change.
func (s *script) alive(a args) {
	d, err := time.ParseDuration(a.pos[0])
	if err != nil {
		s.t.Fatal(err)
	}
	last := map[string]int16{}
	for at := time.Duration(0); at < d; at += 5 * time.Second {
		s.pass(5 * time.Second)
		for _, id := range a.pos[1:] {
			if _, ok := a.kv["at"]; ok {
				s.beat(id, a)
				continue
			}
			req := kmsg.NewPtrHeartbeatRequest()
			req.Version, req.Group, req.MemberID, req.Generation = 4, a.str("group", "g"), id, int32(a.num("generation", 1))
			s.co.Handle(Caller{}, req, func(resp kmsg.Response) {
				if code := resp.(*kmsg.HeartbeatResponse).ErrorCode; code != last[id] {
					s.printf("%v %s <- %s", at+5*time.Second, id, errorName(code))
					last[id] = code
				}
			})
		}
	}
}

func (s *script) start(a args) {
	cfg := Defaults()
	cfg.InitialRebalanceDelay = a.dur("delay", 0)
	cfg.MaxSize = int(a.num("max-size", 100))
	cfg.MaxGroups = int(a.num("max-groups", 100))
	cfg.OffsetsRetention = a.dur("retention", time.Hour)
	cfg.OffsetMetadataMaxSize = int(a.num("max-metadata", 20))
	cfg.TombstonesPerBatch = int(a.num("tombstones", 100))
	cfg.Consumer.MaxSize = int(a.num("consumer-max-size", 100))
	cfg.Consumer.MaxGroupBytes = int(a.num("max-group-bytes", 1<<20))
	cfg.Streams.InitialRebalanceDelay, cfg.Streams.AssignmentInterval = a.dur("streams-delay", 0), a.dur("interval", 0)
	cfg.Consumer.MaxRegexes = int(a.num("max-regexes", 100))
	policy, ok := ParseMigrationPolicy(a.str("migration", "bidirectional"))
	if !ok {
		a.t.Fatalf("%s: no such policy", a.line)
	}
	cfg.Consumer.Migration = policy
	cfg.Share.MaxSize = int(a.num("share-max-size", 100))
	s.world = newWorld(a.t, cfg)
	s.onBatch = s.logged
}

// logged prints the records of a batch.
func (s *script) logged(b record.Batch) {
	if b.Control() {
		s.printf("log %d marker of producer %d", b.BaseOffset(), b.ProducerID())
		return
	}
	if b.Transactional() {
		s.printf("log %d transaction of producer %d:%d", b.BaseOffset(), b.ProducerID(), b.ProducerEpoch())
	}
	for r, err := range b.Records(1 << 20) {
		if err != nil {
			s.t.Fatal(err)
		}
		e, err := decode(r.Key, r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		switch {
		case e.kind == Streams && e.modern != nil:
			s.printf("log %d %s", r.Offset, s.streamsRecord(*e.modern, r.Value))
		case e.modern != nil:
			if e.kind == Share {
				s.printf("log %d %s", r.Offset, s.shareRecord(*e.modern, r.Value))
			} else {
				s.printf("log %d %s", r.Offset, s.modernRecord(*e.modern, r.Value))
			}
		case e.isGroup && r.Value == nil:
			s.printf("log %d group %s removed", r.Offset, e.group)
		case e.isGroup:
			s.printf("log %d group %s %s", r.Offset, e.group, e.membership)
		case r.Value == nil:
			s.printf("log %d offset %s %s/%d removed", r.Offset, e.group, e.tp.topic, e.tp.partition)
		default:
			s.printf("log %d offset %s %s/%d = %d epoch=%d %q", r.Offset, e.group, e.tp.topic, e.tp.partition, e.offset.offset, e.offset.leaderEpoch, e.offset.metadata)
		}
	}
}

func (ms *membership) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v generation=%d", ms.state, ms.generation)
	if ms.protocolType != "" {
		fmt.Fprintf(&b, " type=%s", ms.protocolType)
	}
	if ms.protocol != "" {
		fmt.Fprintf(&b, " protocol=%s leader=%s", ms.protocol, ms.leader)
	}
	for _, m := range ms.members {
		b.WriteString(" " + m.id)
		if m.instance != nil {
			fmt.Fprintf(&b, "(%s)", *m.instance)
		}
		if m.assignment != nil {
			fmt.Fprintf(&b, "=%s", classicText(m.assignment))
		}
		if m.join.waits() {
			b.WriteString("+join")
		}
		if m.sync.waits() {
			b.WriteString("+sync")
		}
	}
	if len(ms.pending) > 0 {
		fmt.Fprintf(&b, " pending=%s", strings.Join(ms.pending, ","))
	}
	return b.String()
}

func (s *script) state() {
	for _, id := range s.machine.ids() {
		g := s.machine.groups[id]
		if c, ok := g.modern.(*shareGroup); ok {
			s.shareState(id, c)
		} else if c, ok := g.modern.(*consumerGroup); ok {
			s.consumerState(id, c)
		} else if sg, ok := g.modern.(*streamsGroup); ok {
			s.streamsState(id, sg)
		} else {
			s.printf("group %s %s", id, g.membership)
		}
		for _, tp := range g.offsets.sorted() {
			c := g.offsets[tp]
			s.printf("  %s/%d = %d epoch=%d %q", tp.topic, tp.partition, c.offset, c.leaderEpoch, c.metadata)
		}
	}
}

// request sends a request and prints its answer whenever it comes.
func (s *script) request(t *testing.T, name string, a args) {
	s.n++
	label := a.str("as", fmt.Sprintf("%s#%d", name, s.n))
	req := buildRequest(t, name, a, s.topics)
	s.waiting[label]++
	answered := false
	if !s.co.Handle(Caller{ClientID: a.str("client", "c"), ClientHost: "/127.0.0.1"}, req, func(resp kmsg.Response) {
		if answered {
			t.Fatalf("%s: answered twice", label)
		}
		answered = true
		s.waiting[label]--
		if resp.Key() != req.Key() || resp.GetVersion() != req.GetVersion() {
			t.Fatalf("%s: answered with key=%d version=%d", label, resp.Key(), resp.GetVersion())
		}
		roundTrip(t, resp)
		s.printf("%s <- %s", label, describeResponse(resp))
	}) {
		t.Fatalf("unknown command %q", name)
	}
}

// roundTrip makes sure that the response can be encoded and read by a client.
func roundTrip(t *testing.T, resp kmsg.Response) {
	again := kmsg.ResponseForKey(resp.Key())
	again.SetVersion(resp.GetVersion())
	if err := again.ReadFrom(resp.AppendTo(nil)); err != nil {
		t.Fatalf("response %T cannot be read: %v", resp, err)
	}
}

func errorName(code int16) string {
	if code == 0 {
		return "ok"
	}
	return kerr.TypedErrorForCode(code).Message
}
