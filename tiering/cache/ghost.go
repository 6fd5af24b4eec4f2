package cache

// ghost remembers the hashes of the newest keys that passed by. Add and Has are O(1); memory is fixed once it is full.
type ghost struct {
	ring  []uint64
	next  int
	limit int
	count map[uint64]uint32 // how often a hash is in the ring
}

func newGhost(limit int) ghost {
	return ghost{limit: limit, count: make(map[uint64]uint32)}
}

func (g *ghost) add(hash uint64) {
	if len(g.ring) < g.limit {
		g.ring = append(g.ring, hash)
	} else {
		g.forget(g.ring[g.next])
		g.ring[g.next] = hash
		g.next = (g.next + 1) % g.limit
	}
	g.count[hash]++
}

func (g *ghost) forget(hash uint64) {
	if g.count[hash]--; g.count[hash] == 0 {
		delete(g.count, hash)
	}
}

func (g *ghost) has(hash uint64) bool {
	_, ok := g.count[hash]
	return ok
}
