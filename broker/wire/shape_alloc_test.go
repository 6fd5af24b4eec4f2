//go:build !race

package wire

import (
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// With the race detector the compiler allocates more for kmsg, hence the build
// constraint.

// TestShapeMemory compares the estimate with what decoding allocates, for bodies
// that are made to cost much.
func TestShapeMemory(t *testing.T) {
	eachShape(t, func(t *testing.T, key, version int16) {
		r := rand.New(rand.NewPCG(13, uint64(key)<<16|uint64(version))) // whatever other keys there are
		for _, elements := range []int{0, 3, 40} {
			body := randomRequest(r, key, version, elements).AppendTo(nil)
			s, err := CheckRequest(key, version, body)
			for ; err != nil && strings.Contains(err.Error(), whyElements) && elements > 3; s, err = CheckRequest(key, version, body) {
				elements /= 2 // arrays of arrays of arrays
				body = randomRequest(r, key, version, elements).AppendTo(nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			k := newRequest(key, version)
			used := allocated(func() {
				if err := k.ReadFrom(body); err != nil {
					t.Error(err)
				}
			})
			own := int64(reflect.TypeOf(k).Elem().Size())
			if s.Memory < int64(used)+own {
				t.Errorf("elements=%d bytes=%d: estimate=%d, used=%d", s.Elements, len(body), s.Memory, int64(used)+own)
			}
			if limit := 4*(int64(used)+own) + 2048; s.Memory > limit {
				t.Errorf("elements=%d bytes=%d: estimate=%d is far above used=%d", s.Elements, len(body), s.Memory, int64(used)+own)
			}
		}
	})
}

// allocated returns the bytes that f allocates; what else goes on is kept out by
// taking the least of a few runs.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// TestShapeAllocations: checking a body, and refusing to go on at its end, costs
// no memory; only the error does.
func TestShapeAllocations(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 1))
	eachShape(t, func(t *testing.T, key, version int16) {
		body := randomRequest(r, key, version, 3).AppendTo(nil)
		if n := testing.AllocsPerRun(10, func() {
			if _, err := CheckRequest(key, version, body); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
