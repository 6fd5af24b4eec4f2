package config

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

// Sources is where the static layers come from. The zero value gives the
// defaults of the table.
type Sources struct {
	Preset  map[string]string // what the command sets of itself, e.g. tideline dev
	File    string            // a YAML file; empty for none
	Environ []string          // NAME=value, as os.Environ returns it
	Set     []string          // key=value, as --set takes it; later ones win
	Machine Machine           // ThisMachine() outside of tests
}

// maxFileBytes bounds the YAML file: the whole table written out is far smaller.
const maxFileBytes = 1 << 20

// separator joins nested YAML keys while koanf holds them. It is not a dot,
// because max.connections is a key and a prefix of a key at once.
const separator = "\x1f"

// layer is one set of values in the order of their strength.
type layer struct {
	source  Source
	name    string // "file x.yaml"; for errors
	values  map[string]string
	origins map[string]string // per key, when more is known than the name
}

func (l *layer) origin(key string) string {
	if o, ok := l.origins[key]; ok {
		return o
	}
	return l.name
}

// Load reads the layers, checks every value, and returns the typed settings.
// The error wraps ErrInvalid unless the file could not be read; then it is the
// file system's or the YAML parser's.
func Load(from Sources) (*Config, error) {
	if from.Machine.DiskBytes == nil || from.Machine.Hostname == nil {
		return nil, errors.New("config: Sources.Machine is missing")
	}
	layers := []layer{{source: SourceStaticBroker, name: "preset", values: from.Preset}}
	if from.File != "" {
		values, err := fileValues(from.File)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer{source: SourceStaticBroker, name: "file " + from.File, values: values})
	}
	environment, err := environValues(from.Environ)
	if err != nil {
		return nil, err
	}
	layers = append(layers, environment)
	set := layer{source: SourceStaticBroker, name: "--set", values: map[string]string{}}
	for _, pair := range from.Set {
		key, text, ok := strings.Cut(pair, "=")
		if !ok || strings.TrimSpace(key) == "" {
			return nil, fmt.Errorf("%w: --set takes key=value, got %q", ErrInvalid, pair)
		}
		set.values[strings.TrimSpace(key)] = text
	}
	layers = append(layers, set)
	return resolve(layers, from.Machine)
}

func fileValues(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	if info.Size() > maxFileBytes {
		return nil, fmt.Errorf("%w: file is larger than %d bytes: path=%s", ErrInvalid, maxFileBytes, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	values, err := parseYAML(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: path=%s", ErrInvalid, err, path)
	}
	return values, nil
}

// bytesProvider gives koanf bytes that are already in memory.
type bytesProvider []byte

func (b bytesProvider) ReadBytes() ([]byte, error) { return b, nil }
func (b bytesProvider) Read() (map[string]any, error) {
	return nil, errors.New("config: bytes have no map")
}

// parseYAML reads one YAML document into flat keys. Lists become text with
// commas.
func parseYAML(text []byte) (map[string]string, error) {
	k := koanf.New(separator)
	if err := k.Load(bytesProvider(text), yaml.Parser()); err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	values := map[string]string{}
	for path, v := range k.All() {
		key := strings.ReplaceAll(path, separator, ".")
		flat, err := scalar(v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("%s is given twice, nested and whole", key)
		}
		values[key] = flat
	}
	return values, nil
}

// scalar turns what the YAML parser made of a value back into text.
func scalar(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool, int, int64, uint64:
		return fmt.Sprint(v), nil
	case float64:
		return fmt.Sprintf("%v", v), nil
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			if _, nested := item.([]any); nested {
				return "", errors.New("a list in a list")
			}
			text, err := scalar(item)
			if err != nil {
				return "", err
			}
			items[i] = text
		}
		return strings.Join(items, ","), nil
	case map[string]any:
		if len(v) == 0 {
			return "", nil
		}
	}
	return "", fmt.Errorf("a value that is no text, number, boolean or list of them")
}

const envPrefix = "TIDELINE_"

// clientVariables are read by the client commands, not by the broker.
var clientVariables = map[string]bool{
	"TIDELINE_BROKERS":       true,
	"TIDELINE_HTTP":          true,
	"TIDELINE_HTTP_PASSWORD": true,
	"TIDELINE_SASL_PASSWORD": true,
	"TIDELINE_SASL_TOKEN":    true,
}

// serviceVariables are what Kubernetes puts into every container for a service
// whose name starts with tideline. They are not ours.
var serviceVariables = regexp.MustCompile(`^TIDELINE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// EnvironmentName returns the variable that sets a broker key.
func EnvironmentName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

func environValues(environ []string) (layer, error) {
	keys := map[string]string{}
	for i := range settings {
		if key := settings[i].Key; key != "" {
			keys[EnvironmentName(key)] = key
		}
	}
	l := layer{source: SourceStaticBroker, name: "environment", values: map[string]string{}, origins: map[string]string{}}
	k := koanf.New(separator)
	err := k.Load(env.Provider(separator, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, text string) (string, any) {
			if clientVariables[name] || serviceVariables.MatchString(name) {
				return "", nil
			}
			key, known := keys[name]
			if !known {
				key, known = environmentListenerKey(strings.TrimPrefix(name, envPrefix))
			}
			if !known {
				key = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix), "_", "."))
			}
			l.origins[key] = "environment " + name
			return key, text
		},
	}), nil)
	if err != nil {
		return l, fmt.Errorf("config: environment: %w", err)
	}
	for key, v := range k.All() {
		text, ok := v.(string)
		if !ok {
			return l, fmt.Errorf("config: environment variable is no text: key=%s", key)
		}
		l.values[key] = text
	}
	return l, nil
}

// resolve checks every value of every layer, lets the highest win, fills in what
// depends on the machine, and binds the typed fields.
func resolve(layers []layer, m Machine) (*Config, error) {
	c := &Config{values: map[string]value{}, layers: layers, machine: m}
	var faults Errors
	given := map[string]value{}
	for i := range layers {
		l := &layers[i]
		for _, key := range sortedKeys(l.values) {
			text := l.values[key]
			s, known := brokerRow(key)
			if !known {
				faults = append(faults, unknownBrokerKey(key, text, l.origin(key)))
				continue
			}
			if text == "" && s.nullable() {
				delete(given, key)
				continue
			}
			canonical, err := s.canonical(text, true)
			if err != nil {
				faults = append(faults, s.refuse(s.Key, text, l.origin(key), true))
				continue
			}
			given[key] = value{text: canonical, source: l.source, origin: l.origin(key)}
		}
	}
	for i := range settings {
		s := &settings[i]
		if s.Key == "" || s.Coarse != "" {
			continue
		}
		if v, ok := given[s.Key]; ok {
			c.values[s.Key] = v
		} else if v, ok := fromCoarse(s.Key, given); ok {
			c.values[s.Key] = v
		} else if s.auto == nil && (s.Default != "" || s.isText()) {
			c.values[s.Key] = value{text: s.Default, source: SourceDefault}
		}
	}
	for key, v := range given {
		if byBrokerKey[key] == nil {
			c.values[key] = v // of one listener
		}
	}
	// Machine sizes may depend on other keys, and on machine sizes above them
	// in the table.
	get := func(key string) string { return c.values[key].text }
	for i := range settings {
		s := &settings[i]
		if _, ok := c.values[s.Key]; s.auto == nil || ok {
			continue
		}
		if text := s.auto(m, get); text != "" || s.isText() && s.Type != List {
			c.values[s.Key] = value{text: text, source: SourceDefault}
		}
	}
	if len(faults) == 0 {
		c.bind()
		faults = c.finish()
	}
	if err := faults.orNil(); err != nil {
		return nil, err
	}
	return c, nil
}

// isText tells settings whose value may be an empty text.
func (s *Setting) isText() bool {
	return s.Type == String || s.Type == List || s.Type == Class || s.Type == Password
}

// nullable rows take an empty value as "not given".
func (s *Setting) nullable() bool {
	return !s.isText() || s.auto != nil
}

// fromCoarse looks for the value of key in its coarser spellings, in the order
// of the table: minutes come before hours.
func fromCoarse(key string, given map[string]value) (value, bool) {
	for i := range settings {
		s := &settings[i]
		if s.Coarse != key {
			continue
		}
		if v, ok := given[s.Key]; ok {
			n := parseLong(v.text)
			if n > 0 {
				n *= s.Factor // an int times at most an hour in ms cannot overflow
			}
			v.text = fmt.Sprint(n)
			return v, true
		}
	}
	return value{}, false
}

func unknownBrokerKey(key, text, origin string) *Error {
	e := &Error{Key: key, Value: text, Origin: origin, Unknown: true}
	if why, ok := foreign[key]; ok {
		e.Allowed = "Kafka has it, Tideline has not: " + why
	} else if s, ok := byTopicKey[key]; ok {
		if s.Key == "" {
			e.Allowed = "it belongs to a topic"
		} else {
			e.Allowed = "it belongs to a topic; the broker's default for it is " + s.Key
		}
	} else {
		e.Nearest = nearest(key, byBrokerKey)
	}
	if near := byBrokerKey[e.Nearest]; looksSecret(key) || near != nil && near.Sensitive {
		e.Value = redacted
	}
	return e
}

// redacted stands in for values that must not be shown.
const redacted = "(hidden)"

// looksSecret keeps the value of a misspelt secret out of the error. Whatever is about
// security may be one, however it is misspelt.
func looksSecret(key string) bool {
	key = strings.ToLower(key)
	for _, part := range []string{"ssl.", "sasl."} {
		if strings.HasPrefix(key, part) || strings.Contains(key, "."+part) {
			return true
		}
	}
	for _, word := range []string{"password", "secret", "token", "credential", "private", "jaas"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

func (s *Setting) refuse(key, text, origin string, units bool) *Error {
	if s.Sensitive {
		text = redacted
	}
	return &Error{Key: key, Value: text, Origin: origin, Allowed: "allowed is " + s.allowedText(units)}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
