package config

import "strings"

// listenerPrefix begins the keys of settings that hold for one listener:
// listener.name.<name>.<key>, and listener.name.<name>.<mechanism>.<key> where each SASL
// mechanism may have its own. Names are in lower case.
const listenerPrefix = "listener.name."

// listenerKey is a key of one listener, taken apart.
type listenerKey struct {
	listener  string
	mechanism string // empty: all of the listener
	key       string // of the table
}

// parseListenerKey takes the key of one listener apart. A listener's name may have dots in
// it: the longest key of the table that the text ends in counts.
func parseListenerKey(text string) (listenerKey, bool) {
	rest, ok := strings.CutPrefix(text, listenerPrefix)
	if !ok {
		return listenerKey{}, false
	}
	for i := 0; i < len(rest); i++ {
		if rest[i] != '.' {
			continue
		}
		s, known := byBrokerKey[rest[i+1:]]
		if !known || !s.PerListener {
			continue
		}
		k := listenerKey{listener: rest[:i], key: s.Key}
		if dot := strings.LastIndexByte(k.listener, '.'); dot > 0 && s.PerMechanism && isMechanism(k.listener[dot+1:]) {
			k.listener, k.mechanism = k.listener[:dot], k.listener[dot+1:]
		}
		return k, k.listener != "" && k.listener == strings.ToLower(k.listener)
	}
	return listenerKey{}, false
}

// brokerRow returns the row of a broker's key, that of one listener included: then it is
// a copy that goes by the whole key, and that has no default: the broker's value is that.
func brokerRow(key string) (*Setting, bool) {
	if s, ok := byBrokerKey[key]; ok {
		return s, true
	}
	k, ok := parseListenerKey(key)
	if !ok {
		return nil, false
	}
	row := *byBrokerKey[k.key]
	row.Key, row.TopicKey, row.GroupKey, row.Default = key, "", "", ""
	return &row, true
}

// environmentListenerKey finds the key of one listener that a variable sets, without the
// prefix of ours: LISTENER_NAME_SASL_SSL_PLAIN_SASL_JAAS_CONFIG. What in the listener's
// name is a dot or a dash can not be told from an underscore, and is taken for one.
func environmentListenerKey(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, "LISTENER_NAME_")
	if !ok {
		return "", false
	}
	best := (*Setting)(nil)
	for i := range settings {
		s := &settings[i]
		if s.PerListener && strings.HasSuffix(rest, "_"+environmentText(s.Key)) && (best == nil || len(s.Key) > len(best.Key)) {
			best = s
		}
	}
	if best == nil {
		return "", false
	}
	listener := strings.TrimSuffix(rest, "_"+environmentText(best.Key))
	mechanism := ""
	if best.PerMechanism {
		for _, m := range mechanisms {
			if before, found := strings.CutSuffix(listener, "_"+environmentText(m)); found {
				listener, mechanism = before, strings.ToLower(m)+"."
			}
		}
	}
	return listenerPrefix + strings.ToLower(listener) + "." + mechanism + best.Key, listener != ""
}

// environmentText is a key or name as variables have it.
func environmentText(key string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// listenerText is the value that a setting has for a listener, and for a mechanism where
// that is not empty: the narrowest key that is given counts.
func (c *Config) listenerText(listener, mechanism, key string) string {
	name := listenerPrefix + strings.ToLower(listener) + "."
	if mechanism != "" && byBrokerKey[key].PerMechanism {
		if v, ok := c.values[name+strings.ToLower(mechanism)+"."+key]; ok {
			return v.text
		}
	}
	if v, ok := c.values[name+key]; ok {
		return v.text
	}
	return c.values[key].text
}

// checkListenerKeys refuses keys of listeners that there are not. Dynamic ones are let
// be: they may be there for a listener that comes with the next start.
func (c *Config) checkListenerKeys(refuse func(key, why string)) {
	names := map[string]bool{}
	for _, l := range c.Listeners {
		names[strings.ToLower(l.Name)] = true
	}
	for _, key := range sortedKeys(c.values) {
		k, ok := parseListenerKey(key)
		if ok && byBrokerKey[key] == nil && c.values[key].source == SourceStaticBroker && !names[k.listener] {
			refuse(key, "there is no listener of that name among listeners")
		}
	}
}

// listenerEntries are the settings that were given for one listener, in the order of their keys.
func (c *Config) listenerEntries() []Entry {
	var entries []Entry
	for _, key := range sortedKeys(c.values) {
		if byBrokerKey[key] != nil {
			continue
		}
		row, ok := brokerRow(key)
		if !ok {
			continue
		}
		chain, text := c.brokerChain(row)
		k, _ := parseListenerKey(key)
		base, _ := c.brokerChain(byBrokerKey[k.key])
		entries = append(entries, newEntry(row, key, append(chain, base...), text))
	}
	return entries
}
