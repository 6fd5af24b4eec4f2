package group

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	churnSeed = flag.Uint64("churn.seed", 0, "seed of TestChurn; 0: a few fixed ones")
	churnRuns = flag.Int("churn.runs", 3, "seeds that TestChurn tries")
)

// TestChurn lets simulated consumers join, consume, commit, die and come back,
// under failovers and refused appends, and checks that
//   - no partition is given to two members in one generation,
//   - committed offsets never go back,
//   - every request is answered exactly once,
//   - state and replay agree, and the package's invariants hold,
//   - when the faults end, all live members share all partitions.
func TestChurn(t *testing.T) {
	seeds := []uint64{*churnSeed}
	if *churnSeed == 0 {
		seeds = nil
		for i := range *churnRuns {
			seeds = append(seeds, uint64(i+1))
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { newChurn(t, seed).run(50, 100) })
	}
}

const churnPartitions = 64

type churn struct {
	*world
	rng     *rand.Rand
	clients []*client
	born    int
	open    int // requests not answered

	committed [churnPartitions]int64
	owners    map[int32]map[int32]string // generation → partition → member
	kills     int
	failovers int
}

// client is a consumer, as small as one can be that keeps the protocol.
type client struct {
	c          *churn
	name       string
	instance   *string
	dead       bool
	busy       bool // waits for an answer
	member     string
	generation int32
	leader     []kmsg.JoinGroupResponseMember
	phase      phase
	owned      map[int32]int64 // partition → next offset to commit
	oldOwned   map[int32]int64 // of the generation before
	oldGen     int32
	phaseGen   int32 // that owned is of
	next       time.Time
}

type phase int

const (
	joining phase = iota
	syncing
	fetching
	consuming
)

func newChurn(t *testing.T, seed uint64) *churn {
	cfg := Defaults()
	cfg.InitialRebalanceDelay = 500 * time.Millisecond
	cfg.NewMemberJoinTimeout = 30 * time.Second
	c := &churn{rng: rand.New(rand.NewPCG(seed, 7)), owners: map[int32]map[int32]string{}}
	c.world = newWorld(t, cfg)
	c.topics["t"] = fakeTopic{id: [16]byte{1}, partitions: churnPartitions}
	c.onBatch = c.check
	return c
}

// check sees every committed batch: offsets only grow.
func (c *churn) check(b record.Batch) {
	for r, err := range b.Records(1 << 24) {
		if err != nil {
			c.t.Fatal(err)
		}
		e, err := decode(r.Key, r.Value)
		if err != nil {
			c.t.Fatal(err)
		}
		if e.offset != nil {
			if e.offset.offset < c.committed[e.tp.partition] {
				c.t.Fatalf("offset of partition %d went back from %d to %d", e.tp.partition, c.committed[e.tp.partition], e.offset.offset)
			}
			c.committed[e.tp.partition] = e.offset.offset
		}
	}
}

func (c *churn) spawn(instance *string) {
	c.born++
	c.clients = append(c.clients, &client{c: c, name: fmt.Sprintf("n%d", c.born), instance: instance, next: c.step.Now().Add(time.Duration(c.rng.IntN(1000)) * time.Millisecond)})
}

func (c *churn) run(members, kills int) {
	for i := range members {
		var instance *string
		if i%3 == 0 {
			name := fmt.Sprintf("static%d", i)
			instance = &name
		}
		c.spawn(instance)
	}
	for steps := 0; c.kills < kills; steps++ {
		if steps > 200_000 {
			c.t.Fatalf("only %d kills", c.kills)
		}
		c.faults()
		c.tick(100 * time.Millisecond)
		if steps%200 == 0 {
			c.checkGroups()
			c.checkReplay()
		}
	}
	// The faults end, and within a while all is well.
	c.hold = false
	c.ack()
	c.pump()
	for range 3000 {
		c.tick(100 * time.Millisecond)
	}
	c.settled()
	c.t.Logf("kills=%d failovers=%d generations=%d batches=%d simulated=%v", c.kills, c.failovers, len(c.owners), len(c.log), c.step.Now().Sub(epoch))
}

func (c *churn) faults() {
	switch n := c.rng.IntN(1000); {
	case n < 15: // a member dies; another takes its place some time
		i := c.rng.IntN(len(c.clients))
		dead := c.clients[i]
		dead.dead = true
		c.clients = append(c.clients[:i], c.clients[i+1:]...)
		c.kills++
		c.spawn(dead.instance)
	case n < 45:
		c.hold = true
	case n < 100:
		if c.hold {
			c.hold = false
			if c.rng.IntN(3) == 0 {
				c.fail(errors.New("not enough replicas"))
			} else {
				c.ack()
				c.pump()
			}
		}
	case n < 104:
		c.failovers++
		c.failover(c.rng.IntN(2) == 0)
		c.hold = false
		c.checkReplay()
	}
}

func (c *churn) tick(d time.Duration) {
	c.pass(d)
	for _, cl := range append([]*client(nil), c.clients...) {
		if !cl.dead && !cl.busy && !cl.next.After(c.step.Now()) {
			cl.act()
		}
	}
}

// settled checks that all members are in one stable generation that has all partitions.
func (c *churn) settled() {
	c.t.Helper()
	c.checkGroups()
	c.checkReplay()
	g := c.machine.groups["g"]
	if g == nil || g.state != Stable || len(g.members) != len(c.clients) {
		c.t.Fatalf("not settled: %v, %d clients", g.membership, len(c.clients))
	}
	got := map[int32]string{}
	for _, cl := range c.clients {
		if cl.phase != consuming || cl.generation != g.generation {
			c.t.Fatalf("client %s is in phase %d of generation %d, group in %d", cl.name, cl.phase, cl.generation, g.generation)
		}
		for p := range cl.owned {
			if got[p] != "" {
				c.t.Fatalf("partition %d is owned by %s and %s", p, got[p], cl.name)
			}
			got[p] = cl.name
		}
	}
	if len(got) != churnPartitions {
		c.t.Fatalf("%d of %d partitions are owned", len(got), churnPartitions)
	}
	if c.open != 0 {
		c.t.Fatalf("%d requests were not answered", c.open)
	}
}

// send sends a request; its answer reaches the client if it still lives.
func (cl *client) send(req kmsg.Request, then func(kmsg.Response)) {
	cl.busy = true
	cl.c.open++
	answered := false
	cl.c.co.Handle(Caller{ClientID: cl.name, ClientHost: "/10.0.0.1"}, req, func(resp kmsg.Response) {
		if answered {
			cl.c.t.Fatalf("%T answered twice", req)
		}
		answered = true
		cl.c.open--
		cl.busy = false
		cl.next = cl.c.step.Now().Add(time.Duration(50+cl.c.rng.IntN(300)) * time.Millisecond)
		if !cl.dead {
			then(resp)
		}
	})
}

func (cl *client) act() {
	switch cl.phase {
	case joining:
		cl.join()
	case syncing:
		cl.sync()
	case fetching:
		cl.fetch()
	default:
		if n := cl.c.rng.IntN(20); n < 10 && len(cl.owned) > 0 {
			cl.commit(cl.generation, cl.owned)
		} else if n == 10 && len(cl.oldOwned) > 0 && cl.oldGen != cl.generation {
			cl.commit(cl.oldGen, cl.oldOwned) // one that was long on its way
		} else {
			cl.heartbeat()
		}
	}
}

// failed does what a consumer does on an error.
func (cl *client) failed(code int16) {
	switch code {
	case kerr.UnknownMemberID.Code:
		cl.member, cl.phase = "", joining
	case kerr.FencedInstanceID.Code:
		cl.c.t.Fatalf("%s is fenced while it lives", cl.name)
	case kerr.RebalanceInProgress.Code, kerr.IllegalGeneration.Code:
		cl.phase = joining
	case kerr.NotCoordinator.Code, kerr.CoordinatorNotAvailable.Code, kerr.CoordinatorLoadInProgress.Code:
	default:
		cl.c.t.Fatalf("%s: %v", cl.name, kerr.ErrorForCode(code))
	}
}

func (cl *client) join() {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID = 9, "g", cl.member, cl.instance
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.ProtocolType = 6000, 10000, "consumer"
	r.Protocols = parseProtocols("range:t")
	cl.send(r, func(resp kmsg.Response) {
		j := resp.(*kmsg.JoinGroupResponse)
		switch j.ErrorCode {
		case 0:
			cl.member, cl.generation, cl.phase, cl.leader = j.MemberID, j.Generation, syncing, nil
			if j.LeaderID == j.MemberID && !j.SkipAssignment {
				cl.leader = j.Members
			}
		case kerr.MemberIDRequired.Code:
			cl.member = j.MemberID
		default:
			cl.failed(j.ErrorCode)
		}
	})
}

func (cl *client) sync() {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID, r.Generation = 5, "g", cl.member, cl.instance, cl.generation
	for i, m := range cl.leader {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID = m.MemberID
		for p := i; p < churnPartitions; p += len(cl.leader) {
			a.MemberAssignment = binary.BigEndian.AppendUint32(a.MemberAssignment, uint32(p))
		}
		r.GroupAssignment = append(r.GroupAssignment, a)
	}
	cl.send(r, func(resp kmsg.Response) {
		s := resp.(*kmsg.SyncGroupResponse)
		if s.ErrorCode != 0 {
			cl.failed(s.ErrorCode)
			return
		}
		cl.oldOwned, cl.oldGen, cl.owned = cl.owned, cl.phaseGen, map[int32]int64{}
		cl.phaseGen = cl.generation
		who := cl.member
		if cl.instance != nil {
			who = *cl.instance // its successor keeps the assignment
		}
		if cl.c.owners[cl.generation] == nil {
			cl.c.owners[cl.generation] = map[int32]string{}
		}
		for b := s.MemberAssignment; len(b) > 0; b = b[4:] {
			p := int32(binary.BigEndian.Uint32(b))
			if other, ok := cl.c.owners[cl.generation][p]; ok && other != who {
				cl.c.t.Fatalf("generation %d gives partition %d to %s and %s", cl.generation, p, other, who)
			}
			cl.c.owners[cl.generation][p] = who
			cl.owned[p] = 0
		}
		cl.phase = fetching
	})
}

func (cl *client) fetch() {
	r := kmsg.NewPtrOffsetFetchRequest()
	r.Version = 9
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = "g", nil
	r.Groups = append(r.Groups, g)
	cl.send(r, func(resp kmsg.Response) {
		g := resp.(*kmsg.OffsetFetchResponse).Groups[0]
		if g.ErrorCode != 0 {
			cl.failed(g.ErrorCode)
			return
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if _, ok := cl.owned[p.Partition]; ok {
					cl.owned[p.Partition] = p.Offset
				}
			}
		}
		cl.phase = consuming
	})
}

func (cl *client) commit(generation int32, owned map[int32]int64) {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID, r.Generation = 9, "g", cl.member, cl.instance, generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = "t"
	for p := range int32(churnPartitions) {
		if _, ok := owned[p]; !ok {
			continue
		}
		owned[p] += int64(1 + cl.c.rng.IntN(10))
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = p, owned[p]
		t.Partitions = append(t.Partitions, rp)
	}
	r.Topics = append(r.Topics, t)
	cl.send(r, func(resp kmsg.Response) {
		for _, p := range resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions {
			if p.ErrorCode == kerr.IllegalGeneration.Code && generation != cl.generation {
				return
			}
			if p.ErrorCode != 0 {
				cl.failed(p.ErrorCode)
				return
			}
		}
	})
}

func (cl *client) heartbeat() {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID, r.Generation = 4, "g", cl.member, cl.instance, cl.generation
	cl.send(r, func(resp kmsg.Response) {
		if code := resp.(*kmsg.HeartbeatResponse).ErrorCode; code != 0 {
			cl.failed(code)
		}
	})
}

var _ coordinator.Machine = (*machine)(nil)
