package sasl

import (
	"errors"
	"fmt"
	"strings"
)

// LoginModule is what a sasl.jaas.config says.
type LoginModule struct {
	Class   string
	Options map[string]string
}

// maxJAASBytes and maxOptions bound a sasl.jaas.config.
const (
	maxJAASBytes = 1 << 20
	maxOptions   = 10_000
)

// ParseJAAS reads Kafka's form of a JAAS configuration, which has one login module:
//
//	Class required option="value" option=value;
//
// Errors never have a part of the text in them.
func ParseJAAS(text string) (*LoginModule, error) {
	if len(text) > maxJAASBytes {
		return nil, fmt.Errorf("sasl.jaas.config is too long: limit=%d", maxJAASBytes)
	}
	in := jaasReader{text: text}
	m := &LoginModule{Options: map[string]string{}}
	m.Class = in.word()
	if m.Class == "" {
		return nil, errors.New("sasl.jaas.config has no login module")
	}
	switch flag := strings.ToLower(in.word()); flag {
	case "required", "requisite", "sufficient", "optional":
	default:
		return nil, errors.New("sasl.jaas.config has no flag (required) behind the login module")
	}
	for {
		key := in.word()
		if key == "" {
			break
		}
		value, ok := in.value()
		if !ok {
			return nil, fmt.Errorf("sasl.jaas.config has an option without a value: number=%d", len(m.Options)+1)
		}
		if m.Options[key] = value; len(m.Options) > maxOptions {
			return nil, fmt.Errorf("sasl.jaas.config has too many options: limit=%d", maxOptions)
		}
	}
	if !in.take(';') {
		return nil, errors.New("sasl.jaas.config does not end in a semicolon")
	}
	if in.space(); in.text != "" {
		return nil, errors.New("sasl.jaas.config has more than one login module")
	}
	return m, nil
}

// jaasReader reads from the front of a text.
type jaasReader struct{ text string }

func (r *jaasReader) space() { r.text = strings.TrimLeft(r.text, " \t\r\n") }

func (r *jaasReader) take(c byte) bool {
	r.space()
	if r.text == "" || r.text[0] != c {
		return false
	}
	r.text = r.text[1:]
	return true
}

// word reads up to a space, a quote, '=' or ';'.
func (r *jaasReader) word() string {
	r.space()
	n := strings.IndexAny(r.text, " \t\r\n\"=;")
	if n < 0 {
		n = len(r.text)
	}
	word := r.text[:n]
	r.text = r.text[n:]
	return word
}

// value reads =word or ="text", where a backslash takes the character behind it as it is.
func (r *jaasReader) value() (string, bool) {
	if !r.take('=') {
		return "", false
	}
	if r.space(); !strings.HasPrefix(r.text, `"`) {
		word := r.word()
		return word, word != ""
	}
	var b strings.Builder
	for i := 1; i < len(r.text); i++ {
		switch c := r.text[i]; {
		case c == '"':
			r.text = r.text[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(r.text):
			i++
			b.WriteByte(escaped(r.text[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// escaped is what stands behind a backslash in Java.
func escaped(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	}
	return c
}
