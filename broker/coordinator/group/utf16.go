package group

import (
	"unicode/utf8"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// utf16Len is the length of s as Java counts it.
func utf16Len(s string) int {
	if len(s) == utf8.RuneCountInString(s) {
		return len(s)
	}
	n := 0
	for range coordinator.UTF16(s) {
		n++
	}
	return n
}
