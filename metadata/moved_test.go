//go:build !race

package metadata

// Members that come back at other addresses. Without the race detector: when a member's address changes, hashicorp/raft 1.8.0 writes what it
// knows of the member (startStopReplication) while the answer of a request to it may be read (updateLastAppended, without the lock that
// it has for this). What is read there is the id, which is the same before and after.

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

// A voter comes back at another address, and is the voter that it was; with an empty directory it is an observer.
func TestMemberComesBack(t *testing.T) {
	all := seeded(t, 3)
	propose(t, all, &record.RegisterBroker{ID: 1, Incarnation: ID{1}})
	moved := all[1]
	if moved.store.IsLeader() {
		moved = all[2]
	}
	moved.cut(t)
	moved.listener = listen(t)
	moved.address = moved.listener.Addr().String()
	moved.options.Advertise = moved.address
	moved.start(t)
	wantMembers(t, all, asMembers(all...), nil)

	wiped := leaderOf(t, all) // may be any of them
	rest := slices.DeleteFunc(slices.Clone(all), func(m *member) bool { return m == wiped })
	wiped.cut(t)
	wiped.options.Dir = t.TempDir()
	wiped.start(t)
	wantMembers(t, rest, asMembers(rest...), asMembers(wiped))
	propose(t, all, &record.RegisterBroker{ID: 2, Incarnation: ID{2}})
	// Again, as an observer that is known: by the same seeds, although it is one itself.
	wiped.cut(t)
	wiped.options.Dir = t.TempDir()
	wiped.start(t)
	wantMembers(t, rest, asMembers(rest...), asMembers(wiped))
	if _, err := wiped.store.RegisterBroker(testContext(t), &record.RegisterBroker{ID: 3, Incarnation: ID{3}}); err != nil {
		t.Error(err)
	}
}

// Two members come back with each other's address.
func TestSwappedAddresses(t *testing.T) {
	all := seeded(t, 5)
	a, b := all[3], all[4]
	a.cut(t)
	b.cut(t)
	a.address, b.address = b.address, a.address
	a.options.Advertise, b.options.Advertise = a.address, b.address
	var started sync.WaitGroup
	started.Go(func() { a.start(t) })
	started.Go(func() { b.start(t) })
	started.Wait()
	wantMembers(t, all, asMembers(all[:3]...), asMembers(a, b))
}

// All come back at other addresses at once: the seeds, which are names, tell where they are now.
func TestAllMembersMove(t *testing.T) {
	var names sync.Map // name → address
	all := make([]*member, 3)
	var seeds []string
	for i := range all {
		m := newcomer(t, int32(i+1))
		m.dialer = func(ctx context.Context, address string) (net.Conn, error) {
			if at, ok := names.Load(address); ok {
				address = at.(string)
			}
			return new(net.Dialer).DialContext(ctx, "tcp", address)
		}
		seeds = append(seeds, MemberID(m.options.NodeID)+".seed:1")
		names.Store(seeds[i], m.address)
		all[i] = m
	}
	startAll := func() {
		var started sync.WaitGroup
		for _, m := range all {
			m.options.Seeds = &Seeds{Addresses: seeds}
			started.Go(func() { m.start(t) })
		}
		started.Wait()
		if t.Failed() {
			t.FailNow()
		}
	}
	startAll()
	wantMembers(t, all, asMembers(all...), nil)
	for _, m := range all {
		m.cut(t)
	}
	for i, m := range all {
		m.listener = listen(t)
		m.address = m.listener.Addr().String()
		m.options.Advertise = m.address
		names.Store(seeds[i], m.address)
	}
	startAll()
	wantMembers(t, all, asMembers(all...), nil)
	propose(t, all, &record.RegisterBroker{ID: 1, Incarnation: ID{1}})
}
