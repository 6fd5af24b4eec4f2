package scripttest

import (
	"strings"
	"testing"
	"time"
)

func script(out *Output) Script {
	commands, blocks := 0, 0
	return Script{
		Command: func(l Line) {
			commands++
			if l.Name == "count" {
				out.Printf("%d commands in %d blocks", commands, blocks)
				return
			}
			opt := "none"
			if v := l.Opt("n"); v != nil {
				opt = *v
			}
			out.Printf("words=%v n=%d wait=%v list=%v opt=%s hello=%v  ", l.Words, l.Num("n", -1), l.Dur("wait", time.Minute), l.List("list"), l.Str("n", opt), l.Has("hello"))
		},
		BlockEnd: func() { blocks++ },
	}
}

func TestScripts(t *testing.T) {
	Run(t, func(_ *testing.T, out *Output) Script { return script(out) })
}

// What is wrong with a file is made right: its outputs, a missing ----, empty lines at its end.
func TestRewrite(t *testing.T) {
	const want = "count\n----\n1 commands in 0 blocks\n\n# the end\n"
	for _, text := range []string{want, "count\n\n# the end\n", "count\n----\nwrong\nand more\n\n# the end\n\n\n", strings.TrimSuffix(want, "\n")} {
		out := &Output{}
		if got := run(t, script(out), out, text); got != want {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
