package transport

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Rules make names of distinguished names. They are immutable.
type Rules struct{ rules []rule }

// rule is one of ssl.principal.mapping.rules. The zero value is DEFAULT.
type rule struct {
	whole, part *regexp.Regexp // the pattern, for all of the name and for a part of it
	replacement string
	change      byte // 'L' or 'U', 0: none
}

// ErrNoRule says that no rule takes a name.
var ErrNoRule = errors.New("no rule of ssl.principal.mapping.rules takes the name")

// maxRules bounds the rules of a listener.
const maxRules = 1000

// ParseRules reads RULE:pattern/replacement/[LU] and DEFAULT, separated by commas. In
// pattern and replacement a slash is written \/. Empty rules are left out.
func ParseRules(text string) (*Rules, error) {
	r := &Rules{}
	in := strings.TrimSpace(text)
	for in != "" {
		if len(r.rules) == maxRules {
			return nil, fmt.Errorf("too many rules: limit=%d", maxRules)
		}
		next, rest, err := parseRule(in)
		if err != nil {
			return nil, fmt.Errorf("%w: rules=%q", err, text)
		}
		if next != nil {
			r.rules = append(r.rules, *next)
		}
		rest = strings.TrimLeft(rest, " \t\r\n")
		if rest == "" {
			break
		}
		if rest[0] != ',' {
			return nil, fmt.Errorf("no comma behind a rule: rules=%q", text)
		}
		in = strings.TrimLeft(rest[1:], " \t\r\n")
	}
	return r, nil
}

// parseRule reads one rule, nil where it is empty, and returns what is behind it.
func parseRule(in string) (r *rule, rest string, err error) {
	if in[0] == ',' {
		return nil, in, nil
	}
	if rest, ok := strings.CutPrefix(in, "DEFAULT"); ok {
		return &rule{}, rest, nil
	}
	rest, ok := strings.CutPrefix(in, "RULE:")
	if !ok {
		return nil, "", errors.New("a rule is neither DEFAULT nor RULE:pattern/replacement/")
	}
	pattern, rest, ok := cutSlash(rest)
	if !ok {
		return nil, "", errors.New("a rule has no slash behind its pattern")
	}
	r = &rule{}
	if r.replacement, rest, ok = cutSlash(rest); !ok {
		return nil, "", errors.New("a rule has no slash behind its replacement")
	}
	if rest != "" && (rest[0] == 'L' || rest[0] == 'U') {
		r.change, rest = rest[0], rest[1:]
	}
	// Java's \/ is a slash; RE2 knows no such escape.
	pattern = strings.ReplaceAll(pattern, `\/`, `/`)
	if r.part, err = regexp.Compile(pattern); err != nil {
		return nil, "", fmt.Errorf("a rule's pattern is no regular expression of RE2: %w", err)
	}
	if r.whole, err = regexp.Compile(`^(?:` + pattern + `)$`); err != nil {
		return nil, "", fmt.Errorf("a rule's pattern is no regular expression of RE2: %w", err)
	}
	return r, rest, nil
}

// cutSlash cuts at the first slash that no backslash stands before.
func cutSlash(s string) (before, after string, ok bool) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '/':
			return s[:i], s[i+1:], true
		}
	}
	return "", "", false
}

// Name returns what the first rule that takes the name makes of it.
func (r *Rules) Name(distinguished string) (string, error) {
	for i := range r.rules {
		if name, ok := r.rules[i].apply(distinguished); ok {
			return name, nil
		}
	}
	return "", ErrNoRule
}

func (r *rule) apply(name string) (string, bool) {
	if r.whole == nil {
		return name, true
	}
	if !r.whole.MatchString(name) {
		return "", false
	}
	var b strings.Builder
	end := 0
	for _, match := range r.part.FindAllStringSubmatchIndex(name, -1) {
		b.WriteString(name[end:match[0]])
		expand(&b, r.replacement, name, match)
		end = match[1]
	}
	b.WriteString(name[end:])
	switch r.change {
	case 'L':
		return strings.ToLower(b.String()), true
	case 'U':
		return strings.ToUpper(b.String()), true
	}
	return b.String(), true
}

// expand writes a replacement: $1 is the first group, or as much of the number as there
// are groups for; one that is no group stays as it is; a backslash takes what is behind it
// as it is.
func expand(b *strings.Builder, replacement, name string, match []int) {
	groups := len(match)/2 - 1
	for i := 0; i < len(replacement); i++ {
		c := replacement[i]
		switch {
		case c == '\\' && i+1 < len(replacement):
			i++
			b.WriteByte(replacement[i])
			continue
		case c != '$':
			b.WriteByte(c)
			continue
		}
		digits := i + 1
		for digits < len(replacement) && replacement[digits] >= '0' && replacement[digits] <= '9' {
			digits++
		}
		used := 0
		group := 0
		for n := i + 2; n <= digits; n++ {
			if v, err := strconv.Atoi(replacement[i+1 : n]); err == nil && v <= groups {
				group, used = v, n
			}
		}
		if used == 0 {
			b.WriteByte('$')
			continue
		}
		if from := match[2*group]; from >= 0 {
			b.WriteString(name[from:match[2*group+1]])
		}
		i = used - 1
	}
}
