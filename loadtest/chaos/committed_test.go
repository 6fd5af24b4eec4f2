package chaos

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// An offset whose topic the client could not name is no offset of 0.
func TestCommittedFor(t *testing.T) {
	answer := func(topic string, at int64, err error) kadm.OffsetResponses {
		return kadm.OffsetResponses{topic: {0: {Offset: kadm.Offset{Topic: topic, At: at}, Err: err}}}
	}
	for name, c := range map[string]struct {
		answer kadm.OffsetResponses
		want   int64
		err    error
	}{
		"committed": {answer: answer("t", 372, nil), want: 372},
		"nothing":   {answer: kadm.OffsetResponses{}},
		"refused":   {answer: answer("t", -1, kerr.UnstableOffsetCommit), err: kerr.UnstableOffsetCommit},
		"no name":   {answer: answer("", 372, kerr.UnknownTopicID), err: kerr.UnknownTopicID},
	} {
		if got, err := committedFor(c.answer, "t"); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: offset=%d error=%v, want offset=%d error=%v", name, got, err, c.want, c.err)
		}
	}
}
