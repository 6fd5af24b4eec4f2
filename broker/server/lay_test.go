package server

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/tidelinehq/tideline/broker/wire"
)

// TestPieces lays out rounds of replies of all kinds, piece by piece: what is sent is the replies, one behind the other, and no
// piece needs more memory than it may.
func TestPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	sizes := []int{0, 1, 100, 1000, joinBytes, joinBytes + 1, 30_000, pieceBytes - 1, pieceBytes, 2*pieceBytes + 7}
	w := roundPool.Get().(*round)
	for range 40 {
		var want []byte
		closes, pieces := -1, 0
		n := 1 + r.IntN(6)
		if r.IntN(3) == 0 {
			closes = r.IntN(n)
		}
		for i := range n {
			req := &Request{}
			req.frame = &frame{}
			req.CorrelationID = int32(i)
			req.resp.Close, req.resp.None = i == closes, r.IntN(5) == 0
			many, kinds := r.IntN(50), len(sizes)
			if r.IntN(8) == 0 {
				many, kinds = 2000, 4
			}
			for range many {
				size := sizes[r.IntN(min(5, kinds))]
				if r.IntN(40) == 0 {
					size = sizes[r.IntN(kinds)]
				}
				b := make([]byte, size)
				for at := range min(size, 8) {
					b[at] = byte(r.Uint32())
				}
				req.resp.Buffers = append(req.resp.Buffers, b)
			}
			w.replies = append(w.replies, req)
			if !req.resp.None && (closes < 0 || i <= closes) {
				want = wire.AppendFrame(want, req.Key, req.Version, req.CorrelationID, req.resp.size())
				want = append(want, bytes.Join(req.resp.Buffers, nil)...)
			}
		}
		var got []byte
		for more := true; more; pieces++ {
			var err error
			if more, err = w.lay(); err != nil {
				t.Fatal(err)
			}
			w.interleave()
			whole := bytes.Join(w.bufs, nil)
			if limit := pieceBytes + joinBytes + n*wire.MaxResponseHeader; len(whole) > limit || len(w.joined) > joinedKeep {
				t.Fatalf("a piece of %d bytes, %d of them copied", len(whole), len(w.joined))
			}
			got = append(got, whole...)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes in %d pieces are not the %d bytes of %d replies", len(got), pieces, len(want), n)
		}
		if w.last != (closes >= 0) {
			t.Fatalf("the connection closes: %t, want %t", w.last, closes >= 0)
		}
		w.reset()
	}
	if cap(w.joined) > joinedKeep {
		t.Errorf("%d bytes for what is copied cannot be used again", cap(w.joined))
	}
}
