package clientmetrics

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The settings of a subscription.
const (
	KeyMetrics  = "metrics"
	KeyInterval = "interval.ms"
	KeyMatch    = "match"
)

// AllMetrics stands for every metric that a client has.
const AllMetrics = "*"

// The interval of a subscription: what it is when nothing is said, and what it may be.
const (
	DefaultInterval = 5 * time.Minute
	MinInterval     = 100 * time.Millisecond
	MaxInterval     = time.Hour
)

// What can be wrong with a subscription. ErrSetting: a setting that there is not, or one
// out of its bounds; ErrValue: a value that can not be read.
var (
	ErrSetting = errors.New("bad setting of a client metrics subscription")
	ErrValue   = errors.New("bad value in a client metrics subscription")
)

// A Subscription says which metrics are wanted of which clients, and how often.
type Subscription struct {
	Name string
	// Metrics are prefixes of names; AllMetrics means all, none means none.
	Metrics  []string
	Interval time.Duration
	// match has an expression for each attribute that is looked at. No expressions match all.
	match map[attribute]*regexp.Regexp
}

// An attribute of a client that subscriptions match.
type attribute string

const (
	attributeInstance        attribute = "client_instance_id"
	attributeClientID        attribute = "client_id"
	attributeSoftwareName    attribute = "client_software_name"
	attributeSoftwareVersion attribute = "client_software_version"
	attributeAddress         attribute = "client_source_address"
	attributePort            attribute = "client_source_port"
)

func (a attribute) known() bool {
	switch a {
	case attributeInstance, attributeClientID, attributeSoftwareName, attributeSoftwareVersion, attributeAddress, attributePort:
		return true
	}
	return false
}

// Parse reads the settings of a subscription.
func Parse(name string, settings map[string]string) (Subscription, error) {
	s := Subscription{Name: name, Interval: DefaultInterval}
	if name == "" {
		return s, fmt.Errorf("%w: the name of a subscription must not be empty", ErrSetting)
	}
	for key := range settings {
		if key != KeyMetrics && key != KeyInterval && key != KeyMatch {
			return s, fmt.Errorf("%w: unknown key=%q", ErrSetting, key)
		}
	}
	if text, ok := settings[KeyInterval]; ok {
		ms, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil {
			return s, fmt.Errorf("%w: not a number %s=%q", ErrValue, KeyInterval, text)
		}
		s.Interval = time.Duration(ms) * time.Millisecond
		if s.Interval < MinInterval || s.Interval > MaxInterval {
			return s, fmt.Errorf("%w: %s=%d, it must be between %d and %d", ErrSetting, KeyInterval, ms, MinInterval.Milliseconds(), MaxInterval.Milliseconds())
		}
	}
	var err error
	if s.Metrics, err = items(KeyMetrics, settings[KeyMetrics]); err != nil {
		return s, err
	}
	patterns, err := items(KeyMatch, settings[KeyMatch])
	if err != nil {
		return s, err
	}
	s.match, err = parseMatch(patterns)
	return s, err
}

// items splits what commas separate.
func items(key, text string) ([]string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		if parts[i] = strings.TrimSpace(parts[i]); parts[i] == "" {
			return nil, fmt.Errorf("%w: empty item %s=%q", ErrValue, key, text)
		}
	}
	return parts, nil
}

// parseMatch reads attribute=expression pairs; of two for one attribute the later counts.
func parseMatch(patterns []string) (map[attribute]*regexp.Regexp, error) {
	match := make(map[attribute]*regexp.Regexp, len(patterns))
	for _, pattern := range patterns {
		// A pattern ends before trailing equals signs, and must not have one inside.
		name, text, ok := strings.Cut(strings.TrimRight(pattern, "="), "=")
		a := attribute(strings.TrimSpace(name))
		if !ok || strings.Contains(text, "=") || !a.known() {
			return nil, fmt.Errorf("%w: illegal client matching pattern=%q", ErrValue, pattern)
		}
		// The whole value must match.
		expression, err := regexp.Compile(`\A(?:` + strings.TrimSpace(text) + `)\z`)
		if err != nil {
			return nil, fmt.Errorf("%w: illegal client matching pattern=%q: %w", ErrValue, pattern, err)
		}
		match[a] = expression
	}
	return match, nil
}

// Matches tells whether the subscription is for this client.
func (s *Subscription) Matches(id ID, c *Client) bool {
	for a, expression := range s.match {
		value, ok := c.attribute(id, a)
		if !ok || !expression.MatchString(value) {
			return false
		}
	}
	return true
}
