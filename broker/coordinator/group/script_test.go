package group

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// TestScripts runs testdata/*.txt: lines of commands, a line ----, and the
// output up to the next empty line. Requests are answered by lines with <-,
// committed records are lines with "log". See testdata/README.md for the commands.
func TestScripts(t *testing.T) {
	scripttest.Run(t, newScript)
}

type script struct {
	*world
	*scripttest.Output
	waiting map[string]int // labels of requests not yet answered
	n       int
}

func newScript(t *testing.T, out *scripttest.Output) scripttest.Script {
	s := &script{Output: out, waiting: map[string]int{}}
	return scripttest.Script{
		Command: func(l scripttest.Line) {
			s.command(t, l)
			if s.world == nil {
				return
			}
			s.runTasks()
			for _, what := range s.shares.asked {
				s.Printf("asked %s", what)
			}
			s.shares.asked = nil
		},
		BlockEnd: func() {
			if s.world != nil {
				s.checkGroups()
				s.checkReplay()
			}
		},
	}
}

func (s *script) command(t *testing.T, a scripttest.Line) {
	switch name := a.Name; name {
	case "new":
		s.start(a)
	case "topic":
		id := [16]byte{15: byte(a.Num("id", int64(len(s.topics)+1)))}
		s.topics[a.Words[0]] = fakeTopic{id, int32(a.Num("partitions", 4)), a.List("racks")}
	case "drop-topic":
		was := s.topics[a.Words[0]]
		if id := a.Num("id", -1); id >= 0 {
			was.id[15] = byte(id)
		} else {
			delete(s.topics, a.Words[0])
		}
		s.co.TopicDeleted(a.Words[0], was.id)
	case "tick":
		d, err := time.ParseDuration(a.Words[0])
		if err != nil {
			t.Fatal(err)
		}
		s.pass(d)
	case "set":
		s.co.cfg.MaxSize = int(a.Num("max-size", int64(s.co.cfg.MaxSize)))
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
		s.fail(map[string]error{"unavailable": errors.New("not enough replicas"), "not-leader": coordinator.ErrNotLeader, "too-large": coordinator.ErrTooLarge}[a.Words[0]])
		if s.step.Fenced() {
			s.Printf("fenced")
		}
	case "failover":
		s.failover(len(a.Words) > 0 && a.Words[0] == "keep")
		s.hold = false
	case "unload":
		s.resign(false)
		s.down = true
	case "load":
		s.down = false
		s.load(s.step.Now())
	case "shares": // what the share coordinators do: fail, work, hold, go
		switch a.Words[0] {
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
		s.Printf("waiting: %s", strings.Join(w, " "))
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
func (s *script) alive(a scripttest.Line) {
	d, err := time.ParseDuration(a.Words[0])
	if err != nil {
		s.t.Fatal(err)
	}
	last := map[string]int16{}
	for at := time.Duration(0); at < d; at += 5 * time.Second {
		s.pass(5 * time.Second)
		for _, id := range a.Words[1:] {
			if _, ok := a.Named["at"]; ok {
				s.beat(id, a)
				continue
			}
			req := kmsg.NewPtrHeartbeatRequest()
			req.Version, req.Group, req.MemberID, req.Generation = 4, a.Str("group", "g"), id, int32(a.Num("generation", 1))
			s.co.Handle(Caller{}, req, func(resp kmsg.Response) {
				if code := resp.(*kmsg.HeartbeatResponse).ErrorCode; code != last[id] {
					s.Printf("%v %s <- %s", at+5*time.Second, id, errorName(code))
					last[id] = code
				}
			})
		}
	}
}

func (s *script) start(a scripttest.Line) {
	cfg := Defaults()
	cfg.InitialRebalanceDelay = a.Dur("delay", 0)
	cfg.MaxSize = int(a.Num("max-size", 100))
	cfg.MaxGroups = int(a.Num("max-groups", 100))
	cfg.OffsetsRetention = a.Dur("retention", time.Hour)
	cfg.OffsetMetadataMaxSize = int(a.Num("max-metadata", 20))
	cfg.TombstonesPerBatch = int(a.Num("tombstones", 100))
	cfg.Consumer.MaxSize = int(a.Num("consumer-max-size", 100))
	cfg.Consumer.MaxGroupBytes = int(a.Num("max-group-bytes", 1<<20))
	cfg.Streams.InitialRebalanceDelay, cfg.Streams.AssignmentInterval = a.Dur("streams-delay", 0), a.Dur("interval", 0)
	cfg.Consumer.MaxRegexes = int(a.Num("max-regexes", 100))
	policy, ok := ParseMigrationPolicy(a.Str("migration", "bidirectional"))
	if !ok {
		a.T.Fatalf("%s: no such policy", a.Text)
	}
	cfg.Consumer.Migration = policy
	cfg.Share.MaxSize = int(a.Num("share-max-size", 100))
	s.world = newWorld(a.T, cfg)
	s.onBatch = s.logged
}

// logged prints the records of a batch.
func (s *script) logged(b record.Batch) {
	if b.Control() {
		s.Printf("log %d marker of producer %d", b.BaseOffset(), b.ProducerID())
		return
	}
	if b.Transactional() {
		s.Printf("log %d transaction of producer %d:%d", b.BaseOffset(), b.ProducerID(), b.ProducerEpoch())
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
			s.Printf("log %d %s", r.Offset, s.streamsRecord(*e.modern, r.Value))
		case e.modern != nil:
			if e.kind == Share {
				s.Printf("log %d %s", r.Offset, s.shareRecord(*e.modern, r.Value))
			} else {
				s.Printf("log %d %s", r.Offset, s.modernRecord(*e.modern, r.Value))
			}
		case e.isGroup && r.Value == nil:
			s.Printf("log %d group %s removed", r.Offset, e.group)
		case e.isGroup:
			s.Printf("log %d group %s %s", r.Offset, e.group, e.membership)
		case r.Value == nil:
			s.Printf("log %d offset %s %s/%d removed", r.Offset, e.group, e.tp.topic, e.tp.partition)
		default:
			s.Printf("log %d offset %s %s/%d = %d epoch=%d %q", r.Offset, e.group, e.tp.topic, e.tp.partition, e.offset.offset, e.offset.leaderEpoch, e.offset.metadata)
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
			s.Printf("group %s %s", id, g.membership)
		}
		for _, tp := range g.offsets.sorted() {
			c := g.offsets[tp]
			s.Printf("  %s/%d = %d epoch=%d %q", tp.topic, tp.partition, c.offset, c.leaderEpoch, c.metadata)
		}
	}
}

// request sends a request and prints its answer whenever it comes.
func (s *script) request(t *testing.T, name string, a scripttest.Line) {
	s.n++
	label := a.Str("as", fmt.Sprintf("%s#%d", name, s.n))
	req := buildRequest(t, name, a, s.topics)
	s.waiting[label]++
	answered := false
	if !s.co.Handle(Caller{ClientID: a.Str("client", "c"), ClientHost: "/127.0.0.1"}, req, func(resp kmsg.Response) {
		if answered {
			t.Fatalf("%s: answered twice", label)
		}
		answered = true
		s.waiting[label]--
		if resp.Key() != req.Key() || resp.GetVersion() != req.GetVersion() {
			t.Fatalf("%s: answered with key=%d version=%d", label, resp.Key(), resp.GetVersion())
		}
		roundTrip(t, resp)
		s.Printf("%s <- %s", label, describeResponse(resp))
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
