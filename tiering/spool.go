package tiering

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"
	"strings"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errSpool marks a failure of the local disk while an object was built.
var errSpool = errors.New("spool")

const spoolSuffix = ".spool"

// spool takes an object in while it is built: in memory as long as it is small, then in a file. It computes the checksum on
// the way, so that the store can verify what arrives. The file needs no sync: an upload does not survive a crash.
type spool struct {
	fs     vfs.FS
	name   string
	limit  int // bytes in memory
	memory []byte
	file   vfs.File // past the page cache: it is written once and read once
	writer *vfs.Writer
	reader *vfs.Reader
	size   int64
	crc    uint32
}

func newSpool(fsys vfs.FS, dir, name string, limit int) *spool {
	return &spool{fs: fsys, name: path.Join(dir, name+spoolSuffix), limit: limit}
}

// Write implements io.Writer.
func (s *spool) Write(b []byte) (int, error) {
	if s.file == nil && len(s.memory)+len(b) <= s.limit {
		s.memory = append(s.memory, b...)
	} else if err := s.writeFile(b); err != nil {
		return 0, fmt.Errorf("%w: %w", errSpool, err)
	}
	s.crc = crc32.Update(s.crc, castagnoli, b)
	s.size += int64(len(b))
	return len(b), nil
}

func (s *spool) writeFile(b []byte) error {
	if s.file == nil {
		f, err := s.fs.Create(s.name, vfs.Direct)
		if err != nil {
			return err
		}
		s.file, s.writer = f, vfs.NewWriter(f)
		if _, err := s.writer.Write(s.memory); err != nil {
			return err
		}
		s.memory = nil
	}
	_, err := s.writer.Write(b)
	return err
}

// body is what was written, to be read any number of times until close. Nothing may be written after it.
func (s *spool) body() (objstore.Body, error) {
	if s.file == nil {
		return objstore.Body{ReaderAt: bytes.NewReader(s.memory), Size: s.size, CRC32C: s.crc}, nil
	}
	if s.reader == nil {
		w := s.writer
		s.writer = nil
		if err := w.Finish(); err != nil {
			return objstore.Body{}, fmt.Errorf("%w: %w", errSpool, err)
		}
		s.reader = vfs.NewReader(s.file, s.size)
	}
	return objstore.Body{ReaderAt: s.reader, Size: s.size, CRC32C: s.crc}, nil
}

// close frees the memory or removes the file.
func (s *spool) close() error {
	s.memory = nil
	if s.file == nil {
		return nil
	}
	var err error
	if s.writer != nil {
		err = s.writer.Finish()
	}
	if s.reader != nil {
		s.reader.Close()
	}
	err = errors.Join(err, s.file.Close(), s.fs.Remove(s.name))
	s.file = nil
	return err
}

// cleanSpool makes the folder and removes what a crash left in it.
func cleanSpool(fsys vfs.FS, dir string) error {
	if err := fsys.MkdirAll(dir); err != nil {
		return fmt.Errorf("make spool folder: %w", err)
	}
	files, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read spool folder: %w", err)
	}
	for _, f := range files {
		if f.IsDir || !strings.HasSuffix(f.Name, spoolSuffix) {
			continue
		}
		if err := fsys.Remove(path.Join(dir, f.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("clean spool folder: %w", err)
		}
	}
	return nil
}
