package config

import (
	"strings"
	"testing"
)

func TestMarkdownHasEveryRowOnce(t *testing.T) {
	var b strings.Builder
	if err := WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	for i := range settings {
		if n := strings.Count(b.String(), "\n### `"+settings[i].name()+"`\n"); n != 1 {
			t.Errorf("%s is there %d times", settings[i].name(), n)
		}
	}
}
