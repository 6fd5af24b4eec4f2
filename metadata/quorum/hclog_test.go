package quorum

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

func TestBridgeIsQuiet(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	b := newBridge(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))).(*bridge)
	b.limit.now = func() time.Time { return now }
	said := func(want ...string) {
		t.Helper()
		var got []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(strings.TrimSpace(line), " level=")
			got = append(got, rest)
		}
		out.Reset()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("said %q, want %q", got, want)
		}
	}
	b.Info("election won", "term", 2)
	b.Warn("no known peers, aborting election")
	b.Error("failed to get log", "index", 7, "error", raft.ErrLogNotFound)
	b.Warn("appendEntries rejected, sending older logs", "peer", "2", "next", 1)
	said()
	for range 5 {
		b.Error("failed to heartbeat to", "peer", "a:1", "error", "refused")
		b.Named("x").Error("failed to heartbeat to", "peer", "b:1", "error", "refused")
	}
	said(`WARN msg="raft: failed to heartbeat to" peer=a:1 error=refused`, `WARN msg="raft: failed to heartbeat to" peer=b:1 error=refused`)
	now = now.Add(repeatAfter)
	b.Error("failed to heartbeat to", "peer", "a:1", "error", "refused")
	b.Error("failed to commit logs", "error", "disk")
	said(`WARN msg="raft: failed to heartbeat to" peer=a:1 error=refused repeated=4`, `ERROR msg="raft: failed to commit logs" error=disk`)
	for i := range 2 * maxRepeated {
		b.Error("failed to heartbeat to", "peer", fmt.Sprint("c:", i))
	}
	if n := strings.Count(out.String(), "\n"); n > maxRepeated || len(b.limit.said) > maxRepeated {
		t.Errorf("%d said, %d remembered", n, len(b.limit.said))
	}
	out.Reset()
	now = now.Add(repeatAfter)
	b.Log(hclog.Error, "another")
	said(`ERROR msg="raft: another"`)
}

// spoken counts what members log at Warn and above, by member, message, and whom it is about.
type spoken struct {
	mu    sync.Mutex
	count map[string]int
}

// Write takes one line of a JSON handler.
func (s *spoken) Write(b []byte) (int, error) {
	var line map[string]any
	if err := json.Unmarshal(b, &line); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count[fmt.Sprint(line["member"], " ", line["msg"], " ", line["peer"], line["server-id"])]++
	return len(b), nil
}

// While a member is away and comes back, what raft says is bounded by the kinds of its messages, whatever time that takes and however much is
// proposed; and the entries for the member wait in the transport instead of failing again and again.
func TestQuietWhileAMemberIsAway(t *testing.T) {
	written := &spoken{count: map[string]int{}}
	members, machines, options := group(t, 3, func(o *Options) {
		o.Logger = slog.New(slog.NewJSONHandler(written, &slog.HandlerOptions{Level: slog.LevelWarn})).With("member", o.ID)
	})
	at := (slices.Index(members, leader(t, members)) + 1) % 3
	var sum tally
	if err := members[at].Close(); err != nil {
		t.Fatal(err)
	}
	rest := []*Raft{members[(at+1)%3], members[(at+2)%3]}
	for range 20 {
		insist(t, rest, 5, &sum)
	}
	o := options[at]
	o.Logger = o.Logger.With("member", o.ID+" again") // another process, which may say all of it too
	var err error
	if o.Stream, err = ListenTCP(o.Voters[at].Address); err != nil {
		t.Fatal(err)
	}
	machines[at] = new(adder)
	members[at] = openRaft(t, o, machines[at])
	for deadline := testContext(t); ; {
		if got, _ := machines[at].state(); got >= sum.acknowledged {
			break
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline.Done():
			t.Fatal("the member does not catch up")
		}
	}
	written.mu.Lock()
	defer written.mu.Unlock()
	for msg, n := range written.count {
		if n > 1 {
			t.Errorf("said %d times: %s", n, msg)
		}
	}
}
