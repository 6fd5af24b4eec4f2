package api

import (
	"testing"

	"github.com/tidelinehq/tideline/broker/wire"
)

// TestEveryKeyHasAShape: what the table serves is checked before it is decoded,
// in exactly the versions that are served.
func TestEveryKeyHasAShape(t *testing.T) {
	for i := range table {
		e := &table[i]
		if e.handle == nil {
			continue // has a codec of its own
		}
		least, greatest, ok := wire.ShapeVersions(e.key)
		if !ok || least != e.min || greatest != e.max {
			t.Errorf("%s: served are versions %d to %d, shapes are there for %d to %d (%v)", wire.KeyName(e.key), e.min, e.max, least, greatest, ok)
		}
	}
}
