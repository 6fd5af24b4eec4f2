package metadata

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// seed registers broker 1 and creates topic "a" with n partitions.
func seed(t testing.TB, s *Store, n int) (epoch int64, topic ID) {
	t.Helper()
	ctx := testContext(t)
	epoch, err := s.RegisterBroker(ctx, &record.RegisterBroker{ID: 1, Incarnation: ID{1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetFenced(ctx, 1, epoch, false); err != nil {
		t.Fatal(err)
	}
	topic = ID{0xa}
	if err := s.CreateTopic(ctx, &record.CreateTopic{ID: topic, Name: "a", Assignments: assign(n, 1)}); err != nil {
		t.Fatal(err)
	}
	return epoch, topic
}

func assign(n int, replicas ...int32) [][]int32 {
	out := make([][]int32, n)
	for i := range out {
		out[i] = replicas
	}
	return out
}

func TestStoreKeepsStateOverRestarts(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, NodeID: 1, Registerer: prometheus.NewRegistry()})
	cluster := s.Image().ClusterID()
	if len(cluster) != 22 {
		t.Fatalf("cluster id %q is not in Kafka's form", cluster)
	}
	epoch, topic := seed(t, s, 3)
	first, err := s.AllocateProducerIDs(testContext(t), 1, epoch, 1000)
	if err != nil || first != 0 {
		t.Fatal(first, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = openStore(t, Options{Dir: dir, NodeID: 1})
	m := s.Image()
	if m.ClusterID() != cluster || m.NextProducerID() != 1000 || m.LedCount(1) != 3 {
		t.Fatalf("cluster=%s producers=%d led=%d", m.ClusterID(), m.NextProducerID(), m.LedCount(1))
	}
	if p, ok := m.Partition(topic, 2); !ok || p.Leader != 1 {
		t.Fatal("partition lost", p)
	}
	if err := Check(m); err != nil {
		t.Fatal(err)
	}
}

// A crash is a copy of the directory while the process runs: nothing was
// closed, what was acknowledged must be in the copy.
func TestStoreKeepsStateOverCrash(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	s := openStore(t, Options{Dir: dir, NodeID: 1, SnapshotBytes: 16 << 10})
	epoch, _ := seed(t, s, 3)
	var want int64
	for range 60 {
		first, err := s.AllocateProducerIDs(testContext(t), 1, epoch, 10)
		if err != nil {
			t.Fatal(err)
		}
		want = first + 10
	}
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	r := openStore(t, Options{Dir: copied, NodeID: 1})
	if got := r.Image().NextProducerID(); got != want {
		t.Fatalf("next producer id %d, acknowledged %d", got, want)
	}
}

func TestStoreRefusesForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, Options{Dir: dir, NodeID: 1, ClusterID: "mine"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"node":    {Dir: dir, NodeID: 2},
		"cluster": {Dir: dir, NodeID: 1, ClusterID: "other"},
	} {
		if _, err := Open(testContext(t), o); !errors.Is(err, ErrIdentity) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A log that is gone does not start a new cluster in its place.
	if err := os.Rename(filepath.Join(dir, "raft"), filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testContext(t), Options{Dir: dir, NodeID: 1}); err == nil || !strings.Contains(err.Error(), "log is missing") {
		t.Error(err)
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(dir, "raft")), os.Rename(filepath.Join(dir, "away"), filepath.Join(dir, "raft"))); err != nil {
		t.Fatal(err)
	}
	// A log that was moved under another identity is noticed too.
	if err := os.Remove(filepath.Join(dir, identityFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testContext(t), Options{Dir: dir, NodeID: 2}); err == nil {
		t.Error("the log of node 1 opened as node 2")
	}
}

func TestStoreConcurrentProposals(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir(), NodeID: 1})
	epoch, _ := seed(t, s, 1)
	const workers, each = 32, 10
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[int64]bool{}
	for range workers {
		wg.Go(func() {
			for range each {
				first, err := s.AllocateProducerIDs(testContext(t), 1, epoch, 5)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[first] {
					t.Errorf("block %d given twice", first)
				}
				seen[first] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got := s.Image().NextProducerID(); got != workers*each*5 {
		t.Fatalf("next producer id %d", got)
	}
}

func TestStoreProposalsDuringClose(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir(), NodeID: 1})
	epoch, _ := seed(t, s, 1)
	var wg sync.WaitGroup
	started := make(chan struct{}, 16)
	for range 16 {
		wg.Go(func() {
			for first := true; ; first = false {
				_, err := s.AllocateProducerIDs(testContext(t), 1, epoch, 1)
				if first {
					started <- struct{}{}
				}
				if err != nil {
					if !errors.Is(err, quorum.ErrClosed) && !errors.Is(err, quorum.ErrUnknown) && !errors.Is(err, quorum.ErrNotLeader) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	for range 16 {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

func TestStoreRefusesTooLarge(t *testing.T) {
	s := openStore(t, Options{Dir: t.TempDir(), NodeID: 1})
	_, err := s.Propose(testContext(t), &record.CollectGarbage{Objects: make([]ID, 40_000)})
	if !errors.Is(err, record.ErrTooLarge) {
		t.Fatal(err)
	}
	if err := s.CollectGarbage(testContext(t), make([]ID, 40_000)); err != nil {
		t.Fatal(err)
	}
}
