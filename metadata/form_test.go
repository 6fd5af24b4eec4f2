package metadata

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/internal/peer"
	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

func TestDecideAboutSeeds(t *testing.T) {
	abc := []string{"a:1", "b:1", "c:1"}
	fresh := func(node int32) *introduction { return &introduction{voters: 3, node: node, seeds: abc} }
	of := func(node int32, cluster string) *introduction {
		i := fresh(node)
		i.cluster = cluster
		return i
	}
	three := []quorum.Member{{ID: "1", Address: "a:1"}, {ID: "2", Address: "b:1"}, {ID: "3", Address: "c:1"}}
	for name, x := range map[string]struct {
		node    int32
		answers []*introduction
		voters  []quorum.Member
		join    bool
		waiting string
		err     string
	}{
		"all are new":             {1, []*introduction{fresh(1), fresh(2), fresh(3)}, three, false, "", ""},
		"one is away":             {1, []*introduction{fresh(1), nil, fresh(3)}, nil, false, "b:1", ""},
		"all are away":            {1, []*introduction{nil, nil, nil}, nil, false, "a:1,b:1,c:1", ""},
		"one has a cluster":       {1, []*introduction{fresh(1), nil, of(3, "x")}, nil, true, "", ""},
		"two clusters":            {1, []*introduction{of(1, "y"), nil, of(3, "x")}, nil, false, "", "belongs to cluster"},
		"one node twice":          {1, []*introduction{fresh(1), fresh(1), nil}, nil, false, "", "both broker 1"},
		"other seeds":             {1, []*introduction{fresh(1), {voters: 3, node: 2, seeds: []string{"b:1"}}, nil}, nil, false, "", "broker 2 at b:1 has b:1"},
		"other voters":            {1, []*introduction{fresh(1), {voters: 5, node: 2, seeds: abc}, nil}, nil, false, "", "with 5 voters"},
		"not a seed":              {9, []*introduction{fresh(1), fresh(2), fresh(3)}, nil, false, "the first seeds to make it", ""},
		"seeds of a cluster grew": {9, []*introduction{of(1, "x"), {voters: 3, node: 2, seeds: []string{"b:1"}}, nil}, nil, true, "", ""},
	} {
		s := Seeds{NodeID: x.node, Addresses: abc}
		f, waiting, err := s.decide(x.answers)
		if len(f.Voters) != len(x.voters) || f.Join != x.join || waiting != x.waiting || (err == nil) != (x.err == "") ||
			err != nil && (!errors.Is(err, ErrSeeds) || !strings.Contains(err.Error(), x.err)) {
			t.Errorf("%s: %+v waiting=%q %v", name, f, waiting, err)
		}
		for i := range f.Voters {
			if f.Voters[i] != x.voters[i] {
				t.Errorf("%s: %v", name, f.Voters)
			}
		}
	}
	two := Seeds{NodeID: 1, Addresses: abc[:2]}
	pair := func(node int32) *introduction { return &introduction{voters: 3, node: node, seeds: abc[:2]} }
	if f, _, err := two.decide([]*introduction{pair(1), pair(2)}); err != nil || len(f.Voters) != 1 {
		t.Errorf("two seeds: %+v %v", f, err)
	}
}

func TestSeedsAreChecked(t *testing.T) {
	many := make([]string, MaxSeeds+1)
	for i := range many {
		many[i] = MemberID(int32(i)) + ":1"
	}
	for name, s := range map[string]Seeds{
		"none": {}, "many": {Addresses: many}, "twice": {Addresses: []string{"a:1", "b:1", "a:1"}},
		"even": {Addresses: []string{"a:1"}, Voters: 2}, "too many voters": {Addresses: []string{"a:1"}, Voters: 11},
	} {
		if _, err := s.Form(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Brokers that know nothing but their seeds, started one after the other, make one cluster; a later one finds it.
func TestForm(t *testing.T) {
	const n = 4 // the last is no seed
	listeners := make([]net.Listener, n)
	var seeds []string
	for i := range listeners {
		var err error
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			seeds = append(seeds, listeners[i].Addr().String())
		}
	}
	forms := make([]Formation, n)
	stores := make([]*Store, n)
	hosts := make([]*peer.Host, n)
	form := func(ctx context.Context, i int) error {
		node := int32(i + 1)
		if hosts[i] == nil {
			hosts[i] = peer.New(peer.Options{Node: node, Incarnation: [16]byte{byte(node)}, Listener: listeners[i]})
		}
		s := Seeds{Peers: hosts[i], NodeID: node, Addresses: seeds}
		s.Introduce(func() string {
			if stores[i] == nil {
				return ""
			}
			return stores[i].Image().ClusterID()
		})
		if ctx == nil {
			return nil
		}
		var err error
		forms[i], err = s.Form(ctx)
		return err
	}
	t.Cleanup(func() {
		for i := range n {
			if stores[i] != nil {
				if err := stores[i].Close(); err != nil {
					t.Error(err)
				}
			}
			if err := hosts[i].Close(); err != nil {
				t.Error(err)
			}
		}
	})
	// Alone, the first waits and says for whom.
	impatient, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := form(nil, 0); err != nil {
		t.Fatal(err)
	}
	hosts[0].Start()
	if err := form(impatient, 0); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), seeds[2]) {
		t.Fatal(err)
	}
	var made sync.WaitGroup
	for i := range 3 {
		if i > 0 {
			if err := form(nil, i); err != nil {
				t.Fatal(err)
			}
			hosts[i].Start()
		}
		made.Go(func() {
			if err := form(testContext(t), i); err != nil {
				t.Error(err)
			}
		})
	}
	made.Wait()
	if t.Failed() {
		t.FailNow()
	}
	var opened sync.WaitGroup
	for i := range 3 {
		opened.Go(func() {
			var err error
			stores[i], err = Open(testContext(t), Options{
				Dir: t.TempDir(), NodeID: int32(i + 1), Peers: hosts[i], Advertise: seeds[i], Voters: forms[i].Voters, HeartbeatTimeout: 300 * time.Millisecond,
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	opened.Wait()
	if t.Failed() {
		t.FailNow()
	}
	id := stores[0].Image().ClusterID()
	if id == "" || stores[1].Image().ClusterID() != id || stores[2].Image().ClusterID() != id {
		t.Fatal("more than one cluster")
	}
	if _, err := stores[2].Propose(testContext(t), &record.RegisterBroker{ID: 1, Incarnation: ID{1}}); err != nil {
		t.Error(err)
	}
	if err := form(nil, 3); err != nil {
		t.Fatal(err)
	}
	hosts[3].Start()
	if err := form(testContext(t), 3); err != nil || !forms[3].Join || forms[3].ClusterID != id {
		t.Errorf("%+v %v", forms[3], err)
	}
}

// The bytes of version 1.
func TestIntroductionGolden(t *testing.T) {
	i := introduction{voters: 3, node: 7, cluster: "x", seeds: []string{"a:1", "b"}}
	const want = "01" + "0003" + "00000007" + "0178" + "0002" + "03613a31" + "0162"
	if got := hex.EncodeToString(i.append(nil)); got != want {
		t.Error(got)
	}
	if back, err := parseIntroduction(i.append(nil)); err != nil || back.node != 7 || len(back.seeds) != 2 || back.cluster != "x" || back.voters != 3 {
		t.Errorf("%+v %v", back, err)
	}
}

// FuzzIntroduction: no panic, and what parses says the same when it is written and parsed again.
func FuzzIntroduction(f *testing.F) {
	i := introduction{voters: 3, node: 7, cluster: "x", seeds: []string{"a:1", "b"}}
	f.Add(i.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := parseIntroduction(b)
		if err != nil {
			return
		}
		again, err := parseIntroduction(i.append(nil))
		if err != nil || !slices.Equal(again.seeds, i.seeds) || again.node != i.node || again.cluster != i.cluster || again.voters != i.voters {
			t.Errorf("%x: %v", b, err)
		}
	})
}
