package metadata

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// twinStore opens a store on a member of a group in memory.
func twinStore(t testing.TB, g *quorum.Group, id string, follow bool) *Store {
	return openStore(t, Options{NodeID: 1, Registerer: prometheus.NewRegistry(), Log: func(sm quorum.StateMachine) (quorum.Log, error) {
		return g.Join(id, sm, follow), nil
	}})
}

func TestWatcherMergesWhatItMissed(t *testing.T) {
	s := twinStore(t, quorum.NewGroup(), "1", true)
	w := s.Watch()
	defer w.Close()
	ctx := testContext(t)
	if m, d, err := w.Next(ctx); err != nil || !d.All || m != s.Image() {
		t.Fatal(d, err)
	}
	if _, _, ok := w.TryNext(); ok {
		t.Fatal("nothing changed")
	}
	epoch, topic := seed(t, s, 2)
	if err := s.BeginUpload(ctx, &record.BeginUpload{Object: ID{1}, Kind: record.KindData, Broker: 1, BrokerEpoch: epoch}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CommitUpload(ctx, &record.CommitUpload{Object: ID{1}, Last: true, Entries: []record.CommitEntry{
		{Topic: topic, Partition: 1, Segment: Segment{Object: ID{1}, Size: 1, End: 5}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ChangePartitions(ctx, []record.PartitionChange{{Topic: topic, Leader: 1, Elect: true}}); err != nil {
		t.Fatal(err)
	}
	m, d, err := w.Next(ctx)
	if err != nil || d.All || m != s.Image() {
		t.Fatal(d, err)
	}
	if !slices.Equal(d.Topics, []ID{topic}) || !slices.Equal(d.Brokers, []int32{1}) ||
		!slices.Equal(d.Ledgers, []TopicPartition{{Topic: topic, Partition: 1}}) ||
		!slices.Equal(d.Partitions, []TopicPartition{{Topic: topic}}) || d.Garbage || d.Cluster {
		t.Fatalf("%+v", d)
	}
	if err := s.AbortUpload(ctx, ID{7}, time.Now()); err != nil { // Already: an image without changes
		t.Fatal(err)
	}
	if _, d, err := w.Next(ctx); err != nil || len(d.Topics)+len(d.Brokers)+len(d.Ledgers)+len(d.Partitions) != 0 {
		t.Fatalf("%+v %v", d, err)
	}
}

func TestWatcherThatDoesNotLookIsBounded(t *testing.T) {
	var c changes
	for i := range maxDelta + 1 {
		c.partition(ID{1}, int32(i))
	}
	c.topic(ID{2})
	if d := c.delta(); !d.All || d.Topics != nil {
		t.Fatalf("all=%v topics=%d", d.All, len(d.Topics))
	}
	var merged changes
	merged.broker(1)
	merged.merge(&c)
	if !merged.delta().All {
		t.Fatal("merge lost the overflow")
	}
}

func TestWatcherWakesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twinStore(t, quorum.NewGroup(), "1", true)
		w := s.Watch()
		ctx := context.Background()
		if _, _, err := w.Next(ctx); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, d, err := w.Next(ctx); err != nil || len(d.Brokers) != 1 {
				t.Error(d, err)
			}
			if _, _, err := w.Next(ctx); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
		synctest.Wait()
		if _, err := s.RegisterBroker(ctx, &record.RegisterBroker{ID: 1, Incarnation: ID{1}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.Close()
		wg.Wait()

		index := s.Image().Index()
		wg.Go(func() {
			if m, err := s.Wait(ctx, index+1); err != nil || m.Index() != index+1 {
				t.Error(err)
			}
			if _, err := s.Wait(ctx, index+9); !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := s.SetFenced(ctx, 1, 1, false); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		late := s.Watch()
		if _, _, err := late.Next(ctx); err != nil { // the last image stays readable
			t.Fatal(err)
		}
		if _, _, err := late.Next(ctx); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	})
}

func TestFollowersHaveTheImage(t *testing.T) {
	g := quorum.NewGroup()
	a := twinStore(t, g, "1", true)
	b := twinStore(t, g, "2", true)
	seed(t, a, 3)
	if !bytes.Equal(snapshotBytes(t, a.Image()), snapshotBytes(t, b.Image())) {
		t.Fatal("images differ")
	}
	var not *quorum.NotLeaderError
	if err := b.DeleteTopic(testContext(t), ID{0xa}, time.Now()); !errors.As(err, &not) || not.Leader.ID != "1" {
		t.Fatal(err)
	}
	g.Elect("2")
	if a.IsLeader() || !b.IsLeader() {
		t.Fatal("leadership")
	}
	if err := b.DeleteTopic(testContext(t), ID{0xa}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if a.Image().TopicCount() != 0 {
		t.Fatal("the old leader does not follow")
	}
}

// After a lost reply a repeat answers as the first try would have.
func TestLostReplies(t *testing.T) {
	g := quorum.NewGroup()
	s := twinStore(t, g, "1", true)
	ctx := testContext(t)
	epoch, topic := seed(t, s, 1)
	c := &record.CommitUpload{Object: ID{1}, Last: true, Entries: []record.CommitEntry{{Topic: topic, Segment: Segment{Object: ID{1}, Size: 1, End: 5}}}}
	for _, try := range []func() error{
		func() error {
			return s.BeginUpload(ctx, &record.BeginUpload{Object: ID{1}, Kind: record.KindData, Broker: 1, BrokerEpoch: epoch})
		},
		func() error { _, err := s.CommitUpload(ctx, c); return err },
		func() error {
			_, err := s.Retain(ctx, &record.Retain{Topic: topic, Generation: 1, Release: record.Release{Cut: 5}})
			return err
		},
		func() error { return s.CollectGarbage(ctx, []ID{{1}}) },
		func() error { return s.PurgeDone(ctx, ID{77}) },
	} {
		for _, fault := range []quorum.Fault{quorum.LoseEntry, quorum.LoseReply, quorum.NoFault} {
			g.Inject(fault)
			if err := try(); (err != nil) != (fault != quorum.NoFault) || err != nil && !errors.Is(err, quorum.ErrUnknown) {
				t.Fatal(fault, err)
			}
		}
	}
	if err := Check(s.Image()); err != nil || s.Image().GarbageCount() != 0 {
		t.Fatal(err)
	}
}

// A command of a newer release stops the image, keeps the log, and tells the
// broker, once.
func TestHalt(t *testing.T) {
	fatal := make(chan error, 2)
	m := &machine{publisher: newPublisher(), log: slog.New(slog.DiscardHandler), metrics: newMetrics(), onHalt: func(err error) { fatal <- err }}
	init, err := record.Append(nil, &record.InitCluster{ClusterID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	r := m.Apply([]quorum.Entry{{Index: 1, Data: init}, {Index: 2, Data: []byte("newer")}, {Index: 3, Data: init}})
	for i, want := range []record.Reason{record.OK, record.Halted, record.Halted} {
		if got := r[i].(Result).Reason; got != want {
			t.Errorf("entry %d: %v", i, got)
		}
	}
	m.Apply([]quorum.Entry{{Index: 4, Data: init}})
	if err := <-fatal; !errors.Is(err, record.ErrCorrupt) || len(fatal) != 0 {
		t.Fatal(err)
	}
	if m.image.Load().Index() != 1 {
		t.Fatal("image went on")
	}
	if _, err := m.Snapshot(); err == nil {
		t.Fatal("a halted image must not replace the log")
	}
	// A snapshot of a leader that knows better gets it going.
	if err := m.Restore(bytes.NewReader(snapshotBytes(t, &Image{index: 4}))); err != nil {
		t.Fatal(err)
	}
	if r := m.Apply([]quorum.Entry{{Index: 4, Data: init}, {Index: 5, Data: init}}); r[0].(Result).Reason != record.Already || r[1].(Result).Reason != record.OK {
		t.Fatal(r)
	}
	if err := m.Restore(strings.NewReader("torn")); !errors.Is(err, ErrSnapshotTorn) {
		t.Fatal(err)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := openStore(t, Options{NodeID: 1, Registerer: reg, Log: func(sm quorum.StateMachine) (quorum.Log, error) {
		return quorum.NewGroup().Join("1", sm, true), nil
	}})
	seed(t, s, 5)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"tideline_metadata_partitions": 5, "tideline_metadata_topics": 1, "tideline_metadata_is_leader": 1, "tideline_metadata_is_halted": 0}
	for _, f := range families {
		if v, ok := want[f.GetName()]; ok {
			if got := f.GetMetric()[0].GetGauge().GetValue(); got != v {
				t.Errorf("%s=%v", f.GetName(), got)
			}
			delete(want, f.GetName())
		}
	}
	if len(want) > 0 {
		t.Error("missing", want)
	}
	// A second store on the registry is refused, and leaves it as it was.
	if _, err := Open(testContext(t), Options{NodeID: 1, Registerer: reg, Log: func(sm quorum.StateMachine) (quorum.Log, error) {
		return quorum.NewGroup().Join("1", sm, true), nil
	}}); err == nil {
		t.Error("registered twice")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if families, err := reg.Gather(); err != nil || len(families) != 0 {
		t.Error("metrics left behind", len(families), err)
	}
}
