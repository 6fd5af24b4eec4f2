package api

import (
	"os"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/wire"
)

// TestRangesAreKafkas: a key is served in the versions of Kafka's, or the page says why not, and nothing is
// served that Kafka's brokers do not serve.
func TestRangesAreKafkas(t *testing.T) {
	of := map[int16][2]int16{}
	for _, k := range kafkaRanges {
		of[k.key] = [2]int16{k.min, k.max}
	}
	for i := range table {
		e := &table[i]
		want, ok := of[e.key]
		switch {
		case !ok:
			t.Errorf("%s: Kafka's brokers do not serve it", wire.KeyName(e.key))
		case (e.min != want[0] || e.max != want[1]) && !otherRange[e.key]:
			t.Errorf("%s: served are versions %d to %d, Kafka serves %d to %d", wire.KeyName(e.key), e.min, e.max, want[0], want[1])
		}
	}
	for key := range departures {
		if _, ok := of[key]; !ok {
			t.Errorf("key %d departs from nothing", key)
		}
	}
}

// otherRange are keys of which not all of Kafka's versions are served; the page says why.
var otherRange = map[int16]bool{keySASLHandshake: true}

func TestProtocolPageIsCurrent(t *testing.T) {
	var page strings.Builder
	if err := WriteProtocol(&page); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../docs/protocol.md")
	if err != nil || string(kept) != page.String() {
		t.Errorf("docs/protocol.md is out of date (%v): run make gen", err)
	}
}
