package main

import (
	"math/rand/v2"
)

// payload is record values: slices of one pool, so that making them costs the client nothing.
type payload struct {
	pool []byte
	at   int
}

const poolBytes = 16 << 20

// incompressible values: what the object store gets is as large as what the client sent.
func incompressible(seed uint64) *payload {
	rng := rand.New(rand.NewPCG(seed, 0x7061796c))
	p := &payload{pool: make([]byte, poolBytes)}
	for i := range p.pool {
		p.pool[i] = byte(rng.Uint32())
	}
	return p
}

// compressible values are words of a small vocabulary, as log lines are: zstd makes them about a fifth.
func compressible(seed uint64) *payload {
	rng := rand.New(rand.NewPCG(seed, 0x776f7264))
	words := make([][]byte, 2000)
	for i := range words {
		word := make([]byte, 4+rng.IntN(9))
		for j := range word {
			word[j] = 'a' + byte(rng.IntN(26))
		}
		word[len(word)-1] = ' '
		words[i] = word
	}
	p := &payload{pool: make([]byte, 0, poolBytes+16)}
	for len(p.pool) < poolBytes {
		i := int(rng.ExpFloat64() * 200)
		p.pool = append(p.pool, words[min(i, len(words)-1)]...)
	}
	p.pool = p.pool[:poolBytes]
	return p
}

// next is a value of n bytes, n being a divisor of the pool. It must not be changed.
func (p *payload) next(n int) []byte {
	if p.at+n > len(p.pool) {
		p.at = 0
	}
	v := p.pool[p.at : p.at+n : p.at+n]
	p.at += n
	return v
}
