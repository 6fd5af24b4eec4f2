package objstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

func testIfNoneMatch(t *testing.T, s objstore.Store) {
	cond := objstore.Condition{IfNoneMatch: true}
	etag, err := s.Put(t.Context(), "dir/k", objstore.BytesBody([]byte("first")), cond)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Put(t.Context(), "dir/k", objstore.BytesBody([]byte("second")), cond)
	wantClass(t, "second put", err, objstore.ErrPrecondition)
	if got := get(t, s, "dir/k"); string(got) != "first" {
		t.Errorf("a refused put left %q", got)
	}
	if info, err := s.Head(t.Context(), "dir/k"); err != nil || info.ETag != etag {
		t.Errorf("head: %+v %v, want etag %q", info, err, etag)
	}
	if failed, err := s.Delete(t.Context(), []string{"dir/k"}); err != nil || len(failed) > 0 {
		t.Fatalf("delete: %v %v", failed, err)
	}
	if _, err := s.Put(t.Context(), "dir/k", objstore.BytesBody([]byte("third")), cond); err != nil {
		t.Errorf("put after delete: %v", err)
	}
}

func testIfMatch(t *testing.T, s objstore.Store) {
	_, err := s.Put(t.Context(), "k", objstore.BytesBody([]byte("x")), objstore.Condition{IfMatch: "0123456789abcdef0123456789abcdef"})
	wantClass(t, "put on an absent key", err, objstore.ErrPrecondition)
	first := put(t, s, "k", []byte("one"))
	second, err := s.Put(t.Context(), "k", objstore.BytesBody([]byte("two")), objstore.Condition{IfMatch: first})
	if err != nil {
		t.Fatalf("put with the right ETag: %v", err)
	}
	_, err = s.Put(t.Context(), "k", objstore.BytesBody([]byte("three")), objstore.Condition{IfMatch: first})
	wantClass(t, "put with a stale ETag", err, objstore.ErrPrecondition)
	if got := get(t, s, "k"); string(got) != "two" {
		t.Errorf("a refused put left %q", got)
	}
	if info, err := s.Head(t.Context(), "k"); err != nil || info.ETag != second {
		t.Errorf("head: %+v %v, want etag %q", info, err, second)
	}
}

// racers is how many writers race in one round. rounds makes a store that only mostly decides show it.
const (
	racers = 16
	rounds = 8
)

// race lets the racers put at once and returns the index of the one that won; each other must have ErrPrecondition (or, where the
// store says 409, ErrUnavailable).
//
// The bodies of two rounds differ: S3's ETag is a digest of the bytes, so a writer that puts the bytes that are there already
// leaves the ETag as it is, and a second writer may win in the same round.
func race(t *testing.T, s objstore.Store, key string, round int, cond objstore.Condition) (winner int, etag string) {
	t.Helper()
	errs, etags := make([]error, racers), make([]string, racers)
	var ready, done sync.WaitGroup
	ready.Add(1)
	for i := range racers {
		done.Go(func() {
			body := objstore.BytesBody(fmt.Appendf(nil, "writer %02d of round %d", i, round))
			ready.Wait()
			etags[i], errs[i] = s.Put(t.Context(), key, body, cond)
		})
	}
	ready.Done()
	done.Wait()
	winner = -1
	for i, err := range errs {
		switch class := objstore.ClassOf(err); {
		case err == nil && winner >= 0:
			t.Errorf("writers %d and %d have both won", winner, i)
		case err == nil:
			winner = i
		case class != objstore.ErrPrecondition && class != objstore.ErrUnavailable:
			t.Errorf("writer %d: %v", i, err)
		}
	}
	if winner < 0 {
		t.Fatalf("no writer has won: %v", errs)
	}
	if got, want := string(get(t, s, key)), fmt.Sprintf("writer %02d of round %d", winner, round); got != want {
		t.Errorf("object is %q, but the winner wrote %q", got, want)
	}
	return winner, etags[winner]
}

func testRaceIfNoneMatch(t *testing.T, s objstore.Store) {
	for round := range rounds {
		race(t, s, fmt.Sprintf("race/%d", round), round, objstore.Condition{IfNoneMatch: true})
	}
}

func testRaceIfMatch(t *testing.T, s objstore.Store) {
	etag := put(t, s, "race", []byte("start"))
	for round := range rounds {
		_, etag = race(t, s, "race", round, objstore.Condition{IfMatch: etag})
	}
}

// testJournal appends to one object from many goroutines by compare and swap: each entry is there exactly once, and a writer that is
// told that nothing was written finds nothing written.
func testJournal(t *testing.T, s objstore.Store) {
	const writers, entries = 4, 10
	put(t, s, "journal", []byte("start\n"))
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			refused := false // the last put was, for sure
			for i := 0; i < entries; {
				data, info, err := objstore.ReadAll(t.Context(), s, "journal", 1<<20)
				if errors.Is(err, objstore.ErrUnavailable) {
					continue // it was replaced while it was read
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				entry := fmt.Appendf(nil, "entry %d of writer %d\n", i, w)
				if bytes.Contains(data, entry) {
					if refused {
						t.Errorf("writer %d: entry %d is there, though its put was refused", w, i)
					}
					i++
					continue
				}
				_, err = s.Put(t.Context(), "journal", objstore.BytesBody(append(data, entry...)), objstore.Condition{IfMatch: info.ETag})
				refused = errors.Is(err, objstore.ErrPrecondition) && !errors.Is(err, objstore.ErrUncertain)
				if err != nil && !errors.Is(err, objstore.ErrPrecondition) && !errors.Is(err, objstore.ErrUnavailable) {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	wg.Wait()
	lines := strings.Split(string(get(t, s, "journal")), "\n")
	slices.Sort(lines)
	if n := len(slices.Compact(lines)); n != writers*entries+2 || len(lines) != n {
		t.Errorf("the journal has %d lines, %d different ones, want %d", len(lines), n, writers*entries+2)
	}
}
