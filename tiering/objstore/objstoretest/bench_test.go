package objstoretest_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/awss3"
	"github.com/tidelinehq/tideline/tiering/objstore/dirstore"
	"github.com/tidelinehq/tideline/tiering/objstore/minios3"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

func TestMain(m *testing.M) { objstoretest.Main(m) }

// each runs a benchmark on every backend and reports the processor seconds of this process and of the server per GiB moved. There is an
// object of 64 MiB at the key "there".
func each(b *testing.B, size int64, f func(b *testing.B, s objstore.Store)) {
	there := objstore.BytesBody(objstoretest.Bytes(1, 64<<20))
	for _, c := range []struct {
		name string
		s3   bool
		open func(b *testing.B) (objstore.Store, error)
	}{
		{"minio", true, func(b *testing.B) (objstore.Store, error) {
			return minios3.Open(objstoretest.Shared(b).Config(objstoretest.Prefix(b)))
		}},
		{"aws", true, func(b *testing.B) (objstore.Store, error) {
			return awss3.Open(b.Context(), objstoretest.Shared(b).Config(objstoretest.Prefix(b)))
		}},
		{"file", false, func(b *testing.B) (objstore.Store, error) { return dirstore.Open(b.TempDir(), dirstore.Options{}) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, err := c.open(b)
			if err != nil {
				b.Fatal(err)
			}
			serverCPU := func() time.Duration {
				if !c.s3 {
					return 0
				}
				d, err := objstoretest.Shared(b).CPU()
				if err != nil {
					b.Fatal(err)
				}
				return d
			}
			if _, err := s.Put(b.Context(), "there", there, objstore.Condition{}); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			client, server := processCPU(b), serverCPU()
			f(b, s)
			gib := float64(size) * float64(b.N) / (1 << 30)
			b.ReportMetric((processCPU(b)-client).Seconds()/gib, "client-cpu-s/GiB")
			b.ReportMetric((serverCPU()-server).Seconds()/gib, "server-cpu-s/GiB")
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

func processCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkPut64MiB writes one object of the default roll size, checksum known.
func BenchmarkPut64MiB(b *testing.B) {
	body := objstore.BytesBody(objstoretest.Bytes(1, 64<<20))
	each(b, body.Size, func(b *testing.B, s objstore.Store) {
		for b.Loop() {
			if _, err := s.Put(b.Context(), "k", body, objstore.Condition{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkGet1MiB reads blocks out of a large object, as cold reads do.
func BenchmarkGet1MiB(b *testing.B) {
	const block, blocks = 1 << 20, 64
	each(b, block, func(b *testing.B, s objstore.Store) {
		dst := make([]byte, block)
		n := int64(0)
		for b.Loop() {
			if _, err := objstore.ReadRange(b.Context(), s, "there", n%blocks*block, dst); err != nil {
				b.Fatal(err)
			}
			n++
		}
	})
}

// BenchmarkPut4KiB is the cost of a small object: root, manifest pages.
func BenchmarkPut4KiB(b *testing.B) {
	body := objstore.BytesBody(objstoretest.Bytes(1, 4<<10))
	each(b, body.Size, func(b *testing.B, s objstore.Store) {
		for b.Loop() {
			if _, err := s.Put(b.Context(), "k", body, objstore.Condition{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
