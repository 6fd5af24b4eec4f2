package quorum

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openRaft(t testing.TB, o Options, m StateMachine) *Raft {
	t.Helper()
	l, err := Open(o, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// await waits until a member leads and has applied all that was committed.
func await(t testing.TB, l *Raft) {
	t.Helper()
	ctx := testContext(t)
	for {
		changed := l.LeaderChanges()
		if l.IsLeader() && l.Barrier(ctx) == nil {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("no leader")
		}
	}
}

func propose(t testing.TB, l Log, v uint64) uint64 {
	t.Helper()
	r, _, err := l.Propose(testContext(t), number(v))
	if err != nil {
		t.Fatal(err)
	}
	return r.(uint64)
}

func TestGroupOfOneRestarts(t *testing.T) {
	dir := t.TempDir()
	var want uint64
	for round := range 3 {
		m := new(adder)
		l := openRaft(t, Options{Dir: dir, ID: "1"}, m)
		await(t, l)
		if sum, _ := m.state(); sum != want {
			t.Fatalf("round %d: sum %d, acknowledged %d", round, sum, want)
		}
		for i := range 20 {
			want += uint64(i)
			if got := propose(t, l, uint64(i)); got != want {
				t.Fatalf("result %d, want %d", got, want)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Propose(testContext(t), number(1)); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	}
}

func TestSnapshotsKeepTheLogShort(t *testing.T) {
	dir := t.TempDir()
	m := new(adder)
	l := openRaft(t, Options{Dir: dir, ID: "1", SnapshotBytes: 32 << 10, TrailingLogs: 8}, m)
	await(t, l)
	insist(t, []*Raft{l}, 400, new(tally))
	if err := l.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	s := l.Stats()
	if s.Snapshots < 2 || s.LastIndex-s.FirstIndex > 100 || s.LogEntries > 100 || s.SnapshotBytes != 24 {
		t.Fatalf("%+v", s)
	}
	if err := l.Close(); err != nil { // another snapshot may be under way until then
		t.Fatal(err)
	}
	torn := filepath.Join(dir, "snapshots", "1-2-3.tmp") // of a process that was killed
	if err := os.Mkdir(torn, 0o700); err != nil {
		t.Fatal(err)
	}
	again := new(adder)
	await(t, openRaft(t, Options{Dir: dir, ID: "1"}, again))
	if sum, count := again.state(); sum != 400 || count != 400 || again.restores != 1 {
		t.Fatal(sum, count, again.restores)
	}
	kept, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil || len(kept) > snapshotsKept {
		t.Fatal(kept, err)
	}
}

// An unreadable newest snapshot behind which the log was cut must stop the
// start; falling back to the older one would lose what lies between.
func TestUnreadableSnapshotIsNotSkipped(t *testing.T) {
	dir := t.TempDir()
	l := openRaft(t, Options{Dir: dir, ID: "1", TrailingLogs: 1}, new(adder))
	await(t, l)
	for range 2 {
		for range 10 {
			propose(t, l, 1)
		}
		if err := l.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	m := &adder{fail: errors.New("unreadable")}
	if _, err := Open(Options{Dir: dir, ID: "1"}, m); err == nil {
		t.Fatal("started from an older snapshot with a gap behind it")
	}
	if m.restores != 0 {
		t.Fatal("the older snapshot was restored")
	}
}

func TestForeignLogIsRefused(t *testing.T) {
	dir := t.TempDir()
	l := openRaft(t, Options{Dir: dir, ID: "1"}, new(adder))
	await(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if l, err := Open(Options{Dir: dir, ID: "2"}, new(adder)); err == nil {
		t.Fatal("opened", l.Close())
	}
	if l, err := Open(Options{Dir: t.TempDir(), ID: "2", Voters: []Member{{ID: "1"}}}, new(adder)); err == nil {
		t.Fatal("opened", l.Close())
	}
}

func TestTooLarge(t *testing.T) {
	l := openRaft(t, Options{Dir: t.TempDir(), ID: "1"}, new(adder))
	await(t, l)
	if _, _, err := l.Propose(testContext(t), make([]byte, MaxCommand+1)); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(testContext(t))
	cancel()
	if _, _, err := l.Propose(done, number(1)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// Nothing is written while nothing is proposed: not in an hour of virtual time.
func TestIdleWritesNothing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := openRaft(t, Options{Dir: dir, ID: "1"}, new(adder))
		await(t, l)
		propose(t, l, 1)
		before := writes(l.store)
		<-time.After(time.Hour)
		if after := writes(l.store); after != before {
			t.Fatalf("%d pages written while idle", after-before)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// group starts n members on loopback that vote.
func group(t *testing.T, n int, change ...func(*Options)) ([]*Raft, []*adder, []Options) {
	options := make([]Options, n)
	var voters []Member
	for i := range options {
		s, err := ListenTCP("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		options[i] = Options{Dir: t.TempDir(), ID: fmt.Sprint(i + 1), Stream: s, HeartbeatTimeout: 250 * time.Millisecond, SnapshotBytes: 16 << 10, TrailingLogs: 4}
		for _, f := range change {
			f(&options[i])
		}
		voters = append(voters, Member{ID: options[i].ID, Address: s.Addr().String()})
	}
	members, machines := make([]*Raft, n), make([]*adder, n)
	for i := range options {
		options[i].Voters = voters
		machines[i] = new(adder)
		members[i] = openRaft(t, options[i], machines[i])
	}
	return members, machines, options
}

// leader waits until one of the members leads.
func leader(t *testing.T, members []*Raft) *Raft {
	t.Helper()
	ctx := testContext(t)
	for {
		changed := make([]<-chan struct{}, 3)
		for i, l := range members {
			changed[i] = l.LeaderChanges()
		}
		for _, l := range members {
			if l.IsLeader() && l.Barrier(ctx) == nil {
				return l
			}
		}
		select {
		case <-changed[0]:
		case <-changed[1]:
		case <-changed[2]:
		case <-ctx.Done():
			t.Fatal("no leader")
		}
	}
}

// tally is what a client knows: acknowledged numbers are in the sum, those of
// unknown outcome may be.
type tally struct{ acknowledged, unknown uint64 }

// insist proposes n ones, to whoever leads, until they are acknowledged. A busy
// machine may cost a leader its lease at any time.
func insist(t *testing.T, members []*Raft, n int, sum *tally) {
	t.Helper()
	for n > 0 {
		l := leader(t, members)
		results := make(chan error, n)
		for range n {
			go func() {
				_, _, err := l.Propose(testContext(t), number(1))
				results <- err
			}()
		}
		for range cap(results) {
			switch err := <-results; {
			case err == nil:
				sum.acknowledged++
				n--
			case errors.Is(err, ErrNotLeader):
			case errors.Is(err, ErrUnknown):
				sum.unknown++
			default:
				t.Fatal(err)
			}
		}
	}
}

// Three members survive the loss of their leader; one that was away catches
// up by a snapshot; what was acknowledged is everywhere.
func TestGroupOfThree(t *testing.T) {
	members, machines, options := group(t, 3)
	var sum tally
	insist(t, members, 30, &sum)
	at := slices.Index(members, leader(t, members))
	var not *NotLeaderError
	if err := members[(at+1)%3].Barrier(testContext(t)); err != nil && !errors.As(err, &not) {
		t.Fatal(err)
	}

	if err := members[at].Close(); err != nil {
		t.Fatal(err)
	}
	rest := []*Raft{members[(at+1)%3], members[(at+2)%3]}
	insist(t, rest, 160, &sum)
	for _, l := range rest {
		if err := l.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			t.Fatal(err)
		}
	}

	o := options[at]
	var err error
	if o.Stream, err = ListenTCP(o.Voters[at].Address); err != nil {
		t.Fatal(err)
	}
	machines[at] = new(adder)
	members[at] = openRaft(t, o, machines[at])
	insist(t, members, 1, &sum)
	deadline := testContext(t)
	for {
		a, _ := machines[0].state()
		b, _ := machines[1].state()
		c, _ := machines[2].state()
		if a == b && b == c && a >= sum.acknowledged {
			if a > sum.acknowledged+sum.unknown {
				t.Fatalf("sum %d, proposed %+v", a, sum)
			}
			break
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline.Done():
			t.Fatalf("sums %d, %d, %d of %+v", a, b, c, sum)
		}
	}
	machines[at].mu.Lock()
	restores := machines[at].restores
	machines[at].mu.Unlock()
	if restores == 0 {
		t.Error("the member that was away did not need a snapshot")
	}
	if voters, others := members[at].Members(); len(voters) != 3 || len(others) != 0 {
		t.Fatal(voters, others)
	}
}

// A member is added without a vote, follows, and is removed.
func TestAddedMember(t *testing.T) {
	s, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := openRaft(t, Options{Dir: t.TempDir(), ID: "1", Stream: s}, new(adder))
	await(t, l)
	propose(t, l, 5)
	s, err = ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	joined := new(adder)
	j := openRaft(t, Options{Dir: t.TempDir(), ID: "2", Stream: s, Join: true}, joined)
	if err := l.AddObserver(testContext(t), Member{ID: "2", Address: s.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	propose(t, l, 6)
	deadline := testContext(t)
	for got, _ := joined.state(); got != 11; got, _ = joined.state() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline.Done():
			t.Fatal("the new member has", got)
		}
	}
	if m, ok := j.Leader(); !ok || m.ID != "1" {
		t.Fatal(m)
	}
	if err := l.Remove(testContext(t), "2"); err != nil {
		t.Fatal(err)
	}
	if voters, others := l.Members(); len(voters) != 1 || len(others) != 0 {
		t.Fatal(voters, others)
	}
}

func BenchmarkPropose(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprint("inflight=", workers), func(b *testing.B) {
			l := openRaft(b, Options{Dir: b.TempDir(), ID: "1"}, new(adder))
			await(b, l)
			ctx := context.Background()
			work := make(chan struct{})
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for range work {
						if _, _, err := l.Propose(ctx, number(1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ResetTimer()
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			wg.Wait()
		})
	}
}

// A voter that knows the leader to be gone stands for election at once; one that is mistaken about who leads does not, and one without a
// vote can not.
func TestCampaign(t *testing.T) {
	members, _, _ := group(t, 3)
	l := leader(t, members)
	at := slices.Index(members, l)
	f := members[(at+1)%3]
	deadline := testContext(t)
	for m, ok := f.Leader(); !ok || m.ID != l.id; m, ok = f.Leader() {
		select {
		case <-f.LeaderChanges():
		case <-time.After(5 * time.Millisecond):
		case <-deadline.Done():
			t.Fatal("the follower does not know the leader")
		}
	}
	if err := f.Campaign("somebody else"); err != nil || f.raft.State() == raft.Candidate {
		t.Error(err)
	}
	for leader(t, members) != f {
		if m, ok := f.Leader(); ok {
			if err := f.Campaign(m.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	s, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := openRaft(t, Options{Dir: t.TempDir(), ID: "9", Stream: s, Join: true}, new(adder)).Campaign(""); err == nil {
		t.Error("a vote was asked for by who has none")
	}
}

// A directory has state when a member wrote to it, and not when it was only opened.
func TestHasState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "raft")
	want := func(want bool) {
		t.Helper()
		if got, err := HasState(dir); err != nil || got != want {
			t.Fatal(got, err)
		}
	}
	want(false)
	s, err := ListenTCP("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := openRaft(t, Options{Dir: dir, ID: "1", Stream: s, Join: true}, new(adder)).Close(); err != nil {
		t.Fatal(err)
	}
	want(false)
	l := openRaft(t, Options{Dir: dir, ID: "1"}, new(adder))
	await(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want(true)
	if err := os.WriteFile(filepath.Join(dir, "log.db"), []byte("no log"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := HasState(dir); err == nil {
		t.Error("damage reads as state:", got)
	}
}
