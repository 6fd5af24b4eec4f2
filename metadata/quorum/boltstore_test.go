package quorum

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/raft"
)

func openTestBolt(t testing.TB, path string) *boltStore {
	t.Helper()
	s, err := openBolt(path, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// writes is how many pages were written.
func writes(s *boltStore) int64 {
	stats := s.db.Stats()
	return stats.TxStats.GetWrite()
}

func testLogs(from, to uint64) (out []*raft.Log) {
	for i := from; i <= to; i++ {
		out = append(out, &raft.Log{Index: i, Term: i / 3, Type: raft.LogType(i % 2 * 5), Data: fmt.Append(nil, "data", i), AppendedAt: time.Unix(0, int64(i))})
	}
	return out
}

func (s *boltStore) expect(t *testing.T, first, last uint64) {
	t.Helper()
	f, err1 := s.FirstIndex()
	l, err2 := s.LastIndex()
	if f != first || l != last || err1 != nil || err2 != nil {
		t.Fatalf("log [%d,%d], want [%d,%d]", f, l, first, last)
	}
	for i := first; i <= last && last > 0; i++ {
		var got raft.Log
		if err := s.GetLog(i, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*testLogs(i, i)[0], got); diff != "" {
			t.Fatal(diff)
		}
	}
	for _, i := range []uint64{first - 1, last + 1} {
		if err := s.GetLog(i, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatal(i, err)
		}
	}
}

func TestBoltStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	s := openTestBolt(t, path)
	s.expect(t, 0, 0)
	store := func(from, to uint64) error { return s.StoreLogs(testLogs(from, to)) }
	if err := store(5, 100); err != nil {
		t.Fatal(err)
	}
	s.expect(t, 5, 100)
	if err := store(102, 103); err == nil {
		t.Fatal("gap accepted")
	}
	if err := store(100, 100); err == nil {
		t.Fatal("overwrite accepted")
	}
	if err := s.DeleteRange(5, 20); err != nil {
		t.Fatal(err)
	}
	s.expect(t, 21, 100)
	if err := s.DeleteRange(90, 100); err != nil {
		t.Fatal(err)
	}
	s.expect(t, 21, 89)
	if err := store(90, 9000); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = openTestBolt(t, path)
	s.expect(t, 21, 9000)
	if err := s.DeleteRange(21, 8990); err != nil { // more than one transaction
		t.Fatal(err)
	}
	s.expect(t, 8991, 9000)
	if err := s.DeleteRange(8991, 9000); err != nil {
		t.Fatal(err)
	}
	s.expect(t, 0, 0)
	if err := store(7, 7); err != nil {
		t.Fatal(err)
	}
	s.expect(t, 7, 7)
}

func TestStableStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log.db")
	s := openTestBolt(t, path)
	if v, err := s.GetUint64([]byte("k")); v != 0 || err != nil {
		t.Fatal(v, err)
	}
	if v, err := s.Get([]byte("k")); v != nil || err != nil {
		t.Fatal(v, err)
	}
	if err := errors.Join(s.SetUint64([]byte("k"), 7), s.Set([]byte("v"), []byte("value")), s.Set([]byte("e"), nil)); err != nil {
		t.Fatal(err)
	}
	written := writes(s)
	if err := s.SetUint64([]byte("k"), 7); err != nil || writes(s) != written {
		t.Fatal("wrote the value that stands", err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	s = openTestBolt(t, path)
	if v, err := s.GetUint64([]byte("k")); v != 7 || err != nil {
		t.Fatal(v, err)
	}
	if v, err := s.Get([]byte("v")); string(v) != "value" || err != nil {
		t.Fatal(v, err)
	}
	if _, err := s.GetUint64([]byte("v")); !errors.Is(err, errCorrupt) {
		t.Fatal(err)
	}
}

// After a failed write every further one is refused; reading goes on.
func TestFailedWriteIsFinal(t *testing.T) {
	s := openTestBolt(t, filepath.Join(t.TempDir(), "log.db"))
	if err := s.StoreLogs(testLogs(1, 1)); err != nil {
		t.Fatal(err)
	}
	s.failed = errors.New("disk") // as update leaves it after a failed commit
	if err := s.StoreLogs(testLogs(2, 2)); !errors.Is(err, s.failed) {
		t.Fatal(err)
	}
	if err := s.SetUint64([]byte("k"), 1); !errors.Is(err, s.failed) {
		t.Fatal(err)
	}
	s.expect(t, 1, 1)
}

func TestEntryErrors(t *testing.T) {
	l := testLogs(3, 3)[0]
	l.Extensions = []byte("ext")
	good := appendEntry(nil, l)
	var got raft.Log
	if err := decodeEntry(good, 3, &got); err != nil || !cmp.Equal(*l, got) {
		t.Fatal(err, cmp.Diff(*l, got))
	}
	if err := decodeEntry(good, 4, &got); !errors.Is(err, errCorrupt) {
		t.Fatal("entry under a wrong index:", err)
	}
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		if err := decodeEntry(b, 3, &got); !errors.Is(err, errCorrupt) {
			t.Fatal(i, err)
		}
		if err := decodeEntry(good[:i], 3, &got); !errors.Is(err, errCorrupt) {
			t.Fatal(i, err)
		}
	}
}

// The bytes of an entry, version 1: version, type, term, time, length of the
// extensions, extensions, data, crc32c over these and the index 3.
const goldenEntry = "01" + "05" + "0100000000000000" + "0300000000000000" + "00000000" + "6461746133" + "0bcf91ad"

func TestGoldenEntry(t *testing.T) {
	if got := hex.EncodeToString(appendEntry(nil, testLogs(3, 3)[0])); got != goldenEntry {
		t.Fatal(got)
	}
}

// FuzzEntry: no input panics, and what decodes has one encoding.
func FuzzEntry(f *testing.F) {
	b, err := hex.DecodeString(goldenEntry)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		sum := entryCRC(body, 9)
		b := append(bytes.Clone(body), byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
		var l raft.Log
		err := decodeEntry(b, 9, &l)
		if err == nil && !bytes.Equal(b, appendEntry(nil, &l)) {
			t.Fatalf("%x", b)
		}
		if err != nil && !errors.Is(err, errCorrupt) && !errors.Is(err, errUnknownVersion) {
			t.Fatal(err)
		}
	})
}
