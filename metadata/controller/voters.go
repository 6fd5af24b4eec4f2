package controller

import (
	"cmp"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/metadata"
)

// voterLag is how many commands an observer may be behind to count as caught up: a vote of one that is further behind would hold up every
// command until it is there.
const voterLag = 256

// Voting decides who votes in the metadata group: the leader of the metadata asks Next from time to time and after each change, and carries
// the one step out that it returns (Store.ChangeMember).
//
//	observer, alive, caught up ──Promote──▶ voter      while fewer vote than wanted
//	voter ──Demote──▶ observer                         gone for good or draining, and another can take its place; too many vote
//	member ──Remove──▶ (none)                          gone for good, and its broker is registered no more
//
// No step leaves fewer voters alive than a majority. An odd number votes wherever there is a choice: of four the loss of one can be borne, as
// of three. Two that are left of three stay, as then each command is on two disks.
type Voting struct {
	Want     int           // how many vote, an odd number (controller.quorum.voters.count)
	Patience time.Duration // a member that was away for so long is gone for good
}

// Electorate is the metadata group as its leader sees it.
type Electorate struct {
	Leader            int32
	Voters, Observers []int32
	Alive             map[int32]bool      // who has a session; the leader has
	Reached           map[int32]uint64    // index of the newest image that a broker told of
	Away              map[int32]time.Time // since when a member is not alive: see Absences
}

// Absences remembers since when members are away. A new leader begins with an empty one: nobody knows what the last one saw.
type Absences map[int32]time.Time

// Note takes who is a member and alive now, and sets Away.
func (a Absences) Note(e *Electorate, now time.Time) {
	for _, id := range slices.Concat(e.Voters, e.Observers) {
		if e.alive(id) {
			delete(a, id)
		} else if _, known := a[id]; !known {
			a[id] = now
		}
	}
	for id := range a {
		if !slices.Contains(e.Voters, id) && !slices.Contains(e.Observers, id) {
			delete(a, id)
		}
	}
	e.Away = a
}

func (e *Electorate) alive(id int32) bool { return id == e.Leader || e.Alive[id] }

// majorityAlive reports whether those who are alive can outvote the rest, with and without the vote of one of them.
func (e *Electorate) majorityAlive(without int32) bool {
	var voters, alive int
	for _, id := range e.Voters {
		if id == without {
			continue
		}
		voters++
		if e.alive(id) {
			alive++
		}
	}
	return alive > voters/2
}

// nobody is no broker.
const nobody int32 = -1

// Next returns the next step, false when there is none to take.
func (v Voting) Next(m *metadata.Image, e *Electorate, now time.Time) (metadata.MemberChange, bool) {
	if !e.majorityAlive(nobody) {
		return metadata.MemberChange{}, false // nothing would be committed
	}
	gone := func(id int32) bool {
		since, away := e.Away[id]
		return !e.alive(id) && away && now.Sub(since) >= v.Patience
	}
	for _, id := range slices.Sorted(slices.Values(e.Observers)) {
		if _, registered := m.Broker(id); !registered && gone(id) {
			return metadata.MemberChange{Kind: metadata.Remove, Node: id}, true
		}
	}
	candidates, hope := v.candidates(m, e)
	if c, ok := v.leaving(m, e, gone, candidates); ok {
		return c, true
	}
	if wanted := oddUpTo(min(v.Want, len(e.Voters)+len(candidates))); len(e.Voters) < wanted {
		return promote(candidates), true
	}
	if n := len(e.Voters); n > v.Want || n >= 4 && n%2 == 0 && !hope {
		return v.surplus(m, e)
	}
	return metadata.MemberChange{}, false
}

func promote(candidates []int32) metadata.MemberChange {
	return metadata.MemberChange{Kind: metadata.Promote, Node: candidates[0]}
}

// oddUpTo returns the largest odd number that is not above n, of which there is one in a group.
func oddUpTo(n int) int { return n - (n+1)%2 }

// leaving finds a voter that should vote no more: one that is gone, or drains. Of an even number any may go, as nothing more is borne with it
// than without; of an odd one only who can be replaced. One or two voters are joined by another first, so that no command is on fewer disks
// meanwhile.
func (v Voting) leaving(m *metadata.Image, e *Electorate, gone func(int32) bool, candidates []int32) (metadata.MemberChange, bool) {
	voters := slices.Clone(e.Voters)
	slices.SortFunc(voters, func(a, b int32) int { // who is away for longest first, the leader last
		return cmp.Or(compareBool(gone(b), gone(a)), compareBool(a == e.Leader, b == e.Leader), e.Away[a].Compare(e.Away[b]), cmp.Compare(a, b))
	})
	replaced, even := len(candidates) > 0, len(voters)%2 == 0
	for _, id := range voters {
		_, registered := m.Broker(id)
		switch {
		case !gone(id) && !drains(m, id):
		case !gone(id) && len(voters) <= min(2, v.Want) && replaced:
			return promote(candidates), true
		case !e.majorityAlive(id):
		case gone(id) && !registered:
			return metadata.MemberChange{Kind: metadata.Remove, Node: id}, true
		case replaced || even:
			return metadata.MemberChange{Kind: metadata.Demote, Node: id}, true
		}
	}
	return metadata.MemberChange{}, false
}

func drains(m *metadata.Image, id int32) bool {
	b, ok := m.Broker(id)
	return ok && b.Draining
}

// compareBool sorts false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

// surplus takes the vote of one that is not needed: of who is away, of who drains, else of the highest id that does not lead.
func (v Voting) surplus(m *metadata.Image, e *Electorate) (metadata.MemberChange, bool) {
	voters := slices.Clone(e.Voters)
	slices.SortFunc(voters, func(a, b int32) int {
		return cmp.Or(compareBool(e.alive(a), e.alive(b)), compareBool(drains(m, b), drains(m, a)), cmp.Compare(b, a))
	})
	for _, id := range voters {
		if id != e.Leader && e.majorityAlive(id) {
			return metadata.MemberChange{Kind: metadata.Demote, Node: id}, true
		}
	}
	return metadata.MemberChange{}, false
}

// candidates are the observers that could vote now, those first whose rack has the fewest votes. hope says that one may catch up yet.
func (v Voting) candidates(m *metadata.Image, e *Electorate) (ids []int32, hope bool) {
	votes := map[string]int{}
	for _, id := range e.Voters {
		if b, ok := m.Broker(id); ok {
			votes[b.Rack]++
		}
	}
	racks := map[int32]int{}
	for _, id := range e.Observers {
		b, ok := m.Broker(id)
		if !ok || !e.alive(id) || !b.Active() || b.Draining {
			continue
		}
		hope = true
		if e.Reached[id]+voterLag >= m.Index() {
			ids = append(ids, id)
			racks[id] = votes[b.Rack]
		}
	}
	slices.SortFunc(ids, func(a, b int32) int { return cmp.Or(cmp.Compare(racks[a], racks[b]), cmp.Compare(a, b)) })
	return ids, hope
}
