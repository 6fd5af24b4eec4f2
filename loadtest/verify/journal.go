package verify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/codec"
)

// A journal is what one observer wrote down, in the order in which it happened to him. Big endian:
//
//	 0 magic "TIDEHIST"
//	 8 version u16 = 1     10 role u8        11 zero u8
//	12 number u16          14 zero u16
//	16 run, 16 bytes
//	32 began i64 µs        40 crc32c u32 of what precedes it
//	44 frames: { length u32, crc32c u32 of kind and body, kind u8, body }
//
// The length counts the body. A frame that the file ends within, and one with a wrong checksum behind which there is nothing, or
// zeros alone, are a torn tail: the observer was killed while it wrote. A wrong checksum anywhere else is corruption.
const (
	journalMagic   = "TIDEHIST"
	journalVersion = 1
	journalHeader  = 44
	frameHeader    = 9
	journalBuffer  = 64 << 10 // a write of this size costs next to nothing a byte
)

// role is who wrote a journal.
type role uint8

const (
	roleProducer role = iota + 1
	roleReader        // fetches as the records come
	roleReplay        // reads all that is there
	roleRun           // writes down what is done to the cluster
)

func (r role) String() string {
	switch r {
	case roleProducer:
		return "producer"
	case roleReader:
		return "reader"
	case roleReplay:
		return "replay"
	case roleRun:
		return "run"
	}
	return fmt.Sprintf("role-%d", uint8(r))
}

// header begins a journal.
type header struct {
	role   role
	number uint16
	run    RunID
	began  int64 // µs since 1970
}

func (h header) name() string { return fmt.Sprintf("%v-%d.journal", h.role, h.number) }

func (h header) append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, journalMagic...)
	dst = binary.BigEndian.AppendUint16(dst, journalVersion)
	dst = append(dst, byte(h.role), 0)
	dst = binary.BigEndian.AppendUint16(dst, h.number)
	dst = append(dst, 0, 0)
	dst = append(dst, h.run[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.began))
	return binary.BigEndian.AppendUint32(dst, codec.CRC32C(dst[at:]))
}

// journal writes what an observer sees. Its methods may be called from several goroutines; the order of the calls is the order
// of the journal. The first failure of the disk sticks, and is returned by close.
type journal struct {
	began time.Time

	mu     sync.Mutex
	file   *os.File // guarded by mu, as is all below
	buf    []byte
	acks   acks // not yet in buf
	body   []byte
	err    error
	closed bool
}

var errJournalClosed = errors.New("journal is closed")

// createJournal begins a journal in a directory. One that is there already is not touched.
func createJournal(dir string, h header) (*journal, error) {
	return createJournalAt(dir, h, time.Now())
}

// createJournalAt begins one whose times count from a moment.
func createJournalAt(dir string, h header, began time.Time) (*journal, error) {
	h.began = began.UnixMicro()
	file, err := os.OpenFile(journalPath(dir, h), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	return &journal{began: began, file: file, buf: h.append(nil)}, nil
}

// now is the time of the journal, by the monotonic clock.
func (j *journal) now() int64 { return time.Since(j.began).Microseconds() }

// ack writes down an acknowledgement. Several share a frame.
func (j *journal) ack(a ack) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.acks = append(j.acks, a)
	if len(j.acks) >= acksPerFrame {
		j.frameAcks()
	}
}

// put writes down anything else.
func (j *journal) put(e entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.frameAcks()
	j.frame(e)
}

// flush hands all that was written down to the operating system, where it outlives this process.
func (j *journal) flush() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.frameAcks()
	j.write()
	return j.err
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return j.err
	}
	j.frameAcks()
	j.write()
	j.closed = true
	failure := errors.Join(j.err, j.file.Sync(), j.file.Close())
	j.err = failure
	return failure
}

func (j *journal) frameAcks() {
	if len(j.acks) > 0 {
		j.frame(j.acks)
		j.acks = j.acks[:0]
	}
}

func (j *journal) frame(e entry) {
	if j.closed && j.err == nil {
		j.err = errJournalClosed
	}
	if j.err != nil {
		return
	}
	j.body = e.append(append(j.body[:0], byte(e.kind())))
	if len(j.body)-1 > maxFrame {
		j.err = fmt.Errorf("frame is too large: kind=%d bytes=%d max=%d", e.kind(), len(j.body)-1, maxFrame)
		return
	}
	j.buf = appendFrame(j.buf, j.body)
	if len(j.buf) >= journalBuffer {
		j.write()
	}
}

// appendFrame appends a frame of a kind and its body.
func appendFrame(dst, kindAndBody []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(kindAndBody)-1))
	dst = binary.BigEndian.AppendUint32(dst, codec.CRC32C(kindAndBody))
	return append(dst, kindAndBody...)
}

func (j *journal) write() {
	if j.err == nil && len(j.buf) > 0 {
		_, j.err = j.file.Write(j.buf)
		j.buf = j.buf[:0]
	}
}
