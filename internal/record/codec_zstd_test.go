package record

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A frame that does not say its size, as Java's streams write them, is read whatever it grows to,
// and refused as too large when that is too much.
func TestZstdWithoutSize(t *testing.T) {
	for _, lines := range []int{1, 10, 60, 150, 400, 3000, 20_000} {
		var raw, b bytes.Buffer
		w, err := zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		for i := range lines {
			line := fmt.Sprintf("org.apache.kafka.producer.node.request.latency.%d=%x;", i%7, i*i)
			raw.WriteString(line)
			if _, err := w.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				if err := w.Flush(); err != nil { // now the size can not be in the header
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{raw.Len(), raw.Len() + 1, 4 * raw.Len(), 64 << 20} {
			out, err := Zstd.Decompress(nil, b.Bytes(), limit)
			if err != nil || !bytes.Equal(out, raw.Bytes()) {
				t.Errorf("%d bytes from %d with a limit of %d: %d bytes, %v", raw.Len(), b.Len(), limit, len(out), err)
			}
		}
		for _, limit := range []int{raw.Len() - 1, raw.Len() / 2, 1} {
			if _, err := Zstd.Decompress(nil, b.Bytes(), limit); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d bytes with a limit of %d: %v", raw.Len(), limit, err)
			}
		}
	}
}
