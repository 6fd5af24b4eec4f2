package config

import "sort"

// maxKeyLength bounds the keys that are compared: the work of a comparison
// grows with the product of the lengths, and no known key is half as long.
const maxKeyLength = 128

// nearest returns the known key that is the fewest edits away from key, or
// nothing when even that one is too far to be what was meant.
func nearest(key string, known map[string]*Setting) string {
	if len(key) > maxKeyLength {
		return ""
	}
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	sort.Strings(names)
	best, bestEdits := "", len(key)/4+2
	for _, name := range names {
		if n := edits(key, name); n < bestEdits {
			best, bestEdits = name, n
		}
	}
	return best
}

// edits counts the insertions, deletions, replacements and swaps of neighbours
// that turn a into b.
func edits(a, b string) int {
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
