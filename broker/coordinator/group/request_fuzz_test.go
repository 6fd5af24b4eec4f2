package group

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// FuzzRequest sends arbitrary requests of the APIs handled here to a coordinator
// that has a stable group, lets time pass and a failover happen, and checks that
// each is answered once and that the invariants hold.
func FuzzRequest(f *testing.F) {
	for _, name := range []string{"join", "sync", "heartbeat", "leave", "commit", "fetch", "list", "describe", "delete", "beat", "describe-consumer", "stream", "describe-streams"} {
		for _, line := range []string{"x", "x member=c-1", "x member=c-1 generation=1 assign=c-1:p"} {
			a := scripttest.Line{Text: line, Named: map[string]string{}}
			for k, v := range map[string]string{"member": "c-1", "generation": "1"} {
				a.Named[k] = v
			}
			req := buildRequest(nil, name, a, fakeTopics{})
			f.Add(req.Key(), req.GetVersion(), req.AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		req := kmsg.RequestForKey(key)
		if req == nil || version < 0 || version > req.MaxVersion() || !handled(req) {
			return
		}
		req.SetVersion(version)
		for i := range body {
			// kmsg goes through as many tagged fields as a count says, be they there or not.
			if n, _ := binary.Uvarint(body[i:]); req.IsFlexible() && n > 1<<12 {
				return
			}
		}
		if req.ReadFrom(body) != nil {
			return
		}
		cfg := Defaults()
		cfg.InitialRebalanceDelay = 0
		w := newWorld(t, cfg)
		w.topics["t"] = fakeTopic{id: [16]byte{1}, partitions: 4}
		handle := func(req kmsg.Request, answered *int) bool {
			return w.co.Handle(Caller{ClientID: "c"}, req, func(resp kmsg.Response) {
				*answered++
				roundTrip(t, resp)
			})
		}
		var setup, n int
		join := kmsg.NewPtrJoinGroupRequest()
		join.Version, join.Group, join.SessionTimeoutMillis, join.ProtocolType = 3, "g", 10_000, "consumer"
		join.Protocols = parseProtocols("range:t")
		handle(join, &setup)
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation = "g", "c-1", 1
		handle(sync, &setup)
		if setup != 2 {
			t.Fatal("no stable group")
		}
		handle(req, &n)
		w.checkGroups()
		w.checkReplay()
		w.pass(time.Second)
		w.checkGroups()
		w.resign(true)
		if n != 1 {
			t.Fatalf("%T was answered %d times", req, n)
		}
		w.load(w.step.Now())
		w.checkReplay()
		w.pass(time.Hour)
		w.checkGroups()
	})
}

func handled(req kmsg.Request) bool {
	c := &Coordinator{cfg: Defaults(), topics: fakeTopics{}, metrics: newMetrics(nil), Topic: coordinator.Topic{Runtime: nowhere{}}}
	c.TopicCreated(c.cfg.Partitions)
	return c.Handle(Caller{}, req, func(kmsg.Response) {})
}

// nowhere coordinates nothing.
type nowhere struct{ *coordinator.Runtime }

func (nowhere) Partitions() []int32 { return nil }
func (nowhere) Submit(_ int32, ev coordinator.Event) {
	ev.Call.Answer(ev.Refuse(coordinator.ErrNotCoordinator))
}
