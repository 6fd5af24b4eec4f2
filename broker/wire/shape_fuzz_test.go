package wire

import (
	"math/rand/v2"
	"testing"
)

// FuzzShape checks arbitrary bytes as every request. What is accepted must decode
// with kmsg, within the bounds that the shape foretold.
func FuzzShape(f *testing.F) {
	r := rand.New(rand.NewPCG(15, 1))
	type api struct{ key, version int16 }
	var apis []api
	for key := range MaxKey + 1 {
		if least, greatest, ok := ShapeVersions(key); ok {
			for version := least; version <= greatest; version++ {
				apis = append(apis, api{key, version})
			}
		}
	}
	for i, a := range apis {
		f.Add(uint8(i), randomRequest(r, a.key, a.version, 2).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		a := apis[int(which)%len(apis)]
		decodeAccepted(t, a.key, a.version, body)
	})
}
