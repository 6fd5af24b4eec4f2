package cache

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

var goldenTable = filepath.Join("testdata", "golden", "v1", "table.hex")

const goldenSlots, goldenSlotBytes = 64, 4096

func goldenRing() ring {
	r := newRing(goldenSlots)
	for i, size := range []uint32{4096, 10_000, 1} {
		e := r.allocate(key(i+1), (size+goldenSlotBytes-1)/goldenSlotBytes)
		e.size, e.crc, e.ready = size, uint32(0xabc0+i), true
	}
	r.allocate(key(9), 1) // not written: not in the table
	return r
}

func TestGoldenTable(t *testing.T) {
	r := goldenRing()
	data := appendTable(nil, &r, goldenSlotBytes)
	if *rewrite {
		if err := os.WriteFile(goldenTable, annotateTable(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := readGolden(t)
	if !bytes.Equal(data, want) {
		t.Fatalf("the bytes changed: %x", data)
	}
	back, err := parseTable(want, goldenSlots, goldenSlotBytes)
	if err != nil {
		t.Fatal(err)
	}
	checkRing(t, &back)
	if back.hand != r.hand || len(back.entries) != 3 || back.entries[key(2)].count != 3 || back.entries[key(2)].crc != 0xabc1 {
		t.Errorf("%+v", back)
	}
}

func TestTableDamage(t *testing.T) {
	data := readGolden(t)
	for n := range data {
		if _, err := parseTable(data[:n], goldenSlots, goldenSlotBytes); !errors.Is(err, errTableTorn) {
			t.Errorf("cut at %d: %v", n, err)
		}
		bad := bytes.Clone(data)
		bad[n] ^= 0x10
		if _, err := parseTable(bad, goldenSlots, goldenSlotBytes); err == nil {
			t.Errorf("bit flipped at %d", n)
		}
	}
	if _, err := parseTable(append(data, 0), goldenSlots, goldenSlotBytes); !errors.Is(err, errTableCorrupt) {
		t.Error(err)
	}
	if _, err := parseTable(data, goldenSlots+1, goldenSlotBytes); !errors.Is(err, errTableOther) {
		t.Error(err)
	}
	newer := bytes.Clone(data)
	newer[4] = 2
	if _, err := parseTable(newer, goldenSlots, goldenSlotBytes); !errors.Is(err, errTableVersion) {
		t.Error(err)
	}
}

// A table that is accepted makes a ring that holds its invariants and gives the same table.
func FuzzTable(f *testing.F) {
	f.Add(readGolden(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if n := len(b) - 4; n >= 0 {
			sum := crc32.Checksum(b[:n], castagnoli)
			b[n], b[n+1], b[n+2], b[n+3] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		}
		r, err := parseTable(b, goldenSlots, goldenSlotBytes)
		if err != nil {
			return
		}
		checkRing(t, &r)
		for i := range 100 {
			r.allocate(key(1000+i), uint32(1+i%16))
			checkRing(t, &r)
		}
	})
}

func annotateTable(data []byte) []byte {
	var out bytes.Buffer
	line := func(n int, name string) {
		fmt.Fprintf(&out, "%-34s # %s\n", hex.EncodeToString(data[:n]), name)
		data = data[n:]
	}
	for _, f := range []struct {
		n    int
		name string
	}{{4, "magic"}, {2, "version"}, {2, "reserved"}, {4, "slot bytes"}, {4, "slots"}, {4, "hand"}, {4, "entries"}} {
		line(f.n, f.name)
	}
	for len(data) > 4 {
		fmt.Fprintln(&out, "# entry")
		line(16, "object")
		line(8, "position")
		line(4, "slot")
		line(4, "size")
		line(4, "crc32c of the block")
	}
	line(4, "crc32c")
	return out.Bytes()
}

func readGolden(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(goldenTable)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.TrimSpace(line))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}
