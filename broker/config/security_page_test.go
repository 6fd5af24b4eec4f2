package config

import (
	"os"
	"regexp"
	"testing"
)

// TestSecurityPage: the bounds that docs/security.md lists are those of the settings.
func TestSecurityPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9.]+)` \\| ([^|]+) \\| ").FindAllStringSubmatch(string(page), -1)
	if len(rows) < 15 {
		t.Fatalf("rows=%d", len(rows))
	}
	defaults := make(map[string]string)
	for _, s := range Settings() {
		defaults[s.Key] = s.Default
	}
	for _, row := range rows {
		if is, ok := defaults[row[1]]; !ok || is != row[2] {
			t.Errorf("%s is %q, the page says %q", row[1], is, row[2])
		}
	}
}
