package coordinator

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestTimersAgainstModel compares the heap with a map.
func TestTimersAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	start := time.Unix(0, 0)
	h, model := newTimers(), map[TimerKey]time.Time{}
	now := start
	for range 20_000 {
		key := TimerKey{Kind: uint8(rng.IntN(3)), Key: string(rune('a' + rng.IntN(20)))}
		switch rng.IntN(10) {
		case 0:
			h.set(key, time.Time{})
			delete(model, key)
		case 1, 2:
			now = now.Add(time.Duration(rng.IntN(50)))
			var due, fired []TimerKey
			for k, at := range model {
				if !at.After(now) {
					due = append(due, k)
					delete(model, k)
				}
			}
			for {
				k, ok := h.pop(now)
				if !ok {
					break
				}
				fired = append(fired, k)
			}
			order := func(a, b TimerKey) int { return int(a.Kind)*1000 + int(a.Key[0]) - int(b.Kind)*1000 - int(b.Key[0]) }
			slices.SortFunc(due, order)
			slices.SortFunc(fired, order)
			if !slices.Equal(due, fired) {
				t.Fatalf("at %v fired %v, want %v", now.Sub(start), fired, due)
			}
		default:
			at := now.Add(time.Duration(rng.IntN(200)))
			h.set(key, at)
			model[key] = at
		}
		if len(h.byKey) != len(model) || len(h.heap) != len(model) {
			t.Fatalf("%d keys and %d entries, want %d", len(h.byKey), len(h.heap), len(model))
		}
		if at, ok := h.next(); ok {
			for k, m := range model {
				if m.Before(at) {
					t.Fatalf("%v is due at %v, next says %v", k, m, at)
				}
			}
		}
	}
}
