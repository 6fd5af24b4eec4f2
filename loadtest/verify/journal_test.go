package verify

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

const goldenFile = "testdata/golden/v1/journal.hex"

// goldenEntries are one of each kind.
func goldenEntries() []entry {
	return []entry{
		acks{{1, 2, 3, 4, 5}, {5, 1 << 20, 1 << 33, 3_600_000_000, 250_000}},
		failed{3, 70000, 9, "context canceled"},
		fetched{2, 7, 12, 105, 0, []run{{runOurs, 100, 3, 1, 40, 1500, ""}, {kind: runControl, base: 103, count: 1}, {kind: runCorrupt, base: 104, count: 1, text: "value differs"}}},
		fetched{partition: 0, epoch: -1, at: 1, highWatermark: -1, logStart: -1, runs: []run{}},
		refused{0, 8, 13, 105, 1, "OFFSET_OUT_OF_RANGE"},
		refused{0, -1, 13, 105, codeTruncated, "consumed to 105"},
		listed{0, 8, 14, 105},
		seek{0, 15, 99},
		covered{1, 16, 0, 105},
		mark{17, "sigkill leader 2"},
		done{18, 19, 1000},
	}
}

func goldenJournal() (whole []byte, parts [][]byte) {
	parts = append(parts, header{roleReader, 258, testRun, 1700000000000000}.append(nil))
	for _, e := range goldenEntries() {
		parts = append(parts, appendFrame(nil, e.append([]byte{byte(e.kind())})))
	}
	return bytes.Join(parts, nil), parts
}

func TestGolden(t *testing.T) {
	whole, parts := goldenJournal()
	if *rewrite {
		var out strings.Builder
		out.WriteString("# A journal, version 1: the header, then a frame of each kind.\n")
		for i, part := range parts {
			if i == 0 {
				out.WriteString("\n# header: magic, version, role, number, run, began, crc32c\n")
			} else {
				e := goldenEntries()[i-1]
				fmt.Fprintf(&out, "\n# %s: length, crc32c, kind=%d, body\n", strings.TrimPrefix(fmt.Sprintf("%T", e), "verify."), e.kind())
			}
			out.WriteString(hex.EncodeToString(part) + "\n")
		}
		if err := os.MkdirAll(filepath.Dir(goldenFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goldenFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden := readGolden(t)
	if !bytes.Equal(whole, golden) {
		t.Errorf("what is written differs from %s", goldenFile)
	}
	s, err := newScanner(bytes.NewReader(golden))
	if err != nil {
		t.Fatal(err)
	}
	if want := (header{roleReader, 258, testRun, 1700000000000000}); s.header != want {
		t.Errorf("header: %+v want %+v", s.header, want)
	}
	for _, want := range goldenEntries() {
		got, err := s.next()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v err=%v want %+v", got, err, want)
		}
	}
	if e, err := s.next(); err != io.EOF || s.torn {
		t.Errorf("at the end: %+v err=%v torn=%v", e, err, s.torn)
	}
}

func readGolden(t testing.TB) (golden []byte) {
	t.Helper()
	raw, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		part, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		golden = append(golden, part...)
	}
	return golden
}

// Every byte that is changed is noticed: as corruption, as another version, or at the very end as a torn tail.
func TestChangedBytesAreNoticed(t *testing.T) {
	golden := readGolden(t)
	last := len(golden) - len(appendFrame(nil, done{18, 19, 1000}.append([]byte{byte(kindDone)})))
	for i := range golden {
		changed := bytes.Clone(golden)
		changed[i] ^= 0x40
		n, torn, err := scanAll(changed)
		switch {
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrVersion):
		case err == nil && torn && (i >= last || n < len(goldenEntries())): // a length that reaches beyond the end looks like one that was cut
		default:
			t.Errorf("byte %d: entries=%d torn=%v err=%v", i, n, torn, err)
		}
	}
}

func TestVersionsOfTheFuture(t *testing.T) {
	h := header{role: roleReader, run: testRun}.append(nil)
	if _, _, err := scanAll(appendFrame(h, []byte{200, 1, 2, 3})); !errors.Is(err, ErrVersion) {
		t.Errorf("an unknown kind: %v", err)
	}
	h[9]++
	if _, _, err := scanAll(h); !errors.Is(err, ErrVersion) {
		t.Errorf("an unknown version: %v", err)
	}
}

func scanAll(raw []byte) (entries int, torn bool, err error) {
	s, err := newScanner(bytes.NewReader(raw))
	if err != nil {
		return 0, errors.Is(err, errTorn), err
	}
	for {
		if _, err := s.next(); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return entries, s.torn, err
		}
		entries++
	}
}

func FuzzJournal(f *testing.F) {
	f.Add(readGolden(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, torn, err := scanAll(raw)
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !torn {
			t.Fatal(err)
		}
	})
}

// What can be read is written and read again as the same.
func FuzzEntry(f *testing.F) {
	for _, e := range goldenEntries() {
		f.Add(byte(e.kind()), e.append(nil))
	}
	f.Fuzz(func(t *testing.T, kind byte, raw []byte) {
		if len(raw) > maxFrame {
			return
		}
		e, err := decodeEntry(entryKind(kind), raw)
		if err != nil {
			return
		}
		again, err := decodeEntry(e.kind(), e.append(nil))
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Fatalf("%+v\nbecame %+v err=%v", e, again, err)
		}
	})
}

func TestJournalKeepsWhatItHas(t *testing.T) {
	dir := t.TempDir()
	h := header{role: roleProducer, number: 1, run: testRun}
	j, err := createJournal(dir, h)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(acksPerFrame + 1) {
		j.ack(ack{sequence: i, offset: i, at: i})
	}
	if err := j.flush(); err != nil {
		t.Fatal(err)
	}
	n := 0
	if torn, err := scanJournal(journalPath(dir, h), func(e entry) error { n += len(e.(acks)); return nil }); err != nil || torn || n != acksPerFrame+1 {
		t.Errorf("acknowledgements=%d torn=%v err=%v", n, torn, err)
	}
	if _, err := createJournal(dir, h); err == nil {
		t.Error("a journal was overwritten")
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	j.put(mark{1, "late"})
	if err := j.close(); !errors.Is(err, errJournalClosed) {
		t.Errorf("an entry after the close: %v", err)
	}
}
