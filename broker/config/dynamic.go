package config

// WithDynamic returns the settings with the dynamic layers on top: defaults are
// the values for all brokers, own those for this one. Keys and values must have
// passed ValidateDynamic; ones that this release does not know, does not allow
// or does not let change are left out, so that a broker always starts.
func (c *Config) WithDynamic(defaults, own map[string]string) (*Config, error) {
	layers := append([]layer(nil), c.layers...)
	static := len(layers)
	for static > 0 && layers[static-1].source < SourceStaticBroker {
		static--
	}
	layers = layers[:static:static]
	for _, l := range []layer{
		{source: SourceDynamicDefaultBroker, name: "dynamic default", values: defaults},
		{source: SourceDynamicBroker, name: "dynamic", values: own},
	} {
		kept := map[string]string{}
		for key, text := range l.values {
			if ValidateDynamic(key, text, l.source == SourceDynamicBroker) == nil {
				kept[key] = text
			}
		}
		l.values = kept
		layers = append(layers, l)
	}
	return resolve(layers, c.machine)
}

// ValidateDynamic checks a value that a client wants to set on a running broker
// (own) or on all of them. The error is an *Error.
func ValidateDynamic(key, text string, own bool) error {
	s, known := brokerRow(key)
	if !known {
		return unknownBrokerKey(key, text, "")
	}
	show := text
	if s.Sensitive {
		show = redacted
	}
	switch {
	case s.Update == ReadOnly:
		return &Error{Key: key, Value: show, Allowed: "it can be changed only at the start of a broker"}
	case own && s.Update == ClusterWide:
		return &Error{Key: key, Value: show, Allowed: "it can be changed only for all brokers at once"}
	}
	if _, err := s.canonical(text, false); err != nil {
		return s.refuse(key, text, "", false)
	}
	return nil
}
