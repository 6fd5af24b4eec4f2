package wire

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestErrorText(t *testing.T) {
	for _, text := range []string{"", "why", strings.Repeat("x", MaxErrorText)} {
		if got := ErrorText(text); got != text {
			t.Errorf("%d bytes become %d", len(text), len(got))
		}
	}
	for _, text := range []string{strings.Repeat("x", MaxErrorText+1), strings.Repeat("é", 100_000), "x" + strings.Repeat("語", 100_000), strings.Repeat("\x80", 100_000)} {
		got := ErrorText(text)
		if len(got) > MaxErrorText || utf8.ValidString(text) != utf8.ValidString(got) && got != " …" || !strings.HasSuffix(got, " …") {
			t.Errorf("%.20q: %d bytes, ends in %q", text, len(got), got[max(0, len(got)-10):])
		}
	}
}
