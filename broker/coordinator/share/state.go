package share

// state is what is known of a share partition. It is never changed but replaced.
type state struct {
	snapshotEpoch int32 // counts its snapshots
	stateEpoch    int32
	leaderEpoch   int32 // -1: no leader has read it yet
	start         int64 // -1: the group has not begun
	complete      int32
	created       int64 // ms, of the newest snapshot that was written for a change
	written       int64 // ms, of the newest snapshot
	batches       []StateBatch

	updates    int   // since the newest snapshot
	snapshotAt int64 // its offset
}

const (
	uninitialized   = -1 // start of a share partition that has not begun
	unknownComplete = -1
	unchanged       = -1
)

// cold says that the newest snapshot was written only so that older records may go.
func (s *state) cold() bool { return s.created != s.written }

// with is the state after an update.
func (s *state) with(u *update) *state {
	next := *s
	if u.start != unchanged {
		next.start = u.start
	}
	if u.leaderEpoch != unchanged {
		next.leaderEpoch = u.leaderEpoch
	}
	next.complete = u.complete
	next.batches = combine(s.batches, u.batches, next.start)
	next.updates++
	return &next
}

// snapshot is the state as a snapshot of now.
func (s *state) snapshot(now int64) *state {
	next := *s
	next.snapshotEpoch++
	next.created, next.written, next.updates = now, now, 0
	return &next
}
