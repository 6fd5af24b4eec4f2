package compat

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const (
	bigDefault = 64 << 20
	bigKeys    = 1000
	// bigTimeout bounds one pass of a client over the file.
	bigTimeout = 20 * time.Minute
)

// TestBigFile sends a file of keyed lines through the broker into the bucket, drops it from the broker's disk, kills the broker, and has
// Kafka's console consumer read it back byte for byte. TIDELINE_BIG_BYTES is its size.
func TestBigFile(t *testing.T) {
	size := int64(bigDefault)
	if text := os.Getenv("TIDELINE_BIG_BYTES"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 {
			t.Fatalf("TIDELINE_BIG_BYTES=%q is not a number of bytes", text)
		}
		size = n
	}
	_, p, _ := startTiered(t, map[string]string{"tier.roll.bytes": "32MiB", "tier.roll.ms": "2000", "tier.garbage.grace.ms": "600000"})
	c := newClient(t, p.Addr())
	createTopic(t, c, "big", 1, onlyRemote)
	file := filepath.Join(t.TempDir(), "big")
	lines, want := writeBigFile(t, file, size)
	bootstrap := []string{"--bootstrap-server", p.Addr(), "--topic", "big"}

	started := time.Now()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	pipeTool(t, in, io.Discard, consoleProducer, append(bootstrap, "--compression-codec", "none", "--batch-size", "262144",
		"--reader-property", "parse.key=true", "--command-property", "linger.ms=20", "--command-property", "acks=all")...)
	produced := time.Now()
	waitRemote(t, p, c, "big")
	tiered := time.Now()
	p.Kill()
	p.Restart()
	ready := time.Now()

	got := &hashWriter{sum: sha256.New()}
	pipeTool(t, nil, got, consoleConsumer, append(bootstrap, "--partition", "0", "--offset", "earliest", "--max-messages", strconv.Itoa(lines),
		"--timeout-ms", "120000", "--formatter-property", "print.key=true")...)
	if sum := got.sum.Sum(nil); got.size != size || !bytes.Equal(sum, want) {
		t.Errorf("read %d bytes with sha256 %s, want %d with %s", got.size, hex.EncodeToString(sum), size, hex.EncodeToString(want))
	}
	t.Logf("%d MiB in %d records: produced in %s, remote %s later, restarted in %s, read in %s", size>>20, lines,
		produced.Sub(started).Round(time.Millisecond), tiered.Sub(produced).Round(time.Millisecond),
		ready.Sub(tiered).Round(time.Millisecond), time.Since(ready).Round(time.Millisecond))
	verify(t, p)
}

// writeBigFile writes lines of a key, a tab and a value that does not compress well, exactly size bytes in all.
func writeBigFile(t *testing.T, path string, size int64) (lines int, sum []byte) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	w := bufio.NewWriterSize(io.MultiWriter(f, hash), 1<<20)
	noise := rand.NewChaCha8([32]byte{1})
	random := rand.New(noise)
	raw := make([]byte, 1024)
	text := make([]byte, 2*len(raw))
	for left := size; left > 0; lines++ {
		n := 100 + random.IntN(len(raw)-100)
		_, _ = noise.Read(raw[:n]) // never fails
		line := fmt.Appendf(nil, "key-%03d\t", random.IntN(bigKeys))
		line = append(line, text[:hex.Encode(text, raw[:n])]...)
		const shortest = 16 // of the last line: key, tab, a digit and more
		if int64(len(line))+1+shortest > left {
			for int64(len(line))+1 < left {
				line = append(line, '.')
			}
			line = line[:left-1]
		}
		line = append(line, '\n')
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
		left -= int64(len(line))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return lines, hash.Sum(nil)
}

// pipeTool runs one of Kafka's tools between a reader and a writer.
func pipeTool(t *testing.T, in io.Reader, out io.Writer, class string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bigTimeout)
	defer cancel()
	cmd := kafkaTool(ctx, t, class, args...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", class, err, clip(stderr.Bytes()))
	}
}

type hashWriter struct {
	sum  hash.Hash
	size int64
}

func (h *hashWriter) Write(b []byte) (int, error) {
	h.size += int64(len(b))
	return h.sum.Write(b)
}
