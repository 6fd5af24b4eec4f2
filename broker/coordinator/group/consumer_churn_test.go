package group

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator/group/assignor"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestConsumerChurn lets simulated consumers of both protocols join one group, take and give
// up partitions, commit, die, restart and come back, with answers that get lost, under
// failovers and refused appends, while topics grow, and checks that
//   - no partition is consumed by two of them at once,
//   - who has a partition may commit its offset,
//   - every request is answered exactly once,
//   - state and replay agree, and the package's invariants hold,
//   - when the faults end, each partition is consumed by one of those who are there.
func TestConsumerChurn(t *testing.T) {
	for classic, members := range map[int]int{0: 12, 50: 12, 85: 5} { // of a hundred
		seeds := []uint64{*churnSeed}
		if *churnSeed == 0 {
			seeds = nil
			for i := range *churnRuns {
				seeds = append(seeds, uint64(i+1))
			}
		}
		for _, seed := range seeds {
			t.Run(fmt.Sprintf("classic=%d seed=%d", classic, seed), func(t *testing.T) { newCrowd(t, seed, classic).run(members, 60) })
		}
	}
}

// crowd is the consumers and who consumes what.
type crowd struct {
	*world
	rng     *rand.Rand
	classic int // of a hundred that are born
	peers   []*peer
	born    int
	open    int // requests not answered
	kills   int
	epochs  int32
	kinds   map[Kind]int // changes to it
	was     Kind
	holder  map[held]*peer
}

type held struct {
	topic     [16]byte
	partition int32
}

// peer is a consumer. What it holds it consumes.
type peer struct {
	c        *crowd
	name     string
	id       string
	instance *string
	classic  bool
	dead     bool
	busy     bool
	next     time.Time

	epoch int32
	holds assignment
	aim   assignment // of the consumer protocol: what it was told it may use
	said  string     // what it last said that it holds
	full  bool       // it says all about itself next
	phase phase      // of the classic protocol
	list  []kmsg.JoinGroupResponseMember
}

func newCrowd(t *testing.T, seed uint64, classic int) *crowd {
	cfg := Defaults()
	cfg.InitialRebalanceDelay = 500 * time.Millisecond
	c := &crowd{rng: rand.New(rand.NewPCG(seed, 11)), classic: classic, holder: map[held]*peer{}, kinds: map[Kind]int{}}
	c.world = newWorld(t, cfg)
	c.topics["t"] = fakeTopic{id: [16]byte{15: 1}, partitions: 24}
	c.topics["u"] = fakeTopic{id: [16]byte{15: 2}, partitions: 5}
	return c
}

func (c *crowd) spawn(instance *string) {
	c.born++
	c.peers = append(c.peers, &peer{
		c: c, name: fmt.Sprintf("n%d", c.born), instance: instance, classic: c.rng.IntN(100) < c.classic,
		next: c.soon(1000), holds: assignment{}, full: true,
	})
	if p := c.peers[len(c.peers)-1]; !p.classic {
		p.id = p.name
	}
}

func (c *crowd) soon(ms int) time.Time {
	return c.step.Now().Add(time.Duration(50+c.rng.IntN(ms)) * time.Millisecond)
}

func (c *crowd) run(members, kills int) {
	for i := range members {
		var instance *string
		if i%4 == 0 {
			instance = nonEmpty(fmt.Sprintf("static%d", i))
		}
		c.spawn(instance)
	}
	for steps := 0; c.kills < kills; steps++ {
		c.faults()
		c.tick(100 * time.Millisecond)
		if steps%200 == 0 {
			c.checkGroups()
			c.checkReplay()
		}
	}
	c.hold = false
	c.ack()
	c.pump()
	for range 2000 {
		c.tick(100 * time.Millisecond)
	}
	c.settled()
	c.t.Logf("batches=%d simulated=%v group epoch=%d changes of kind=%v", len(c.log), c.step.Now().Sub(epoch), c.epochs, c.kinds)
}

func (c *crowd) faults() {
	switch n := c.rng.IntN(1000); {
	case n < 10: // one dies, or restarts
		i := c.rng.IntN(len(c.peers))
		p := c.peers[i]
		c.peers = slices.Delete(c.peers, i, i+1)
		p.keep(assignment{})
		p.dead = true
		c.kills++
		if !p.classic && !p.busy && p.epoch > 0 && c.rng.IntN(2) == 0 {
			p.leave()
		}
		c.spawn(p.instance)
	case n < 30:
		c.world.hold = true
	case n < 90:
		if c.world.hold {
			c.world.hold = false
			if c.rng.IntN(3) == 0 {
				c.fail(errors.New("not enough replicas"))
			} else {
				c.ack()
				c.pump()
			}
		}
	case n < 94:
		c.failover(c.rng.IntN(2) == 0)
		c.world.hold = false
		c.checkReplay()
	case n == 94:
		if t := c.topics["u"]; t.partitions < 12 {
			t.partitions++
			c.topics["u"] = t
		}
	}
}

func (c *crowd) tick(d time.Duration) {
	c.pass(d)
	for _, p := range slices.Clone(c.peers) {
		if !p.dead && !p.busy && !p.next.After(c.step.Now()) {
			p.act()
		}
	}
	if g := c.machine.groups["g"]; g != nil {
		if g.kind() != c.was {
			c.was = g.kind()
			c.kinds[c.was]++
		}
		if m, ok := g.modern.(*consumerGroup); ok {
			c.epochs = m.epoch
		}
	}
}

// settled checks that each partition is consumed by a live peer, who is in the group.
func (c *crowd) settled() {
	c.t.Helper()
	c.checkGroups()
	c.checkReplay()
	g := c.machine.groups["g"]
	if g == nil || g.stateName() != "Stable" || g.memberCount() != len(c.peers) {
		c.t.Fatalf("not settled: %s %s, %d members of %d", g.kind(), g.stateName(), g.memberCount(), len(c.peers))
	}
	want := 0
	for _, t := range c.topics {
		for p := range t.partitions {
			want++
			if c.holder[held{t.id, p}] == nil {
				c.t.Errorf("nobody consumes partition %d of %d", p, t.id[15])
			}
		}
	}
	total := 0
	for _, p := range c.peers {
		total += p.holds.size()
	}
	if total != want || len(c.holder) != want || c.open != 0 {
		c.t.Fatalf("%d partitions are consumed of %d, %d requests not answered", total, want, c.open)
	}
}

// keep is all that the peer goes on to consume.
func (p *peer) keep(a assignment) {
	p.holds.filter(func(t [16]byte, n int32) bool {
		if !a.has(t, n) {
			delete(p.c.holder, held{t, n})
		}
		return false
	})
	p.holds = p.holds.intersect(a)
}

// take is what the peer consumes from now on.
func (p *peer) take(a assignment) {
	a.filter(func(t [16]byte, n int32) bool {
		if other := p.c.holder[held{t, n}]; other != nil && other != p {
			p.c.t.Fatalf("partition %d of topic %d is consumed by %s and %s", n, t[15], other.name, p.name)
		}
		p.c.holder[held{t, n}] = p
		return false
	})
	p.holds = p.holds.union(a)
}

// send sends a request; its answer may get lost, and is not heard by the dead.
func (p *peer) send(req kmsg.Request, then func(kmsg.Response)) {
	p.busy = true
	p.c.open++
	answered, lost := false, p.c.rng.IntN(25) == 0
	p.c.co.Handle(Caller{ClientID: p.name, ClientHost: "/10.0.0.1"}, req, func(resp kmsg.Response) {
		if answered {
			p.c.t.Fatalf("%T answered twice", req)
		}
		answered = true
		p.c.open--
		p.busy = false
		p.next = p.c.soon(800)
		switch {
		case lost:
			p.full = true
		case !p.dead:
			then(resp)
		}
	})
}

func (p *peer) act() {
	switch {
	case p.holds.size() > 0 && p.c.rng.IntN(8) == 0 && p.phase == joining:
		p.commit()
	case !p.classic:
		p.beat()
	case p.phase == syncing:
		p.sync()
	case p.phase == joining:
		p.join()
	default:
		p.heartbeat()
	}
}

// passing says that an error is the coordinator's.
func passing(code int16) bool {
	return code == kerr.NotCoordinator.Code || code == kerr.CoordinatorNotAvailable.Code || code == kerr.CoordinatorLoadInProgress.Code
}

// beat sends a heartbeat of the consumer protocol.
func (p *peer) beat() {
	if p.epoch > 0 { // first it gives up what it must, and then takes what it may
		if p.holds.minus(p.aim).size() > 0 {
			p.keep(p.aim)
		} else {
			p.take(p.aim)
		}
	}
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.MemberEpoch, r.InstanceID = 1, "g", p.id, p.epoch, p.instance
	if p.full || p.epoch == 0 {
		r.RebalanceTimeoutMillis = 60_000
		r.SubscribedTopicNames = []string{"t", "u"}
	}
	if says := fmt.Sprint(p.holds); p.full || p.epoch == 0 || says != p.said {
		p.said = says
		r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
		for _, id := range p.holds.topics() {
			t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
			t.TopicID, t.Partitions = id, p.holds[id]
			r.Topics = append(r.Topics, t)
		}
	}
	p.full = false
	p.send(r, func(resp kmsg.Response) {
		h := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
		switch code := h.ErrorCode; {
		case code == 0:
			p.epoch = h.MemberEpoch
			if h.Assignment != nil {
				p.aim = assignment{}
				for _, t := range h.Assignment.Topics {
					p.aim.add(t.TopicID, t.Partitions...)
				}
			}
		case passing(code), code == kerr.UnreleasedInstanceID.Code:
			p.full = true
		case code == kerr.FencedMemberEpoch.Code, code == kerr.UnknownMemberID.Code, code == kerr.GroupIDNotFound.Code:
			p.keep(assignment{})
			p.epoch, p.aim, p.full = 0, assignment{}, true
		default:
			p.c.t.Fatalf("%s: %v %s", p.name, kerr.ErrorForCode(code), deref(h.ErrorMessage))
		}
	})
}

// leave says goodbye; a static peer will be back.
func (p *peer) leave() {
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.MemberEpoch, r.InstanceID = 1, "g", p.id, leaveEpoch, p.instance
	if p.instance != nil {
		r.MemberEpoch = staticLeaveEpoch
	}
	p.send(r, func(kmsg.Response) {})
}

// commit commits offsets of all that the peer consumes.
func (p *peer) commit() {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID, r.Generation = 10, "g", p.id, p.instance, p.epoch
	for _, id := range p.holds.topics() {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.TopicID = id
		for _, n := range p.holds[id] {
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset = n, int64(p.c.step.Now().Sub(epoch)/time.Millisecond)
			t.Partitions = append(t.Partitions, rp)
		}
		r.Topics = append(r.Topics, t)
	}
	p.send(r, func(resp kmsg.Response) {
		for _, t := range resp.(*kmsg.OffsetCommitResponse).Topics {
			for _, rp := range t.Partitions {
				if rp.ErrorCode != 0 && !passing(rp.ErrorCode) && !p.mayBeRefused(rp.ErrorCode) {
					p.c.t.Fatalf("%s (classic=%t) at epoch %d may not commit partition %d: %v", p.name, p.classic, p.epoch, rp.Partition, kerr.ErrorForCode(rp.ErrorCode))
				}
			}
		}
	})
}

// mayBeRefused: one whose session ended, and a member of the classic protocol in a group
// that begins to rebalance or became another, learn it by their next heartbeat.
func (p *peer) mayBeRefused(code int16) bool {
	return code == kerr.UnknownMemberID.Code || code == kerr.FencedInstanceID.Code || code == kerr.GroupIDNotFound.Code ||
		p.classic && (code == kerr.IllegalGeneration.Code || code == kerr.RebalanceInProgress.Code)
}

// lose is what a member of the classic protocol does that is not one any more.
func (p *peer) lose(code int16) {
	switch {
	case code == kerr.RebalanceInProgress.Code:
		p.phase = joining
	case code == kerr.UnknownMemberID.Code, code == kerr.FencedInstanceID.Code:
		p.id = ""
		fallthrough
	case code == kerr.IllegalGeneration.Code:
		p.keep(assignment{})
		p.phase = joining
	case !passing(code):
		p.c.t.Fatalf("%s: %v", p.name, kerr.ErrorForCode(code))
	}
}

// join sends a JoinGroup of a cooperative consumer, which goes on consuming meanwhile.
func (p *peer) join() {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID = 9, "g", p.id, p.instance
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.ProtocolType = 45_000, 60_000, "consumer"
	m := kmsg.NewConsumerMemberMetadata()
	m.Version, m.Topics, m.Generation = 1, []string{"t", "u"}, -1
	for _, name := range []string{"t", "u"} {
		if ps := p.holds[p.c.topics[name].id]; len(ps) > 0 {
			o := kmsg.NewConsumerMemberMetadataOwnedPartition()
			o.Topic, o.Partitions = name, ps
			m.OwnedPartitions = append(m.OwnedPartitions, o)
		}
	}
	rp := kmsg.NewJoinGroupRequestProtocol()
	rp.Name, rp.Metadata = "coop", m.AppendTo(nil)
	r.Protocols = append(r.Protocols, rp)
	p.send(r, func(resp kmsg.Response) {
		j := resp.(*kmsg.JoinGroupResponse)
		switch j.ErrorCode {
		case 0:
			p.id, p.epoch, p.phase, p.list = j.MemberID, j.Generation, syncing, nil
			if j.LeaderID == j.MemberID && !j.SkipAssignment {
				p.list = j.Members
			}
		case kerr.MemberIDRequired.Code:
			p.id = j.MemberID
		case kerr.GroupIDNotFound.Code, kerr.InconsistentGroupProtocol.Code:
			p.c.t.Fatalf("%s: %v", p.name, kerr.ErrorForCode(j.ErrorCode))
		default:
			p.lose(j.ErrorCode)
		}
	})
}

// assign is what a leader gives: nothing that another still says it has.
func (p *peer) assign() []kmsg.SyncGroupRequestGroupAssignment {
	image := p.c.topics.Image()
	spec := assignor.Spec{Topics: map[assignor.TopicID]assignor.Topic{}}
	for name, t := range p.c.topics {
		spec.Topics[t.id] = assignor.Topic{Name: name, Partitions: t.partitions}
	}
	all := slices.Collect(maps.Keys(spec.Topics))
	taken := assignment{}
	for _, m := range p.list {
		s, _ := readSubscription(image, m.ProtocolMetadata)
		taken = taken.union(s.owned)
		spec.Members = append(spec.Members, assignor.Member{ID: m.MemberID, Topics: all, Owned: assignor.Assignment(s.owned)})
	}
	var out []kmsg.SyncGroupRequestGroupAssignment
	for id, target := range assignor.Uniform(spec) {
		i := slices.IndexFunc(spec.Members, func(m assignor.Member) bool { return m.ID == id })
		mine := assignment(spec.Members[i].Owned)
		give := assignment(target).filter(func(t [16]byte, n int32) bool { return mine.has(t, n) || !taken.has(t, n) })
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = id, writeAssignment(image, give, 1)
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b kmsg.SyncGroupRequestGroupAssignment) int { return cmpString(a.MemberID, b.MemberID) })
	return out
}

func (p *peer) sync() {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID, r.Generation = 5, "g", p.id, p.instance, p.epoch
	if p.list != nil {
		r.GroupAssignment = p.assign()
	}
	p.send(r, func(resp kmsg.Response) {
		s := resp.(*kmsg.SyncGroupResponse)
		if s.ErrorCode != 0 {
			p.lose(s.ErrorCode)
			return
		}
		a, ok := readAssignment(p.c.topics.Image(), s.MemberAssignment)
		if !ok {
			p.c.t.Fatalf("%s was given %x", p.name, s.MemberAssignment)
		}
		p.phase = consuming
		if p.holds.minus(a).size() > 0 {
			p.phase = joining // with less, for those who wait for it
		}
		p.keep(a)
		p.take(a)
	})
}

func (p *peer) heartbeat() {
	r := kmsg.NewPtrHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.InstanceID, r.Generation = 4, "g", p.id, p.instance, p.epoch
	p.send(r, func(resp kmsg.Response) {
		if code := resp.(*kmsg.HeartbeatResponse).ErrorCode; code != 0 {
			p.lose(code)
		}
	})
}
