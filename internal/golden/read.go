package golden

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"
)

// Read returns the bytes of each name in a file.
func Read(tb testing.TB, file string) map[string][]byte {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string][]byte{}
	name := ""
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		if n, ok := strings.CutPrefix(line, "= "); ok {
			name = n
			continue
		}
		if line == "" {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
		if err != nil {
			tb.Fatalf("%s: %s: %v", file, name, err)
		}
		out[name] = append(out[name], b...)
	}
	return out
}
