package membership

import (
	"bytes"
	"encoding/hex"
	"maps"
	"testing"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/record"
)

func TestLoadsReadBack(t *testing.T) {
	loads := []PartitionLoad{
		{metadata.ID{0xa1}, 7, controller.Load{BytesIn: 1000, TailBytes: 5}},
		{metadata.ID{0xa2}, 0, controller.Load{TailBytes: 1 << 40}},
	}
	b := appendLoads(nil, loads)
	const want = "01" +
		"a1000000000000000000000000000000" + "00000007" + "00000000000003e8" + "0000000000000005" +
		"a2000000000000000000000000000000" + "00000000" + "0000000000000000" + "0000010000000000"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got := Loads{}
	if err := parseLoads(b, got); err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, Loads{
		record.TopicPartition{Topic: metadata.ID{0xa1}, Partition: 7}: loads[0].Load,
		record.TopicPartition{Topic: metadata.ID{0xa2}}:               loads[1].Load,
	}) {
		t.Errorf("got %v", got)
	}
	if got.Of(metadata.ID{9}, 9) != (controller.Load{}) {
		t.Error("a partition that nobody told of has something to do")
	}
	for _, bad := range [][]byte{nil, {2}, b[:len(b)-1], append(bytes.Clone(b), 0)} {
		if err := parseLoads(bad, Loads{}); err == nil {
			t.Errorf("%d bytes were taken", len(bad))
		}
	}
}

func TestHeartbeatReadsBack(t *testing.T) {
	h := controller.Heartbeat{Broker: 3, Epoch: 5, Reached: 0x1234, WantShutdown: true}
	b := appendHeartbeat(nil, &h)
	if got, want := hex.EncodeToString(b), "01"+"0000000000000005"+"0000000000001234"+"02"; got != want {
		t.Errorf("got %s want %s", got, want)
	}
	if got, err := parseHeartbeat(b, 3); err != nil || got != h {
		t.Errorf("got %+v %v", got, err)
	}
	for flags := range 64 {
		want := []byte{1, byte(flags)}
		a, err := parseAnswer(want)
		if err != nil || !bytes.Equal(a.append(nil), want) {
			t.Errorf("flags %d: %+v %v", flags, a, err)
		}
	}
	for _, bad := range [][]byte{nil, {2, 0}, {1}, {1, 0, 0}} {
		if _, err := parseAnswer(bad); err == nil {
			t.Errorf("answer %v was taken", bad)
		}
	}
	if _, err := parseHeartbeat(b[:10], 3); err == nil {
		t.Error("a short heartbeat was taken")
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(appendLoads(nil, []PartitionLoad{{metadata.ID{1}, 2, controller.Load{BytesIn: 3, TailBytes: 4}}}))
	f.Add(appendHeartbeat(nil, &controller.Heartbeat{Epoch: 5}))
	f.Fuzz(func(t *testing.T, b []byte) {
		loads := Loads{}
		if err := parseLoads(b, loads); err == nil && len(loads) > len(b)/loadBytes {
			t.Errorf("%d loads of %d bytes", len(loads), len(b))
		}
		if h, err := parseHeartbeat(b, 1); err == nil && !bytes.Equal(appendHeartbeat(nil, &h)[:17], b[:17]) {
			t.Errorf("heartbeat %+v of %x", h, b)
		}
	})
}
