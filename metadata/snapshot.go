package metadata

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/tidelinehq/tideline/metadata/record"
)

// Errors of reading a snapshot; they call for an upgrade, another copy, or
// another copy and a look at the disk.
var (
	ErrSnapshotVersion = errors.New("unknown metadata snapshot version")
	ErrSnapshotTorn    = errors.New("torn metadata snapshot")
	ErrSnapshotCorrupt = errors.New("corrupt metadata snapshot")
)

const (
	snapshotMagic   = "TLIMAGE1"
	snapshotVersion = 1
	snapshotHeader  = 8 + 2 + 8
	frameHeader     = 1 + 1 + 4 + 4
	frameEnd        = record.StateKind(255)
	// frameTarget is where a frame is closed. A record is smaller than a
	// command, so no frame exceeds maxFrame.
	frameTarget = 128 << 10
	maxFrame    = frameTarget + record.MaxSize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteTo writes a snapshot of the image. It holds one frame in memory.
func (m *Image) WriteTo(w io.Writer) (int64, error) {
	f := &framer{w: w}
	header := append(make([]byte, 0, snapshotHeader+4), snapshotMagic...)
	header = binary.LittleEndian.AppendUint16(header, snapshotVersion)
	header = binary.LittleEndian.AppendUint64(header, m.index)
	f.write(binary.LittleEndian.AppendUint32(header, crc32.Checksum(header, castagnoli)))

	f.add(record.StateCluster, &m.cluster)
	m.brokers.Scan(func(_ int32, b *Broker) bool { return f.add(record.StateBroker, b) })
	m.brokerConfigs.Scan(func(id int32, c Configs) bool {
		return f.add(record.StateBrokerConfigs, &record.BrokerConfigs{Broker: id, Configs: c})
	})
	m.ordinals.Scan(func(_ uint32, t *Topic) bool { return f.add(record.StateTopic, t) })
	var p record.PartitionState
	m.partitions.Scan(func(s uint64, x *partition) bool {
		p.Ordinal, p.Partition = uint32(s>>32), x.Partition
		return f.add(record.StatePartition, &p)
	})
	m.intents.Scan(func(_ string, i *Intent) bool { return f.add(record.StateIntent, i) })
	m.objects.Scan(func(_ string, o *Object) bool { return f.add(record.StateObject, o) })
	m.garbage.Scan(func(_ string, g Garbage) bool { return f.add(record.StateGarbage, &g) })
	m.purges.Scan(func(_ string, x *Purge) bool { return f.add(record.StatePurge, x) })
	m.purging.Scan(func(s uint64, x *partition) bool {
		p.Ordinal, p.Partition = uint32(s>>32), x.Partition
		return f.add(record.StatePurging, &p)
	})
	m.groupConfigs.Scan(func(group string, c Configs) bool {
		return f.add(record.StateGroupConfigs, &record.GroupConfigs{Group: group, Configs: c})
	})
	m.acls.Scan(func(_ string, a *record.ACL) bool { return f.add(record.StateACL, a) })
	m.roles.Scan(func(_ string, r *record.Role) bool { return f.add(record.StateRole, r) })
	m.grants.Scan(func(_ string, g *record.Grant) bool { return f.add(record.StateGrant, g) })
	m.scram.Scan(func(_ string, s *record.Scram) bool { return f.add(record.StateScram, s) })
	m.quotas.Scan(func(_ string, q *record.Quota) bool { return f.add(record.StateQuota, q) })
	m.tokens.Scan(func(_ string, t *record.Token) bool { return f.add(record.StateToken, t) })
	m.clientMetrics.Scan(func(name string, c Configs) bool {
		return f.add(record.StateClientMetrics, &record.ClientMetrics{Name: name, Configs: c})
	})
	f.flush()
	f.kind, f.records = frameEnd, f.total
	f.buf = binary.LittleEndian.AppendUint32(append(f.buf[:0], make([]byte, frameHeader+4)...), f.sums)
	f.emit()
	return f.n, f.err
}

// framer collects records of one kind into frames.
type framer struct {
	w       io.Writer
	n       int64
	err     error
	kind    record.StateKind
	records uint32
	buf     []byte // room for the frame header, then the payload
	total   uint32 // records of all frames
	sums    uint32 // checksum of all frame checksums
}

func (f *framer) write(b []byte) {
	if f.err != nil {
		return
	}
	n, err := f.w.Write(b)
	f.n += int64(n)
	f.err = err
}

// add appends a record; it returns false after an error.
func (f *framer) add(kind record.StateKind, s record.State) bool {
	if kind != f.kind || len(f.buf) >= frameTarget {
		f.flush()
		f.kind, f.records = kind, 0
		f.buf = append(f.buf[:0], make([]byte, frameHeader+4)...)
	}
	var err error
	if f.buf, err = record.AppendState(f.buf, s); err != nil && f.err == nil {
		f.err = err
	}
	if len(f.buf) > maxFrame && f.err == nil {
		f.err = fmt.Errorf("metadata snapshot: state record too large: kind=%d bytes=%d", kind, len(f.buf))
	}
	f.records++
	return f.err == nil
}

func (f *framer) flush() {
	if f.kind == 0 || f.err != nil {
		return
	}
	f.emit()
	f.total += f.records
}

// emit writes the frame in buf.
func (f *framer) emit() {
	b := f.buf
	b[0], b[1] = byte(f.kind), record.StateVersion
	binary.LittleEndian.PutUint32(b[2:], f.records)
	binary.LittleEndian.PutUint32(b[6:], uint32(len(b)-frameHeader-4))
	sum := crc32.Update(crc32.Checksum(b[:frameHeader], castagnoli), castagnoli, b[frameHeader+4:])
	binary.LittleEndian.PutUint32(b[frameHeader:], sum)
	f.sums = crc32.Update(f.sums, castagnoli, b[frameHeader:frameHeader+4])
	f.write(b)
}

// ReadImage reads a snapshot. Errors are ErrSnapshotTorn, ErrSnapshotVersion
// and ErrSnapshotCorrupt, or those of the reader.
func ReadImage(r io.Reader) (*Image, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	header := make([]byte, snapshotHeader+4)
	if err := readFull(in, header); err != nil {
		return nil, err
	}
	body, sum := header[:snapshotHeader], binary.LittleEndian.Uint32(header[snapshotHeader:])
	if string(body[:8]) != snapshotMagic {
		return nil, fmt.Errorf("%w: magic=%q", ErrSnapshotCorrupt, body[:8])
	}
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: header checksum", ErrSnapshotCorrupt)
	}
	if v := binary.LittleEndian.Uint16(body[8:]); v == 0 || v > snapshotVersion {
		return nil, fmt.Errorf("%w: version=%d newest=%d", ErrSnapshotVersion, v, snapshotVersion)
	}
	index := binary.LittleEndian.Uint64(body[10:])
	l := loader{Image: &Image{index: index, layout: index, generations: loaded(index)}}
	var buf []byte
	var total, sums uint32
	for {
		var head [frameHeader + 4]byte
		if err := readFull(in, head[:]); err != nil {
			return nil, err
		}
		kind, version := record.StateKind(head[0]), head[1]
		records, length := binary.LittleEndian.Uint32(head[2:]), binary.LittleEndian.Uint32(head[6:])
		if length > maxFrame {
			return nil, fmt.Errorf("%w: frame kind=%d bytes=%d", ErrSnapshotCorrupt, kind, length)
		}
		if uint32(cap(buf)) < length {
			buf = make([]byte, length)
		}
		buf = buf[:length]
		if err := readFull(in, buf); err != nil {
			return nil, err
		}
		sum := binary.LittleEndian.Uint32(head[frameHeader:])
		if crc32.Update(crc32.Checksum(head[:frameHeader], castagnoli), castagnoli, buf) != sum {
			return nil, fmt.Errorf("%w: frame checksum kind=%d bytes=%d", ErrSnapshotCorrupt, kind, length)
		}
		if kind == frameEnd {
			if records != total || !bytes.Equal(buf, binary.LittleEndian.AppendUint32(nil, sums)) {
				return nil, fmt.Errorf("%w: end frame records=%d read=%d", ErrSnapshotCorrupt, records, total)
			}
			break
		}
		sums = crc32.Update(sums, castagnoli, head[frameHeader:])
		total += records
		if err := l.frame(kind, version, records, buf); err != nil {
			return nil, err
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return nil, fmt.Errorf("%w: bytes after the end frame", ErrSnapshotCorrupt)
	}
	if err := l.finish(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshotCorrupt, err)
	}
	return l.Image, nil
}

func readFull(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b); err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrSnapshotTorn
	} else if err != nil {
		return fmt.Errorf("read metadata snapshot: %w", err)
	}
	return nil
}
