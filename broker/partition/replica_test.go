package partition

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
	"github.com/tidelinehq/tideline/wal"
)

// replicaOf is a second replica of the partition, on a disk of its own.
func replicaOf(t *testing.T) *world { return newWorld(t) }

// leads makes a world lead with followers 2 and 3, of which isr are in sync with it.
func (w *world) leads(epoch, partitionEpoch int32, minISR int, isr ...int32) *keeper {
	k := &keeper{}
	w.Lead(Leadership{
		Epoch: epoch, PartitionEpoch: partitionEpoch, Followers: []int32{2, 3}, ISR: append([]int32{1}, isr...), MinISR: minISR,
	}, k, k)
	return k
}

// keeper counts what a leader wants.
type keeper struct{ fed, caughtUp int }

func (k *keeper) Feed()               { k.fed++ }
func (k *keeper) CaughtUp(*Partition) { k.caughtUp++ }

// begin appends without waiting.
func (w *world) begin(b record.Batch) (*Append, owner) {
	w.t.Helper()
	a, done := &Append{}, make(owner, 1)
	if err := w.Append(a, b, FromClient, done); err != nil {
		w.t.Fatal(err)
	}
	return a, done
}

func waiting(t *testing.T, done owner) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatalf("acknowledged too early: %v", err)
	default:
	}
}

// durable waits until all that was appended is on this disk.
func (w *world) durable() {
	w.t.Helper()
	flushed := make(chan error, 1)
	w.mu.Lock()
	w.Partition.log.Truncate(w.End(), nil, func(err error) { flushed <- err })
	w.mu.Unlock()
	if err := <-flushed; err != nil {
		w.t.Fatal(err)
	}
}

// follow brings a follower into line with a leader and copies all that it lacks, as a
// stream does. It returns the plan.
func follow(t *testing.T, leader, follower *world, epoch, broker int32) Plan {
	t.Helper()
	follower.Follow(epoch)
	h, err := follower.Describe(epoch)
	if err != nil {
		t.Fatal(err)
	}
	leader.Opened(epoch, broker, [16]byte{byte(broker)})
	plan, err := leader.Reconcile(epoch, broker, h)
	if err != nil {
		t.Fatal(err)
	}
	cut := make(chan error, 1)
	done := func(end int64, err error) {
		leader.Acked(epoch, broker, end)
		cut <- err
	}
	if plan.Restart {
		err = follower.Restart(epoch, plan.To, leader.HighWatermark(), plan.State, done)
	} else {
		err = follower.Cut(epoch, plan.To, leader.HighWatermark(), done)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := <-cut; err != nil {
		t.Fatal(err)
	}
	copyTo(t, leader, follower, epoch, broker, plan.To)
	return plan
}

// copyTo replicates from an offset to the leader's durable end.
func copyTo(t *testing.T, leader, follower *world, epoch, broker int32, from int64) {
	t.Helper()
	for leader.ReplicaLacks(from) {
		chunk, err := leader.ReadReplica(from, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var records []byte
		for _, b := range chunk.Buffers {
			records = append(records, b...)
		}
		from = chunk.NextOffset
		chunk.Release()
		a, done := &Append{}, make(owner, 1)
		if err := follower.Replicate(a, epoch, records, leader.HighWatermark(), done); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		leader.Acked(epoch, broker, a.End())
	}
	if err := follower.Commit(epoch, leader.HighWatermark()); err != nil {
		t.Fatal(err)
	}
}

// TestAcknowledgedByAllInSync: an append with acks=all waits for every member of the ISR, and
// for nobody else; one that wants this disk only does not.
func TestAcknowledgedByAllInSync(t *testing.T) {
	leader, second := newWorld(t), replicaOf(t)
	leader.leads(5, 1, 2, 2)
	_, done := leader.begin(plain(3, 1000))
	alone, aloneDone := &Append{Alone: true}, make(owner, 1)
	if err := leader.Append(alone, plain(2, 1000), FromClient, aloneDone); err != nil {
		t.Fatal(err)
	}
	if err := <-aloneDone; err != nil {
		t.Fatal(err)
	}
	leader.durable()
	waiting(t, done)
	if hw := leader.HighWatermark(); hw != 0 {
		t.Fatalf("high watermark = %d before the follower has anything", hw)
	}
	follow(t, leader, second, 5, 2)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if leader.HighWatermark() != 5 || second.HighWatermark() != 5 || second.End() != 5 {
		t.Errorf("leader hw=%d follower hw=%d end=%d", leader.HighWatermark(), second.HighWatermark(), second.End())
	}
}

// TestBelowMinISR: with too few in sync acks=all is refused, acks=1 is taken, and the high
// watermark stands (KIP-966).
func TestBelowMinISR(t *testing.T) {
	w := newWorld(t)
	w.leads(5, 1, 2)
	if _, err := w.append(plain(1, 1000)); !errors.Is(err, ErrNotEnoughReplicas) {
		t.Errorf("acks=all: %v", err)
	}
	a, done := &Append{Alone: true}, make(owner, 1)
	if err := w.Append(a, plain(1, 1000), FromClient, done); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || a.BaseOffset != 0 || w.HighWatermark() != 0 {
		t.Errorf("acks=1: err=%v base=%d high watermark=%d", err, a.BaseOffset, w.HighWatermark())
	}
}

// TestWaitsForWhoWasAskedFor: while it is not known whether a follower is in the ISR, the
// high watermark waits for it; when it was refused, no longer.
func TestWaitsForWhoWasAskedFor(t *testing.T) {
	leader, third := newWorld(t), replicaOf(t)
	k := leader.leads(5, 1, 1)
	leader.mustAppend(plain(2, 1000))
	follow(t, leader, third, 5, 3)
	if k.caughtUp == 0 {
		t.Fatal("nobody was told that a follower has caught up")
	}
	wish, ok := leader.Wish(1, time.Minute, func(int32) bool { return true })
	if !ok || !wish.Expands || len(wish.ISR) != 2 || wish.ISR[1] != (Member{3, [16]byte{3}}) {
		t.Fatalf("wish = %+v ok=%v", wish, ok)
	}
	_, done := leader.begin(plain(1, 1000))
	leader.durable()
	waiting(t, done)
	older := wish
	older.PartitionEpoch--
	leader.Refused(&older)
	waiting(t, done)
	leader.Refused(&wish)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// With the next ISR in force the wish is answered.
	if _, ok := leader.Wish(1, time.Minute, func(int32) bool { return true }); ok {
		t.Error("a follower that lacks a record was asked for")
	}
}

// TestLaggingFollowerLeaves: a follower that lacks something for longer than it may is wished
// out of the ISR, counted from when it was first seen to lack it.
func TestLaggingFollowerLeaves(t *testing.T) {
	w := newWorld(t)
	w.leads(5, 1, 1, 2)
	active := func(int32) bool { return true }
	w.Opened(5, 2, [16]byte{2})
	w.Acked(5, 2, 0)
	w.now = w.now.Add(time.Hour) // idle: nobody lacks anything
	if wish, ok := w.Wish(1, time.Minute, active); ok {
		t.Fatalf("idle: %+v", wish)
	}
	w.begin(plain(1, 1000))
	w.durable()
	for range 2 {
		if wish, ok := w.Wish(1, time.Minute, active); ok {
			t.Fatalf("behind since a moment: %+v", wish)
		}
		w.now = w.now.Add(time.Minute)
	}
	w.now = w.now.Add(time.Second)
	if wish, ok := w.Wish(1, time.Minute, active); !ok || !wish.Shrinks || len(wish.ISR) != 1 {
		t.Fatalf("behind for too long: %+v ok=%v", wish, ok)
	}
	w.leads(5, 2, 1)
	if w.HighWatermark() != 1 {
		t.Errorf("high watermark = %d with the follower out of the ISR", w.HighWatermark())
	}
}

// TestGiveUp: who waits for other brokers can stop waiting; the memory stays the log's until it is
// durable here.
func TestGiveUp(t *testing.T) {
	w := newWorld(t)
	w.leads(5, 1, 1, 2)
	a, done := w.begin(plain(1, 1000))
	w.durable()
	waiting(t, done)
	late := errors.New("late")
	w.Partition.GiveUp(a, late)
	w.Partition.GiveUp(a, errors.New("twice"))
	if err := <-done; !errors.Is(err, late) {
		t.Errorf("err = %v", err)
	}
	// A new leader elsewhere ends what waits.
	_, done = w.begin(plain(1, 1000))
	w.durable()
	w.Follow(6)
	if err := <-done; !errors.Is(err, ErrStopped) {
		t.Errorf("after another was elected: %v", err)
	}
	if _, err := w.append(plain(1, 1000)); !errors.Is(err, ErrStopped) {
		t.Errorf("append to a follower: %v", err)
	}
}

// TestDivergedFollowerIsCut: what only the old leader has is dropped, and the logs are the same
// afterwards, whatever the high watermarks were.
func TestDivergedFollowerIsCut(t *testing.T) {
	first, second := newWorld(t), replicaOf(t)
	first.leads(5, 1, 1, 2)
	first.begin(plain(4, 1000))
	first.durable()
	follow(t, first, second, 5, 2)
	first.begin(plain(3, 2000)) // 4 to 6, on the first only
	first.durable()

	second.leads(6, 2, 1, 3) // with 3 in the ISR nothing is committed
	second.begin(plain(1, 3000))
	second.begin(plain(1, 3000))
	second.durable()
	plan := follow(t, second, first, 6, 1)
	if plan.Restart || plan.To != 4 {
		t.Errorf("plan = %+v, want a cut to 4", plan)
	}
	if first.End() != 6 || first.HighWatermark() != second.HighWatermark() {
		t.Errorf("end=%d high watermark=%d, leader's %d", first.End(), first.HighWatermark(), second.HighWatermark())
	}
	chunk, err := first.ReadReplica(4, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer chunk.Release()
	if b, _, err := record.Next(chunk.Buffers[0]); err != nil || b.LeaderEpoch() != 6 {
		t.Errorf("offset 4 is of leader epoch %d: %v", b.LeaderEpoch(), err)
	}
	first.reopen(0, 0)
	if first.End() != 6 {
		t.Errorf("end after a restart = %d", first.End())
	}
}

// TestFollowerBeginsWhereTheObjectStoreEnds: a new follower copies the tail only, and knows epochs
// and producers of what it did not copy.
func TestFollowerBeginsWhereTheObjectStoreEnds(t *testing.T) {
	leader, second := newWorld(t), replicaOf(t)
	leader.leads(5, 1, 1)
	for i := range 5 {
		leader.mustAppend(batch(record.Options{ProducerID: 9, Sequence: int32(10 * i)}, 10, 1000))
	}
	leader.SetTiered(30)
	plan := follow(t, leader, second, 5, 2)
	if !plan.Restart || plan.To != 30 {
		t.Fatalf("plan = to %d restart=%v", plan.To, plan.Restart)
	}
	if second.LocalStart() != 30 || second.End() != 50 || second.HighWatermark() != 50 {
		t.Errorf("local start=%d end=%d high watermark=%d", second.LocalStart(), second.End(), second.HighWatermark())
	}
	second.SetTiered(30)
	second.reopen(0, 30)
	second.leads(6, 2, 1)
	if second.EpochAt(0) != 5 {
		t.Errorf("epoch of what it did not copy = %d", second.EpochAt(0))
	}
	if a := second.mustAppend(batch(record.Options{ProducerID: 9, Sequence: 20}, 10, 1000)); !a.Duplicate || a.BaseOffset != 20 {
		t.Errorf("retry of a batch in the object store: duplicate=%v base=%d", a.Duplicate, a.BaseOffset)
	}
	// It is in line already when it comes again.
	if plan := follow(t, leader, replicaOf(t), 5, 3); !plan.Restart {
		t.Errorf("an empty replica got no state: %+v", plan)
	}
}

// TestRestartOverAnotherHistory: a log that has nothing in common with the leader's begins anew,
// whether it was longer or shorter than where the leader begins.
func TestRestartOverAnotherHistory(t *testing.T) {
	for _, have := range []int{5, 45, 80} {
		leader, second := newWorld(t), replicaOf(t)
		leader.leads(9, 1, 1)
		for range 6 {
			leader.mustAppend(plain(10, 1000))
		}
		leader.SetTiered(40)
		second.mustAppend(plain(have, 1000)) // in epoch 4, which the leader does not have
		plan := follow(t, leader, second, 9, 2)
		if !plan.Restart || second.End() != 60 || second.LocalStart() != 40 {
			t.Errorf("have=%d: plan to %d restart=%v, end=%d start=%d", have, plan.To, plan.Restart, second.End(), second.LocalStart())
		}
		second.SetTiered(40)
		second.reopen(0, 40)
		if second.End() != 60 || second.LocalStart() != 40 {
			t.Errorf("have=%d: after a restart end=%d start=%d", have, second.End(), second.LocalStart())
		}
	}
}

// TestMemberLeavesBeforeItBeginsAnew: a member of the ISR whose log can not be brought into line counts as a
// copy of what is committed, and keeps it until it is out of the ISR.
func TestMemberLeavesBeforeItBeginsAnew(t *testing.T) {
	leader, second := newWorld(t), replicaOf(t)
	leader.leads(9, 1, 1)
	for range 6 {
		leader.mustAppend(plain(10, 1000))
	}
	leader.SetTiered(40)
	second.mustAppend(plain(55, 1000)) // in epoch 4, which the leader does not have
	k := leader.leads(9, 2, 1, 2)
	second.Follow(9)
	h, err := second.Describe(9)
	if err != nil {
		t.Fatal(err)
	}
	leader.Opened(9, 2, [16]byte{2})
	if _, err := leader.Reconcile(9, 2, h); !errors.Is(err, ErrUnfit) || k.caughtUp == 0 {
		t.Fatalf("err=%v told=%d", err, k.caughtUp)
	}
	wish, ok := leader.Wish(1, time.Hour, func(int32) bool { return true })
	if !ok || !wish.Shrinks || len(wish.ISR) != 1 {
		t.Fatalf("wish = %+v", wish)
	}
	leader.leads(9, 3, 1)
	if plan := follow(t, leader, second, 9, 2); !plan.Restart || plan.To != 40 || second.End() != 60 {
		t.Errorf("plan = to %d restart=%v, end=%d", plan.To, plan.Restart, second.End())
	}
}

// TestNobodyEndsBelowTheObjectStore: a leader that does not know yet what is tiered can not have a follower
// go back behind that, and one that was elected uncleanly goes on behind it.
func TestNobodyEndsBelowTheObjectStore(t *testing.T) {
	leader, second := newWorld(t), replicaOf(t)
	leader.leads(5, 1, 1)
	for range 4 {
		leader.mustAppend(plain(10, 1000))
	}
	follow(t, leader, second, 5, 2)
	second.SetTiered(30)
	plan, err := leader.Rejoin()
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"restart": second.Restart(5, 20, 40, plan.State, func(int64, error) {}),
		"cut":     second.Cut(5, 20, 40, func(int64, error) {}),
	} {
		if !errors.Is(err, ErrOffsetOutOfRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
	third := replicaOf(t)
	third.mustAppend(plain(5, 1000))
	third.Follow(6)
	third.SetTiered(40)
	third.leads(7, 3, 1)
	if a := third.mustAppend(plain(1, 1000)); a.BaseOffset != 40 || third.HighWatermark() != 41 {
		t.Errorf("base=%d high watermark=%d", a.BaseOffset, third.HighWatermark())
	}
}

// TestFencedFollower: a follower takes nothing from a leader of another epoch than its own.
func TestFencedFollower(t *testing.T) {
	w := newWorld(t)
	w.Follow(7)
	for epoch, want := range map[int32]error{6: ErrFencedEpoch, 8: ErrUnknownEpoch} {
		if _, err := w.Describe(epoch); !errors.Is(err, want) {
			t.Errorf("describe under %d: %v", epoch, err)
		}
		if err := w.Replicate(&Append{}, epoch, plain(1, 1), 0, nil); !errors.Is(err, want) {
			t.Errorf("replicate under %d: %v", epoch, err)
		}
		if err := w.Cut(epoch, 0, 0, nil); !errors.Is(err, want) {
			t.Errorf("cut under %d: %v", epoch, err)
		}
		if err := w.Commit(epoch, 5); err == nil {
			t.Errorf("commit under %d", epoch)
		}
	}
	w.Follow(6) // older: nothing changes
	if w.Epoch() != 7 {
		t.Errorf("epoch = %d", w.Epoch())
	}
	late := plain(1, 1)
	late.SetBaseOffset(3)
	if err := w.Replicate(&Append{}, 7, late, 0, nil); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Errorf("a gap: %v", err)
	}
	damaged := plain(1, 1)
	damaged[len(damaged)-1] ^= 1
	if err := w.Replicate(&Append{}, 7, damaged, 0, nil); !errors.Is(err, record.ErrChecksum) {
		t.Errorf("damage: %v", err)
	}
}

// TestHighWatermarkSurvives: a replica that starts again knows what was committed when its state was
// saved, and no more.
func TestHighWatermarkSurvives(t *testing.T) {
	leader, second := newWorld(t), replicaOf(t)
	leader.leads(5, 1, 1, 2)
	leader.begin(plain(4, 1000))
	leader.durable()
	follow(t, leader, second, 5, 2)
	leader.begin(plain(4, 1000))
	leader.durable()
	leader.SaveState()
	if err := leader.log.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if leader.log, err = wal.Open(wal.Options{FS: leader.fs, Dir: "wal", FileBytes: 1 << 20, MaxBytes: 16 << 20, TailBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	again, err := Open(Options{Topic: "t", ID: testID, Log: leader.log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if again.End() != 8 || again.HighWatermark() != 4 {
		t.Errorf("end=%d high watermark=%d", again.End(), again.HighWatermark())
	}
	again.Lead(Leadership{Epoch: 6, PartitionEpoch: 2, Followers: []int32{2}, ISR: []int32{1, 2}, MinISR: 1}, nil, nil)
	if again.Begun() {
		t.Error("it claims to know all that is committed")
	}
}

func TestCommonHistory(t *testing.T) {
	es := epochs{{2, 10}, {5, 20}, {9, 40}}
	tests := []struct {
		name   string
		theirs History
		want   int64
		alike  bool
	}{
		{"the same", History{End: 50, Epochs: es}, 50, true},
		{"shorter", History{End: 45, Epochs: es}, 45, true},
		{"longer in the newest epoch", History{End: 70, Epochs: es}, 50, true},
		{"longer in an older epoch", History{End: 70, Epochs: es[:2]}, 40, true},
		{"an epoch that this one has not", History{End: 60, Epochs: epochs{{2, 10}, {5, 20}, {7, 30}}}, 30, true},
		{"two of them", History{End: 60, Epochs: epochs{{2, 10}, {6, 25}, {7, 30}}}, 20, true},
		{"a beginning that was deleted here", History{End: 60, Epochs: epochs{{1, 0}, {9, 40}}}, 50, true},
		{"nothing in common", History{End: 60, Epochs: epochs{{1, 0}, {3, 12}}}, 0, false},
		{"nothing", History{End: 7}, 0, false},
	}
	for _, tt := range tests {
		if got, alike := es.common(50, tt.theirs); got != tt.want || alike != tt.alike {
			t.Errorf("%s: %d %v, want %d %v", tt.name, got, alike, tt.want, tt.alike)
		}
	}
}

func TestMarks(t *testing.T) {
	var m marks
	for i := range 3 * maxMarks {
		m = m.add(int64(i+1), 10)
	}
	if len(m) > maxMarks {
		t.Fatalf("marks = %d", len(m))
	}
	m = m.truncate(0, 3000)
	var bytes, taken int
	for begin := 0; begin < 3000; begin += 250 {
		if m, taken = m.take(int64(begin), int64(begin+250)); taken != 2500 {
			t.Errorf("%d bytes from offset %d on", taken, begin)
		}
		bytes += taken
	}
	if bytes != 30_000 || len(m) != 0 {
		t.Errorf("bytes = %d rest = %d", bytes, len(m))
	}
}

// TestFollowerBeginsWithinABatch: records were deleted up to the middle of a batch, which a follower
// that begins there gets whole, as the leader has it.
func TestFollowerBeginsWithinABatch(t *testing.T) {
	leader, second := newWorld(t), replicaOf(t)
	leader.leads(5, 1, 1)
	for range 3 {
		leader.mustAppend(plain(10, 1000))
	}
	for _, w := range []*world{leader, second} {
		w.SetLogStart(15)
	}
	plan := follow(t, leader, second, 5, 2)
	if second.End() != 30 || second.LogStart() != 15 {
		t.Errorf("plan = to %d, log start=%d end=%d", plan.To, second.LogStart(), second.End())
	}
	c, err := second.Read(15, 1<<20, true, ReadUncommitted)
	if err != nil || c == nil {
		t.Fatalf("read: %v %v", c, err)
	}
	defer c.Release()
	if b, _, err := record.Next(c.Buffers[0]); err != nil || b.BaseOffset() != 10 {
		t.Errorf("the first batch begins at %d: %v", b.BaseOffset(), err)
	}
}

// TestFollowerEndsBeforeThatBatch: one whose log ends where that batch begins can not be cut there, below the log start; it begins
// anew instead of waiting for the next upload.
func TestFollowerEndsBeforeThatBatch(t *testing.T) {
	leader, second := newWorld(t), replicaOf(t)
	leader.leads(5, 1, 1)
	second.Follow(5)
	first, done := plain(10, 1000), make(owner, 1)
	first.SetLeaderEpoch(5)
	if err := second.Replicate(&Append{}, 5, first, 0, done); err != nil { // and it never hears that this is committed
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range 3 {
		leader.mustAppend(plain(10, 1000))
	}
	for _, w := range []*world{leader, second} {
		w.SetLogStart(15)
	}
	leader.leads(6, 2, 1)
	plan := follow(t, leader, second, 6, 2)
	if !plan.Restart || plan.To != 10 || second.End() != 30 || second.LogStart() != 15 {
		t.Errorf("plan = %v to %d, log start=%d end=%d", plan.Restart, plan.To, second.LogStart(), second.End())
	}
}

// TestFedBeforeItsAppenderGoesOn: the log completes an append, and the followers are fed, while the goroutine that appended has not noted the
// new end yet. They get the batch, for nobody feeds them anew before the next append.
func TestFedBeforeItsAppenderGoesOn(t *testing.T) {
	w := newWorld(t)
	w.leads(1, 0, 2, 2, 3)
	w.begin(plain(1, 100))
	w.begin(plain(1, 100))
	w.durable()
	w.mu.Lock()
	w.Partition.end.Store(w.End() - 1)
	w.mu.Unlock()
	if !w.ReplicaLacks(1) {
		t.Fatal("the followers are told that they have all")
	}
	chunk, err := w.ReadReplica(1, 1<<20)
	if err != nil || chunk == nil || chunk.Bytes == 0 {
		t.Fatalf("followers get %+v, %v", chunk, err)
	}
	chunk.Release()
}

// restartedUncommitted is a replica that was started again with two batches of ten on its disk, of which it does not know
// that they are committed, and which has no role yet.
func restartedUncommitted(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.leads(5, 1, 2, 2)
	w.begin(plain(10, 1000))
	w.begin(plain(10, 1000))
	w.durable()
	w.SaveState()
	if err := w.log.Close(); err != nil {
		t.Fatal(err)
	}
	w.openLog(0, 0)
	return w
}

// mustCut cuts and waits until that is durable.
func (w *world) mustCut(epoch int32, to, leaderHW int64) {
	w.t.Helper()
	cut := make(chan error, 1)
	if err := w.Cut(epoch, to, leaderHW, func(_ int64, err error) { cut <- err }); err != nil {
		w.t.Fatal(err)
	}
	if err := <-cut; err != nil {
		w.t.Fatal(err)
	}
}

// TestUncommittedAtStart: what lies on the disk at a start and is committed later becomes pending then, also when all
// below it is deleted, or tiered, in the second between.
func TestUncommittedAtStart(t *testing.T) {
	w := restartedUncommitted(t)
	if bytes, _ := w.Pending(); bytes != 0 {
		t.Errorf("pending=%d before anything is committed", bytes)
	}
	w.leads(6, 2, 2, 2)
	w.Acked(6, 2, 10)
	w.SetLogStart(10)
	w.Acked(6, 2, 20)
	bytes, since := w.Pending()
	if want := int64(plain(10, 1000).Size()); w.HighWatermark() != 20 || bytes != want || since.IsZero() {
		t.Errorf("high watermark=%d pending=%d want=%d since=%v", w.HighWatermark(), bytes, want, since)
	}
}

// TestCutWithinWhatWasThereAtStart: the part that a new leader leaves standing is still counted.
func TestCutWithinWhatWasThereAtStart(t *testing.T) {
	w := restartedUncommitted(t)
	w.Follow(6)
	w.mustCut(6, 10, 0)
	if err := w.Commit(6, 10); err != nil {
		t.Fatal(err)
	}
	if bytes, since := w.Pending(); w.HighWatermark() != 10 || bytes < int64(plain(10, 1000).Size()) || since.IsZero() {
		t.Errorf("high watermark=%d pending=%d since=%v", w.HighWatermark(), bytes, since)
	}
	w.SetTiered(10)
	if bytes, _ := w.Pending(); bytes != 0 {
		t.Errorf("all is tiered, and pending=%d", bytes)
	}
}

// TestCutBehindAnAppendOnItsWay: what becomes durable while a cut of it is under way is not counted among what follows.
func TestCutBehindAnAppendOnItsWay(t *testing.T) {
	w := newWorld(t)
	w.Follow(5)
	replicate := func(epoch int32, count int) owner {
		t.Helper()
		b, done := plain(count, 1000), make(owner, 1)
		b.SetBaseOffset(w.End())
		if err := w.Replicate(&Append{}, epoch, b, 0, done); err != nil {
			t.Fatal(err)
		}
		return done
	}
	if err := <-replicate(5, 10); err != nil {
		t.Fatal(err)
	}
	disk := make(chan struct{})
	w.fs.OnOp(func(memfs.Op) { <-disk })
	dropped := replicate(5, 10)
	w.Follow(6)
	cut := make(chan error, 1)
	if err := w.Cut(6, 10, 10, func(_ int64, err error) { cut <- err }); err != nil {
		t.Fatal(err)
	}
	close(disk)
	if err := errors.Join(<-dropped, <-cut); err != nil {
		t.Fatal(err)
	}
	w.SetLogStart(10)
	if err := <-replicate(6, 5); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(6, 15); err != nil {
		t.Fatal(err)
	}
	if bytes, _ := w.Pending(); w.HighWatermark() != 15 || bytes != int64(plain(5, 1000).Size()) {
		t.Errorf("high watermark=%d pending=%d want=%d", w.HighWatermark(), bytes, plain(5, 1000).Size())
	}
}

// TestPartOfWhatCameAtOnce: a follower gets many batches in one piece. Those of them that are committed are pending, whether
// the rest is committed later or cut.
func TestPartOfWhatCameAtOnce(t *testing.T) {
	w := newWorld(t)
	w.Follow(5)
	first, second := plain(10, 1000), plain(10, 1000)
	second.SetBaseOffset(10)
	done := make(owner, 1)
	if err := w.Replicate(&Append{}, 5, slices.Concat(first, second), 0, done); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	committed := func(epoch int32) {
		t.Helper()
		if err := w.Commit(epoch, 10); err != nil {
			t.Fatal(err)
		}
		if bytes, since := w.Pending(); w.HighWatermark() != 10 || bytes != int64(first.Size()) || since.IsZero() {
			t.Errorf("high watermark=%d pending=%d want=%d since=%v", w.HighWatermark(), bytes, first.Size(), since)
		}
	}
	committed(5)
	w.Follow(6)
	w.mustCut(6, 10, 10)
	committed(6)
}
