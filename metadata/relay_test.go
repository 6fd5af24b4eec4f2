package metadata

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// request is what a broker sends to the leader.
func request(t testing.TB, session, number, oldest uint64, c record.Command) []byte {
	t.Helper()
	b := []byte{relayVersion}
	for _, v := range []uint64{session, number, oldest} {
		b = append(b, byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	b, err := record.Append(b, c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A try that its sender gave up on is not applied behind what the sender did since; those that it still waits for are, in any order.
func TestRelayKeepsTheOrderOfTries(t *testing.T) {
	g := quorum.NewGroup()
	leader, follower := twinStore(t, g, "1", true), twinStore(t, g, "2", true)
	seed(t, leader, 1)
	from := peer.Identity{Node: 2}
	ids := func(session, number, oldest uint64) relayOutcome {
		t.Helper()
		before := leader.Image().NextProducerID()
		answer, err := leader.serveRelay(testContext(t), from, request(t, session, number, oldest, &record.AllocateProducerIDs{Broker: 1, BrokerEpoch: 1, Count: 1}))
		if err != nil {
			t.Fatal(err)
		}
		r, index, err := parseRelayAnswer(answer, quorum.Member{ID: "1"})
		applied := leader.Image().NextProducerID() - before
		switch {
		case err == nil && (applied != 1 || r.FirstProducerID != before || index != follower.Image().Index()):
			t.Fatalf("answer %+v at index %d, applied %d", r, index, applied)
		case err != nil && (applied != 0 || !errors.Is(err, quorum.ErrNotLeader)):
			t.Fatalf("%v, applied %d", err, applied)
		}
		return relayOutcome(answer[1])
	}
	for _, x := range []struct {
		session, number, oldest uint64
		want                    relayOutcome
	}{
		{7, 1, 1, relayApplied},
		{7, 4, 2, relayApplied},
		{7, 3, 2, relayApplied}, // overtaken on the way, and still waited for
		{7, 5, 5, relayApplied}, // 2 was given up
		{7, 2, 2, relaySuperseded},
		{8, 1, 1, relayApplied}, // a new process
		{7, 4, 4, relaySuperseded},
		{7, 6, 5, relayApplied},
	} {
		if got := ids(x.session, x.number, x.oldest); got != x.want {
			t.Errorf("%+v: %d", x, got)
		}
	}
	for session := range uint64(2 * relaySessions) { // what is remembered is bounded
		ids(100+session, 1, 1)
	}
	if n := len(leader.relay.senders[2].sessions); n != relaySessions {
		t.Errorf("%d sessions", n)
	}
	if got := func() relayOutcome {
		answer, err := follower.serveRelay(testContext(t), from, request(t, 7, 9, 9, &record.AllocateProducerIDs{Broker: 1, BrokerEpoch: 1, Count: 1}))
		if err != nil {
			t.Fatal(err)
		}
		return relayOutcome(answer[1])
	}(); got != relayNotLeader {
		t.Errorf("a follower answers %d", got)
	}
	damaged := request(t, 7, 10, 10, &record.AllocateProducerIDs{Broker: 1, BrokerEpoch: 1, Count: 1})
	damaged[len(damaged)-1] ^= 1
	if answer, err := leader.serveRelay(testContext(t), from, damaged); err != nil || relayOutcome(answer[1]) != relayRefused {
		t.Error(answer, err)
	}
	if _, err := leader.serveRelay(testContext(t), from, []byte{2}); !errors.Is(err, record.ErrUnknownVersion) {
		t.Error(err)
	}
}

// What a sender waits for: the oldest number is not above any that is under way.
func TestRelayNumbers(t *testing.T) {
	r := relay{waiting: map[uint64]struct{}{}}
	for _, want := range [][2]uint64{{1, 1}, {2, 1}, {3, 1}} {
		if number, oldest := r.take(); number != want[0] || oldest != want[1] {
			t.Fatal(number, oldest)
		}
	}
	r.giveUp(1)
	r.giveUp(3)
	if number, oldest := r.take(); number != 4 || oldest != 2 {
		t.Fatal(number, oldest)
	}
}

// The bytes of version 1.
func TestRelayGolden(t *testing.T) {
	const want = "01" + "0000000000000007" + "0000000000000002" + "0000000000000001"
	got := hex.EncodeToString(request(t, 7, 2, 1, &record.AllocateProducerIDs{Broker: 1, BrokerEpoch: 1, Count: 1}))
	if got[:len(want)] != want {
		t.Error(got)
	}
	answer, err := hex.DecodeString("01" + "00" + "0000000000000009")
	if err != nil {
		t.Fatal(err)
	}
	answer = record.AppendResult(answer, &record.Result{FirstProducerID: 5})
	if r, index, err := parseRelayAnswer(answer, quorum.Member{}); err != nil || index != 9 || r.FirstProducerID != 5 {
		t.Error(r, index, err)
	}
}

// FuzzRelay: no input panics or reaches the log unread.
func FuzzRelay(f *testing.F) {
	f.Add(request(f, 1, 2, 1, &record.DeleteTopic{ID: ID{1}}))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 9})
	g := quorum.NewGroup()
	leader := twinStore(f, g, "1", true)
	f.Fuzz(func(t *testing.T, b []byte) {
		if answer, err := leader.serveRelay(testContext(t), peer.Identity{Node: 2}, b); err == nil && relayOutcome(answer[1]) == relayApplied {
			if _, err := record.Decode(bytes.Clone(b[relayHead:])); err != nil {
				t.Error("applied what does not decode")
			}
		}
		_, _, _ = parseRelayAnswer(b, quorum.Member{}) // must not panic
	})
}
