package config

import "fmt"

// Groups have settings of their own, as topics do: a row of the table with a GroupKey. What a
// group does not set is the broker's.

// GroupEntries returns the settings of a group with these overrides, in the order of the
// table.
func (c *Config) GroupEntries(overrides map[string]string) []Entry {
	var entries []Entry
	for i := range settings {
		s := &settings[i]
		if s.GroupKey == "" {
			continue
		}
		chain, text := c.groupChain(s, overrides)
		entries = append(entries, newEntry(s, s.GroupKey, chain, text))
	}
	return entries
}

// groupChain returns what a group's setting may take its value from, strongest first
// and never empty, and the value that it has.
func (c *Config) groupChain(s *Setting, overrides map[string]string) (chain []Synonym, text string) {
	if s.Key != "" {
		chain, text = c.brokerChain(s)
	} else {
		chain, text = []Synonym{{Name: s.GroupKey, Value: s.Default, Source: SourceDefault}}, s.Default
	}
	if override, ok := overrides[s.GroupKey]; ok {
		if canonical, err := s.canonical(override, false); err == nil {
			chain = append([]Synonym{{Name: s.GroupKey, Value: canonical, Source: SourceGroup}}, chain...)
			text = canonical
		}
	}
	return chain, text
}

// ValidateGroup checks the settings with which a group would be left by an alteration, one
// by one, against the broker's bounds, and in combination. The error is an Errors.
func (c *Config) ValidateGroup(overrides map[string]string) error {
	var faults Errors
	for _, key := range sortedKeys(overrides) {
		text := overrides[key]
		s, known := byGroupKey[key]
		if !known {
			faults = append(faults, &Error{Key: key, Value: text, Unknown: true, Nearest: nearest(key, byGroupKey)})
			continue
		}
		canonical, err := s.canonical(text, false)
		if err != nil {
			faults = append(faults, s.refuse(key, text, "", false))
			continue
		}
		if low, ok := c.values[s.GroupMin]; ok && parseLong(canonical) < parseLong(low.text) {
			faults = append(faults, &Error{Key: key, Value: text, Allowed: fmt.Sprintf("it must not be below %s=%s", s.GroupMin, low.text)})
		}
		if high, ok := c.values[s.GroupMax]; ok && parseLong(canonical) > parseLong(high.text) {
			faults = append(faults, &Error{Key: key, Value: text, Allowed: fmt.Sprintf("it must not exceed %s=%s", s.GroupMax, high.text)})
		}
	}
	if len(faults) > 0 {
		return faults
	}
	of := func(key string) int64 {
		_, text := c.groupChain(byGroupKey[key], overrides)
		return parseLong(text)
	}
	for _, kind := range []string{"consumer", "share", "streams"} {
		heartbeat, session := kind+".heartbeat.interval.ms", kind+".session.timeout.ms"
		if h, s := of(heartbeat), of(session); h >= s {
			faults = append(faults, &Error{Key: heartbeat, Value: fmt.Sprint(h), Allowed: fmt.Sprintf("it must be less than %s=%d", session, s)})
		}
	}
	return faults.orNil()
}
