package segment

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// goldenParts are two sections with all that an index can hold.
func goldenParts() []part {
	first, end := log(1000, 12, 3, 40, nil)
	second, secondEnd := log(0, 1, 1, 20, nil)
	return []part{
		{
			start: SectionStart{Topic: [16]byte{0xaa, 1, 2, 3}, Partition: 7, Epoch: 5, Base: 1000, PrevChain: [32]byte{0xcc}},
			end: SectionEnd{
				Epochs: []EpochStart{{2, 0}, {5, 1006}}, Aborted: []AbortedTxn{{4001, 990, end - 2, 990}},
				ProducerState: []byte("opaque producer state"), ReplacedChain: [32]byte{0xdd}, StableOffset: end - 1,
			},
			batches: [][]byte{first},
		},
		{start: SectionStart{Topic: [16]byte{0xbb}, Partition: 0, Epoch: 1, Base: 0}, end: SectionEnd{StableOffset: secondEnd}, batches: [][]byte{second}},
	}
}

// The bytes of an uncompressed object are fixed for good. A compressed one depends on the version of the zstd encoder, so
// that only its reading is.
func TestGolden(t *testing.T) {
	for name, compression := range map[string]Compression{"bundle-raw": CompressNever, "bundle-zstd": CompressWhenItPays} {
		t.Run(name, func(t *testing.T) {
			opts := WriterOptions{Object: [16]byte{0x11, 0x22, 0x33}, BlockBytes: 1 << 10, Compression: compression}
			data, obj := write(t, opts, goldenParts()...)
			path := filepath.Join("testdata", "golden", "v1", name+".hex")
			if *rewrite {
				if err := os.WriteFile(path, annotate(t, data), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := readGolden(t, path)
			if compression == CompressNever && !bytes.Equal(data, want) {
				t.Fatalf("the writer's bytes changed: size=%d want=%d", len(data), len(want))
			}
			rep, err := Verify(t.Context(), source(want), nil)
			if err != nil {
				t.Fatal(err)
			}
			if rep.Object != obj.ID || len(rep.Sections) != 2 || rep.Records != 37 {
				t.Fatalf("report %+v", rep)
			}
			r, err := Open(t.Context(), source(want))
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range goldenParts() {
				s, err := r.Section(t.Context(), r.Sections()[i])
				if err != nil {
					t.Fatal(err)
				}
				var got []byte
				for b, err := range s.Batches(t.Context(), 0) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, b...)
				}
				if !bytes.Equal(got, p.batches[0]) {
					t.Fatalf("section %d: other batches", i)
				}
				if state, err := s.ProducerState(t.Context()); err != nil || !bytes.Equal(state, p.end.ProducerState) {
					t.Fatalf("section %d: producer state %q %v", i, state, err)
				}
			}
		})
	}
}

func readGolden(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type field struct {
	name string
	size int
}

var (
	indexFields = []field{
		{"magic", 4}, {"version", 2}, {"reserved", 2}, {"topic id", 16}, {"partition", 4}, {"leader epoch", 4}, {"base", 8}, {"end", 8},
		{"log bytes", 8}, {"records", 8}, {"batches", 8}, {"min timestamp", 8}, {"max timestamp", 8}, {"max timestamp offset", 8},
		{"flags", 4}, {"blocks", 4}, {"epochs", 4}, {"aborted", 4}, {"producer state size", 4}, {"producer state crc", 4}, {"stable offset", 8},
		{"previous chain", 32}, {"chain", 32}, {"replaced chain", 32},
	}
	blockFields = []field{
		{"first offset", 8}, {"end offset", 8}, {"position", 8}, {"stored size", 4}, {"raw size", 4}, {"crc32c", 4}, {"codec", 1}, {"reserved", 1},
		{"flags", 2}, {"min timestamp", 8}, {"max timestamp", 8}, {"max timestamp offset", 8}, {"batches", 4}, {"records", 4}, {"sha-256", 32},
	}
	epochFields   = []field{{"epoch", 4}, {"start offset", 8}}
	abortedFields = []field{{"producer id", 8}, {"first offset", 8}, {"last offset", 8}, {"last stable offset", 8}}
	trailerFields = []field{{"index size", 4}, {"version", 2}, {"reserved", 2}, {"crc32c", 4}, {"magic", 4}}
	entryFields   = []field{
		{"topic id", 16}, {"partition", 4}, {"epoch", 4}, {"base", 8}, {"end", 8}, {"position", 8}, {"size", 8}, {"index crc", 4}, {"reserved", 4},
	}
	footerFields = []field{
		{"object id", 16}, {"directory position", 8}, {"directory size", 4}, {"sections", 4}, {"object size", 8}, {"reserved", 12},
		{"version", 2}, {"reserved", 2}, {"crc32c", 4}, {"magic", 4},
	}
)

// annotate renders an object as hex with the name of each field.
func annotate(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	rest := data
	fields := func(title string, list []field) {
		fmt.Fprintf(&out, "# %s\n", title)
		for _, f := range list {
			fmt.Fprintf(&out, "%-66s # %s\n", hex.EncodeToString(rest[:f.size]), f.name)
			rest = rest[f.size:]
		}
	}
	bytesOf := func(title string, n int) {
		fmt.Fprintf(&out, "# %s\n", title)
		for b := rest[:n]; len(b) > 0; b = b[min(32, len(b)):] {
			fmt.Fprintln(&out, hex.EncodeToString(b[:min(32, len(b))]))
		}
		rest = rest[n:]
	}
	r, err := Open(t.Context(), source(data))
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range r.Sections() {
		s, err := r.Section(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		for j, k := range s.Index.Blocks {
			bytesOf(fmt.Sprintf("section %d, block %d: %s", i, j, k.Codec), int(k.Stored))
		}
		bytesOf(fmt.Sprintf("section %d, producer state", i), int(s.Index.ProducerStateSize))
		fields(fmt.Sprintf("section %d, index", i), indexFields)
		for j := range s.Index.Blocks {
			fields(fmt.Sprintf("block %d", j), blockFields)
		}
		for range s.Index.Epochs {
			fields("leader epoch", epochFields)
		}
		for range s.Index.Aborted {
			fields("aborted transaction", abortedFields)
		}
		fields("index trailer", trailerFields)
	}
	fields("directory", []field{{"magic", 4}, {"version", 2}, {"reserved", 2}, {"sections", 4}})
	for i := range r.Sections() {
		fields(fmt.Sprintf("section %d", i), entryFields)
	}
	fields("end of the directory", []field{{"crc32c", 4}})
	fields("footer", footerFields)
	if len(rest) != 0 {
		t.Fatalf("%d bytes are in no field", len(rest))
	}
	return out.Bytes()
}
