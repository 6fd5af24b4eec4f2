package group

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tidelinehq/tideline/broker/coordinator"
)

// TestShareRecordBytes compares with what Apache Kafka 4.3.1's own classes write.
func TestShareRecordBytes(t *testing.T) {
	id := [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	rack := "r"
	m := &shareMember{id: "m1", rack: &rack, clientID: "c", clientHost: "/127.0.0.1", topics: []string{"t", "u"}, epoch: 7, previous: 6, owned: assignment{id: {0, 2}}}
	bare := &shareMember{id: "m1", clientID: "c", clientHost: "/127.0.0.1", topics: []string{"t"}}
	g := &shareGroup{targeting: targeting{epoch: 7, hash: 0x0102030405060708, assigned: 7, targetAt: goldenTime}}
	untimed := &shareGroup{targeting: targeting{assigned: 7}}
	parts := &shareParts{
		initializing: shareTopics{id: {"t", []int32{1}}}, initialized: shareTopics{id: {"t", []int32{0, 2}}}, deleting: map[[16]byte]string{id: "u"},
	}
	for _, tt := range []struct {
		name       string
		got        coordinator.Record
		key, value string
	}{
		{"member", m.memberRecord("g"), "000a00016700026d31", "0000027202630b2f3132372e302e302e31030274027500"},
		{"member without a rack", bare.memberRecord("g"), "000a00016700026d31", "00000002630b2f3132372e302e302e3102027400"},
		{"group", g.groupRecord("g"), "000b000167", "000000000007010203040506070800"},
		{"target", g.targetRecord("g"), "000c000167", "0000000000070100080000018bcfe56800"},
		{"target without a time", untimed.targetRecord("g"), "000c000167", "00000000000700"},
		{"target of a member", targetOfRecord(keyShareTargetOf, "g", "m1", m.owned), "000d00016700026d31", "0000020102030405060708090a0b0c0d0e0f100300000000000000020000"},
		{"current", m.currentRecord("g"), "000e00016700026d31", "0000000000070000000600020102030405060708090a0b0c0d0e0f100300000000000000020000"},
		{"parts", parts.record("g"), "000f000167", "0000020102030405060708090a0b0c0d0e0f100274020000000100020102030405060708090a0b0c0d0e0f10027403000000000000000200020102030405060708090a0b0c0d0e0f1002750000"},
	} {
		key, value := unhex(t, tt.key), unhex(t, tt.value)
		if !bytes.Equal(tt.got.Key, key) || !bytes.Equal(tt.got.Value, value) {
			t.Errorf("%s:\n got %x %x\nwant %s %s", tt.name, tt.got.Key, tt.got.Value, tt.key, tt.value)
		}
		again := newShareGroup()
		k, kind, err := decodeKey(key)
		if err != nil || kind != Share {
			t.Fatalf("%s: %v %v", tt.name, kind, err)
		}
		if err := again.replay(k, value); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var back []string
		for _, r := range again.records("g") {
			back = append(back, hex.EncodeToString(r.Value))
		}
		if tt.name != "current" && cmp.Diff([]string{tt.value}, back) != "" {
			t.Errorf("%s: read and written again: %v", tt.name, back)
		}
		for n := range value {
			if err := newShareGroup().replay(k, value[:n:n]); err == nil {
				t.Errorf("%s: cut at %d is taken", tt.name, n)
			}
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzShareRecord(f *testing.F) {
	f.Add(keyShareMember, []byte{0, 0, 2, 0x72, 2, 0x63, 2, 0x2f, 3, 2, 0x74, 2, 0x75, 0})
	f.Add(keyShareParts, []byte{0, 0, 1, 1, 1, 0})
	f.Fuzz(func(t *testing.T, version int16, value []byte) {
		if form, ok := keyForms[version]; !ok || form.kind != Share {
			return
		}
		g := newShareGroup()
		if g.replay(recordKey{version, "g", "m"}, value) != nil {
			return
		}
		again := newShareGroup()
		for _, r := range g.records("g") {
			k, _, err := decodeKey(r.Key)
			if err == nil {
				err = again.replay(k, r.Value)
			}
			if err != nil {
				t.Fatalf("what was written cannot be read: %v", err)
			}
		}
		if a, b := g.records("g"), again.records("g"); cmp.Diff(a, b) != "" {
			t.Fatal(cmp.Diff(a, b))
		}
	})
}
