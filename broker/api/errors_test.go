package api

import (
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestMessage: a client is told what it does not know by the code.
func TestMessage(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("no such broker: id=7"), "no such broker: id=7"},
		{kerr.NotController, kerr.NotController.Error()},
		{fmt.Errorf("%w: unknown configuration key %s", kerr.InvalidRequest, "x"), "unknown configuration key x"},
		{fmt.Errorf("%w: topic=missing", kerr.UnknownTopicOrPartition), "This server does not host this topic-partition: topic=missing"},
		{fmt.Errorf("no feature was changed: %w: level=1", kerr.InvalidUpdateVersion), "no feature was changed: " + kerr.InvalidUpdateVersion.Error() + ": level=1"},
	} {
		if got := message(c.err); got == nil || *got != c.want {
			t.Errorf("of %q: %q, want %q", c.err, *got, c.want)
		}
	}
	if message(nil) != nil {
		t.Error("no error has a text")
	}
}
