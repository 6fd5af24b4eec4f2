package metadata

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/codec"
	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// groupOutcome is what a member answers to a request about the group's members.
type groupOutcome uint8

const (
	groupDone      groupOutcome = 0
	groupNotLeader groupOutcome = 1 // nothing was done; the leader is in the answer as far as it is known
	groupNotNow    groupOutcome = 2 // it may be done later, or was begun; the reason says what is missing
	groupRefused   groupOutcome = 3 // it will not be done
	groupNoChange  groupOutcome = 4 // as groupRefused: there is nothing to change
	groupNotMember groupOutcome = 5 // as groupRefused: the broker is not in the group
)

// groupAnswer answers JoinRequest and MembersRequest. Integers are big endian, strings have their uvarint length in front.
//
//	0 version u8 = 1   1 outcome u8
//	2 index u64       10 cluster id, string   then the leader's id, its address and the reason, strings
type groupAnswer struct {
	outcome groupOutcome
	index   uint64
	cluster string
	leader  quorum.Member
	reason  string
}

const (
	groupVersion = 1
	// maxGroupText bounds the strings of requests and answers about members: an address or a sentence.
	maxGroupText = 1024
	// askPause is between two rounds of questions, and grows to askPauseMax while nobody has another answer.
	askPause    = 250 * time.Millisecond
	askPauseMax = 4 * time.Second
	// askTimeout is for one member to answer: longer than it tries itself (changeTimeout).
	askTimeout = 15 * time.Second
)

func (a *groupAnswer) append(dst []byte) []byte {
	dst = append(dst, groupVersion, byte(a.outcome))
	dst = binary.BigEndian.AppendUint64(dst, a.index)
	for _, s := range []string{a.cluster, a.leader.ID, a.leader.Address, a.reason} {
		dst = codec.AppendString(dst, s[:min(len(s), maxGroupText)])
	}
	return dst
}

func parseGroupAnswer(b []byte) (a groupAnswer, err error) {
	r := codec.NewReader(b)
	if v := r.Uint8(); r.Err() == nil && v != groupVersion {
		return a, fmt.Errorf("answer of the metadata group: %w: version=%d", record.ErrUnknownVersion, v)
	}
	a.outcome, a.index = groupOutcome(r.Uint8()), r.Uint64()
	for _, s := range []*string{&a.cluster, &a.leader.ID, &a.leader.Address, &a.reason} {
		if *s = r.String(); len(*s) > maxGroupText {
			return a, fmt.Errorf("answer of the metadata group: text is too long: bytes=%d max=%d", len(*s), maxGroupText)
		}
	}
	return a, r.Finish()
}

// err is what an answer other than groupDone means to who asked; nil where asking again may help.
func (a *groupAnswer) err() error {
	switch a.outcome {
	case groupRefused:
		return fmt.Errorf("%w: %s", ErrRefused, a.reason)
	case groupNoChange:
		return fmt.Errorf("%w: %s", ErrNoChange, a.reason)
	case groupNotMember:
		return fmt.Errorf("%w: %s", ErrNotMember, a.reason)
	}
	return nil
}

// askGroup puts a request to all that may know the leader, and to the leader, again and again until it is done, refused, or ctx ends.
// The leader itself answers by own. told is called with each new reason to go on.
func (s *Store) askGroup(ctx context.Context, typ uint16, request []byte, own func(context.Context) groupAnswer, told func(string)) (groupAnswer, error) {
	pause, last := askPause, ""
	for {
		var changed <-chan struct{} // never, while there is no log
		if s.log != nil {
			changed = s.log.LeaderChanges()
		}
		a, reason, err := s.askOnce(ctx, typ, request, own)
		if err != nil || a.outcome == groupDone {
			return a, err
		}
		switch {
		case ctx.Err() != nil && last != "":
			reason = last // rather than that the last question was cut short
		case reason != last:
			last, pause = reason, askPause
			told(reason)
		}
		retry := time.NewTimer(pause)
		select {
		case <-retry.C:
			pause = min(2*pause, askPauseMax)
		case <-changed:
		case <-ctx.Done():
			retry.Stop()
			return groupAnswer{}, fmt.Errorf("%s: %w", reason, context.Cause(ctx))
		}
		retry.Stop()
	}
}

// askOnce asks everybody once. While nothing is done and nothing is refused, the reason says what to wait for.
func (s *Store) askOnce(ctx context.Context, typ uint16, request []byte, own func(context.Context) groupAnswer) (groupAnswer, string, error) {
	if s.log != nil && s.log.IsLeader() {
		if a := own(ctx); a.outcome != groupNotLeader {
			return a, a.reason, a.err()
		}
	}
	asked := map[string]bool{s.advertise: true}
	round := s.whoMayKnow()
	reason := "nobody answers"
	for len(round) > 0 {
		var next []string
		for _, r := range s.askAll(ctx, round, asked, typ, request) {
			var refused *peer.RefusedError
			switch {
			case errors.As(r.err, &refused) && refused.Final && s.isSeed(r.address): // other addresses may have changed hands
				return groupAnswer{}, "", fmt.Errorf("%w: address=%s: %w", ErrRefused, r.address, r.err)
			case r.err != nil:
				if reason == "nobody answers" {
					reason = r.err.Error()
				}
			case r.answer.outcome == groupNotLeader:
				if l := r.answer.leader.Address; l != "" && !asked[l] {
					next = append(next, l)
				}
				reason = "the metadata group has no leader that can be reached"
			case r.answer.outcome == groupNotNow:
				return r.answer, r.answer.reason, nil
			default: // done or refused
				return r.answer, "", r.answer.err()
			}
		}
		round = next
	}
	return groupAnswer{outcome: groupNotNow}, reason, nil
}

// whoMayKnow are the addresses of the leader, the voters and the seeds.
func (s *Store) whoMayKnow() []string {
	var out []string
	if m, ok := s.log.(quorum.Membership); ok {
		if leader, known := s.log.Leader(); known {
			return []string{leader.Address}
		}
		voters, _ := m.Members()
		for _, v := range voters {
			out = append(out, v.Address)
		}
	}
	if s.seeds != nil {
		out = append(out, s.seeds.Addresses...)
	}
	return out
}

func (s *Store) isSeed(address string) bool {
	return s.seeds != nil && slices.Contains(s.seeds.Addresses, address)
}

// reply is what came back from one address.
type reply struct {
	address string
	answer  groupAnswer
	err     error
}

// askAll puts the request to the addresses that were not asked before, at most maxVoters and MaxSeeds of them, at once.
func (s *Store) askAll(ctx context.Context, addresses []string, asked map[string]bool, typ uint16, request []byte) []reply {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	replies := make([]reply, 0, len(addresses))
	for _, address := range addresses {
		if !asked[address] {
			asked[address] = true
			replies = append(replies, reply{address: address})
		}
	}
	var asking sync.WaitGroup
	for i := range replies {
		r := &replies[i]
		asking.Go(func() {
			b, err := s.relay.peers.Call(ctx, r.address, peer.AnyNode, typ, request)
			if err == nil {
				r.answer, err = parseGroupAnswer(b)
			}
			r.err = err
			if err == nil && r.answer.outcome != groupNotLeader {
				cancel() // the others have nothing to add
			}
		})
	}
	asking.Wait()
	// Answers before errors, as the errors may come from the end of the others.
	slices.SortStableFunc(replies, func(a, b reply) int {
		return rank(a) - rank(b)
	})
	return replies
}

// rank orders replies by what they settle.
func rank(r reply) int {
	switch {
	case r.err != nil:
		return 3
	case r.answer.outcome == groupNotLeader:
		return 2
	case r.answer.outcome == groupNotNow:
		return 1
	}
	return 0
}
