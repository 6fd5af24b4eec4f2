package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// upgrade starts a decision that makes a classic group with members a consumer group.
func (m *machine) upgrade(id string, g *group, now time.Time) (*consumerTurn, int16, string) {
	return nil, kerr.GroupIDNotFound.Code, "Group " + id + " is not a consumer group."
}
