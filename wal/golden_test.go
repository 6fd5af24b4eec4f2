package wal

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/internal/vfs/memfs"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

type doneFunc func(error)

func (f doneFunc) AppendDone(_ *Append, err error) { f(err) }

func testBatch(base int64, value string) []byte {
	b := record.NewBuilder(record.Options{BaseOffset: base})
	if err := b.Add(record.Record{Timestamp: 1700000000000 + base, Value: []byte(value)}); err != nil {
		panic(err)
	}
	out := b.Build()
	out.SetBaseOffset(base)
	return out
}

// heldFS makes no file before it may. The header of a file has the next ordinal as it is when the file is made.
type heldFS struct {
	vfs.FS
	may chan struct{}
}

func (fs heldFS) Create(name string, flags vfs.Flag) (vfs.File, error) {
	if path.Base(name) != lossName {
		<-fs.may
	}
	return fs.FS.Create(name, flags)
}

// goldenLog writes a small log with one frame of each type, each in a group of its own.
func goldenLog(t testing.TB, fs vfs.FS) {
	t.Helper()
	may := make(chan struct{})
	l, err := Open(Options{FS: heldFS{fs, may}, Dir: "/wal", FileBytes: minFileBytes, MaxBytes: 1 << 20, TailBytes: 1 << 16,
		salt: func() uint64 { return 0x0123456789abcdef }, now: func() int64 { return 1700000000000 }})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	wait := func() {
		t.Helper()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	fin := func(err error) { done <- err }
	sync := func() {
		if !l.queue.push(&op{kind: opBarrier, done: fin}) {
			t.Fatal("closed")
		}
		wait()
	}
	p, err := l.Partition(ID{Topic: [16]byte{0xaa, 0xbb}, Partition: 7}, 100)
	if err != nil {
		t.Fatal(err)
	}
	close(may)
	sync()
	appendOne := func(b []byte) {
		if err := p.Append(&Append{Batches: b, Done: doneFunc(fin)}); err != nil {
			t.Fatal(err)
		}
		wait()
	}
	appendOne(testBatch(100, "one"))
	appendOne(append(testBatch(101, "two"), testBatch(102, "three")...))
	p.AppendState([]byte("state"))
	sync()
	p.Truncate(102, []byte("cut"), fin)
	wait()
	q, err := l.Partition(ID{Topic: [16]byte{0xcc}, Partition: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	sync()
	q.Drop()
	sync()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func readWhole(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name, vfs.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// annotate prints a file as lines "position: hex  # what", leaving zeros out.
func annotate(b []byte) string {
	var s strings.Builder
	fmt.Fprintf(&s, "# size %d; what is not listed is zero\n", len(b))
	for at := 0; at < len(b); at += 16 {
		row := b[at:min(at+16, len(b))]
		if bytes.Count(row, []byte{0}) == len(row) {
			continue
		}
		note := ""
		switch {
		case at%blockSize != 0:
		case string(row[:8]) == headerMagic:
			note = "  # header"
		case string(row[:8]) == footerMagic:
			note = "  # footer"
		case row[4] >= 1 && row[4] <= 3 && row[5] == 0 && at > blockSize && frameType(b[at+12]) == 0:
			note = "  # index page: " + [...]string{"", "metas", "directory", "entries"}[row[4]]
		default:
			note = "  # group, its first frame has type " + fmt.Sprint(b[at+12])
		}
		fmt.Fprintf(&s, "%06x: %s%s\n", at, hex.EncodeToString(row), note)
	}
	return s.String()
}

func unannotate(t testing.TB, s string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(s) {
		var size, at int
		if n, _ := fmt.Sscanf(line, "# size %d;", &size); n == 1 {
			b = make([]byte, size)
			continue
		}
		row, _, _ := strings.Cut(line, "#")
		pos, digits, ok := strings.Cut(row, ":")
		if !ok {
			continue
		}
		if _, err := fmt.Sscanf(pos, "%x", &at); err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(strings.TrimSpace(digits))
		if err != nil {
			t.Fatal(err)
		}
		copy(b[at:], raw)
	}
	return b
}

const goldenFile = "testdata/golden/v1/file.hex"

// TestGolden holds the writer to the bytes of format 1, and the reader to what they mean.
func TestGolden(t *testing.T) {
	fs := memfs.New(0)
	goldenLog(t, fs)
	got := annotate(readWhole(t, fs, "/wal/"+fileName(1)))
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(goldenFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goldenFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Fatalf("the format changed:\n%s", got)
	}
	for _, footer := range []bool{true, false} { // by its index, and by its frames
		b := unannotate(t, string(want))
		if !footer {
			clear(b[len(b)-blockSize:])
		}
		fs := memfs.New(0)
		if err := fs.MkdirAll("/wal"); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create("/wal/"+fileName(1), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		l, err := Open(Options{FS: fs, Dir: "/wal", FileBytes: minFileBytes, MaxBytes: 1 << 20, TailBytes: 1 << 16})
		if err != nil {
			t.Fatal(err)
		}
		ps := l.Partitions()
		if len(ps) != 1 || ps[0].id.Partition != 7 || ps[0].Start() != 100 || ps[0].End() != 102 {
			t.Fatalf("recovered %+v", ps)
		}
		if s, end := ps[0].State(); string(s) != "cut" || end != 102 {
			t.Fatalf("state %q %d", s, end)
		}
		c, err := ps[0].Read(100, 200, 1000, true)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(bytes.Join(c.Buffers, nil), append(testBatch(100, "one"), testBatch(101, "two")...)) {
			t.Fatal("batches differ")
		}
		c.Release()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	h := fileHeader{sequence: 1, salt: 5, size: minFileBytes}
	b := make([]byte, blockSize)
	h.put(b)
	if got, err := parseFileHeader(b); err != nil || got != h {
		t.Fatalf("%+v %v", got, err)
	}
	b[8] = 2
	if _, err := parseFileHeader(b); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Fatalf("a changed version without its checksum: %v", err)
	}
}
