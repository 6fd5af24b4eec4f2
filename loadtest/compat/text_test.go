package compat

import "strings"

func containsAll(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// quick are settings for groups that form and lose members without long waits.
var quick = map[string]string{"group.initial.rebalance.delay.ms": "300", "group.min.session.timeout.ms": "1000"}
