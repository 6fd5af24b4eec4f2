package group

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
)

// resolvedRegex is a subscription by regular expression and the topics that it stood for
// when it was last looked at.
type resolvedRegex struct {
	topics  []string // in order
	version uint64   // of the image that gave them
	at      int64    // when, in ms

	// seen is the version of the last image that was looked at, and seenAt when. They are not
	// kept in the log: as long as the topics stay the same there is nothing to write.
	seen   uint64
	seenAt int64
}

// regexRefreshMin is how soon regular expressions are looked at again when the topics
// of the cluster change.
const regexRefreshMin = 10 * time.Second

// compileRegex reads a regular expression in RE2 syntax, which matches a topic as a
// whole. Its cost is linear in the length of the topic, whatever the expression.
func compileRegex(text string) (*regexp.Regexp, error) {
	re, err := regexp.Compile("^(?:" + text + ")$")
	if err == nil {
		_, err = regexp.Compile(text) // "a)(b" is not one, though it is between the brackets
	}
	if err != nil {
		return nil, fmt.Errorf("SubscribedTopicRegex %q is not a valid regular expression: %w", text, err)
	}
	return re, nil
}

// resolve finds the topics of a regular expression that sees lets through. One that does
// not compile, which only a broker with another syntax can have let in, has none.
func resolve(image Image, text string, sees func(string) bool, now time.Time) *resolvedRegex {
	r := &resolvedRegex{version: image.Version(), at: now.UnixMilli(), seen: image.Version(), seenAt: now.UnixMilli()}
	re, err := compileRegex(text)
	if err != nil {
		return r
	}
	for name := range image.Names() {
		if re.MatchString(name) && (sees == nil || sees(name)) {
			r.topics = append(r.topics, name)
		}
	}
	return r
}

// resolveRegexes brings the regular expressions of the group in line with its members
// and, if it is time to look again, with the image. It says whether the topics of any
// member may have changed.
func (t *consumerTurn) resolveRegexes() bool {
	used := map[string]bool{}
	for _, m := range t.g.members {
		if m.regex != nil {
			used[*m.regex] = true
		}
	}
	changed := false
	for _, text := range slices.Sorted(maps.Keys(t.g.regexes)) {
		if !used[text] {
			delete(t.g.regexes, text)
			t.out.Records = append(t.out.Records, tombstone(keyConsumerRegex, t.id, text))
			changed = true
		}
	}
	for _, text := range slices.Sorted(maps.Keys(used)) {
		old := t.g.regexes[text]
		if old != nil && !t.mayRefresh(old) {
			continue
		}
		r := t.resolve(text)
		if old != nil && slices.Equal(old.topics, r.topics) {
			r.version, r.at = old.version, old.at
			t.g.regexes[text] = r
			continue
		}
		t.g.regexes[text] = r
		t.out.Records = append(t.out.Records, r.record(t.id, text))
		changed = true
	}
	return changed
}

// resolve looks at a regular expression for the caller. For nobody it stands for nothing,
// where clients may not know of every topic; it is looked at with the next request.
func (t *consumerTurn) resolve(text string) *resolvedRegex {
	if t.caller != nil {
		return resolve(t.image, text, t.caller.Sees, t.now)
	}
	if !t.m.cfg.Consumer.Judged {
		return resolve(t.image, text, nil, t.now)
	}
	return &resolvedRegex{}
}

// mayRefresh says whether a regular expression is to be looked at again: the topics may
// have changed and the last look was a while ago, or it was so long ago that what a member
// may see can be another.
func (t *consumerTurn) mayRefresh(r *resolvedRegex) bool {
	if t.caller == nil && t.m.cfg.Consumer.Judged {
		return false // nobody asks, so nobody says what may be seen
	}
	age := t.now.Sub(time.UnixMilli(r.seenAt))
	return age >= t.m.cfg.Consumer.RegexRefreshInterval || r.seen != t.image.Version() && age >= regexRefreshMin
}

// behind says whether a regular expression has yet to be looked at in the image.
func (g *consumerGroup) behind(image Image) bool {
	for _, r := range g.regexes {
		if r.seen != image.Version() {
			return true
		}
	}
	return false
}
