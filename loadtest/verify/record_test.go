package verify

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecordIsChecked(t *testing.T) {
	id := identity{producer: 513, sequence: 1 << 33}
	fresh := func() *kgo.Record {
		r := makeRecord(testRun, 7, id, 1700000000000000, 300)
		r.Value = slices.Clone(r.Value)
		r.Headers[0].Value = slices.Clone(r.Headers[0].Value)
		return r
	}
	if got, sent, err := checkRecord(testRun, 7, fresh()); got != id || sent != 1700000000000000 || err != nil {
		t.Fatalf("got %v sent=%d err=%v", got, sent, err)
	}
	if r := makeRecord(testRun, 7, id, 1, MinRecordBytes); len(r.Value) != MinRecordBytes {
		t.Errorf("bytes=%d", len(r.Value))
	} else if _, _, err := checkRecord(testRun, 7, r); err != nil {
		t.Error(err)
	}
	for i := range fresh().Value {
		r := fresh()
		r.Value[i] ^= 1
		if _, _, err := checkRecord(testRun, 7, r); err == nil {
			t.Errorf("a changed byte of the value was not noticed at=%d", i)
		}
	}
	for _, test := range []struct {
		name   string
		change func(*kgo.Record)
		want   string
	}{
		{"payload", func(r *kgo.Record) { r.Value[200]++ }, "value differs: producer=513 sequence=8589934592 at=200"},
		{"key", func(r *kgo.Record) { r.Key[0]++ }, "key differs"},
		{"no key", func(r *kgo.Record) { r.Key = nil }, "key differs"},
		{"header", func(r *kgo.Record) { r.Headers[0].Value[0]++ }, "header differs"},
		{"name of the header", func(r *kgo.Record) { r.Headers[0].Key = "ran" }, "headers are not"},
		{"no header", func(r *kgo.Record) { r.Headers = nil }, "header differs"},
		{"timestamp", func(r *kgo.Record) { r.Timestamp = r.Timestamp.Add(time.Millisecond) }, "timestamp differs"},
		{"cut", func(r *kgo.Record) { r.Value = r.Value[:299] }, "checksum is wrong"},
		{"longer", func(r *kgo.Record) { r.Value = append(r.Value, 0) }, "checksum is wrong"},
		{"swapped", func(r *kgo.Record) { r.Value = makeRecord(testRun, 7, identity{1, 1}, 5, 300).Value }, "checksum is wrong"},
	} {
		r := fresh()
		test.change(r)
		if _, _, err := checkRecord(testRun, 7, r); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, _, err := checkRecord(testRun, 8, fresh()); err == nil || !strings.Contains(err.Error(), "another partition") {
		t.Errorf("another partition: %v", err)
	}
	for _, r := range []*kgo.Record{{}, {Value: []byte("TLVR")}, makeRecord(RunID{1}, 7, id, 1, 300)} {
		if _, _, err := checkRecord(testRun, 7, r); !errors.Is(err, errForeign) {
			t.Errorf("foreign: %v", err)
		}
	}
}

func TestGoldenRecord(t *testing.T) {
	r := makeRecord(testRun, 7, identity{2, 3}, 1700000000000000, 60)
	want := "544c5652" + "01" + "00" + "0002" + hex.EncodeToString(testRun[:]) + "00000007" + "00000008" + "0000000000000003" + "00060a24181e4000"
	if got := hex.EncodeToString(r.Value[:crcAt]); got != want {
		t.Errorf("header\n%s want\n%s", got, want)
	}
	if got := hex.EncodeToString(r.Value[crcAt:]); got != "251bec4e73c8eeb746efe97a" {
		t.Errorf("checksum and payload: %s", got)
	}
	if string(r.Key) != "2-7-3" {
		t.Errorf("key=%s", r.Key)
	}
}
