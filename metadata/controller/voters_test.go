package controller

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

const patience = 5 * time.Minute

// electorate reads a group: "1* 2 3- 4-- | 5 6~ 7-" are voters and observers, * leads, - is away, -- for longer than the patience, ~ is behind.
func electorate(t testing.TB, m *metadata.Image, text string) *Electorate {
	e := &Electorate{Alive: map[int32]bool{}, Reached: map[int32]uint64{}, Away: map[int32]time.Time{}}
	voters, observers, _ := strings.Cut(text, "|")
	for i, side := range []string{voters, observers} {
		for word := range strings.FieldsSeq(side) {
			var id int32
			var marks string
			if _, err := fmt.Sscanf(word+" .", "%d%s", &id, &marks); err != nil {
				t.Fatal(err)
			}
			e.Alive[id], e.Reached[id] = true, m.Index()
			switch marks {
			case "*":
				e.Leader = id
			case "-", "--":
				e.Alive[id] = false
				e.Away[id] = now.Add(-time.Second)
				if marks == "--" {
					e.Away[id] = now.Add(-patience)
				}
			case "~":
				e.Reached[id] = 0
			}
			if i == 0 {
				e.Voters = append(e.Voters, id)
			} else {
				e.Observers = append(e.Observers, id)
			}
		}
	}
	return e
}

// votingImage has the brokers 0 to 9 in service, and a log that is long enough to be behind.
func votingImage(t testing.TB) *cluster {
	c := newCluster(t, 10)
	for c.Index() <= 2*voterLag {
		c.apply(&record.SetBrokerConfig{Broker: record.DefaultBroker, Changes: []record.ConfigChange{{Key: "a", Value: fmt.Sprint(c.Index())}}})
	}
	return c
}

func TestVoting(t *testing.T) {
	const none = ""
	for _, x := range []struct {
		group string
		want  int
		step  string
		about string
	}{
		{"1*", 3, none, "alone"},
		{"1* | 2", 3, none, "two can not outvote one"},
		{"1* | 2 3", 3, "promote 2", ""},
		{"1* 2 | 3", 3, "promote 3", "on the way"},
		{"1* 2 3", 3, none, ""},
		{"1* 2 3 | 4 5", 3, none, ""},
		{"1* 2 3 | 4", 5, none, "four are no better than three"},
		{"1* 2 3 | 4 5", 5, "promote 4", ""},
		{"1* 2 3 | 4~ 5", 5, none, "one is behind"},
		{"1* 2 3 | 4~ 5 6", 5, "promote 5", ""},
		{"1* 2 3- | 4", 3, none, "away for a moment"},
		{"1* 2 3-- | 4", 3, "demote 3", "and 4 comes after it"},
		{"1* 2 | 3-- 4", 3, "promote 4", ""},
		{"1* 2 3-- | 4~", 3, none, "nobody in its place"},
		{"1* 2 3-- | 4-", 3, none, "nobody in its place"},
		{"1* 2 3--", 3, none, "nobody in its place"},
		{"1* 2- 3-- | 4", 3, none, "no majority"},
		{"1* 2-- 3-- | 4 5", 3, none, "no majority"},
		{"1* 2 3 4-- 5-- | 6 7", 5, "demote 4", "both may go, one after the other"},
		{"1* 2 3 5-- | 4-- 6 7", 5, "demote 5", ""},
		{"1* 2 3 | 4-- 5-- 6 7", 5, "promote 6", ""},
		{"1* 2 3 4", 5, "demote 4", "an odd number"},
		{"1* 2 3 4--", 5, "demote 4", "an odd number"},
		{"1* 2 3 4 | 5~", 5, none, "5 may catch up"},
		{"1* 2 3 4 | 5", 5, "promote 5", ""},
		{"1* 2 3 4 5", 3, "demote 5", "fewer are wanted"},
		{"1* 2- 3 4 5", 3, "demote 2", "who is away first"},
		{"1 2 3 4 5*", 3, "demote 4", "not the leader"},
		{"1* 2 3 | 12--", 3, "remove 12", "removed from the cluster"},
		{"1* 2 3 | 12-", 3, none, "or not registered yet"},
		{"1* 2 12-- | 4", 3, "remove 12", ""},
		{"1* 2 12--", 3, "remove 12", "it will not come back"},
		{"1* 2- 12--", 3, none, "no majority"},
		{"1* 2 8 | 4", 3, "demote 8", "draining"},
		{"1* 2 8", 3, none, "draining, and needed"},
		{"8* 2 3 | 4", 3, "demote 8", "draining, and leading"},
		{"8* | 2", 1, "promote 2", "draining, alone"},
		{"8* 2", 1, "demote 8", ""},
		{"8* 2", 3, "demote 8", ""},
		{"8* 2 | 3", 3, "promote 3", ""},
		{"1* | 8 9", 3, none, "draining and fenced ones do not vote"},
		{"1* 2 3-- | 9", 3, none, "fenced"},
		{"1* 10 | 2 11", 3, "promote 11", "a rack without a vote first"},
	} {
		c := votingImage(t)
		for id, rack := range map[int32]string{10: "a", 11: "b"} {
			r := c.apply(&record.RegisterBroker{ID: id, Incarnation: metadata.ID{byte(id)}, Rack: rack})
			c.apply(&record.UnfenceBroker{ID: id, Epoch: r.BrokerEpoch})
		}
		c.apply(&record.DrainBroker{ID: 8, Draining: true})
		nine, _ := c.Broker(9)
		c.apply(&record.FenceBroker{ID: 9, Epoch: nine.Epoch})
		if strings.Contains(x.group, "11") { // broker 2 is in the rack of 10
			c.apply(&record.RegisterBroker{ID: 2, Incarnation: brokerOf(t, c, 2).Incarnation, Rack: "a"})
			c.apply(&record.RegisterBroker{ID: 1, Incarnation: brokerOf(t, c, 1).Incarnation, Rack: "c"})
		}
		got := none
		if step, ok := (Voting{Want: x.want, Patience: patience}).Next(c.Image, electorate(t, c.Image, x.group), now); ok {
			got = fmt.Sprint(step.Kind, " ", step.Node)
		}
		if got != x.step {
			t.Errorf("%q, %d wanted: %q, want %q (%s)", x.group, x.want, got, x.step, x.about)
		}
	}
}

func brokerOf(t testing.TB, c *cluster, id int32) *metadata.Broker {
	b, ok := c.Broker(id)
	if !ok {
		t.Fatal("no broker", id)
	}
	return b
}

// From any group, one step after the other: those who are alive outvote the rest after each, who votes is not taken its vote for nothing, and
// it comes to an end, at which an odd number votes or nobody is there for another.
func TestVotingConverges(t *testing.T) {
	images := map[bool]*cluster{false: votingImage(t), true: votingImage(t)}
	images[true].apply(&record.DrainBroker{ID: 4, Draining: true})
	for seed := range uint64(5000) {
		random := rand.New(rand.NewPCG(seed, 1))
		c := images[random.IntN(3) == 0]
		v := Voting{Want: []int{1, 3, 5}[random.IntN(3)], Patience: patience}
		e := &Electorate{Alive: map[int32]bool{}, Reached: map[int32]uint64{}, Away: map[int32]time.Time{}}
		for id := int32(1); id <= 12; id++ { // 10, 11 and 12 are not registered
			switch random.IntN(3) {
			case 0:
				e.Voters = append(e.Voters, id)
			case 1:
				e.Observers = append(e.Observers, id)
			}
			e.Reached[id] = c.Index() * uint64(random.IntN(2))
			if e.Alive[id] = random.IntN(4) > 0 && id < 10; !e.Alive[id] && random.IntN(3) > 0 {
				e.Away[id] = now.Add(-time.Duration(random.IntN(2)) * patience)
			}
		}
		if len(e.Voters) == 0 {
			continue
		}
		e.Leader = e.Voters[random.IntN(len(e.Voters))]
		before := fmt.Sprintf("%+v", *e)
		steps := 0
		for {
			step, ok := v.Next(c.Image, e, now)
			if !ok {
				break
			}
			if steps++; steps > 2*12 {
				t.Fatalf("seed %d: no end: %s, now %+v", seed, before, *e)
			}
			_, registered := c.Broker(step.Node)
			candidates, _ := v.candidates(c.Image, e)
			n, needed := len(e.Voters), true
			switch {
			case step.Kind == metadata.Promote:
				needed = slices.Contains(candidates, step.Node)
			case step.Kind == metadata.Remove:
				needed = !registered && !e.Away[step.Node].IsZero()
			case e.alive(step.Node) && !drains(c.Image, step.Node):
				needed = n > v.Want || n >= 4 && n%2 == 0
			}
			if !needed {
				t.Fatalf("seed %d: %s: why %v %d? %+v", seed, before, step.Kind, step.Node, *e)
			}
			carryStep(t, e, step)
			if !e.majorityAlive(nobody) {
				t.Fatalf("seed %d: %s, no majority after %v %d: %+v", seed, before, step.Kind, step.Node, *e)
			}
		}
		if !e.majorityAlive(nobody) {
			if steps > 0 {
				t.Fatalf("seed %d: a step without a majority", seed)
			}
			continue
		}
		candidates, hope := v.candidates(c.Image, e)
		if n := len(e.Voters); n > v.Want || n%2 == 0 && n > 2 && !hope || n < oddUpTo(min(v.Want, n+len(candidates))) {
			t.Fatalf("seed %d: %s ends at %+v", seed, before, *e)
		}
	}
}

// carryStep changes the group as the log would; a leader that loses its vote is followed by another voter that is alive.
func carryStep(t *testing.T, e *Electorate, step metadata.MemberChange) {
	t.Helper()
	drop := func(from []int32) []int32 {
		i := slices.Index(from, step.Node)
		if i < 0 {
			t.Fatalf("%v %d of %v", step.Kind, step.Node, from)
		}
		return slices.Delete(slices.Clone(from), i, i+1)
	}
	switch step.Kind {
	case metadata.Promote:
		e.Observers, e.Voters = drop(e.Observers), append(e.Voters, step.Node)
	case metadata.Demote:
		e.Voters, e.Observers = drop(e.Voters), append(e.Observers, step.Node)
	case metadata.Remove:
		if slices.Contains(e.Voters, step.Node) {
			e.Voters = drop(e.Voters)
		} else {
			e.Observers = drop(e.Observers)
		}
	}
	if step.Node == e.Leader {
		e.Alive[e.Leader] = true // it was, as the leader
		i := slices.IndexFunc(e.Voters, func(id int32) bool { return e.Alive[id] })
		if i < 0 {
			t.Fatal("nobody is left to lead")
		}
		e.Leader = e.Voters[i]
	}
}

func TestAbsences(t *testing.T) {
	a := Absences{}
	c := votingImage(t)
	e := electorate(t, c.Image, "1* 2 3")
	e.Alive[3] = false
	a.Note(e, now)
	a.Note(e, now.Add(time.Minute))
	if e.Away[3] != now || len(e.Away) != 1 {
		t.Error(e.Away)
	}
	e.Alive[3], e.Alive[2] = true, false
	a.Note(e, now.Add(time.Hour))
	if e.Away[2] != now.Add(time.Hour) || len(e.Away) != 1 {
		t.Error(e.Away)
	}
	e.Voters = []int32{1, 3}
	if a.Note(e, now); len(a) != 0 {
		t.Error(a)
	}
}
