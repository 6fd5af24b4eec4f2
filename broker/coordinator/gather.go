package coordinator

import "sync"

// Gather collects the n parts of an answer that several shards give, from any goroutines,
// in the order of their indexes; done runs once, when all are there.
type Gather[T any] struct {
	mu    sync.Mutex
	parts []T
	left  int
	done  func([]T)
}

// NewGather calls done at once, with nil, if n is 0.
func NewGather[T any](n int, done func([]T)) *Gather[T] {
	g := &Gather[T]{parts: make([]T, n), left: n, done: done}
	if n == 0 {
		done(nil)
	}
	return g
}

// Call is the one that part i is answered to, with a T.
func (g *Gather[T]) Call(i int) *Call { return NewCall(func(body any) { g.Put(i, body.(T)) }) }

// Put says what part i is, once.
func (g *Gather[T]) Put(i int, part T) {
	g.mu.Lock()
	g.parts[i] = part
	g.left--
	last := g.left == 0
	g.mu.Unlock()
	if last {
		g.done(g.parts)
	}
}

// Values are parts that come by reference, as a response has them.
func Values[T any](parts []*T) []T {
	var out []T
	for _, p := range parts {
		out = append(out, *p)
	}
	return out
}
