package scripttest

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// Line is a command: its name, words, and name=value in any order.
type Line struct {
	T     testing.TB // which a value that cannot be read fails
	Text  string
	Name  string
	Words []string
	Named map[string]string
}

// Parse reads a line.
func Parse(t testing.TB, text string) Line {
	l := Line{T: t, Text: text, Named: map[string]string{}}
	fields := strings.Fields(text)
	if len(fields) == 0 {
		t.Fatal("a line without a command")
	}
	l.Name = fields[0]
	for _, f := range fields[1:] {
		if name, value, ok := strings.Cut(f, "="); ok {
			l.Named[name] = value
		} else {
			l.Words = append(l.Words, f)
		}
	}
	return l
}

// Has says whether the name is there, with a value or as a word.
func (l Line) Has(name string) bool {
	if _, ok := l.Named[name]; ok {
		return true
	}
	for _, w := range l.Words {
		if w == name {
			return true
		}
	}
	return false
}

// Str is the value of the name, or otherwise.
func (l Line) Str(name, otherwise string) string {
	if v, ok := l.Named[name]; ok {
		return v
	}
	return otherwise
}

// Opt is the value of the name; nil when it is not there.
func (l Line) Opt(name string) *string {
	if v, ok := l.Named[name]; ok {
		return &v
	}
	return nil
}

// List is the value of the name, cut at commas.
func (l Line) List(name string) []string {
	if l.Named[name] == "" {
		return nil
	}
	return strings.Split(l.Named[name], ",")
}

// Num is the value of the name as a number, or otherwise.
func (l Line) Num(name string, otherwise int64) int64 {
	v, ok := l.Named[name]
	if !ok {
		return otherwise
	}
	return l.Int(v)
}

// Int is a part of the line as a number.
func (l Line) Int(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		l.T.Fatalf("%s: %v", l.Text, err)
	}
	return n
}

// Dur is the value of the name as a duration, or otherwise.
func (l Line) Dur(name string, otherwise time.Duration) time.Duration {
	v, ok := l.Named[name]
	if !ok {
		return otherwise
	}
	return l.Duration(v)
}

// Duration is a part of the line as a duration.
func (l Line) Duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		l.T.Fatalf("%s: %v", l.Text, err)
	}
	return d
}
