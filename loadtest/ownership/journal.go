package ownership

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// What happens.
type kind uint8

const (
	take kind = iota // a member was given a partition
	give             // it gave it back
	lose             // it found out that it has it no more
	die              // it was killed
	move             // a coordinator is there again, after one was killed
)

type event struct {
	at        time.Time
	kind      kind
	member    int
	partition int32
}

// journal takes down what happens, in order.
type journal struct {
	mu     sync.Mutex
	events []event
	owners map[int32]map[int]bool // members alive, by partition
	told   map[int32][]string     // what happened to a partition last, for who looks into a violation
}

func newJournal() *journal {
	return &journal{owners: make(map[int32]map[int]bool), told: make(map[int32][]string)}
}

// maxTold bounds what is told of one partition.
const maxTold = 40

// tell remembers something of a partition that is not judged. The mutex is held.
func (j *journal) tell(partition int32, format string, args ...any) {
	lines := append(j.told[partition], time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	j.told[partition] = lines[max(len(lines)-maxTold, 0):]
}

// offset remembers what a member does with an offset.
func (j *journal) offset(member int, partition int32, offset int64, what string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tell(partition, "member=%d %s offset=%d", member, what, offset)
}

// story is what happened to a partition last.
func (j *journal) story(partition int32) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.told[partition])
}

// note adds what happened to partitions just now; die and move have none.
func (j *journal) note(k kind, member int, partitions ...int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	if len(partitions) == 0 {
		j.events = append(j.events, event{at: now, kind: k, member: member, partition: -1})
	}
	for _, p := range partitions {
		j.tell(p, "%s by member=%d", [...]string{take: "taken", give: "given back", lose: "lost"}[k], member)
		j.events = append(j.events, event{at: now, kind: k, member: member, partition: p})
		if k == take {
			if j.owners[p] == nil {
				j.owners[p] = make(map[int]bool)
			}
			j.owners[p][member] = true
		} else {
			delete(j.owners[p], member)
		}
	}
	if k == die {
		for _, o := range j.owners {
			delete(o, member)
		}
	}
}

// owned reports how many of n partitions have exactly one owner that is alive.
func (j *journal) owned(n int32) (one int32) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for p := range n {
		if len(j.owners[p]) == 1 {
			one++
		}
	}
	return one
}

// Result is the verdict about a group.
type Result struct {
	Members   int           `json:"members"` // that there ever were
	Deaths    int           `json:"deaths"`
	Moves     int           `json:"coordinator_moves"`
	Takes     int           `json:"takes"`
	Losses    int           `json:"losses"`
	Commits   int           `json:"committed_offsets_read"`
	Longest   time.Duration `json:"longest_without_owner_ns"` // counted as for an orphan
	Doubles   int           `json:"doubles"`
	Orphans   int           `json:"orphans"`
	Backwards int           `json:"backwards"`
	Examples  []string      `json:"examples,omitempty"`
}

// OK reports whether nothing was broken.
func (r *Result) OK() bool { return r.Doubles+r.Orphans+r.Backwards == 0 }

// maxExamples bounds the violations that are described.
const maxExamples = 10

func (r *Result) example(format string, args ...any) {
	if len(r.Examples) < maxExamples {
		r.Examples = append(r.Examples, fmt.Sprintf(format, args...))
	}
}

// judge goes through what happened to n partitions. A dead member's session ends after session; a partition may be without owner for
// limit. Before all had an owner for the first time nothing is an orphan.
func judge(events []event, n int32, session, limit time.Duration, end time.Time) *Result {
	r := &Result{}
	type state struct {
		owners []int
		since  time.Time // without owner; zero: it has one, or never had
	}
	parts := make([]state, n)
	members := make(map[int]bool)
	var excuse time.Time // until then nobody can be expected to have found out
	without := func(p int32, s *state, now time.Time) {
		from := s.since
		if excuse.After(from) {
			from = excuse
		}
		gap := now.Sub(from)
		r.Longest = max(r.Longest, gap)
		if gap > limit {
			r.Orphans++
			r.example("orphan: partition=%d had no owner for %v until %v", p, gap, now)
		}
		s.since = time.Time{}
	}
	drop := func(s *state, member int, now time.Time) {
		for i, o := range s.owners {
			if o == member {
				s.owners = append(s.owners[:i], s.owners[i+1:]...)
				if len(s.owners) == 0 {
					s.since = now
				}
				return
			}
		}
	}
	// A loss is known before it is judged, whether the one who had a partition was told that it had it no more.
	loses := lossesAhead(events)
	for i, e := range events {
		members[e.member] = true
		switch e.kind {
		case take:
			r.Takes++
			s := &parts[e.partition]
			for _, o := range append([]int(nil), s.owners...) {
				if o == e.member {
					continue
				}
				if loses[holding{o, e.partition}].after(i) {
					drop(s, o, e.at)
					continue
				}
				r.Doubles++
				r.example("double: partition=%d was given to member=%d while member=%d had it, at %v", e.partition, e.member, o, e.at)
			}
			if !s.since.IsZero() {
				without(e.partition, s, e.at)
			}
			drop(s, e.member, e.at)
			s.owners, s.since = append(s.owners, e.member), time.Time{}
		case give:
			drop(&parts[e.partition], e.member, e.at)
		case lose:
			r.Losses++
			drop(&parts[e.partition], e.member, e.at)
		case die:
			r.Deaths++
			for p := range parts {
				drop(&parts[p], e.member, e.at)
			}
			excuse = later(excuse, e.at.Add(session))
		case move:
			r.Moves++
			// The new coordinator gives every member a whole session.
			excuse = later(excuse, e.at.Add(session))
		}
	}
	for p := range parts {
		if s := &parts[p]; !s.since.IsZero() {
			without(int32(p), s, end)
		}
	}
	r.Members = len(members)
	return r
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// holding is a member's having a partition.
type holding struct {
	member    int
	partition int32
}

// outcomes are the indexes of the events that ended holdings, in order, and whether they were losses.
type outcomes []struct {
	index int
	lost  bool
}

// after reports whether the next end of the holding after an event is a loss.
func (o outcomes) after(index int) bool {
	for _, x := range o {
		if x.index > index {
			return x.lost
		}
	}
	return false
}

func lossesAhead(events []event) map[holding]outcomes {
	out := make(map[holding]outcomes)
	for i, e := range events {
		if e.kind == give || e.kind == lose {
			h := holding{e.member, e.partition}
			out[h] = append(out[h], struct {
				index int
				lost  bool
			}{i, e.kind == lose})
		}
	}
	return out
}
