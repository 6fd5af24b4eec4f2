package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Allowed is what a setting accepts: a sentence for the operator and a check
// on the canonical text. The zero value accepts everything of the right type.
type Allowed struct {
	Text  string
	check func(canonical string) bool
}

// atLeast accepts whole numbers from low up.
func atLeast(low int64) Allowed {
	return Allowed{
		Text:  fmt.Sprintf("a whole number of at least %d", low),
		check: func(v string) bool { return parseLong(v) >= low },
	}
}

// between accepts whole numbers from low to high, both included.
func between(low, high int64) Allowed {
	return Allowed{
		Text:  fmt.Sprintf("a whole number from %d to %d", low, high),
		check: func(v string) bool { n := parseLong(v); return n >= low && n <= high },
	}
}

// alsoLong accepts what a accepts and one special number besides.
func alsoLong(a Allowed, special int64, meaning string) Allowed {
	return Allowed{
		Text:  fmt.Sprintf("%s, or %d (%s)", a.Text, special, meaning),
		check: func(v string) bool { return parseLong(v) == special || a.check(v) },
	}
}

// fraction accepts numbers from 0 to 1.
func fraction() Allowed {
	return Allowed{Text: "a number from 0 to 1", check: func(v string) bool {
		f, err := strconv.ParseFloat(v, 64)
		return err == nil && f >= 0 && f <= 1 && !math.IsNaN(f)
	}}
}

// loadFactor accepts the part of a hash table that may be taken.
func loadFactor() Allowed {
	return Allowed{Text: "a number from 0.1 to 0.95", check: func(v string) bool {
		f, err := strconv.ParseFloat(v, 64)
		return err == nil && f >= 0.1 && f <= 0.95
	}}
}

// positive accepts a number above zero.
func positive() Allowed {
	return Allowed{Text: "a number above 0", check: func(v string) bool {
		f, err := strconv.ParseFloat(v, 64)
		return err == nil && f > 0
	}}
}

// oneOf accepts one of the words.
func oneOf(words ...string) Allowed {
	return Allowed{Text: "one of " + strings.Join(words, ", "), check: func(v string) bool {
		for _, w := range words {
			if v == w {
				return true
			}
		}
		return false
	}}
}

// someOf accepts a list whose items are among the words, at least least of them.
func someOf(least int, words ...string) Allowed {
	one := oneOf(words...)
	return Allowed{Text: "a list, separated by commas, of " + strings.Join(words, ", "), check: func(v string) bool {
		items := splitList(v)
		for _, item := range items {
			if !one.check(item) {
				return false
			}
		}
		return len(items) >= least
	}}
}

// parsed accepts what parse takes without an error.
func parsed[T any](text string, parse func(string) (T, error)) Allowed {
	return Allowed{Text: text, check: func(v string) bool {
		_, err := parse(v)
		return err == nil
	}}
}

// orEmpty accepts what a accepts, or nothing at all.
func orEmpty(a Allowed, meaning string) Allowed {
	return Allowed{Text: fmt.Sprintf("%s, or empty (%s)", a.Text, meaning), check: func(v string) bool {
		return v == "" || a.check(v)
	}}
}

// canonical turns the text of a value into the form that the typed fields and
// DescribeConfigs use, or fails with what is allowed. Sizes may carry a unit
// only when units is set: Kafka's clients do not know them.
func (s *Setting) canonical(text string, units bool) (string, error) {
	v := strings.TrimSpace(text)
	switch s.Type {
	case Bool:
		v = strings.ToLower(v)
		if v != "true" && v != "false" {
			return "", errNotAllowed
		}
	case Int, Short, Long:
		bits := map[Type]int{Short: 16, Int: 32, Long: 64}[s.Type]
		if units && s.Size() {
			n, err := ParseSize(v)
			if err != nil {
				return "", errNotAllowed
			}
			v = strconv.FormatInt(n, 10)
		}
		n, err := strconv.ParseInt(v, 10, bits)
		if err != nil {
			return "", errNotAllowed
		}
		v = strconv.FormatInt(n, 10)
	case Double:
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return "", errNotAllowed
		}
		v = javaDouble(f)
	case List:
		v = strings.Join(splitList(v), ",")
	case String, Class, Password:
	}
	if s.Allowed.check != nil && !s.Allowed.check(v) {
		return "", errNotAllowed
	}
	return v, nil
}

// javaDouble writes a number as Java does, and so Kafka: 1.0, 0.5, 1.0E-5.
func javaDouble(f float64) string {
	if m := math.Abs(f); m == 0 || m >= 1e-3 && m < 1e7 {
		if v := strconv.FormatFloat(f, 'f', -1, 64); strings.Contains(v, ".") {
			return v
		} else {
			return v + ".0"
		}
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent) // FormatFloat writes a number
	return mantissa + "E" + strconv.Itoa(n)
}

// allowedText says in words which values pass.
func (s *Setting) allowedText(units bool) string {
	text := s.Allowed.Text
	if text == "" {
		switch s.Type {
		case Bool:
			text = "true or false"
		case Short:
			text = "a whole number of 16 bits"
		case Int:
			text = "a whole number of 32 bits"
		case Long:
			text = "a whole number of 64 bits"
		case Double:
			text = "a number"
		case List:
			text = "a list, separated by commas"
		case String, Class, Password:
			text = "any text"
		}
	}
	if units && s.Size() {
		text += "; with KiB, MiB, GiB or TiB if wished"
	}
	return text
}

// parseLong reads canonical text, which canonical has already checked.
func parseLong(v string) int64 {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return math.MinInt64
	}
	return n
}

// splitList cuts a list at its commas, trims the items and drops empty ones.
func splitList(v string) []string {
	var items []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
