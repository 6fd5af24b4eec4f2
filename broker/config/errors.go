package config

import (
	"errors"
	"fmt"
	"strings"
)

// errNotAllowed is turned into an Error by whoever knows key and origin.
var errNotAllowed = errors.New("config: value not allowed")

// ErrInvalid is what every refusal of a key, a value or a combination wraps.
var ErrInvalid = errors.New("invalid configuration")

// Error is one refusal.
type Error struct {
	Key     string
	Value   string // as it was written; not for sensitive settings
	Origin  string // where it was written; empty for a topic override
	Unknown bool   // the key is not in the table
	Nearest string // for an unknown key: the nearest known one, if any is near
	Allowed string // what would have been accepted, or why this is not
}

// Error returns the whole refusal on one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Unknown {
		fmt.Fprintf(&b, "unknown configuration key %s=%q", e.Key, e.Value)
	} else {
		fmt.Fprintf(&b, "bad configuration value %s=%q", e.Key, e.Value)
	}
	if e.Origin != "" {
		fmt.Fprintf(&b, " (%s)", e.Origin)
	}
	if e.Allowed != "" {
		fmt.Fprintf(&b, ": %s", e.Allowed)
	}
	if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %s?", e.Nearest)
	}
	return b.String()
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *Error) Unwrap() error { return ErrInvalid }

// Errors is all the refusals of one configuration.
type Errors []*Error

// Error returns all refusals on one line.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, one := range e {
		texts[i] = one.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap gives the refusals to errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, one := range e {
		errs[i] = one
	}
	return errs
}

// orNil returns the refusals as an error, or nil when there are none.
func (e Errors) orNil() error {
	if len(e) == 0 {
		return nil
	}
	return e
}
