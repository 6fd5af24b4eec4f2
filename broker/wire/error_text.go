package wire

import (
	"strings"
	"unicode/utf8"
)

// MaxErrorText bounds what a client is told about an error. Errors quote what clients
// send, which may make it four times as long, and a string has at most 32767 bytes: a
// longer one would be a reply that nobody can read.
const MaxErrorText = 2 << 10

// ErrorText is the text of an error as it fits a reply.
func ErrorText(text string) string {
	const cut = " …"
	if len(text) <= MaxErrorText {
		return text
	}
	n := MaxErrorText - len(cut)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return strings.Clone(text[:n]) + cut
}
