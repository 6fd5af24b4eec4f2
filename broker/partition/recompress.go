package partition

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/tidelinehq/tideline/internal/record"
)

// Topics may have a codec of their own (compression.type): what a client sends in another one is
// compressed anew before it is appended. Most of that makes batches smaller. Where it makes them
// larger, a request needs more memory than it was admitted with, so what is on its way to the
// write-ahead log in all partitions together is bounded.

// maxRecompressed bounds the bytes by which the batches under way may have outgrown their requests.
const maxRecompressed = 256 << 20

// ErrBusy means that too much is being recompressed at the moment.
var ErrBusy = errors.New("too many bytes are being recompressed")

var inflated atomic.Int64

// inflate takes n bytes of the budget.
func inflate(n int64) error {
	if now := inflated.Add(n); now > maxRecompressed && now != n { // one batch by itself always passes
		inflated.Add(-n)
		return fmt.Errorf("%w: bytes=%d limit=%d", ErrBusy, now, int64(maxRecompressed))
	}
	return nil
}

func deflate(n int64) { inflated.Add(-n) }

// deflate gives the budget of an append back, once.
func (a *Append) deflate() {
	if a.inflated > 0 {
		deflate(a.inflated)
		a.inflated = 0
	}
}

// recompress is checkProduced for a batch that gets another codec. It returns the batch in that, and
// what it took of the budget.
func recompress(b record.Batch, s *Settings, now int64) (kept record.Batch, taken int64, err error) {
	bound := inflation(s.MaxMessageBytes)
	if s.Compression.Codec == record.None {
		bound = s.MaxMessageBytes // it would be refused afterwards
	}
	out, summary, err := b.Recompress(*s.Compression, bound)
	if err != nil {
		return nil, 0, refusal(b, err)
	}
	if out.Size() > s.MaxMessageBytes {
		return nil, 0, fmt.Errorf("%w: size=%d recompressed=%d max=%d", ErrTooLarge, b.Size(), out.Size(), s.MaxMessageBytes)
	}
	if err := checkTopic(out, summary, s, now); err != nil {
		return nil, 0, err
	}
	taken = max(int64(len(out)-len(b)), 0)
	if err := inflate(taken); err != nil {
		return nil, 0, err
	}
	return out, taken, nil
}
