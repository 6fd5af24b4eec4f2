package metadata

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tidelinehq/tideline/metadata/record"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// smallWorld is an image with something of every kind in it.
func smallWorld(t testing.TB) *Image {
	w := newWorld(t, 5)
	for m := w.image; ; m = w.image {
		if m.IntentCount() > 0 && m.GarbageCount() > 0 && m.purging.Len() > 0 && m.objects.Len() > 0 && m.brokerConfigs.Len() > 0 {
			break
		}
		w.step()
	}
	for m := w.image; ; m = w.image {
		if m.acls.Len() > 0 && m.roles.Len() > 0 && m.grants.Len() > 0 && m.scram.Len() > 0 && m.quotas.Len() > 0 && m.tokens.Len() > 0 && m.clientMetrics.Len() > 0 {
			return m
		}
		w.security()
	}
}

func TestSnapshotErrors(t *testing.T) {
	good := snapshotBytes(t, smallWorld(t))
	if _, err := ReadImage(iotest.OneByteReader(bytes.NewReader(good))); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := ReadImage(bytes.NewReader(good[:n])); !errors.Is(err, ErrSnapshotTorn) {
			t.Fatalf("cut at %d: %v", n, err)
		}
	}
	for at := 0; at < len(good); at += 7 {
		b := bytes.Clone(good)
		b[at] ^= 0x10
		// A length that became larger looks torn, anything else corrupt.
		if _, err := ReadImage(bytes.NewReader(b)); !errors.Is(err, ErrSnapshotCorrupt) && !errors.Is(err, ErrSnapshotTorn) {
			t.Fatalf("bit at %d: %v", at, err)
		}
	}
	if _, err := ReadImage(bytes.NewReader(append(bytes.Clone(good), 0))); !errors.Is(err, ErrSnapshotCorrupt) {
		t.Fatal(err)
	}
	newer := bytes.Clone(good)
	newer[8]++
	binary.LittleEndian.PutUint32(newer[snapshotHeader:], crc32.Checksum(newer[:snapshotHeader], castagnoli))
	if _, err := ReadImage(bytes.NewReader(newer)); !errors.Is(err, ErrSnapshotVersion) {
		t.Fatal(err)
	}
	for name, frame := range map[string][]byte{
		"kind":    snapshotOf(testFrame(100, 1, 1, []byte{1})),
		"version": snapshotOf(testFrame(record.StateTopic, 9, 1, []byte{1})),
	} {
		if _, err := ReadImage(bytes.NewReader(frame)); !errors.Is(err, ErrSnapshotVersion) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("disk")
	if _, err := ReadImage(io.MultiReader(bytes.NewReader(good[:100]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

// testFrame is a frame with right checksums.
func testFrame(kind record.StateKind, version uint8, records uint32, payload []byte) []byte {
	b := []byte{byte(kind), version}
	b = binary.LittleEndian.AppendUint32(b, records)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	sum := crc32.Update(crc32.Checksum(b, castagnoli), castagnoli, payload)
	b = binary.LittleEndian.AppendUint32(b, sum)
	return append(b, payload...)
}

func snapshotOf(frames ...[]byte) []byte {
	b := append([]byte(snapshotMagic), 1, 0, 5, 0, 0, 0, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	total, sums := uint32(0), uint32(0)
	for _, f := range frames {
		total += binary.LittleEndian.Uint32(f[2:])
		sums = crc32.Update(sums, castagnoli, f[frameHeader:frameHeader+4])
		b = append(b, f...)
	}
	return append(b, testFrame(frameEnd, record.StateVersion, total, binary.LittleEndian.AppendUint32(nil, sums))...)
}

// FuzzReadImage: no input panics or yields an image that can not be written
// and read again. The fuzzer works on the payload of a frame between others,
// as it can not guess checksums.
func FuzzReadImage(f *testing.F) {
	good := snapshotBytes(f, smallWorld(f))
	f.Add(uint8(0), uint32(0), good)
	for _, x := range splitFrames(good) {
		f.Add(x[0], binary.LittleEndian.Uint32(x[2:]), x[frameHeader+4:])
	}
	frames := splitFrames(good)
	f.Fuzz(func(t *testing.T, kind uint8, records uint32, payload []byte) {
		b := payload
		if kind != 0 {
			var all [][]byte
			for _, x := range frames {
				if x[0] != kind {
					all = append(all, x)
				} else {
					all = append(all, testFrame(record.StateKind(kind), record.StateVersion, records, payload))
				}
			}
			b = snapshotOf(all...)
		}
		m, err := ReadImage(bytes.NewReader(b))
		if err != nil {
			if !errors.Is(err, ErrSnapshotTorn) && !errors.Is(err, ErrSnapshotCorrupt) && !errors.Is(err, ErrSnapshotVersion) {
				t.Fatalf("not a known error: %v", err)
			}
			return
		}
		once := snapshotBytes(t, m)
		again, err := ReadImage(bytes.NewReader(once))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once, snapshotBytes(t, again)) {
			t.Fatal("not stable")
		}
	})
}

// splitFrames returns the frames of a snapshot without the end frame.
func splitFrames(b []byte) (out [][]byte) {
	for b = b[snapshotHeader+4:]; record.StateKind(b[0]) != frameEnd; {
		n := frameHeader + 4 + int(binary.LittleEndian.Uint32(b[6:]))
		out, b = append(out, b[:n]), b[n:]
	}
	return out
}

const (
	goldenSnapshotV1 = "testdata/golden/v1/snapshot.hex" // before Ledger.Cleaned and Horizon
	goldenSnapshotV2 = "testdata/golden/v2/snapshot.hex" // before what security needs
	goldenSnapshot   = "testdata/golden/v3/snapshot.hex"
)

// Every snapshot that an older release wrote must be read for ever.
func TestGoldenSnapshot(t *testing.T) {
	if *update {
		b := snapshotBytes(t, smallWorld(t))
		var out strings.Builder
		out.WriteString("# Snapshot of the cluster image, records of version 3.\n")
		write := func(what string, b []byte) {
			fmt.Fprintf(&out, "\n# %s\n", what)
			for line := range slices.Chunk(b, 32) {
				fmt.Fprintf(&out, "%x\n", line)
			}
		}
		write("header: magic, version, index, crc32c", b[:snapshotHeader+4])
		at := snapshotHeader + 4
		for _, f := range splitFrames(b) {
			what := fmt.Sprintf("frame: kind=%d version=%d records=%d bytes=%d", f[0], f[1], binary.LittleEndian.Uint32(f[2:]), binary.LittleEndian.Uint32(f[6:]))
			write(what+": kind, version, records, length, crc32c", f[:frameHeader+4])
			write("payload", f[frameHeader+4:])
			at += len(f)
		}
		write("end frame: kind=255, number of records, checksum of the checksums", b[at:])
		if err := os.WriteFile(goldenSnapshot, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{goldenSnapshotV1, goldenSnapshotV2} {
		old, err := ReadImage(bytes.NewReader(readHex(t, path)))
		if err != nil {
			t.Fatal(path, err)
		}
		if err := Check(old); err != nil || old.ClusterID() != "world" {
			t.Fatal(path, old.ClusterID(), err)
		}
	}
	b := readHex(t, goldenSnapshot)
	m, err := ReadImage(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(m); err != nil {
		t.Fatal(err)
	}
	if m.ClusterID() != "world" || !bytes.Equal(b, snapshotBytes(t, m)) {
		t.Fatal("the golden snapshot is written differently now")
	}
}

// readHex returns the bytes of an annotated hex file.
func readHex(t *testing.T, path string) (b []byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		part, err := hex.DecodeString(line)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, part...)
	}
	return b
}
