package api

import (
	"testing"
	"time"
)

func TestSessionsAreBoundedTogether(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newFetchSessions(1000, func() time.Time { return now })
	const half = maxSessionPartitions / 2
	a, b := c.open(half), c.open(half)
	if a == nil || b == nil {
		t.Fatal("no room for what may be there")
	}
	if c.open(1) != nil {
		t.Fatal("a session too many")
	}
	if !c.resize(a, half-10) || c.open(10) == nil {
		t.Fatal("what a session forgot is not free again")
	}
	if c.resize(b, half+1) || c.get(b.id) != nil {
		t.Fatal("a session grows beyond the bound")
	}
	if c.resize(b, 1) {
		t.Fatal("a session that is gone takes room")
	}
	if c.partitions != half || c.len() != 2 {
		t.Fatalf("partitions=%d sessions=%d", c.partitions, c.len())
	}
	// Those that nobody uses make room, as many as it takes.
	now = now.Add(sessionEvictionAge)
	if c.open(maxSessionPartitions) == nil || c.len() != 1 {
		t.Fatal("unused sessions stay")
	}
	if c.open(maxSessionPartitions+1) != nil {
		t.Fatal("one session beyond the bound")
	}
	c.close(a.id)
	if c.partitions != maxSessionPartitions {
		t.Fatalf("partitions=%d", c.partitions)
	}
}
