package scripttest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of the script tests anew")

// Script is what the commands of one file act on.
type Script struct {
	Command  func(Line)
	BlockEnd func() // after the commands of a block, to check invariants; may be nil
}

// Output collects what the commands of a block print.
type Output struct{ text strings.Builder }

// Printf adds a line. Spaces at its end are left out: nobody would see them.
func (o *Output) Printf(format string, args ...any) {
	o.text.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

// Run runs testdata/*.txt of the calling package; begin makes the state of a file anew.
func Run(t *testing.T, begin func(*testing.T, *Output) Script) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			out := &Output{}
			got := run(t, begin(t, out), out, string(text))
			switch {
			case got == string(text):
			case *rewrite:
				if err := os.WriteFile(f, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("%s differs (-rewrite accepts it); got:\n%s", f, got)
			}
		})
	}
}

// run returns the text with what its commands print now.
func run(t testing.TB, s Script, out *Output, text string) string {
	var done strings.Builder
	for i, block := range strings.Split(strings.TrimRight(text, "\n"), "\n\n") {
		if i > 0 {
			done.WriteString("\n")
		}
		commands, _, _ := strings.Cut(block, "\n----")
		comment := true
		for line := range strings.SplitSeq(commands, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			comment = false
			s.Command(Parse(t, line))
		}
		done.WriteString(commands + "\n")
		if !comment {
			done.WriteString("----\n" + out.text.String())
		}
		out.text.Reset()
		if s.BlockEnd != nil {
			s.BlockEnd()
		}
	}
	return done.String()
}
