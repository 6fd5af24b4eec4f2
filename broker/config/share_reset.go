package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// ShareReset is where a share group begins in a partition (share.auto.offset.reset).
type ShareReset struct {
	Earliest bool
	// Since says that it begins Back from now; else, and unless Earliest, at the end.
	Since bool
	Back  time.Duration
}

var errShareReset = errors.New("it is latest, earliest, or by_duration:PnDTnHnMn.nS")

// ParseShareReset reads share.auto.offset.reset. The duration is one of ISO 8601, up to
// days, as Java reads it.
func ParseShareReset(text string) (ShareReset, error) {
	switch text {
	case "latest":
		return ShareReset{}, nil
	case "earliest":
		return ShareReset{Earliest: true}, nil
	}
	if period, ok := strings.CutPrefix(text, "by_duration:"); ok {
		if d, ok := parsePeriod(period); ok {
			return ShareReset{Since: true, Back: d}, nil
		}
	}
	return ShareReset{}, errShareReset
}

// periodUnits are the parts of a period in the order in which they must come.
var periodUnits = []struct {
	letter byte
	unit   time.Duration
	time   bool // comes behind the T
}{
	{'D', 24 * time.Hour, false}, {'H', time.Hour, true}, {'M', time.Minute, true}, {'S', time.Second, true},
}

// parsePeriod reads PnDTnHnMn.nS.
func parsePeriod(text string) (time.Duration, bool) {
	text = strings.ToUpper(text)
	text, ok := strings.CutPrefix(text, "P")
	if !ok || text == "" || strings.HasSuffix(text, "T") {
		return 0, false
	}
	total, timed := time.Duration(0), false
	units := periodUnits
	for text != "" {
		if !timed && text[0] == 'T' {
			timed, text = true, text[1:]
			continue
		}
		n := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n <= 0 || n > 18 {
			return 0, false
		}
		for len(units) > 0 && units[0].letter != text[n] {
			units = units[1:]
		}
		if len(units) == 0 || units[0].time != timed || strings.Contains(text[:n], ".") && units[0].letter != 'S' {
			return 0, false
		}
		value, err := strconv.ParseFloat(text[:n], 64)
		part := value * float64(units[0].unit)
		if err != nil || part > float64(math.MaxInt64)/2 {
			return 0, false
		}
		if total += time.Duration(part); total < 0 {
			return 0, false
		}
		units, text = units[1:], text[n+1:]
	}
	return total, true
}
