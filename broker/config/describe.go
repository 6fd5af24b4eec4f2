package config

import "slices"

// Entry is one setting with its value, as DescribeConfigs tells it.
type Entry struct {
	Setting  *Setting
	Name     string // the key at the level that was asked for
	Value    string // empty when Null
	Null     bool   // there is no value, or it must not be shown
	Source   Source
	Synonyms []Synonym // what would count, strongest first; the first one does
}

// Synonym is one layer's value of a setting.
type Synonym struct {
	Name   string
	Value  string
	Source Source
}

// Entries returns the settings of this broker, in the order of the table; behind them those that
// were given for one listener.
func (c *Config) Entries() []Entry {
	var entries []Entry
	for i := range settings {
		s := &settings[i]
		if s.Key == "" {
			continue
		}
		chain, text := c.brokerChain(s)
		entries = append(entries, newEntry(s, s.Key, chain, text))
	}
	return append(entries, c.listenerEntries()...)
}

// TopicEntries returns the settings of a topic with these overrides, in the order
// of the table.
func (c *Config) TopicEntries(overrides map[string]string) []Entry {
	var entries []Entry
	for i := range settings {
		s := &settings[i]
		if s.TopicKey == "" {
			continue
		}
		chain, text := c.topicChain(s, overrides)
		entries = append(entries, newEntry(s, s.TopicKey, chain, text))
	}
	return entries
}

func newEntry(s *Setting, name string, chain []Synonym, text string) Entry {
	e := Entry{Setting: s, Name: name, Value: text, Source: SourceDefault, Null: text == "" && s.none(), Synonyms: chain}
	if len(chain) > 0 {
		e.Source = chain[0].Source
	}
	if s.Sensitive {
		e.Value, e.Null, e.Synonyms = "", true, redactedSynonyms(e.Synonyms)
	}
	return e
}

// none reports whether an empty text stands for no value at all.
func (s *Setting) none() bool { return s.Type != List && !s.Blank }

// redactedSynonyms tells where the values of a secret come from, and nothing else.
func redactedSynonyms(chain []Synonym) []Synonym {
	out := slices.Clone(chain)
	for i := range out {
		out[i].Value = ""
	}
	return out
}

// DynamicDefaults returns the settings that have a dynamic value for all brokers, in the order
// of the table, as a broker with these settings has them.
func (c *Config) DynamicDefaults() []Entry {
	var defaults []Entry
	for _, e := range c.Entries() {
		e.Synonyms = slices.DeleteFunc(slices.Clone(e.Synonyms), func(s Synonym) bool { return s.Source != SourceDynamicDefaultBroker })
		if len(e.Synonyms) > 0 && e.Synonyms[0].Name == e.Name {
			defaults = append(defaults, e)
		}
	}
	return defaults
}

// topicChain returns what a topic's setting may take its value from, strongest
// first, and the value that it has.
func (c *Config) topicChain(s *Setting, overrides map[string]string) (chain []Synonym, text string) {
	if s.Key != "" {
		chain, text = c.brokerChain(s)
	} else {
		text = s.Default // which no broker has
	}
	if override, ok := overrides[s.TopicKey]; ok {
		if canonical, err := s.canonical(override, false); err == nil {
			chain = append([]Synonym{{Name: s.TopicKey, Value: canonical, Source: SourceTopic}}, chain...)
			text = canonical
		}
	}
	return chain, text
}

// topicText returns the value that a topic's setting has.
func (c *Config) topicText(key string, overrides map[string]string) string {
	_, text := c.topicChain(byTopicKey[key], overrides)
	return text
}

// brokerChain returns what a broker's setting may take its value from, strongest
// first, and the value that it has: a synonym keeps its own unit, log.retention.hours
// is 2 where the value is 7200000. As in Kafka a finer key wins over its coarser
// spellings whatever their layers, and the static layers count as one.
func (c *Config) brokerChain(s *Setting) (chain []Synonym, text string) {
	v, ok := c.values[s.Key]
	if ok && v.source == SourceDefault {
		if v.text == "" && s.none() {
			return nil, ""
		}
		return []Synonym{{Name: s.Key, Value: v.text, Source: SourceDefault}}, v.text
	}
	chain = c.layerChain(s)
	for i := range settings {
		if coarse := &settings[i]; coarse.Coarse != "" && coarse.Coarse == s.Key {
			chain = append(chain, c.layerChain(coarse)...)
		}
	}
	if text = v.text; !ok && len(chain) > 0 {
		text = chain[0].Value // a coarse spelling, asked for by its own name
	}
	if s.Default != "" || s.Blank {
		chain = append(chain, Synonym{Name: s.Key, Value: s.Default, Source: SourceDefault})
	}
	return chain, text
}

// layerChain returns what the layers say of one row, strongest first.
func (c *Config) layerChain(s *Setting) []Synonym {
	var chain []Synonym
	for i := len(c.layers) - 1; i >= 0; i-- {
		l := &c.layers[i]
		text, ok := l.values[s.Key]
		if !ok {
			continue
		}
		if text == "" && s.nullable() {
			break // taken back: what lies below does not count
		}
		canonical, err := s.canonical(text, true)
		if err != nil {
			continue // resolve let no such value pass
		}
		if n := len(chain); n == 0 || chain[n-1].Source != l.source {
			chain = append(chain, Synonym{Name: s.Key, Value: canonical, Source: l.source})
		}
	}
	return chain
}
