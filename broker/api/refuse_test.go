package api

import (
	"testing"
	"time"
)

func TestLogLimit(t *testing.T) {
	var l logLimit
	now := time.Unix(1, 0)
	if held, ok := l.allow(now); !ok || held != 0 {
		t.Fatal("the first line is held back")
	}
	for range 3 {
		if _, ok := l.allow(now.Add(time.Second / 2)); ok {
			t.Fatal("a second line within the second")
		}
	}
	if held, ok := l.allow(now.Add(time.Second)); !ok || held != 3 {
		t.Fatalf("a second later: held=%d %v", held, ok)
	}
}
