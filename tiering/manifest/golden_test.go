package manifest

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden is one page object with a leaf and an inner page, made of fixed values.
func golden(t *testing.T) (object []byte, segs []Segment, leaves []LeafRef, marks map[int]string) {
	t.Helper()
	segs = []Segment{
		{Object: [16]byte{0x10, 15: 0x11}, Position: 0, Size: 4096, Base: 100, End: 150, LogBytes: 9000, MinTimestamp: 1_700_000_000_000,
			MaxTimestamp: 1_700_000_000_500, MaxTimestampOffset: 149, Epoch: 3, Flags: FlagAborted, CRC: 0x01020304, Chain: [32]byte{0xc1, 31: 0xc2}},
		{Object: [16]byte{0x20, 15: 0x21}, Position: 65536, Size: 200, Base: 150, End: 151, LogBytes: 78, MinTimestamp: -1, MaxTimestamp: -1,
			MaxTimestampOffset: -1, Epoch: 4, CRC: 0x05060708, Chain: [32]byte{0xd1, 31: 0xd2}},
	}
	id := [16]byte{0x77, 15: 0x78}
	var buf bytes.Buffer
	w := NewObjectWriter(&buf, id)
	r, err := SpillPages(w, SpillInput{ID: testID, Move: segs})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	leaf, inner := int(r.Added[0].Ref.Position), int(r.Root.Position)
	end := inner + int(r.Root.Size)
	marks = map[int]string{0: "object header: magic, version, object id", leaf: "leaf page: magic, version, kind, topic id, partition, count, payload bytes",
		leaf + pageHeaderSize: "leaf payload", inner - 4: "CRC-32C of the leaf page", inner: "inner page: the same header", inner + pageHeaderSize: "inner payload",
		end - 4: "CRC-32C of the inner page", end: "directory: leaf", end + directoryEntry: "directory: inner page", end + 2*directoryEntry: "footer"}
	return buf.Bytes(), segs, r.Leaves, marks
}

func TestGolden(t *testing.T) {
	b, segs, leaves, marks := golden(t)
	name := filepath.Join("testdata", "golden", "v1", "pages.hex")
	if *rewrite {
		var out strings.Builder
		out.WriteString("# A page object of format version 1 with one leaf of two segments and its inner page.\n")
		for i := 0; i < len(b); {
			if m, ok := marks[i]; ok {
				fmt.Fprintf(&out, "# %d: %s\n", i, m)
			}
			j := i + 1
			for ; j < len(b) && j-i < 16; j++ {
				if _, ok := marks[j]; ok {
					break
				}
			}
			fmt.Fprintf(&out, "%s\n", hex.EncodeToString(b[i:j]))
			i = j
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var want []byte
	for s := bufio.NewScanner(f); s.Scan(); {
		line, _, _ := strings.Cut(s.Text(), "#")
		h, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, h...)
	}
	if !bytes.Equal(b, want) {
		t.Fatal("the encoder no longer writes format version 1 as the golden file has it")
	}
	entries, err := ReadDirectory(bytes.NewReader(want), int64(len(want)), [16]byte{0x77, 15: 0x78})
	if err != nil || len(entries) != 2 {
		t.Fatalf("entries=%d: %v", len(entries), err)
	}
	gotSegs, err := DecodeLeaf(want[entries[0].Ref.Position:][:entries[0].Ref.Size], entries[0].Ref, testID)
	if err != nil || !reflect.DeepEqual(gotSegs, segs) {
		t.Fatalf("leaf: %v", err)
	}
	gotLeaves, err := DecodeInner(want[entries[1].Ref.Position:][:entries[1].Ref.Size], entries[1].Ref, testID)
	if err != nil || !reflect.DeepEqual(gotLeaves, leaves) {
		t.Fatalf("inner: %v", err)
	}
}
