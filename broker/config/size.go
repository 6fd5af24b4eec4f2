package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

var sizeUnits = []struct {
	suffix string
	shift  uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}}

// ParseSize reads a number of bytes: a whole number, alone or followed by KiB,
// MiB, GiB or TiB. Units whose meaning differs between programs (k, M, MB) are
// refused. Negative numbers are read without a unit only: they are special
// values, not sizes.
func ParseSize(text string) (int64, error) {
	t := strings.TrimSpace(text)
	shift := uint(0)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(t, u.suffix); ok {
			t, shift = strings.TrimSpace(rest), u.shift
			break
		}
	}
	n, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("config: not a size in bytes, KiB, MiB, GiB or TiB: %q", text)
	}
	if shift > 0 && (n < 0 || n > math.MaxInt64>>shift) {
		return 0, fmt.Errorf("config: size out of range: %q", text)
	}
	return n << shift, nil
}

// FormatSize writes a number of bytes with the largest unit that divides it.
func FormatSize(n int64) string {
	for i := len(sizeUnits) - 1; i >= 0; i-- {
		u := sizeUnits[i]
		if n != 0 && n%(1<<u.shift) == 0 {
			return strconv.FormatInt(n>>u.shift, 10) + " " + u.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}
