package verify

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tidelinehq/tideline/internal/codec"
)

var (
	// ErrVersion means that a newer version of this program wrote a journal.
	ErrVersion = errors.New("journal of an unknown version")
	// ErrCorrupt means that a journal's bytes are not those that were written.
	ErrCorrupt = errors.New("journal is corrupt")

	errUnknownKind = fmt.Errorf("%w: unknown kind of frame", ErrVersion)
	errTorn        = errors.New("journal is torn")
)

func journalPath(dir string, h header) string { return filepath.Join(dir, h.name()) }

// scanner reads a journal from its beginning.
type scanner struct {
	header header
	r      *bufio.Reader
	raw    []byte
	at     int64 // of the next frame
	torn   bool  // it ended in the middle of a frame
}

// newScanner reads the header. A file that ends within it is errTorn: its observer saw nothing.
func newScanner(r io.Reader) (*scanner, error) {
	s := &scanner{r: bufio.NewReaderSize(r, journalBuffer), at: journalHeader}
	var raw [journalHeader]byte
	if _, err := io.ReadFull(s.r, raw[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errTorn
		}
		return nil, err
	}
	switch version := binary.BigEndian.Uint16(raw[8:]); {
	case string(raw[:8]) != journalMagic:
		return nil, fmt.Errorf("%w: magic=%x", ErrCorrupt, raw[:8])
	case version != journalVersion:
		return nil, fmt.Errorf("%w: version=%d known=%d", ErrVersion, version, journalVersion)
	case binary.BigEndian.Uint32(raw[40:]) != codec.CRC32C(raw[:40]):
		return nil, fmt.Errorf("%w: checksum of the header", ErrCorrupt)
	}
	s.header = header{role(raw[10]), binary.BigEndian.Uint16(raw[12:]), RunID(raw[16:32]), int64(binary.BigEndian.Uint64(raw[32:]))}
	return s, nil
}

// next returns the next entry, or io.EOF where the journal, or what is whole of it, ends.
func (s *scanner) next() (entry, error) {
	var head [frameHeader - 1]byte
	if n, err := io.ReadFull(s.r, head[:]); err != nil {
		return nil, s.end(err, n > 0)
	}
	length := binary.BigEndian.Uint32(head[:])
	if length > maxFrame {
		return nil, fmt.Errorf("%w: frame is too large at=%d bytes=%d max=%d", ErrCorrupt, s.at, length, maxFrame)
	}
	if length == 0 { // no frame has an empty body
		if head == [frameHeader - 1]byte{} && s.zeros() {
			s.torn = true
			return nil, io.EOF
		}
		return nil, fmt.Errorf("%w: empty frame at=%d", ErrCorrupt, s.at)
	}
	size := int(length) + 1
	if cap(s.raw) < size {
		s.raw = make([]byte, size)
	}
	s.raw = s.raw[:size]
	if _, err := io.ReadFull(s.r, s.raw); err != nil {
		return nil, s.end(err, true)
	}
	if binary.BigEndian.Uint32(head[4:]) != codec.CRC32C(s.raw) {
		if s.zeros() {
			s.torn = true
			return nil, io.EOF
		}
		return nil, fmt.Errorf("%w: checksum of a frame at=%d", ErrCorrupt, s.at)
	}
	e, err := decodeEntry(entryKind(s.raw[0]), s.raw[1:])
	if err != nil {
		if !errors.Is(err, ErrVersion) {
			err = fmt.Errorf("%w: at=%d %w", ErrCorrupt, s.at, err)
		}
		return nil, err
	}
	s.at += int64(frameHeader - 1 + size)
	return e, nil
}

// end makes io.EOF of an end of the file.
func (s *scanner) end(err error, within bool) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		s.torn = s.torn || within
		return io.EOF
	}
	return err
}

// zeros tells whether nothing but zeros follows, if anything does.
func (s *scanner) zeros() bool {
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		if b != 0 {
			return false
		}
	}
}

// openJournal is a scanner of a file, which the caller closes.
func openJournal(path string) (*scanner, *os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	s, err := newScanner(file)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(path), err), file.Close())
	}
	return s, file, nil
}

// scanJournal calls visit for each entry of a journal, and tells whether it is torn.
func scanJournal(path string, visit func(entry) error) (torn bool, err error) {
	s, file, err := openJournal(path)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for {
		e, err := s.next()
		if errors.Is(err, io.EOF) {
			return s.torn, nil
		}
		if err != nil {
			return false, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if err := visit(e); err != nil {
			return false, err
		}
	}
}
