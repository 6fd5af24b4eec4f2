package coordinator

import "testing"

// The hash codes are Java's, as its documentation defines them.
func TestPartitionFor(t *testing.T) {
	for _, tt := range []struct {
		group string
		n     int32
		want  int32
	}{
		{"", 50, 0},
		{"hello", 50, 99162322 % 50},
		{"a", 50, 97 % 50},
		{"console-consumer", 1, 0},
		{"polygenelubricants", 50, 0},               // hash code -2³¹, which has no magnitude
		{"polygenelubricantt", 50, 2147483647 % 50}, // -2³¹+1
		{"\U0001D11E", 1 << 30, 0xD834*31 + 0xDD1E}, // a surrogate pair
		{"é", 1000, 0xE9},                           // one unit, two bytes
		{"\xff", 1 << 30, 0xFFFD},                   // not UTF-8
		{"a\U0001F600", 50, (97*961 + 0xD83D*31 + 0xDE00) % 50},
	} {
		if got := PartitionFor(tt.group, tt.n); got != tt.want {
			t.Errorf("PartitionFor(%q, %d) = %d, want %d", tt.group, tt.n, got, tt.want)
		}
	}
}
