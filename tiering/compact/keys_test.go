package compact

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tidelinehq/tideline/internal/offheap"
)

func TestKeysRememberTheLastOffset(t *testing.T) {
	k := NewKeys(1000, 1<<20, 0.9)
	defer k.Free()
	r := rand.New(rand.NewPCG(1, 1))
	want := map[string]int64{}
	for offset := range int64(5000) {
		key := fmt.Sprint("key", r.IntN(1000))
		if r.IntN(50) == 0 {
			key = "" // empty, not null
		}
		if !k.Put([]byte(key), offset) {
			t.Fatalf("full after %d keys", k.Len())
		}
		want[key] = offset
	}
	if k.Len() != len(want) {
		t.Errorf("%d keys, want %d", k.Len(), len(want))
	}
	for key, offset := range want {
		if got := k.Last([]byte(key)); got != offset {
			t.Errorf("%q at %d, want %d", key, got, offset)
		}
	}
	if got := k.Last([]byte("never")); got != -1 {
		t.Errorf("a key that was never put is at %d", got)
	}
}

// A full map says so, keeps what it has, and takes newer offsets of the keys that it has.
func TestKeysFill(t *testing.T) {
	for _, bytes := range []int64{48, 240, 24_000} {
		k := NewKeys(1<<40, bytes, 0.9)
		n := int64(0)
		for k.Put(fmt.Append(nil, n), n) {
			n++
		}
		if slots := bytes / slotBytes; n < 1 || n != int64(k.Len()) || n > slots*9/10+1 || k.Bytes() != bytes {
			t.Errorf("bytes=%d: took %d keys in %d bytes", bytes, n, k.Bytes())
		}
		if !k.Put([]byte("0"), 1<<40) || k.Last([]byte("0")) != 1<<40 || k.Last(fmt.Append(nil, n)) != -1 {
			t.Errorf("bytes=%d: a full map forgot", bytes)
		}
		k.Free()
	}
}

func TestKeysTakeNoMoreThanIsNeeded(t *testing.T) {
	before := offheap.Mapped()
	k := NewKeys(10, 128<<20, 0.9)
	if k.Bytes() > 1000 {
		t.Errorf("%d bytes for ten keys", k.Bytes())
	}
	k.Free()
	if got := offheap.Mapped(); got != before {
		t.Errorf("%d bytes mapped after all, before %d", got, before)
	}
	if k.Put([]byte("x"), 1) || k.Last([]byte("x")) != -1 {
		t.Error("a freed map took a key")
	}
}

func BenchmarkKeys(b *testing.B) {
	k := NewKeys(1<<20, 64<<20, 0.9)
	defer k.Free()
	var key []byte
	i := int64(0)
	for b.Loop() {
		key = fmt.Appendf(key[:0], "customer-%d", i%(1<<20))
		k.Put(key, i)
		i++
	}
}
