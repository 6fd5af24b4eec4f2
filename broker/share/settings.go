package share

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Settings are what a group may decide about its share partitions.
type Settings struct {
	Limits
	// ReadCommitted hides the records of open and aborted transactions
	// (share.isolation.level).
	ReadCommitted bool
	// Reset is where a group begins (share.auto.offset.reset).
	Reset Reset
	// NoRenew refuses acknowledgements that extend a lock
	// (share.renew.acknowledge.enable=false).
	NoRenew bool
}

// DefaultSettings are Apache Kafka's.
func DefaultSettings() Settings {
	return Settings{Limits: DefaultLimits(), Reset: Reset{At: ResetLatest}}
}

// Reset is where a group begins in a partition.
type Reset struct {
	At ResetAt
	// Back is how far back from now, for ResetDuration.
	Back time.Duration
}

// ResetAt is a kind of Reset.
type ResetAt uint8

// The kinds of Reset.
const (
	ResetLatest ResetAt = iota
	ResetEarliest
	ResetDuration
)

// ErrReset means that share.auto.offset.reset has no meaning.
var ErrReset = errors.New("share.auto.offset.reset is latest, earliest or by_duration:PnDTnHnMn.nS")

// ParseReset reads share.auto.offset.reset. The duration is one of ISO 8601, up to
// days, as Java reads it.
func ParseReset(text string) (Reset, error) {
	switch text {
	case "latest":
		return Reset{At: ResetLatest}, nil
	case "earliest":
		return Reset{At: ResetEarliest}, nil
	}
	if period, ok := strings.CutPrefix(text, "by_duration:"); ok {
		if d, ok := parsePeriod(period); ok {
			return Reset{At: ResetDuration, Back: d}, nil
		}
	}
	return Reset{}, fmt.Errorf("%w: value=%q", ErrReset, text)
}

// String returns what ParseReset reads.
func (r Reset) String() string {
	switch r.At {
	case ResetEarliest:
		return "earliest"
	case ResetDuration:
		return "by_duration:PT" + strconv.FormatFloat(r.Back.Seconds(), 'f', -1, 64) + "S"
	default:
		return "latest"
	}
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
